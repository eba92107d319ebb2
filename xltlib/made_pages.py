"""Pages of the book that are made from records: every claim with its verdicts, and what was corrected."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xltlib import multiplicity, pending, published
from xltlib.errors import InputError
from xltlib.schema import PAPERS
from xltlib.verdicts import Verdict

TITLES = {
    "otc": "Paper 1: OTC",
    "musc": "Paper 2: MUSC",
    "self_translate_train": "Paper 3: Self-Translate-Train",
    "objectives": "Paper 4: pretraining objectives",
}
CORRECTIONS = "## Corrections"
"""The heading of CHANGELOG's section that the book shows."""


# All claims -----------------------------------------------------------------------------------------------------------


def with_adjusted(ledger: pd.DataFrame) -> pd.DataFrame:
    """The rows of several ledgers with two more columns: Holm's p over all of them that were tested, and the verdict
    that is left with it (`multiplicity`)."""
    values = multiplicity.holm(ledger["p"].astype(float))
    kept = [
        verdict if math.isnan(p) or p < multiplicity.ALPHA else str(Verdict.INCONCLUSIVE)
        for verdict, p in zip(ledger["verdict"], values, strict=True)
    ]
    return ledger.assign(holm=values, adjusted=kept)


def claims_page(folder: Path = published.LEDGERS) -> str:
    """The page of all claims, from the committed ledgers (Markdown). InputError when one of them is missing."""
    every = pd.concat([published.load_ledger(paper, folder) for paper in PAPERS], ignore_index=True)
    rows = with_adjusted(every[every["id"].str.fullmatch(r"[A-Z]\d\d")])
    lines = ["# All claims", "", *_introduction(rows), ""]
    for paper, full in PAPERS.items():
        part = rows[rows["paper"] == full]
        lines += [f"## {TITLES[paper]}", "", *_again(paper), *_table(part), "", *_details(part), ""]
    return "\n".join(lines)


def _introduction(rows: pd.DataFrame) -> list[str]:
    tested = rows["p"].notna()
    chance = multiplicity.expected_by_chance(int(tested.sum()))
    counts = rows["verdict"].value_counts()
    told = ", ".join(f"{counts[str(v)]} {v}" for v in Verdict if str(v) in counts)
    left = rows["adjusted"].value_counts()
    after = ", ".join(f"{left[str(v)]} {v}" for v in Verdict if str(v) in left)
    return [
        f"The four papers make {len(rows)} claims that we test. Our verdicts at scale `mini`: {told}. "
        "Notebook 00 and the {doc}`introduction <intro>` have the rule.",
        "",
        f"**Many claims at once.** If no method had any effect at all, chance alone would call about "
        f"{multiplicity.expected_by_chance(len(rows)):.1f} of {len(rows)} claims reproduced (2.5 % each); of the "
        f"{int(tested.sum())} that have been tested with an interval so far, {chance:.1f}. The column *adjusted* holds "
        "what is left when the chance of even one false decision among all of them is kept below 5 % (Holm's method): "
        f"{after}. The p of a claim that one of its parts refutes counts all of its parts.",
        "",
        "**What n counts.** Runs that share a seed are counted as one: n is the number of {term}`seeds <seed>` (of "
        "pretraining seeds in paper 4, of cells in S04). A claim of several parts shows the part that decides; all of "
        "them stand below the table. Effects are differences in F1 or accuracy, 0 to 1.",
    ]


def _again(paper: str) -> list[str]:
    """A line for each reference file of a paper that is being made again."""
    prefix = {"self_translate_train": "self-tra"}.get(paper, paper)
    entries = [entry for entry in pending.declared() if entry["file"].startswith(prefix)]
    told = [f"- `{entry['file']}` ({', '.join(entry['tasks'])}): {entry['why']}" for entry in entries]
    return ["Runs that are being made again after a correction; claims on them wait:", "", *told, ""] if told else []


def _table(rows: pd.DataFrame) -> list[str]:
    lines = [_line(["", "claim", "ours: mean [95 % CI], n", "verdict", "p", "adjusted"]), _line(["---"] * 6)]
    for row in rows.itertuples():
        measured = f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}], n = {row.n}" if pd.notna(row.mean) else "–"
        lines.append(_line([row.id, row.statement, measured, row.verdict, _p(row.p), row.adjusted]))
    return lines


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _details(rows: pd.DataFrame) -> list[str]:
    """Test, parts, single tasks and notes of each claim."""
    lines = []
    for row in rows[rows["verdict"] != str(Verdict.NOT_RUN)].itertuples():
        told = [row.test, *(f"*{name}*: {text}" for name, text in _texts(row) if text)]
        told = [text for text in told if text]
        if told:
            lines.append(f"- **{row.id}** — {'. '.join(told)}.")
    return lines


def _texts(row: object) -> Sequence[tuple[str, str]]:
    return ("parts", row.parts), ("shown beside it", row.shown), ("note", row.note)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


# Corrections ----------------------------------------------------------------------------------------------------------


def corrections_page(changelog: Path) -> str:
    """The page of corrections: CHANGELOG's section, as it stands there. InputError when there is none."""
    text = changelog.read_text(encoding="utf-8") if changelog.is_file() else ""
    if CORRECTIONS not in text.splitlines():
        raise InputError(f"{changelog.name}: no section {CORRECTIONS!r}; the book shows what was corrected")
    section = text.split(CORRECTIONS + "\n", 1)[1].split("\n## ")[0].strip()
    head = "Every published number or verdict that was wrong and has changed, before and after, and why."
    return f"# Corrections\n\n{head}\n\n{section.replace(chr(10) + '### ', chr(10) + '## ')}\n"
