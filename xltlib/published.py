"""The papers' printed numbers and claims, verdicts on the claims, and the replication ledger.

Three things stay apart: what a paper printed, what a re-analysis of the printed numbers says, and what our runs say.
`schema` checks every file of data/published as it is read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pandas as pd

from xltlib import schema
from xltlib.errors import InputError
from xltlib.scales import DATA
from xltlib.schema import PAPERS
from xltlib.statistics import Summary

FOLDER = DATA / "published"
LEDGERS = DATA / "reference" / "ledger"


# Reading --------------------------------------------------------------------------------------------------------------


def cells(paper: str | None = None, folder: Path = FOLDER, **equals: str) -> pd.DataFrame:
    """The printed cells of one paper ("otc", "musc", "self_translate_train", "objectives", or its full id) or of all.

    Columns as in the files, and `cell`: file and line, "musc-0017", the cell's name in a ledger. `value`, `sd`,
    `sd_in_value_units` are floats, `n_seeds` Int64, `significant` boolean; what the document lacks is missing, not 0.
    `equals` filters: cells("musc", table="T3", language="de").
    """
    names = PAPERS if paper is None else [_short(paper)]
    frame = pd.concat([_typed(schema.read(name, folder)) for name in names], ignore_index=True)
    for column, wanted in equals.items():
        if column not in frame:
            raise InputError(f"cells: no column {column!r}; there are: {', '.join(frame.columns)}")
        frame = frame[frame[column] == wanted]
    return frame.reset_index(drop=True)


def claims(paper: str | None = None, folder: Path = FOLDER) -> pd.DataFrame:
    """The papers' claims (30), each with how to test it and what a re-analysis of the printed numbers says."""
    return _of_paper(schema.read("claims", folder), paper).drop(columns="line")


def hyperparameters(paper: str | None = None, folder: Path = FOLDER) -> pd.DataFrame:
    """The settings; `source` keeps the document and the released code apart. Values are text: some are lists."""
    return _of_paper(schema.read("hyperparameters", folder), paper).drop(columns="line")


def datasets(paper: str | None = None, folder: Path = FOLDER) -> pd.DataFrame:
    """Sizes and splits of the papers' data sets. Values are text."""
    return _of_paper(schema.read("datasets", folder), paper).drop(columns="line")


def _short(paper: str) -> str:
    for short, full in PAPERS.items():
        if paper in (short, full):
            return short
    raise InputError(f"unknown paper {paper!r}: use one of {', '.join(PAPERS)}")


def _of_paper(frame: pd.DataFrame, paper: str | None) -> pd.DataFrame:
    return frame if paper is None else frame[frame["paper"] == PAPERS[_short(paper)]].reset_index(drop=True)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    short = _short(frame["paper"].iloc[0])
    frame.insert(0, "cell", [f"{short}-{line:04d}" for line in frame.pop("line")])
    for column in ("value", "sd", "sd_in_value_units"):
        if column in frame:
            frame[column] = pd.to_numeric(frame[column].where(frame[column] != ""))
    frame["n_seeds"] = pd.to_numeric(frame["n_seeds"].where(frame["n_seeds"] != "")).astype("Int64")
    frame["significant"] = frame["significant"].map({"true": True, "false": False}).astype("boolean")
    return frame


# Verdicts and the ledger ----------------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What our runs say of a claim."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
    PREMISE_NOT_MET = "premise not met"
    NOT_RUN = "not run"
    UNCHECKABLE = "cannot be checked"


