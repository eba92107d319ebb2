"""Paper 2's tables and claims, on made-up records whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from xltlib import musc, musc_grid, musc_trials, tasks
from xltlib.errors import InputError
from xltlib.musc_grid import MEAN, TABLE_4, TARGET_TEXT, TRANSLATED, WITH_MT
from xltlib.scales import MUSC_SCALES
from xltlib.store import Store

TARGETS = ",".join(musc_grid.TARGETS)


def rows(values: dict, **settings) -> pd.DataFrame:
    """One row a seed (0, 1, 2) and language for each input -> value; a seed adds its number in hundredths."""
    base = {"method": "ce", "preset": "paper", "training": WITH_MT, "encoder": "multilingual", "task": "topics"}
    base |= {"train_size": 1000, "targets": TARGETS, "form": None, "metric": "accuracy"}
    base["id"] = str(settings)
    return pd.DataFrame([
        base | settings | {"input": kind, "value": value + seed / 100, "seed": seed, "language": code}
        for kind, value in values.items()
        for seed in range(3)
        for code in ("en", "de", "zh")
    ])  # fmt: skip


def test_the_source_language_stays_out_of_scores():
    assert set(musc_grid.scores(rows({TARGET_TEXT: 0.5}))["language"]) == {"de", "zh"}
    assert musc_grid.scores(pd.DataFrame()).empty


def test_algorithms_are_told_apart_by_training_set_encoder_and_input():
    frame = pd.concat([
        rows({TARGET_TEXT: 0.6, TRANSLATED: 0.5, MEAN: 0.7, musc.ENSEMBLES[1]: 0.65}),
        rows({TARGET_TEXT: 0.3, TRANSLATED: 0.4}, training="S_trn"),
        rows({TRANSLATED: 0.45}, training="S_trn", encoder="english"),
        rows({MEAN: 0.9}, method="musc"),
    ])  # fmt: skip
    means = musc_grid.by_algorithm(musc_grid.scores(frame)).groupby("algorithm")["value"].mean() - 0.01
    expected = dict(zip(musc_grid.ALGORITHMS, (0.3, 0.45, 0.4, 0.6, 0.5, 0.7, 0.65), strict=True))
    assert means.to_dict() == pytest.approx(expected)


def test_effects_are_paired_by_seed_and_averaged_over_the_rest():
    table = musc_grid.by_run(musc_grid.scores(rows({TARGET_TEXT: 0.5, TRANSLATED: 0.6})), "input")
    effect = musc_grid.effect(table, TRANSLATED, TARGET_TEXT)
    assert effect.to_dict() == pytest.approx({0: 0.1, 1: 0.1, 2: 0.1})
    assert musc_grid.effect(table, TRANSLATED, TARGET_TEXT, language="de").size == 3
    assert musc_grid.gains(table, {"gain": (TRANSLATED, TARGET_TEXT)})["verdict"].tolist() == ["reproduced"]
    by_language = musc_grid.gains(table, {"gain": (TRANSLATED, TARGET_TEXT)}, by="language")
    assert by_language["language"].tolist() == ["German", "Chinese"] and "0.1" in by_language["gain"][0]


def test_the_interaction_is_the_difference_of_differences():
    original = rows({TARGET_TEXT: 0.80, TRANSLATED: 0.60}, training=TABLE_4[0])
    back = rows({TARGET_TEXT: 0.75, TRANSLATED: 0.62}, training=TABLE_4[1])
    table = musc_grid.by_run(musc_grid.scores(pd.concat([original, back])), ["training", "input"])
    assert musc_grid.interaction(table).to_dict() == pytest.approx(dict.fromkeys(range(3), 0.07))


def test_the_slope_of_a_gain_on_log_size():
    parts = [
        rows({MEAN: 0.5 + gain}, method=method, train_size=size)
        for size in (250, 500, 1000)
        for method, gain in (("ce", 0.0), ("musc", 0.2 - 0.03 * np.log(size / 250)))
    ]
    table = musc_grid.by_run(musc_grid.scores(pd.concat(parts)), "method")
    assert musc_grid.size_slope(table, "musc", "ce").to_list() == pytest.approx([-0.03] * 3)


def predictions() -> pd.DataFrame:
    """Four German texts of class 0, one for each colour of Figure 1, and an English one that must stay out."""
    target, source = [0.9, 0.6, 0.4, 0.2], [0.8, 0.1, 0.9, 0.3]
    parts = []
    for kind, right in ((TARGET_TEXT, target), (TRANSLATED, source)):
        part = pd.DataFrame({"language": "de", "index": range(4), "label": 0, "p0": right, "p1": 1 - np.array(right)})
        parts.append(part.assign(input=kind))
    english = parts[0].head(1).assign(language="en")
    return pd.concat([*parts, english], ignore_index=True)


def test_both_views_finds_the_four_classes_of_figure_1():
    views = musc_grid.both_views(predictions())
    assert views["class"].tolist() == ["blue", "orange", "green", "red"]
    assert views["x"].tolist() == [0.9, 0.6, 0.4, 0.2] and views["y"].tolist() == [0.8, 0.1, 0.9, 0.3]
    assert views["ensemble"].tolist() == [0, 1, 0, 1] and set(views["language"]) == {"de"}


class Run:
    """Stands for a record."""

    predictions = predictions()


def test_change_shares_and_calibrations_average_over_runs():
    shares = musc_grid.change_shares([Run, Run]).iloc[0]
    assert shares["inputs disagree"] == 0.5 and shares[list(musc_grid.CHANGES.values())].tolist() == [0.25] * 4
    errors = musc_grid.calibrations([Run]).set_index("input")["calibration error"]
    assert set(errors.index) == {*musc.INPUTS, *musc.ENSEMBLES}


def test_calibration_error_against_a_loop():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], size=200)
    labels = rng.integers(0, 3, 200)
    expected, confidence = 0.0, p.max(1)
    for low in np.arange(10) / 10:
        group = [i for i in range(200) if low <= confidence[i] < low + 0.1 or (low == 0.9 and confidence[i] == 1)]
        if group:
            right = np.mean([p[i].argmax() == labels[i] for i in group])
            expected += len(group) / 200 * abs(np.mean(confidence[group]) - right)
    assert musc_grid.calibration(labels, p) == pytest.approx(expected)
    assert musc_grid.calibration(np.array([0, 0]), np.array([[1.0, 0.0], [1.0, 0.0]])) == 0


def reference_like() -> pd.DataFrame:
    """Records of every kind that the ledger looks at."""
    gain = {"ce": 0.0, "sc": 0.02, "mu": 0.03, "sc+mu": 0.05, "musc": 0.06}
    parts = [
        rows({MEAN: 0.6 + g - 0.01 * i, TARGET_TEXT: 0.5, TRANSLATED: 0.502}, method=method, train_size=size)
        for method, g in gain.items()
        for i, size in enumerate((250, 1000))
    ]
    parts += [rows({TARGET_TEXT: 0.8, TRANSLATED: 0.6 + 0.02 * i}, training=t) for i, t in enumerate(TABLE_4)]
    parts += [rows({MEAN: 0.1}, method="musc", preset="released"), rows({MEAN: 0.1}, method="musc", targets="ru,it,ja")]
    parts += [rows({MEAN: 0.1}, method="musc", form="out")]
    return pd.concat(parts, ignore_index=True)


def test_the_ledger_takes_the_printed_form_the_paper_preset_and_the_main_targets():
    ledger = musc_grid.ledger(reference_like()).set_index("id")
    means = {"M01": 0.09, "M02": 0.002, "M03": 0.02, "M04": 0.02, "M05": 0.02, "M07": 0.03, "M08": 0.01, "M09": 0.06}
    assert {claim: ledger.at[claim, "mean"] for claim in means} == pytest.approx(means)
    assert ledger.at["M01", "parts"].count("reproduced") == ledger.at["M01", "parts"].count("topics") == 2
    assert (ledger.loc[list(means), "verdict"] == "reproduced").all()
    assert ledger.at["M06", "verdict"] == "not reproduced"  # the made-up gain does not change with size
    assert (musc_grid.ledger(pd.DataFrame())["verdict"] == "not run").all()


def test_the_trial_chooses_the_fastest_setting_within_one_standard_error():
    values = {(0, 0.001): (0.90, 0.92), (2, 0.001): (0.89, 0.91), (2, 0.002): (0.895, 0.915), (3, 0.002): (0.80, 0.80)}
    frame = pd.DataFrame([
        {"metric": "validation", "frozen_layers": f, "learning_rate": r, "seed": seed, "value": value}
        for (f, r), both in values.items()
        for seed, value in enumerate(both)
    ])  # fmt: skip
    assert musc_trials.chosen(frame) == (2, 0.002)


def test_a_claim_on_every_data_set_fails_with_one_of_them_and_shows_it():
    worse = rows({MEAN: 0.4, TARGET_TEXT: 0.5, TRANSLATED: 0.5}, task="reviews")
    ledger = musc_grid.ledger(pd.concat([reference_like(), worse])).set_index("id")
    assert ledger.at["M01", "verdict"] == "not reproduced" and ledger.at["M01", "mean"] == pytest.approx(-0.1)
    assert "reviews, 1000 texts: -0.100" in ledger.at["M01", "parts"]
    assert "reviews: 0.000" in ledger.at["M02", "shown"] and "topics: 0.002" in ledger.at["M02", "shown"]


def test_a_gain_on_most_data_sets_needs_more_than_half_of_them():
    def table(gains):
        parts = [
            rows({MEAN: 0.5 + gain * (method == "sc")}, method=method, train_size=size)
            for size, gain in enumerate(gains, 250)
            for method in ("ce", "sc")
        ]
        return musc_grid.by_run(musc_grid.scores(pd.concat(parts)), "method")

    verdicts = {gains: str(musc_grid.on_most(table(gains), "sc", "ce")) for gains in
                [(0.1, 0.1, -0.1), (0.1, -0.1), (-0.1, -0.1, 0.1)]}  # fmt: skip
    assert list(verdicts.values()) == ["reproduced", "not reproduced", "not reproduced"]


def test_claims_wait_for_runs_that_are_made_again():
    ledger = musc_grid.ledger(reference_like(), {"reviews"}).set_index("id")
    assert ledger.at["M01", "verdict"] == "not run" and "reviews" in ledger.at["M01", "note"]
    assert ledger.at["M08", "verdict"] == "reproduced"  # it is about topics alone
    assert (musc_grid.ledger(reference_like(), {"topics"})["verdict"] == "not run").all()


def test_a_file_with_no_run_of_a_task_yet_has_a_ledger():
    frame = reference_like()
    other = frame[frame["train_size"] == 1000].assign(task="reviews")
    one_size = pd.concat([other, frame[(frame["train_size"] == 250) & (frame["method"] == "ce")]])
    for part in (other, one_size):
        ledger = musc_grid.ledger(part, {"topics"})
        assert len(ledger) == 9 and (ledger["verdict"] == "not run").all()


def test_one_training_size_has_no_slope():
    both = pd.concat([rows({MEAN: 0.5}), rows({MEAN: 0.6}, method="musc")])
    assert musc_grid.size_slope(musc_grid.by_run(musc_grid.scores(both), "method"), "musc", "ce").empty


def test_a_table_holds_one_kind_of_row_a_cell():
    double = pd.concat([reference_like(), rows({MEAN: 0.3}, preset="released")])
    with pytest.raises(InputError, match="preset"):
        musc_grid.by_run(musc_grid.scores(double[double["method"] == "ce"]), ["training", "input"])


# Grids ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def named(monkeypatch):
    """No translator and no checkpoint is looked at: specs only."""
    monkeypatch.setattr(musc, "signatures", lambda at, task, targets: [f"made-up:{code}" for code in targets])
    monkeypatch.setattr(musc, "fingerprint", lambda name: f"{name}@0")


def test_the_full_grid_has_what_the_issue_of_the_paper_needs(named):
    grid, sizes = musc_grid.full_grid("mini", seeds=2), MUSC_SCALES["mini"]
    assert len(set(grid)) == len(grid) and {spec.seed for spec in grid} == {0, 1}
    half = [spec for spec in grid if spec.seed == 0]
    assert grid[: len(half)] == half  # seed by seed
    topics = [s for s in half if s.settings["task"] == "topics" and s.settings["preset"] == "paper"]
    cells = {(s.method, s.settings["train_size"]) for s in topics if s.settings["targets"] == list(musc_grid.TARGETS)}
    assert cells >= {(method, size) for method in musc_grid.METHODS for size in sizes.sizes}
    assert {s.settings["task"] for s in half if s.method == "musc"} == {"topics", "reviews"}
    assert {s.settings["task"] for s in musc_grid.full_grid("paper", 1) if s.method == "musc"} == set(tasks.TASKS)
    released = [s for s in half if s.settings["preset"] == "released"]
    assert released and all(s.settings["audit"] and s.settings["task"] == "topics" for s in released)
    assert {s.settings["form"] for s in topics if s.method == "sc"} == {"in", "out"}


def test_live_runs_are_a_part_of_what_the_notebooks_promise(named):
    at = MUSC_SCALES["mini"]
    live = musc_grid.live_losses("mini")
    assert {s.method for s in live} == {"ce", "musc"} and {s.settings["train_size"] for s in live} == {at.sizes[0]}
    live = musc_grid.live_algorithms("mini", "topics")
    assert {s.settings["encoder"] for s in live} == {"multilingual", "english"} and len({s.seed for s in live}) == 5
    assert {s.settings["train_size"] for s in live + musc_grid.live_table4("mini", "topics")} == {at.live_size}
    trial = musc_trials.rates("mini")
    assert {s.settings["training"] for s in trial} == {"S_trn"} and len(set(trial)) == len(trial)


def test_a_task_is_learned_when_its_best_setting_is_ten_points_above_chance():
    means = {("topics", 1000): 0.36, ("paraphrase", 1000): 0.55, ("paraphrase", 8000): 0.59, ("inference", 1000): 0.43}
    means |= {("inference", 8000): 0.44}
    frame = pd.DataFrame([
        {"metric": "validation", "task": task, "train_size": size, "frozen_layers": 0, "learning_rate": 5e-4} | part
        for (task, size), mean in means.items()
        for part in ({"value": mean - 0.1}, {"value": mean + 0.1})
    ])  # fmt: skip
    assert musc_trials.learned(frame) == ["inference", "topics"]
    table = musc_trials.pairs_table(frame)
    assert table["chance"].tolist() == [0.333, 0.333, 0.5, 0.5, 0.25] and set(table["learning_rate"]) == {"0.0005"}
    assert table["validation accuracy"].tolist() == pytest.approx([means[key] for key in sorted(means)])
    spread = table["highest run"] - table["lowest run"]
    assert spread.tolist() == pytest.approx([0.2] * len(means)) and set(table["runs"]) == {2}


def test_the_trial_on_pairs_grows_the_training_set(named):
    runs = musc_trials.pairs("mini")
    assert {s.settings["task"] for s in runs} == {"paraphrase", "inference"} and len(set(runs)) == len(runs)
    assert {s.settings["train_size"] for s in runs} == set(musc_trials.PAIR_SIZES)
    assert all(s.settings["training"] == "S_trn" and s.settings["frozen_layers"] == 0 for s in runs)


def test_smoke_runs_are_no_reference(tmp_path):
    with pytest.raises(InputError, match="its runs are no results"):
        musc_grid.complete(Store(tmp_path), "smoke")
