"""Paper 3's grid, tables and claims, on made-up records whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from xltlib import self_train, self_train_grid, self_train_quality, text_tasks
from xltlib.errors import InputError
from xltlib.scales import SELF_SCALES
from xltlib.self_train_grid import ALONE, D_CS, D_SRC, D_TGT, KEPT
from xltlib.statistics import summary, welch
from xltlib.store import Store

AT = SELF_SCALES["mini"]
TARGETS = ("de", "ru", "th", "zh")


def test_seeds_that_were_cut_short_are_left_out():
    part = self_train_grid.scores(rows({D_TGT: 0.1}))
    assert len(self_train_grid.whole_seeds(part)) == len(part) and self_train_grid.whole_seeds(part[:0]).empty
    cut = part[(part["seed"] < 2) | (part["training"] == D_SRC)]
    assert set(self_train_grid.whole_seeds(cut)["seed"]) == {0, 1}


@pytest.fixture
def named(monkeypatch):
    """No checkpoint is looked at: specs only."""
    monkeypatch.setattr(self_train, "signature", lambda at, task, code, translator, decoder: f"{translator}:{code}")
    monkeypatch.setattr(self_train, "fingerprint", lambda name: f"{name}@0")
    monkeypatch.setattr(self_train_quality, "fingerprint", lambda name: f"{name}@0")


def rows(gains: dict, *, task="problems", decoder=AT.main, translator="self", codes=TARGETS, base=0.4) -> pd.DataFrame:
    """Records of D_src and of each training set with its gain; run k of six adds k hundredths to test scores and takes
    them from validation scores. English gains half as much."""
    found = []
    metric = text_tasks.TASKS[task].metric

    def add(training, code, languages, value, k, split):
        found.append({
            "id": f"{task}{decoder}{translator}{training}{languages}{k}", "task": task, "decoder": decoder,
            "train_size": 1000, "translator": None if training == D_SRC else translator, "training": training,
            "languages": languages, "language": code, "metric": metric, "split": split, "value": value,
            "seed": k // 2, "learning_rate": [3e-3, 1e-2][k % 2],
        })  # fmt: skip

    for k in range(6):
        for code in ("en", *codes):
            add(D_SRC, code, ",".join(TARGETS), base + k / 100, k, "test")
            add(D_SRC, code, ",".join(TARGETS), 0.9 - k / 100, k, "validation")
        for training, gain in gains.items():
            for code in codes:
                add(training, code, code, base + gain + k / 100, k, "test")
                add(training, "en", code, base + gain / 2 + k / 100, k, "test")
                for tested in ("en", code):
                    add(training, tested, code, 0.9 - k / 100, k, "validation")
    return pd.DataFrame(found)


def test_scores_join_validation_to_test():
    part = self_train_grid.scores(rows({D_TGT: 0.1}))
    assert set(part["split"]) == {"test"} and set(part["translator"]) == {"none", "self"}
    row = part[(part["training"] == D_TGT) & (part["language"] == "de") & (part["seed"] == 1)].iloc[0]
    assert row["validation"] == pytest.approx(0.9 - 0.02) and row["value"] == pytest.approx(0.52)
    assert self_train_grid.scores(pd.DataFrame()).empty
    made = rows({D_TGT: 0.1})
    assert self_train_grid.scores(made[made["split"] == "test"])["validation"].isna().all()


def test_the_best_four_of_six_are_chosen_by_validation_alone():
    part = self_train_grid.scores(rows({D_TGT: 0.1}))
    kept = self_train_grid.best(part)
    assert set(kept.groupby(self_train_grid.CELL).size()) == {KEPT}
    cell = kept[(kept["training"] == D_TGT) & (kept["language"] == "zh")]
    assert sorted(cell["value"].round(2)) == [0.5, 0.51, 0.52, 0.53]  # the worst on test: validation says otherwise
    table = self_train_grid.cells(part, keep=None)
    row = table[(table["training"] == D_SRC) & (table["language"] == "th")].iloc[0]
    assert row["count"] == 6 and row["std"] == pytest.approx(np.std([k / 100 for k in range(6)], ddof=1))


def test_stars_are_welch_tests_against_the_baseline():
    found = self_train_grid.compared(self_train_grid.scores(rows({D_TGT: 0.1, D_CS: 0.005})))
    found = found[found["language"] == "de"].set_index("training")
    sd = np.std([0, 0.01, 0.02, 0.03], ddof=1)
    assert found.at[D_TGT, "p"] == pytest.approx(welch(0.515, sd, 4, 0.415, sd, 4).p)
    assert found.at[D_TGT, "star"] and not found.at[D_CS, "star"] and found.at[D_TGT, "gain"] == pytest.approx(0.1)
    worse = self_train_grid.compared(self_train_grid.scores(rows({D_TGT: -0.1})))
    assert not worse["star"].any() and (worse["p"] < 0.05).all()
    assert self_train_grid.welch_of((0.5, 0.0, 4), (0.4, 0.0, 4)) is None


def test_effects_pair_runs_of_the_same_seed_and_rate():
    table = self_train_grid.by_run(self_train_grid.scores(rows({D_TGT: 0.1, D_CS: 0.1})))
    effect = self_train_grid.effect(table, D_TGT, D_SRC, language=TARGETS)
    assert effect.to_dict() == pytest.approx(dict.fromkeys(range(3), 0.1))  # by seed: its two rates are one unit
    assert self_train_grid.effect(table, D_CS, D_TGT, language="th").to_list() == pytest.approx([0.0] * 3)
    assert self_train_grid.effect(table, ALONE, D_SRC).empty


def quality(scores: dict) -> pd.DataFrame:
    """BLEU rows: (decoder or "external", language) -> BLEU."""
    return pd.DataFrame([
        {"metric": "BLEU", "task": "problems", "decoder": AT.main if by == "external" else by, "language": code,
         "translator": "external" if by == "external" else "self", "value": value}
        for (by, code), value in scores.items()
    ])  # fmt: skip


def test_the_slope_on_log_bleu_with_the_baseline_as_covariate():
    bleu = {"de": 30.0, "ru": 20.0, "th": 2.0, "zh": 25.0}
    parts, scores = [], {}
    for decoder, base in ((AT.main, 0.4), (AT.decoders[2], 0.6)):
        for code in TARGETS:
            scores[decoder, code] = bleu[code] + (10 if base > 0.5 else 0)
            gain = 0.03 * np.log(scores[decoder, code]) - 0.2 * base
            parts.append(rows({D_TGT: gain}, decoder=decoder, codes=(code,), base=base))
    frame = pd.concat(parts).drop_duplicates(["id", "language", "split"])
    bleu_of = quality(scores)
    cells = self_train_quality.points(self_train_grid.scores(frame), bleu_of)
    slope, baseline = self_train_quality.bleu_parts(cells, bleu_of)
    assert slope.effect.mean == pytest.approx(0.03, abs=1e-6) and slope.effect.n == 8 and slope.direction == ">0"
    assert baseline.effect.mean == pytest.approx(-0.2, abs=1e-6) and baseline.direction == "<0"
    both = pd.concat([bleu_of, bleu_of.assign(metric=self_train_quality.CHARACTERS, value=bleu_of["value"] ** 2)])
    parts = self_train_quality.bleu_parts(cells, both)
    assert len(parts) == 4 and parts[2].effect.mean == pytest.approx(0.015, abs=1e-6)  # the log of a square


def test_the_papers_own_cells_give_the_known_regression():
    """12 cells: Llama 2 and Qwen with their own translations, and Llama 2 with those of gpt-3.5."""
    cells = self_train_quality.printed_points()
    fit = self_train_quality.regression(cells)
    assert len(cells) == 12 and fit.params["log_bleu"] == pytest.approx(5.65, abs=0.05)
    assert fit.params["baseline"] == pytest.approx(-0.53, abs=0.01) and fit.pvalues["log_bleu"] < 0.02
    assert abs(cells["bleu"].corr(cells["gain"])) < 0.3  # without the baseline: not much
    assert self_train_quality.regression(cells.assign(baseline=1.0)) is None


def test_thai_is_poor_when_the_filters_keep_much_less_of_it():
    def kept(thai):
        rows = [("de", 0.95), ("ru", 0.9), ("zh", 1.0), ("th", thai)]
        return pd.DataFrame([
            {"metric": "items kept", "translator": "self", "decoder": AT.main, "language": code, "value": value}
            for code, value in rows
        ])  # fmt: skip

    assert self_train_grid.poor_thai(kept(0.5)) and not self_train_grid.poor_thai(kept(0.9))
    assert not self_train_grid.poor_thai(pd.DataFrame())
    poor = self_train_grid.ledger(reference_like()[0], pd.concat([kept(0.5), reference_like()[1]])).set_index("id")
    assert poor.at["S02", "verdict"] == "not reproduced"  # made-up Thai gains as much as the others


def test_runs_of_a_seed_are_as_alike_as_their_gains():
    """The intraclass correlation against its definition from mean squares, on gains by hand."""
    gains = {(0, 1): 0.1, (0, 2): 0.2, (1, 1): 0.5, (1, 2): 0.4, (2, 1): 0.9, (2, 2): 0.9}
    index = pd.MultiIndex.from_tuples(
        [("problems", "d", "de", *run) for run in gains], names=["task", "decoder", "language", "seed", "learning_rate"]
    )
    table = pd.DataFrame({D_SRC: 0.0, D_TGT: list(gains.values())}, index=index)
    between = 2 * np.var([0.15, 0.45, 0.9], ddof=1)
    within = (0.05**2 * 2 + 0.05**2 * 2) / 3
    expected = (between - within) / (between + within)
    assert self_train_grid.same_seed(table, D_TGT, D_SRC) == pytest.approx(expected)
    assert np.isnan(self_train_grid.same_seed(table[:2], D_TGT, D_SRC))


def reference_like() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records of every kind that the ledger looks at."""
    gains = {D_TGT: 0.1, D_CS: 0.102, ALONE: 0.06}
    parts = [rows(gains, task=task) for task in text_tasks.TASKS]
    parts += [rows({D_TGT: 0.2}, translator="external")[lambda f: f["training"] != D_SRC]]
    others = [name for name in AT.decoders if name != AT.main]
    parts += [rows({D_TGT: 0.05}, decoder=name, base=0.3 + 0.2 * i) for i, name in enumerate(others)]
    bleu = {(name, code): 10.0 + 3 * i + 5 * j for i, name in enumerate(AT.decoders) for j, code in enumerate(TARGETS)}
    return pd.concat(parts, ignore_index=True), quality(bleu | {("external", code): 50.0 for code in TARGETS})


