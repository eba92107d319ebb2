"""The checked reading of data/published: columns, numbers, ranges, language codes, encoding.

A mistake in a file raises InputError in one line that names file, line and column.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from xltlib.errors import InputError

PAPERS = {
    "otc": "otc_2405.05478",
    "musc": "musc_emnlp2022",
    "self_translate_train": "self_translate_train",
    "objectives": "objectives_emnlp2024",
}


def _names(text: str) -> list[str]:
    return text.split()


_CELL = _names("paper table dataset setting train inference regime language metric value sd n_seeds significant note")
COLUMNS = {
    "otc": _CELL,
    "musc": _CELL,
    "self_translate_train": [*_CELL, "model", "translator"],
    "objectives": _CELL
    + _names("label_in_document regime_in_document label_reconciled confidence")
    + _names("language_in_document sd_in_document sd_in_value_units"),
    "claims": _names("claim_id paper statement where published_numbers effect direction test our_experiment")
    + _names("holds_on_published evidence"),
    "hyperparameters": _names("paper source where scope item value note"),
    "datasets": _names("paper table task dataset language split value note"),
}
_FILLED = {
    "claims": ("claim_id", "statement", "direction"),
    "hyperparameters": ("source", "item"),
    "datasets": ("split",),
}
_FILLED |= dict.fromkeys(PAPERS, ("table", "metric"))
_RANGES = {"accuracy": (0, 100), "accuracy x100": (0, 100), "sacreBLEU": (0, 100), "macro-F1": (0, 1), "p": (0, 1)}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_LANGUAGE = re.compile(r"(([a-z]{2,3}|avg|all6)(\|[a-z]{2,3})*|per language)?")
_REMEDY = "restore the file with: git checkout -- data/published"


def read(name: str, folder: Path) -> pd.DataFrame:
    """One checked file as text; `line` is each row's line in the file."""
    path = Path(folder) / f"{name}.csv"
    rows = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    columns, body = COLUMNS[name], []
    try:
        header = next(rows, [])
        if header != columns:
            missing = [column for column in columns if column not in header]
            what = f"column {missing[0]!r} is missing" if missing else f"columns are not {', '.join(columns)}"
            raise InputError(f"{path}, line 1: {what}; {_REMEDY}")
        for row in rows:
            if len(row) != len(columns):
                raise InputError(f"{path}, line {rows.line_num}: {len(row)} fields, {len(columns)} expected; {_REMEDY}")
            body.append({"line": rows.line_num, **dict(zip(columns, row, strict=True))})
            _check(path, name, body[-1])
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: not CSV ({error}); {_REMEDY}") from None
    if not body:
        raise InputError(f"{path}: no rows below the header; {_REMEDY}")
    _check_unique(path, name, body)
    return pd.DataFrame(body, columns=["line", *columns])


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: byte {data[error.start]:#04x} is not UTF-8; {_REMEDY}") from None


def _check(path: Path, name: str, row: dict) -> None:
    """One row: raises InputError at the first wrong field."""
    for column, why in _faults(name, row):
        raise InputError(f"{path}, line {row['line']}, column {column}: {row[column]!r} {why}; {_REMEDY}")


def _faults(name: str, row: dict) -> Iterator[tuple[str, str]]:
    if row["paper"] not in PAPERS.values() or (name in PAPERS and row["paper"] != PAPERS[name]):
        yield "paper", "is not the paper of this file" if name in PAPERS else "is none of the four papers"
    yield from ((column, "is empty") for column in _FILLED[name] if not row[column].strip())
    if not _LANGUAGE.fullmatch(row.get("language", "")):
        yield "language", "is no language code"
    if name in PAPERS:
        yield from _number_faults(row)


def _number_faults(row: dict) -> Iterator[tuple[str, str]]:
    for column in ("value", "sd", "n_seeds", "sd_in_value_units"):
        if row.get(column) and not _NUMBER.fullmatch(row[column]):
            yield column, "is not a number"
        elif column != "value" and row.get(column, "").startswith("-"):
            yield column, "is negative"
    low, high = _RANGES.get(row["metric"], (None, None))
    if low is not None and _NUMBER.fullmatch(row["value"]) and not low <= float(row["value"]) <= high:
        yield "value", f"is outside {low} to {high}, the range of {row['metric']}"
    if row["n_seeds"] and not row["n_seeds"].isdigit():
        yield "n_seeds", "is not a whole number"
    if row["significant"] not in ("", "true", "false"):
        yield "significant", "is neither true nor false nor empty"


def _check_unique(path: Path, name: str, rows: list[dict]) -> None:
    seen: set[str] = set()
    for row in rows if name == "claims" else []:
        if row["claim_id"] in seen:
            raise InputError(f"{path}, line {row['line']}: claim {row['claim_id']} is there twice; {_REMEDY}")
        seen.add(row["claim_id"])