def verdict(effect: Summary | None, direction: str, unit: float = 0.01) -> Verdict:
    """The verdict on a claim from its effect at run level with a 95 % interval over seeds; `unit` is one point.

    ">0", "<0": reproduced when the interval lies wholly in the claimed direction; not reproduced when wholly opposite
    or within one point of zero; else inconclusive. "=0": reproduced within one point of zero, not reproduced wholly
    farther out, else inconclusive. None is not run; an interval that one seed cannot give is inconclusive.
    """
    if direction not in (">0", "<0", "=0"):
        raise InputError(f"verdict: direction {direction!r} is none of '>0', '<0', '=0'")
    if effect is None:
        return Verdict.NOT_RUN
    low, high = (-effect.high, -effect.low) if direction == "<0" else (effect.low, effect.high)
    near, far = -unit <= low and high <= unit, low > unit or high < -unit
    if direction == "=0":
        return Verdict.REPRODUCED if near else Verdict.NOT_REPRODUCED if far else Verdict.INCONCLUSIVE
    if low > 0:
        return Verdict.REPRODUCED
    return Verdict.NOT_REPRODUCED if high < 0 or near else Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class Part:
    """One of the things that a claim says: what (a difference, a language, a rival), its effect at run level (None: not
    run), and the claimed direction."""

    what: str
    effect: Summary | None
    direction: str = ">0"

    def verdict(self, unit: float = 0.01) -> Verdict:
        """The rule's verdict on this part alone."""
        return verdict(self.effect, self.direction, unit)

    def told(self, unit: float = 0.01) -> str:
        """In one line: what, the effect with its interval, the verdict."""
        return f"{self.what}: {self.effect if self.effect else 'no runs'}, {self.verdict(unit)}"