def test_tables_count_seeds_whose_rates_are_averaged():
    part = self_train_grid.scores(rows({D_TGT: 0.1}, codes=("de",)))
    of_seeds = str(summary([0.405, 0.425, 0.445]))  # runs 0 and 1, 2 and 3, 4 and 5 of D_src
    row = self_train_grid.gain_row(self_train_grid.by_run(part), language="de")
    assert row[D_SRC] == of_seeds and row[D_SRC].endswith("n = 3")
    told = self_train_grid.spread(part[part["language"] == "de"], "training", "language").set_index("training")["de"]
    assert told[D_SRC] == of_seeds and told[D_TGT] == row[D_TGT] == str(summary([0.505, 0.525, 0.545]))


def test_the_ledger_tests_each_claim_on_all_runs():
    ledger = self_train_grid.ledger(*reference_like()).set_index("id")
    means = {"S01": 0.1, "S02": 0.1, "S03": 0.002, "S05": 0.05, "S07": 0.05, "S08": 0.04, "S09": 0.2}
    assert {claim: ledger.at[claim, "mean"] for claim in means} == pytest.approx(means)
    assert ledger.at["S02", "verdict"] == "premise not met"  # nothing says that made-up Thai is poor
    assert (ledger.loc[["S01", "S03", "S05", "S08", "S09"], "verdict"] == "reproduced").all()
    assert ledger.at["S07", "verdict"] == "not reproduced"  # made-up English gains with Thai, too
    assert ledger.loc[["S01", "S05", "S07"], "n"].eq(3).all() and ledger.at["S06", "verdict"] == "not run"
    assert (self_train_grid.ledger(pd.DataFrame(), pd.DataFrame())["verdict"] == "not run").all()


