"""Trials of settings (learning rates): a run that diverges is a finding there, and the other runs go on.

In a grid a diverged run is an error, because a mean without it would flatter its method. In a trial it is recorded, so
that hours of other runs are kept and it is not tried again, and its whole setting is out of the choice.
"""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from xltlib.errors import Diverged, InputError
from xltlib.records import Result, RunSpec
from xltlib.store import Run

DIVERGED = "diverged"
"""Metric of a run that diverged (1.0; it has no other); the record's `info` says where."""


def trial(run: Run) -> Run:
    """`run`, but with a record instead of an error when it diverges."""
    return partial(_recorded, run)


def _recorded(run: Run, spec: RunSpec) -> Result:
    try:
        return run(spec)
    except Diverged as error:
        row = {"language": "", "metric": DIVERGED, "value": 1.0, "n": 1, "n_effective": 1}
        return Result([row], info={DIVERGED: str(error)})


def finished(frame: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """The rows of a trial whose setting (the columns `by`) has no run that diverged: a mean over the others would look
    better than the setting is. InputError when none is left."""
    by = [by] if isinstance(by, str) else list(by)
    lost = pd.MultiIndex.from_frame(frame.loc[frame["metric"] == DIVERGED, by])
    kept = frame[~pd.MultiIndex.from_frame(frame[by]).isin(lost)]
    if kept.empty and not frame.empty:
        raise InputError(f"every setting of {', '.join(by)} has a run that diverged: try lower learning rates")
    return kept


def lost(frame: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """How many runs of each setting diverged: the columns `by` and `runs`; empty when none did."""
    part = frame[frame["metric"] == DIVERGED]
    return part.groupby(by, sort=True, dropna=False)["value"].size().rename("runs").reset_index()
