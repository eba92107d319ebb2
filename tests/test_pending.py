"""Runs that are being made again: declared when they are missing, and only then; claims and pages that wait."""

from functools import partial

import pandas as pd
import pytest

from xltlib import (
    musc_grid,
    musc_trials,
    objective_grid,
    objective_models,
    objective_pretraining,
    pending,
    real_text,
    self_train_grid,
    self_train_quality,
    self_train_trial,
    store,
)
from xltlib.errors import InputError
from xltlib.published import LedgerRow
from xltlib.scales import OBJECTIVE_MINI
from xltlib.statistics import Summary
from xltlib.store import RunSpec


def of_models() -> list[RunSpec]:
    return [
        objective_pretraining.pretraining_spec(name)
        for name in objective_models.names(OBJECTIVE_MINI.pretraining_seeds)
    ]


GRIDS = {
    "musc": lambda: musc_grid.full_grid("mini"),
    "musc-trial": lambda: musc_trials.rates("mini"),
    "musc-pairs": lambda: musc_trials.pairs("mini"),
    "self-train": lambda: self_train_grid.full_grid("mini"),
    "self-train-trial": lambda: self_train_trial.specs("mini"),
    "self-translation": lambda: self_train_quality.qualities("mini"),
    "objectives-pretraining": of_models,
    **{f"objectives{part}": partial(grid, "mini") for part, grid in objective_grid.PARTS.items()},
}
"""The grid behind each reference file that can be out of date."""


@pytest.mark.parametrize("file", GRIDS)
def test_what_is_out_of_date_is_declared_and_nothing_else(file):
    frame = store.reference(file)
    try:
        specs = GRIDS[file]()
    except InputError:  # a model of today's recipe has never been built: none of its runs can be there
        assert file.startswith("objectives") and pending.tasks_of("objectives-pretraining")
        return
    assert pending.missing(frame, specs) == pending.tasks_of(file), f"data/reference/pending.toml: {file}"
    declared, today = pending.tasks_of(file), {spec.id for spec in specs}
    old = frame[~frame["id"].isin(today)]
    names = old["task"] if "task" in old else old["method"]
    assert set(names) <= declared, f"{file}: runs that are no longer wanted, of a task that is not being run again"
    assert not frame["commit"].str.contains("dirty").any()


def test_real_text_is_declared_by_its_version():
    frame = store.reference(real_text.EXPERIMENT)
    old = {m for m, v in frame.groupby("method")["version"].unique().items() if set(v) != {real_text.VERSIONS[m]}}
    assert old == pending.tasks_of(real_text.EXPERIMENT)


def test_every_entry_has_a_file_and_a_reason():
    for entry in pending.declared():
        assert entry["file"] in {*GRIDS, real_text.EXPERIMENT} and entry["tasks"]
        assert entry["why"].endswith(".") and len(entry["why"]) > 20


def spec(task: str, seed: int) -> RunSpec:
    return RunSpec("x", "m", 1, "c", "k", seed, {"task": task})


def test_missing_runs_are_found_by_id_and_a_page_says_what_it_shows(monkeypatch):
    specs = [spec(task, seed) for task in ("topics", "reviews") for seed in range(2)]
    frame = pd.DataFrame({"id": [specs[2].id, specs[3].id, "an old run"]})
    assert pending.missing(frame, specs) == {"topics"} and pending.missing(pd.DataFrame(), specs) == {
        "topics",
        "reviews",
    }
    monkeypatch.setattr(pending, "declared", lambda: ({"file": "x", "tasks": ["topics"], "why": "Other rules."},))
    told = pending.note("x", frame, specs)
    assert "2 of 4 runs" in told and "topics: Other rules." in told and "1 runs from before" in told
    assert (
        pending.note("y", frame, specs) == ""
        and pending.note("x", pd.DataFrame({"id": [s.id for s in specs]}), specs) == ""
    )


def test_claims_wait_for_the_tasks_that_they_need():
    effect = Summary(0.2, 0.1, 0.1, 0.3, 5)
    rows = [LedgerRow("M01", effect), LedgerRow("M08", effect), LedgerRow("M09", effect)]
    found = {row.id: row for row in pending.held_back(rows, {"M08": {"topics"}, "M09": set()}, {"reviews"})}
    assert found["M01"].effect is None and "reviews" in found["M01"].note
    assert found["M08"].effect == found["M09"].effect == effect
    assert pending.held_back(rows, {}, set()) == rows
