"""Tables of `real_text`'s records: scores, systems against each other seed by seed, and ways to split the reviews."""

from collections.abc import Sequence

import pandas as pd

from xltlib.errors import InputError
from xltlib.real_text import SYSTEMS
from xltlib.statistics import paired_difference, spread, summary, welch

CONDITION = ("data", "split_by", "limit", "pooling")
"""What tells runs apart, but for their seeds."""
PAIRS = (
    *(("probing", "majority"), ("probing", "lookup"), ("probing", "tf-idf")),
    *(("fine-tuning", "lookup"), ("fine-tuning", "tf-idf"), ("fine-tuning", "probing")),
)


def scores(frame: pd.DataFrame, metric: str = "accuracy", by: Sequence[str] = CONDITION) -> pd.DataFrame:
    """Mean [95 % CI], n over seeds, with a row for each condition `by` and a column for each system."""
    part = _of(frame, metric)
    found = spread(part, list(by), "system", ("seed",))
    return found[[*by, *(name for name in SYSTEMS if name in found)]]


def gains(frame: pd.DataFrame, metric: str = "accuracy", by: Sequence[str] = CONDITION) -> pd.DataFrame:
    """PAIRS of systems on the same splits: mean difference [95 % CI] over seeds, n, and p of the paired t-test.

    InputError: a seed occurs twice (`by` does not tell its conditions apart), or lacks a system.
    """
    rows = []
    for names, part in _of(frame, metric).groupby(list(by), sort=False, dropna=False):
        where = dict(zip(by, names, strict=True))
        if part.duplicated(["seed", "system"]).any():
            raise InputError(f"{where}: more than one run a seed; group by more of {', '.join(CONDITION)}")
        values = part.pivot(index="seed", columns="system", values="value")
        if values.isna().any(axis=None):
            raise InputError(f"{where}: {metric} of some system is missing for a seed; finish the grid")
        for first, second in PAIRS:
            if {first, second} <= set(values):
                test = paired_difference(values[first], values[second])
                rows.append(where | {"system": first, "against": second, "difference": str(test.effect), "p": test.p})
    return pd.DataFrame(rows)


def leakage(frame: pd.DataFrame, metric: str = "accuracy", pooling: str = "mean") -> pd.DataFrame:
    """What leaks are worth: each system under the shuffled split minus the same with groups kept together.

    Every text is tested once under each split, but a tenth does not hold the same texts: so the test is Welch's, over
    tenths. The last columns: how many test texts stand in their training sets, under the shuffled split and the other.
    """
    reviews = frame[frame["pooling"] == pooling]
    repeated = reviews[reviews["metric"] == "in_train"].groupby("split_by")["value"].sum()
    part, rows = _of(reviews, metric), []
    for system in (name for name in SYSTEMS if name in set(part["system"])):
        found = {name: summary(v) for name, v in part[part["system"] == system].groupby("split_by")["value"]}
        for other in ("texts", "restaurants"):
            if missing := {"shuffled", other} - set(found):
                raise InputError(f"{system}: no runs split by {', '.join(sorted(missing))}; finish the grid")
            a, b = found["shuffled"], found[other]
            test = welch(a.mean, a.sd, a.n, b.mean, b.sd, b.n)
            counts = {"seen, shuffled": int(repeated["shuffled"]), "seen, other": int(repeated[other])}
            rows.append({"system": system, "against": other, "difference": str(test.effect), "p": test.p} | counts)
    return pd.DataFrame(rows)


def _of(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of a metric. InputError: there are none."""
    part = frame[(frame["metric"] == metric) & (frame["system"] != "")]
    if part.empty:
        known = ", ".join(sorted(set(frame.loc[frame["system"] != "", "metric"]))) or "none"
        raise InputError(f"no rows of metric {metric!r}; there are: {known}")
    return part