def joint(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a claim of several parts, and on "the best of several", which is one part a rival: reproduced when
    every part is, not reproduced when one part is not, else inconclusive; not run when a part was not."""
    found = set(verdicts)
    if not found or Verdict.NOT_RUN in found:
        return Verdict.NOT_RUN
    if Verdict.NOT_REPRODUCED in found:
        return Verdict.NOT_REPRODUCED
    return Verdict.REPRODUCED if found == {Verdict.REPRODUCED} else Verdict.INCONCLUSIVE


def most(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on "on most of them": reproduced on more than half, not reproduced when half or more are not, else
    inconclusive; not run when one was not."""
    found = list(verdicts)
    if not found or Verdict.NOT_RUN in found:
        return Verdict.NOT_RUN
    if 2 * found.count(Verdict.REPRODUCED) > len(found):
        return Verdict.REPRODUCED
    return Verdict.NOT_REPRODUCED if 2 * found.count(Verdict.NOT_REPRODUCED) >= len(found) else Verdict.INCONCLUSIVE


def deciding(parts: Sequence[Part], unit: float = 0.01) -> Part:
    """Of a claim's parts the one that its row shows: one that is not reproduced before one that is open before one that
    is reproduced; of equals the one whose interval reaches farthest against the claim."""
    order = [Verdict.NOT_RUN, Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE, Verdict.REPRODUCED]

    def against(part: Part) -> float:
        if part.effect is None:
            return 0.0
        ends = {">0": part.effect.low, "<0": -part.effect.high, "=0": -max(abs(part.effect.low), abs(part.effect.high))}
        return ends[part.direction]

    return min(parts, key=lambda part: (order.index(part.verdict(unit)), against(part)))


@dataclass(frozen=True)
class LedgerRow:
    """One row: a claim (its id, "O01") or a printed cell ("otc-0002"), what we measured, at which scale, by which test.

    `printed` and `reanalysis` come from the files unless given. A claim's verdict follows from `effect` and
    `direction`, or from its `parts` (`joint`; the row then shows the one that decides), unless `decided` says otherwise
    ("cannot be checked"); a cell has none. `shown`: effects that decide nothing and must be seen beside a mean, such as
    single tasks whose signs differ.
    """

    id: str
    effect: Summary | None = None
    scale: str = ""
    test: str = ""
    direction: str = ">0"
    unit: float = 0.01
    printed: str = ""
    reanalysis: str = ""
    decided: Verdict | None = None
    note: str = ""
    parts: tuple[Part, ...] = ()
    shown: tuple[Part, ...] = ()


_NUMBERS = ["mean", "low", "high", "sd", "n"]
_TEXTS = ["id", "paper", "statement", "printed", "reanalysis", "scale", "verdict", "test", "parts", "shown", "note"]
_LEDGER = [*_TEXTS[:5], *_NUMBERS, *_TEXTS[5:]]


def ledger(rows: Iterable[LedgerRow], paper: str | None = None) -> pd.DataFrame:
    """The rows as a table. With `paper`, its claims that have no row are added as "not run"."""
    rows = list(rows)
    known = claims().set_index("claim_id")
    if paper is not None:
        given = {row.id for row in rows}
        theirs = known.index[known["paper"] == PAPERS[_short(paper)]]
        rows += [LedgerRow(claim) for claim in theirs if claim not in given]
    printed = cells().set_index("cell")
    frame = pd.DataFrame([_line(row, known, printed) for row in rows], columns=_LEDGER)
    return frame.astype({"n": "Int64"} | dict.fromkeys(("mean", "low", "high", "sd"), "float64"))


def _line(row: LedgerRow, known: pd.DataFrame, printed: pd.DataFrame) -> dict:
    if row.id in known.index:
        of_claim = known.loc[row.id]
        paper, statement, number = of_claim["paper"], of_claim["statement"], of_claim["published_numbers"]
        reanalysis = of_claim["holds_on_published"]
        decided = row.decided or _verdict_of(row)
    elif row.id in printed.index:
        cell = printed.loc[row.id]
        paper, statement, number = cell["paper"], _cell_text(cell), _number_text(cell)
        reanalysis, decided = "", row.decided or ""
    else:
        raise InputError(f"ledger: {row.id!r} is neither a claim of claims.csv nor a cell such as otc-0002")
    effect = deciding(row.parts, row.unit).effect if row.parts else row.effect
    effect = effect or Summary(float("nan"), float("nan"), float("nan"), float("nan"), None)
    return {
        "id": row.id, "paper": paper, "statement": statement, "printed": row.printed or number,
        "reanalysis": row.reanalysis or reanalysis, "mean": effect.mean, "low": effect.low, "high": effect.high,
        "sd": effect.sd, "n": effect.n, "scale": row.scale, "verdict": str(decided), "test": row.test,
        "parts": "; ".join(part.told(row.unit) for part in row.parts),
        "shown": "; ".join(part.told(row.unit) for part in row.shown), "note": row.note,
    }  # fmt: skip


def _verdict_of(row: LedgerRow) -> Verdict:
    if row.parts:
        return joint(part.verdict(row.unit) for part in row.parts)
    return verdict(row.effect, row.direction, row.unit)


def _cell_text(cell: pd.Series) -> str:
    parts = (cell[column] for column in ("table", "dataset", "setting", "train", "inference", "language", "metric"))
    return ", ".join(part for part in parts if part)


def _number_text(cell: pd.Series) -> str:
    if pd.isna(cell["value"]):
        return "no number"
    return f"{cell['value']:g}" + ("" if pd.isna(cell["sd"]) else f" ± {cell['sd']:g}")


def save_ledger(frame: pd.DataFrame, paper: str, folder: Path = LEDGERS) -> Path:
    """Write data/reference/ledger/<paper>.csv; refuses rows measured at smoke scale, which are no results."""
    if (frame["scale"] == "smoke").any():
        raise InputError("a ledger holds no smoke results: run the notebook at mini or paper scale")
    path = Path(folder) / f"{_short(paper)}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    return path


def load_ledger(paper: str, folder: Path = LEDGERS) -> pd.DataFrame:
    """The committed ledger of a paper."""
    path = Path(folder) / f"{_short(paper)}.csv"
    if not path.exists():
        raise InputError(f"{path}: no ledger yet; run the paper's notebooks first")
    types = dict.fromkeys(_TEXTS, str) | {"n": "Int64"}
    frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values={c: [""] for c in _NUMBERS})
    if list(frame.columns) != _LEDGER:
        raise InputError(f"{path}, line 1: columns are not {', '.join(_LEDGER)}; make the ledger again")
    return frame


def compare_ledgers(fresh: pd.DataFrame, committed: pd.DataFrame, tolerance: float = 1e-5) -> list[str]:
    """One line a row that differs: only in one of them, another verdict, n or scale, or numbers beyond `tolerance`."""
    new, old = fresh.set_index("id"), committed.set_index("id")
    lines = [f"{row}: only in the fresh ledger" for row in new.index.difference(old.index)]
    lines += [f"{row}: only in the committed ledger" for row in old.index.difference(new.index)]
    for row in new.index.intersection(old.index):
        for column in ("verdict", "scale", "parts", "shown", *_NUMBERS):
            if not _same(new.at[row, column], old.at[row, column], tolerance):
                lines.append(f"{row}: {column} is {new.at[row, column]}, committed {old.at[row, column]}")
    return lines


def _same(new: object, old: object, tolerance: float) -> bool:
    if pd.isna(new) or pd.isna(old):
        return bool(pd.isna(new) and pd.isna(old))
    return new == old if isinstance(new, str) else abs(new - old) <= tolerance
