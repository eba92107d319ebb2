"""Two systems on the same test items: probabilities averaged over seeds, then a paired bootstrap over the items.

Averaging over seeds first gives one system a method; the bootstrap then speaks of other test items (Koehn 2004;
Berg-Kirkpatrick et al. 2012), and the interval over seeds, `statistics.paired_difference`, of other training sets.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from xltlib.errors import InputError
from xltlib.evaluation import checked
from xltlib.statistics import Summary, Test
from xltlib.store import Record

METRICS = ("f1_macro", "accuracy")


def averaged(records: Sequence[Record]) -> tuple[np.ndarray, np.ndarray]:
    """(labels (n,), mean probabilities (n, classes)) of one method's runs that differ in seed only."""
    frames = [record.predictions for record in records]
    if not frames or any(frame is None for frame in frames):
        raise InputError("a comparison needs runs with predictions; there are none, or some kept none: run the grid")
    labels = frames[0]["label"].to_numpy()
    if any(len(f) != len(labels) or (f["label"].to_numpy() != labels).any() for f in frames[1:]):
        raise InputError("these runs were tested on different items; compare runs of one corpus and language")
    columns = [column for column in frames[0] if column[:1] == "p" and column[1:].isdecimal()]
    return labels, np.mean([frame[columns].to_numpy(dtype=np.float64) for frame in frames], axis=0)


def score(confusion: np.ndarray, metric: str) -> np.ndarray:
    """Macro-F1 (`evaluation.F1_MACRO`) or accuracy of confusion matrices (..., true class, predicted class)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    if metric == "accuracy":
        return hits.sum(-1) / confusion.sum((-2, -1))
    total = confusion.sum(-1) + confusion.sum(-2)
    used = np.maximum((total > 0).sum(-1), 1)
    return (2 * hits / np.maximum(total, 1)).sum(-1) / used


def paired_bootstrap(
    labels: Sequence[int], first: np.ndarray, second: np.ndarray, metric: str, *, n: int = 10_000, seed: int = 0
) -> Test:
    """first - second in a metric, for class probabilities (items, classes) of two systems on the same items.

    Items are drawn with replacement, for both systems alike; percentile 95 % interval; p is the share of resamples
    whose effect, centred on the observed one, is at least as far from zero. Drawing items amounts to drawing how often
    each (label, first's class, second's class) occurs, which is what is done.
    """
    if metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}: use one of {', '.join(METRICS)}")
    (labels, first), (_, second) = (checked(labels, system, "bootstrap") for system in (first, second))
    if first.shape != second.shape:
        raise InputError(f"two systems with {first.shape} and {second.shape} probabilities; give both the same classes")
    k, items = first.shape[1], len(labels)
    cells = (labels * k + first.argmax(1)) * k + second.argmax(1)
    counts = np.bincount(cells, minlength=k**3)
    draws = np.random.default_rng(seed).multinomial(items, counts / items, size=n)
    observed, effects = (_difference(c.reshape(-1, k, k, k), metric) for c in (counts, draws))
    mean = float(observed[0])
    p = (1 + np.sum(np.abs(effects - mean) >= abs(mean) - 1e-12)) / (n + 1)
    low, high = np.percentile(effects, [2.5, 97.5])
    effect = Summary(mean, float(effects.std(ddof=1)), float(low), float(high), items)
    return Test(effect, mean, float(p), math.nan, f"paired bootstrap of {metric} over {items} items")


def _difference(counts: np.ndarray, metric: str) -> np.ndarray:
    return score(counts.sum(3), metric) - score(counts.sum(2), metric)


def comparisons(records: Iterable[Record], pairs: Iterable[tuple[str, str]], by: Sequence[str]) -> pd.DataFrame:
    """One row a pair of methods, metric and group of runs alike in the settings `by`; value = first - second.

    The columns id, method, seed, corpus, checkpoint and version make `store.stale` work on the frame.
    """
    groups: dict[tuple, dict[str, list[Record]]] = {}
    for record in records:
        key = (record.spec.experiment, record.spec.corpus, record.spec.checkpoint, record.spec.version)
        key += tuple(record.spec.settings[name] for name in by)
        groups.setdefault(key, {}).setdefault(record.spec.method, []).append(record)
    rows = []
    for key, methods in sorted(groups.items()):
        shared = dict(zip(("experiment", "corpus", "checkpoint", "version", *by), key, strict=True))
        for first, second in pairs:
            if first in methods and second in methods:
                rows += _rows(first, second, methods, shared, "/".join(key[4:]))
    return pd.DataFrame(rows)


def _rows(first: str, second: str, methods: dict[str, list[Record]], shared: dict, group: str) -> list[dict]:
    seeds = [sorted(record.spec.seed for record in methods[method]) for method in (first, second)]
    if seeds[0] != seeds[1] or len(set(seeds[0])) < len(seeds[0]):
        raise InputError(f"{group}: {first} and {second} were not run once with the same seeds each; finish the grid")
    (labels, a), (other, b) = averaged(methods[first]), averaged(methods[second])
    if len(labels) != len(other) or (labels != other).any():
        raise InputError(f"{group}: {first} and {second} were tested on different items; run them on one corpus")
    rows = []
    for metric in METRICS:
        test = paired_bootstrap(labels, a, b, metric)
        numbers = {"value": test.effect.mean, "low": test.effect.low, "high": test.effect.high, "p": test.p}
        names = {"id": f"{group}/{first}-{second}", "method": first, "against": second, "metric": metric}
        rows.append(shared | names | numbers | {"n": len(labels), "seeds": len(seeds[0]), "seed": 0})
    return rows
