"""The committed records are those of today's corpus, checkpoints and methods, and stay small."""

import pandas as pd
import pytest

from xltlib import (
    musc,
    musc_grid,
    musc_trials,
    objective_grid,
    objective_models,
    objective_pretraining,
    objective_tables,
    otc,
    otc_grid,
    pending,
    published,
    self_train_grid,
    self_train_quality,
    self_train_trial,
    store,
    tasks,
    tweets,
)
from xltlib.corpora import embedded
from xltlib.models import fingerprint
from xltlib.scales import MINI, MUSC_MINI, OBJECTIVE_MINI, SELF_SCALES

LIMIT = 10 * 2**20
EXPERIMENT = "otc"
RATES = "otc-rates"


def current() -> dict:
    """What records of paper 1 must name."""
    corpus = f"reviews@{embedded.corpus_hash()}"
    return {"corpus": corpus, "checkpoint": fingerprint(MINI.encoder), "version": otc.VERSION}


def files() -> list:
    found = [p for p in sorted(store.REFERENCE.glob("*.parquet")) if p.stem.split(".")[0] in (EXPERIMENT, RATES)]
    assert {path.stem for path in found} >= {EXPERIMENT, RATES}, "data/reference lacks records: xlt run 02 -p grid full"
    return found


def test_reference_records_are_current():
    for path in files():
        frame = store.reference(path.stem)
        if path.stem.endswith(".predictions"):
            name = path.stem.removesuffix(".predictions")
            known = set(store.reference(name)["id"])
            assert set(frame["id"]) <= known, f"{path.name}: predictions of runs that are not in {name}.parquet"
            continue
        lines = store.stale(frame, current())
        assert lines == [], (
            f"{path.name}: {len(lines)} runs are out of date: xlt run 02 -p grid full; first: {lines[0]}"
        )


def test_reference_records_of_the_tweets_are_current():
    frame = store.reference("tweets")
    assert frame["id"].nunique() == 2 * len(tweets.METHODS) * len(tweets.TARGETS) * tweets.SEEDS
    assert store.stale(frame, tweets.current()) == []


def test_reference_bleu_is_of_todays_corpus_and_translator():
    frame = store.reference("translation")
    now = {"corpus": f"reviews@{embedded.corpus_hash()}", "checkpoint": fingerprint(MINI.translator)}
    assert store.stale(frame, now) == []
    bleu = frame[frame["metric"] == "bleu"]
    assert len(bleu) == 2 * 30 and not bleu.duplicated(["source", "language", "input"]).any()


def test_the_learning_rate_is_the_best_one_of_the_trial():
    found = (
        store.reference(RATES).query("metric == 'validation'").groupby("learning_rate")["value"].agg(["mean", "size"])
    )
    assert set(found.index) == set(otc_grid.RATES) and found["size"].nunique() == 1
    assert found["mean"].idxmax() == MINI.learning_rate


@pytest.mark.parametrize("name", ["musc", "musc-trial", "musc-pairs"])
def test_reference_records_of_paper_2_are_current(name):
    frame = store.reference(name)
    checkpoints = [fingerprint(MUSC_MINI.encoder), fingerprint(MUSC_MINI.english_encoder)]
    for task, part in frame[~frame["task"].isin(pending.tasks_of(name))].groupby("task"):
        now = {"corpus": tasks.corpus_name(task), "checkpoint": checkpoints, "version": musc.VERSION}
        assert store.stale(part, now) == []
    translator = f"|model:{fingerprint(MUSC_MINI.translator)}|"
    assert frame["translations"].str.contains(translator, regex=False).all()


def test_the_trial_of_paper_3_is_of_todays_decoder_and_complete():
    frame = store.reference(self_train_trial.EXPERIMENT)
    mini = SELF_SCALES["mini"]
    assert self_train_trial.chosen(frame, mini.live_task) == (mini.rates, mini.tasks)


def test_word_problems_of_paper_3_on_record_are_todays():
    """Their texts and rules are what they were when they were run, whatever the other tasks have become."""
    for name, wanted in (
        (self_train_grid.EXPERIMENT, self_train_grid.full_grid("mini")),
        (self_train_trial.EXPERIMENT, self_train_trial.specs("mini")),
    ):
        frame = store.reference(name)
        today = {run.id for run in wanted if run.settings["task"] == "problems"}
        assert set(frame.loc[frame["task"] == "problems", "id"]) == today


def test_the_committed_ledger_of_paper_3_is_what_its_records_give():
    frame, quality = (self_train_grid.reference(name=name) for name in ("", self_train_quality.QUALITY))
    found = self_train_grid.ledger(frame, quality, self_train_grid.absent())
    assert published.compare_ledgers(found, published.load_ledger("self_translate_train")) == []