def test_a_claim_whose_part_was_not_run_is_not_run():
    frame, bleu = reference_like()
    ledger = self_train_grid.ledger(frame[frame["decoder"] != AT.decoders[0]], bleu).set_index("id")
    assert ledger.at["S05", "verdict"] == "not run"


def test_the_full_grid_has_what_the_paper_reports(named):
    grid = self_train_grid.full_grid("mini")
    assert len(set(grid)) == len(grid) and [run.seed for run in grid] == sorted(run.seed for run in grid)
    settings = pd.DataFrame([run.settings | {"seed": run.seed} for run in grid])
    settings["languages"] = settings["languages"].map(",".join)
    cells = settings.groupby(["task", "training", "decoder", "languages", settings["translator"].fillna("-")]).size()
    assert set(cells) == {6}  # two rates, three seeds
    main = settings[settings["decoder"] == AT.main]
    for task in AT.tasks:
        part = main[(main["task"] == task) & (main["translator"] != "external")]
        assert len(part) == 6 * (1 + 3 * len(AT.languages))
    assert set(settings[settings["translator"] == "external"]["task"]) == {"problems"}
    sizes = settings[settings["decoder"].isin(AT.decoders) & (settings["training"] == D_TGT)]
    assert set(sizes["decoder"]) == set(AT.decoders)
    assert AT.labelled in set(settings["decoder"])


def test_live_runs_are_small(named):
    live = self_train_grid.live("mini")
    assert {run.settings["train_size"] for run in live} == {AT.live_size}
    assert {run.settings["training"] for run in live} == {D_SRC, D_TGT} and len(set(live)) == len(live)
    assert {run.settings["validation_size"] for run in live} == {0}
    assert {code for run in live for code in run.settings["languages"]} == set(AT.live_languages)


def test_smoke_runs_are_no_reference(tmp_path):
    with pytest.raises(InputError, match="its runs are no results"):
        self_train_grid.complete(Store(tmp_path), "smoke")


def test_measuring_counts_what_is_lost_and_scores_what_is_there(named, monkeypatch):
    english = text_tasks.items("problems", "en", "train", 8)
    made = tuple(None if i < 2 else item for i, item in enumerate(english))
    lost = {"problem": {"unclosed": 2}, "solution": {}}
    monkeypatch.setattr(self_train, "translated", lambda *a: (made, lost))
    perfect = [item.fields["problem"] for item in text_tasks.items("problems", "de", "test", 6)]
    monkeypatch.setattr(self_train, "raw_translations", lambda *a: perfect)
    run = self_train_quality.quality_spec("mini", "problems", "de")
    run.settings["test_size"] = 6
    found = {row["metric"]: row for row in self_train_quality.measure(run).metrics}
    assert found["items kept"]["value"] == 0.75 and found["problem: unclosed"]["value"] == 2
    assert found["BLEU"]["value"] == pytest.approx(100) and "tok:13a" in found["BLEU"]["signature"]
