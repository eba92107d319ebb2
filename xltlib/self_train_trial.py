"""Paper 3 at mini: the trial that its two learning rates and its tasks come from.

The main decoder is tuned on English training items with each rate and judged on English validation items; no text in a
target language is looked at. The rates are the best two on the live task. A task stays when its best run is LEAST above
the majority baseline: one that is not learned in English cannot be carried over.
"""

from collections import Counter

import numpy as np
import pandas as pd

from xltlib import self_train, store, text_tasks
from xltlib.errors import InputError
from xltlib.models import fingerprint
from xltlib.records import naming
from xltlib.scales import self_scale
from xltlib.self_train import SOURCE, items, version_of
from xltlib.store import Result, RunSpec, Store
from xltlib.trials import DIVERGED, finished, trial

EXPERIMENT = "self-train-trial"
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
LEAST = 0.1
BASELINE = "baseline"
"""Metric of always giving the most frequent training answer."""


def specs(at: str) -> list[RunSpec]:
    """Every task with every rate."""
    s = self_scale(at)
    names = ("train_size", "validation_size", "steps", "batch", "rank", "alpha", "limit")
    common = {"scale": at, "decoder": s.main} | {name: getattr(s, name) for name in names}
    return [
        RunSpec(
            EXPERIMENT, "D_src, English alone", version_of(at, task), self_train.corpus_name(at, task),
            fingerprint(s.main), 0, common | {"task": task, "learning_rate": rate},
        )
        for task in text_tasks.TASKS
        for rate in RATES
    ]  # fmt: skip


@naming
def run(spec: RunSpec) -> Result:
    """Tune on English training items and score English validation items; the baseline of these items, too."""
    s = spec.settings
    train = items(s["task"], SOURCE, "train", s["train_size"], s["scale"])
    held = list(items(s["task"], SOURCE, "validation", s["validation_size"], s["scale"]))
    model, tokenizer, _ = self_train.tuned(train, s, spec.seed)
    rows = self_train.tested_rows(model, tokenizer, held, s, "validation", SOURCE)
    most = Counter(item.target for item in train).most_common(1)[0][0]
    baseline = np.mean([text_tasks.scores(item, most)[text_tasks.TASKS[s["task"]].metric] for item in held])
    rows.append(rows[0] | {"metric": BASELINE, "value": float(baseline)})
    return Result([row | {"n_effective": row["n"]} for row in rows])


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a task: the score on English validation items for each rate (nan where the run diverged), the baseline,
    and whether it is learned. InputError: no rate of a task finished."""
    found = []
    for task, part in frame.groupby("task", sort=False):
        if (part["metric"] == DIVERGED).sum() == part["learning_rate"].nunique():
            raise InputError(f"task {task}: every rate diverged; try lower ones")
        score = part[part["metric"] == text_tasks.TASKS[task].metric].set_index("learning_rate")["value"].sort_index()
        baseline = part.loc[part["metric"] == BASELINE, "value"].iloc[0]
        row = {"task": task} | {f"{rate:g}": value for rate, value in score.items()}
        found.append(row | {BASELINE: baseline, "learned": bool(score.max() >= baseline + LEAST)})
    return pd.DataFrame(found)


def chosen(frame: pd.DataFrame, live_task: str) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """The best two rates of the live task in order (of equals the lower one; those that diverged are out), and the
    tasks that are learned."""
    told = table(frame).set_index("task")
    left = finished(frame[frame["task"] == live_task], "learning_rate")["learning_rate"].unique()
    rates = sorted(left, key=lambda rate: (-told.loc[live_task, f"{rate:g}"], rate))[:2]
    return tuple(sorted(map(float, rates))), tuple(told.index[told["learned"]])


def complete(records: Store, at: str, jobs: int = 1) -> None:
    """Make the reference file of the trial; InputError when the scale has other rates or tasks than it chooses."""
    records.complete_reference(EXPERIMENT, specs(at), trial(run), jobs=jobs)
    s, (rates, tasks) = self_scale(at), chosen(reference(), self_scale(at).live_task)
    if (s.rates, s.tasks) != (rates, tasks):
        raise InputError(
            f"the trial chooses rates {rates} and tasks {tasks}, and scale {at} has {s.rates} and {s.tasks}: "
            "set them in xltlib/scales.py, and run again"
        )


def reference() -> pd.DataFrame:
    """The committed records, one row a metric; empty when there are none."""
    return store.reference(EXPERIMENT) if (store.REFERENCE / f"{EXPERIMENT}.parquet").exists() else pd.DataFrame()