def test_pretrainings_of_paper_4_are_those_of_the_shipped_models():
    frame = objective_pretraining.reference()
    weights = frame.drop_duplicates("id").set_index("name")["weights"].to_dict()
    assert {name: weights[name] for name in objective_models.RECIPES} == {
        name: fingerprint(name) for name in objective_models.RECIPES
    }


def test_the_shipped_models_of_paper_4_stay_small_and_are_those_of_the_records():
    sizes = {name: folder_size(objective_models.folder_of(name)) for name in objective_models.SHIPPED}
    others = {path.name: folder_size(path) for path in (objective_models.FOLDER / objective_models.SEEDS).iterdir()}
    assert sum(sizes.values()) < 15e6 and sum(others.values()) < 30e6
    main = objective_models.names(OBJECTIVE_MINI.pretraining_seeds)[: 5 * OBJECTIVE_MINI.pretraining_seeds]
    assert set(others) == set(main) - set(sizes)
    weights = objective_pretraining.reference().drop_duplicates("id").set_index("name")["weights"]
    for name in others:
        assert weights[name] == objective_models.fingerprint(name)
        assert objective_models.manifest(name)["machine"] == "NVIDIA H200"


def folder_size(folder) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_learning_rates_of_paper_4_follow_from_the_trial():
    found = objective_tables.chosen(objective_grid.reference(part="-rates"))
    assert found == {"probing": OBJECTIVE_MINI.probe_rate, "fine-tuning": OBJECTIVE_MINI.tune_rate}


def test_the_switches_of_paper_4_are_on_the_tasks_that_are_learned():
    frame = objective_grid.reference()
    above = objective_tables.scores(frame, "accuracy") - objective_tables.scores(frame, "majority_accuracy")
    learned = (above.groupby(["method", "task"]).mean() > 0.02).groupby("task").agg(["all", "any"])
    assert learned.loc[list(objective_tables.LEARNED)].all(axis=None) and not learned.loc["nli"].any()


def test_the_committed_ledger_of_paper_4_is_what_its_records_give():
    found = objective_tables.ledger(objective_grid.reference(), objective_grid.absent())
    assert published.compare_ledgers(found, published.load_ledger("objectives")) == []


def test_rate_and_frozen_layers_of_paper_2_follow_from_the_trial():
    frame = store.reference("musc-trial")
    cells = frame.query("metric == 'validation'").groupby(["frozen_layers", "learning_rate"]).size()
    assert len(cells) == len(musc_trials.FROZEN) * len(musc_trials.RATES) and cells.nunique() == 1
    assert musc_trials.chosen(frame) == (MUSC_MINI.frozen_layers, MUSC_MINI.learning_rate)


def test_the_grid_of_paper_2_has_the_tasks_that_are_learned():
    """Topics and inference in the trial of rates, both tasks on pairs in their own; reviews are paper 1's task."""
    frame = pd.concat([store.reference("musc-trial"), store.reference("musc-pairs")])
    assert set(frame["task"]) == {"topics", "paraphrase", "inference"}
    assert {*musc_trials.learned(frame), "reviews"} == set(MUSC_MINI.tasks)


def test_the_committed_ledger_of_paper_2_is_what_its_records_give():
    found = musc_grid.ledger(musc_grid.reference(), musc_grid.absent())
    assert published.compare_ledgers(found, published.load_ledger("musc")) == []


def test_reference_translations_are_of_todays_translators():
    """A run's signature names its translator; a record of another translator is out of date too."""
    frame = store.reference(files()[0].stem)
    made = {s for s in frame["translator"].dropna().unique() if "engine:gold" not in s}
    models = [f"model:{fingerprint(name)}" for name in ("mini-m2m", "mini-m2m-undertrained")]
    assert [s for s in made if not any(f"|{model}|" in f"|{s}|" for model in models)] == []


@pytest.mark.parametrize("column", ["corpus", "checkpoint", "version"])
def test_a_record_of_other_origin_is_named(column):
    now = current()
    rows = pd.DataFrame([{"id": i, "method": "mixed", "seed": 0} | now for i in ("a", "b")])
    assert store.stale(rows, now) == []
    rows[column] = rows[column].astype(object)
    rows.loc[1, column] = "other"
    lines = store.stale(rows, now)
    assert len(lines) == 1 and "run b" in lines[0] and column in lines[0] and "other" in lines[0]


def test_the_reference_folder_stays_under_ten_megabytes():
    size = sum(path.stat().st_size for path in store.REFERENCE.rglob("*") if path.is_file())
    assert size < LIMIT, f"data/reference holds {size / 2**20:.1f} MiB, the limit is {LIMIT / 2**20:.0f}"
