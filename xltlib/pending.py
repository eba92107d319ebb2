"""Reference runs that are being made again after a correction: which, why, and what rests on them until then.

`data/reference/pending.toml` says which tasks of a file are meant. What is missing is found by the ids of today's grid:
a run of another corpus, model or version has another id, so nothing is out of date unseen.
"""

from collections.abc import Iterable
from functools import cache

import pandas as pd

from xltlib.corpora.bank import read_toml
from xltlib.published import LedgerRow
from xltlib.store import REFERENCE, RunSpec

FILE = REFERENCE / "pending.toml"


@cache
def declared() -> tuple[dict, ...]:
    """The entries of pending.toml: file, tasks, why."""
    return tuple(read_toml(FILE).get("pending", []))


def tasks_of(file: str) -> set[str]:
    """The tasks of a reference file that are being run again."""
    return {task for entry in declared() if entry["file"] == file for task in entry["tasks"]}


def missing(frame: pd.DataFrame, specs: Iterable[RunSpec]) -> set[str]:
    """The tasks of which `frame` lacks a run of `specs`."""
    known = set() if frame.empty else set(frame["id"])
    return {str(spec.settings.get("task", "")) for spec in specs if spec.id not in known}


def note(file: str, frame: pd.DataFrame, specs: Iterable[RunSpec]) -> str:
    """What a page says above the records of a file that is being completed, in Markdown; "" when it is complete."""
    specs, entries = list(specs), [entry for entry in declared() if entry["file"] == file]
    known = set() if frame.empty else set(frame["id"])
    here = sum(spec.id in known for spec in specs)
    if not entries or here == len(specs):
        return ""
    reasons = " ".join(f"{', '.join(entry['tasks'])}: {entry['why']}" for entry in entries)
    old = len(known - {spec.id for spec in specs})
    shown = f" The tables below hold {old} runs from before the correction; do not quote them." if old else ""
    return f"**Being run again**: {here} of {len(specs)} runs are there. {reasons}{shown}"


def held_back(rows: Iterable[LedgerRow], needs: dict[str, set[str]], absent: set[str]) -> list[LedgerRow]:
    """Ledger rows, "not run" where a task that the claim needs (`needs`; all that are absent when it names none) is
    not complete."""
    found = []
    for row in rows:
        lacks = absent & needs.get(row.id, absent)
        why = f"being run again after a correction: {', '.join(sorted(lacks))}"
        found.append(LedgerRow(row.id, note=why) if lacks else row)
    return found
