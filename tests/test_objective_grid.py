"""Paper 4's grid and claims, on made-up records whose answers are known; a run at a tiny size."""

import itertools

import pandas as pd
import pytest
import torch
from refusals import refused

from xltlib import objective_grid
from xltlib.downstream import items
from xltlib.objective_grid import MODES, effects, grid, scores, spec
from xltlib.objective_training import build_tokenizer
from xltlib.objectives import OBJECTIVES
from xltlib.scales import OBJECTIVE_SCALES
from xltlib.stacks import Stack, StackSettings

AT = OBJECTIVE_SCALES["mini"]


def named(objective: str, seed: int) -> str:
    return f"mini-{objective.lower()}-{seed}@0"


def records(values: dict, tuned_bonus: float = 0.0) -> pd.DataFrame:
    """One row a head: objective -> F1; pretraining seed s adds s hundredths to all, fine-tuning a bonus to single
    stacks."""
    rows = []
    for (name, value), mode, task, code, seed in itertools.product(
        values.items(), MODES, AT.tasks, ("en", "zh"), (1, 2, 3)
    ):
        bonus = tuned_bonus if mode == "fine-tuning" and not OBJECTIVES[name].double else 0.0
        for head in range(2):
            rows.append({
                "method": mode, "objective": name, "task": task, "language": code, "pretraining_seed": seed,
                "head_seed": head, "metric": "f1_macro", "split": "test",
                "value": value + seed / 100 + bonus + (head - 0.5) / 50,
            })  # fmt: skip
    return pd.DataFrame(rows)


VALUES = {"2-LM": 0.60, "2-MT": 0.70, "CLM": 0.50, "MLM": 0.45, "TLM": 0.40}


def test_heads_are_averaged_and_the_seed_is_the_unit():
    table = scores(records(VALUES))
    assert len(table) == 2 * 4 * 2 * 3 and set(table.columns) == set(OBJECTIVES)
    assert table["2-MT"].xs(2, level="pretraining_seed").unique() == pytest.approx([0.72])
    found = objective_grid.by_seed(table["2-MT"] - table["2-LM"], method="probing", task=["pos", "ner"])
    assert found.to_dict() == pytest.approx({1: 0.1, 2: 0.1, 3: 0.1})


def test_effects_are_the_claims():
    found = {claim: series.mean() for claim, series in effects(scores(records(VALUES, tuned_bonus=0.08))).items()}
    expected = {"B01": 0.1, "B02": 0.1, "B03": 0.05, "B04": -0.05, "B05": -0.1, "B06": 0.08, "B07": 0.2}
    assert {claim: found[claim] for claim in expected} == pytest.approx(expected)
    assert found["B08"] == pytest.approx(0.1)


def test_the_ledger_says_what_the_effects_say():
    ledger = objective_grid.ledger(records(VALUES)).set_index("id")
    assert ledger.loc[["B01", "B02", "B03", "B07", "B08"], "verdict"].eq("reproduced").all()
    assert ledger.loc[["B04", "B05"], "verdict"].eq("not reproduced").all() and ledger.at["B01", "n"] == 3
    assert objective_grid.ledger(pd.DataFrame())["verdict"].eq("not run").all()


def test_the_grid_has_every_objective_task_and_language():
    runs = grid("mini", named)
    assert len(set(runs)) == len(runs) == 3 * 5 * 4 * 6 * (1 + AT.tune_seeds)
    seeds = [run.settings["pretraining_seed"] for run in runs]
    assert seeds == sorted(seeds)
    assert {run.checkpoint for run in runs} == {named(name, seed) for name in OBJECTIVES for seed in (1, 2, 3)}


def test_a_switch_makes_another_run():
    one = spec("mini", "CLM", 1, "pos", "en", "probing", 0, named)
    other = spec("mini", "CLM", 1, "pos", "en", "probing", 0, named, pooling="sum with pads")
    assert one.id != other.id and one.settings["heads"] == AT.probe_seeds
    refused(lambda: spec("mini", "RTD", 1, "pos", "en", "probing", 0, named), "unknown objective")
    refused(lambda: spec("mini", "CLM", 1, "pos", "de", "probing", 0, named), "unknown language 'de'")
    refused(lambda: spec("mini", "CLM", 1, "pos", "en", "zero-shot", 0, named), "unknown mode")


@pytest.mark.parametrize("mode", MODES)
def test_a_run_has_test_scores_of_its_heads(mode, tmp_path):
    lines = [item.text for item in items("pos", "en", "train", 100)]
    tokenizer = build_tokenizer(tmp_path, 400, lines)
    torch.manual_seed(0)
    model = Stack("MLM", StackSettings(width=16, layers=2, heads=2, vocabulary=len(tokenizer), positions=128))
    result = objective_grid.run(spec("smoke", "MLM", 1, "pos", "en", mode, 0, named), model, tokenizer)
    heads = {row["head_seed"] for row in result.metrics if row["split"] == "test" and row["metric"] == "f1_macro"}
    assert heads == ({0, 1} if mode == "probing" else {0})
    assert all(row["language"] == "en" and 0 <= row["value"] <= 1 for row in result.metrics)
