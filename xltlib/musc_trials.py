"""Paper 2's trials, which look at English validation items alone: which settings the grid takes, and which tasks."""

import pandas as pd

from xltlib import musc, tasks
from xltlib.statistics import pivot
from xltlib.store import RunSpec
from xltlib.trials import finished

RATES, FROZEN = (1e-3, 2e-3, 3e-3, 5e-3), (0, 2, 3)
PAIR_SIZES, PAIR_RATE = (1000, 8000), 5e-4
LEARNED = 0.10
"""A task is learned when accuracy on English validation items is this much above chance: see `learned`."""
TARGET = ("de",)
"""A run needs a target language; what it scores there is not looked at."""


def rates(at: str, seeds: int = 2) -> list[RunSpec]:
    """Where the scale's learning rate and number of frozen layers come from: English alone, judged on English
    validation items, one task on texts and one on pairs."""
    return [
        musc.spec(at, name, musc.TRAINING[0], seed, learning_rate=rate, frozen_layers=frozen, targets=TARGET)
        for seed in range(seeds)
        for name in ("topics", "inference")
        for frozen in FROZEN
        for rate in RATES
    ]


def pairs(at: str, seeds: int = 2) -> list[RunSpec]:
    """Whether the encoder learns the tasks on pairs of texts when all its layers train and the training set grows:
    English alone, judged on English validation items."""
    return [
        musc.spec(at, name, musc.TRAINING[0], seed, size=size, learning_rate=PAIR_RATE, frozen_layers=0, targets=TARGET)
        for seed in range(seeds)
        for name, about in tasks.TASKS.items()
        for size in PAIR_SIZES
        if about.pair
    ]


def rates_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Validation accuracy of the trial, mean over seeds, by task, frozen layers and learning rate; nan where a run
    diverged."""
    part = finished(frame, ["task", "frozen_layers", "learning_rate"])
    part = part[part["metric"] == "validation"]
    cells = part.groupby(["task", "frozen_layers", "learning_rate"])["value"].mean()
    return pivot(cells.reset_index(), ["task", "frozen_layers"], "learning_rate", "value").reset_index()


def chosen(frame: pd.DataFrame) -> tuple[int, float]:
    """(frozen layers, learning rate) that the trial chooses: of the settings whose validation accuracy lies within one
    standard error of the best (over seeds; both tasks averaged), those that freeze most, as they train fastest, and of
    these the most accurate one. Settings with a run that diverged are out."""
    part = finished(frame, ["frozen_layers", "learning_rate"])
    part = part[part["metric"] == "validation"]
    cells = part.groupby(["frozen_layers", "learning_rate", "seed"])["value"].mean().groupby(level=[0, 1])
    found = cells.agg(["mean", "sem"])
    best = found.loc[found["mean"].idxmax()]
    near = found[found["mean"] >= best["mean"] - best["sem"]]
    near = near[near.index.get_level_values(0) == near.index.get_level_values(0).max()]
    frozen, rate = near["mean"].idxmax()
    return int(frozen), float(rate)


def pairs_table(frame: pd.DataFrame) -> pd.DataFrame:
    """English validation accuracy by task and setting, beside chance: mean, lowest and highest of its runs and their
    number (two runs make no interval worth the name). Learning rates are texts, as no fixed number of digits fits."""
    part = finished(frame, ["task", "train_size", "frozen_layers", "learning_rate"])
    part = part[part["metric"] == "validation"]
    cells = part.groupby(["task", "train_size", "frozen_layers", "learning_rate"])["value"]
    names = {"mean": "validation accuracy", "min": "lowest run", "max": "highest run", "count": "runs"}
    found = cells.agg(list(names)).rename(columns=names).reset_index()
    found["learning_rate"] = [f"{rate:g}" for rate in found["learning_rate"]]
    found.insert(1, "chance", [round(1 / len(tasks.task(name).classes), 3) for name in found["task"]])
    return found


def learned(frame: pd.DataFrame) -> list[str]:
    """Tasks whose best setting, mean over seeds, is LEARNED or more above chance on English validation items. On a task
    that the model does not learn in the source language, methods of transfer cannot be told apart."""
    part = finished(frame, ["task", "train_size", "frozen_layers", "learning_rate"])
    part = part[part["metric"] == "validation"]
    cells = part.groupby(["task", "train_size", "frozen_layers", "learning_rate"])["value"].mean()
    best = cells.groupby("task").max()
    return [name for name in best.index if best[name] >= 1 / len(tasks.task(name).classes) + LEARNED]
