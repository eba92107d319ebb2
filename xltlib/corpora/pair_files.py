"""Readers of sentence pairs in their upstream's own format: PAWS-X, XNLI, and XTREME's translations of both.

All are tab-separated text without quoting: a quotation mark is part of its sentence. Placeholder rows are left out
and counted (`guards.Kept`). None needs a network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xltlib.corpora.guards import Kept, known_name, read_lines, several_classes, sift, whole_number
from xltlib.errors import InputError, choice

PAWSX_LANGUAGES = ("de", "en", "es", "fr", "ja", "ko", "zh")
PAWSX_CLASSES = ("different", "paraphrase")
PAWSX_SPLITS = {"train": "train", "validation": "dev_2k", "test": "test_2k"}
PAWSX_COLUMNS = ("sentence1", "sentence2", "label")
XNLI_LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
XNLI_CLASSES = ("entailment", "neutral", "contradiction")
XNLI_SPLITS = {"train": "train", "validation": "dev", "test": "test"}
XNLI_COLUMNS = ("sentence1", "sentence2", "gold_label", "language")
XNLI_TRAIN_COLUMNS = ("premise", "hypo", "label")
TASKS = {"pawsx": PAWSX_LANGUAGES, "xnli": XNLI_LANGUAGES}

PLACEHOLDER = "NS"
NO_LABEL = ("", "-1", "?")
NO_GOLD = "-"
NS_REASON = f"the placeholder {PLACEHOLDER} for a sentence"
NO_GOLD_REASON = f"the gold label {NO_GOLD} (no majority)"
EMPTY_REASON = "an empty sentence (translation failed)"

PAWSX_REMEDY = "unpack PAWS-X's x-final.tar.gz and give the folder that holds x-final"
XNLI_REMEDY = "unpack XNLI-1.0.zip (train: XNLI-MT-1.0.zip) and give the folder that holds the unpacked one"
XTREME_REMEDY = "give the path of a file of XTREME's translations"


@dataclass(frozen=True)
class PairExample:
    """Two labelled sentences. `label` is a 0-based class number; `language` an ISO 639-1 code."""

    first: str
    second: str
    label: int
    language: str


def pawsx(folder: Path, language: str, split: str) -> Kept:
    """Sentence pairs of PAWS-X (Yang et al. 2019), of the class 0 (different) or 1 (paraphrase).

    `folder` holds x-final/<language>/ with translated_train.tsv (English: train.tsv), dev_2k.tsv and test_2k.tsv, with
    the header id, sentence1, sentence2, label. Rows with NS for a sentence are left out; so are rows with an empty
    sentence in the machine-translated training files, which do hold some. InputError: a file, column, sentence or label
    is missing, a label is no class, or all labels are the same, as where the test labels were withheld.
    """
    choice(language, PAWSX_LANGUAGES, "language of PAWS-X")
    part = PAWSX_SPLITS[choice(split, PAWSX_SPLITS, "split")]
    machine = part == "train" and language != "en"
    path = Path(folder) / "x-final" / language / f"{'translated_' * machine}{part}.tsv"
    rows = list(_table(path, PAWSX_COLUMNS, PAWSX_REMEDY))
    read = [(row, _paraphrase(cells, language, machine, path, row)) for row, cells in rows]
    return _finished(read, path, test=split == "test")


def xnli(folder: Path, language: str, split: str) -> Kept:
    """Premise and hypothesis of XNLI (Conneau et al. 2018): entailment 0, neutral 1, contradiction 2.

    `folder` holds XNLI-1.0/xnli.{dev,test}.tsv, all languages in one file, of whose 19 columns language, gold_label,
    sentence1 and sentence2 are read by name; and XNLI-MT-1.0/multinli/multinli.train.<language>.tsv, with the header
    premise, hypo, label, machine-translated but for English. Contradictory counts as contradiction. Rows with the gold
    label - are left out; so are rows with an empty sentence where a machine translated. InputError as for `pawsx`.
    """
    part = XNLI_SPLITS[choice(split, XNLI_SPLITS, "split")]
    choice(language, XNLI_LANGUAGES, "language of XNLI")
    if part == "train":
        path = Path(folder) / "XNLI-MT-1.0" / "multinli" / f"multinli.train.{language}.tsv"
        rows = list(_table(path, XNLI_TRAIN_COLUMNS, XNLI_REMEDY))
    else:
        path = Path(folder) / "XNLI-1.0" / f"xnli.{part}.tsv"
        rows = _of_language(path, language)
    machine = part == "train" and language != "en"
    read = [(row, _inference(cells, language, machine, path, row)) for row, cells in rows]
    return _finished(read, path, test=part == "test")


def xtreme(path: Path, task: str, original: str, translated: str) -> tuple[Kept, Kept]:
    """The originals and their translations in a file of XTREME's (Hu et al. 2020), row by row, of `task` pawsx or xnli.

    Such files (en-<language>-translated.tsv, test-<language>-en-translated.tsv) are taken by their number of columns, 5
    without a header: the two original sentences, the two translated, the label. What is left out on one side is left
    out on the other. InputError for another number of columns, and as for `pawsx` and `xnli`.
    """
    languages = TASKS[choice(task, TASKS, "task")]
    sides = [choice(code, languages, f"language of {task}") for code in (original, translated)]
    reader = _paraphrase if task == "pawsx" else _inference
    read = []
    for row, line in enumerate(read_lines(path, XTREME_REMEDY), 1):
        *texts, label = _cells(line, 5, path, row, "two originals, two translations, label")
        both = [reader((*texts[2 * i : 2 * i + 2], label), code, i == 1, path, row) for i, code in enumerate(sides)]
        read.append((row, next((reason for reason in both if isinstance(reason, str)), tuple(both))))
    kept = sift(read, path)
    several_classes([first for first, _ in kept], path, 1, len(read), test=Path(path).name.startswith("test"))
    return tuple(Kept((pair[i] for pair in kept), kept.left_out) for i in range(2))


def _finished(read: list[tuple[int, object]], path: Path, *, test: bool) -> Kept:
    kept = sift(read, path)
    several_classes(kept, path, read[0][0] if read else 2, read[-1][0] if read else 2, test=test)
    return kept


def _table(path: Path, columns: Sequence[str], remedy: str) -> Iterator[tuple[int, list[str]]]:
    """The row number (the header is row 1) and the named columns' cells of each row."""
    header, *lines = read_lines(path, remedy)
    names = header.split("\t")
    for column in columns:
        if column not in names:
            raise InputError(f"{path}, row 1: no column {column!r}; there are: {', '.join(names)}; {remedy}")
    where = [names.index(column) for column in columns]
    for row, line in enumerate(lines, 2):
        cells = _cells(line, len(names), path, row, "as its header has")
        yield row, [cells[i] for i in where]


def _cells(line: str, width: int, path: Path, row: int, what: str) -> list[str]:
    cells = line.split("\t")
    if len(cells) != width:
        raise InputError(
            f"{path}, row {row}: {len(cells)} columns, not {width} ({what}); get it again, tab-separated and unquoted"
        )
    return cells


def _of_language(path: Path, language: str) -> list[tuple[int, list[str]]]:
    rows = list(_table(path, XNLI_COLUMNS, XNLI_REMEDY))
    there = sorted({cells[3] for _, cells in rows})
    if language not in there:
        raise InputError(f"{path}: no row of language {language!r}; it has {', '.join(there)}; take upstream's file")
    return [(row, cells[:3]) for row, cells in rows if cells[3] == language]


def _paraphrase(cells: Sequence[str], language: str, machine: bool, path: Path, row: int) -> PairExample | str:
    """The pair of (sentence, sentence, label), or why it is left out."""
    first, second, label = cells
    if PLACEHOLDER in (first.strip(), second.strip()):
        return NS_REASON
    if label.strip() in NO_LABEL:
        raise InputError(
            f"{path}, row {row}: label {label!r} is missing or a placeholder; take upstream's labelled file"
        )
    return _pair(first, second, whole_number(label, len(PAWSX_CLASSES), path, row), language, machine, path, row)


def _inference(cells: Sequence[str], language: str, machine: bool, path: Path, row: int) -> PairExample | str:
    """The pair of (premise, hypothesis, label), or why it is left out."""
    first, second, name = cells
    if name.strip() == NO_GOLD:
        return NO_GOLD_REASON
    name = "contradiction" if name.strip() == "contradictory" else name
    return _pair(first, second, known_name(name, XNLI_CLASSES, path, row), language, machine, path, row)


def _pair(first: str, second: str, label: int, language: str, machine: bool, path: Path, row: int) -> PairExample | str:
    """A pair of two texts; an empty one is a reason to leave it out where a machine translated, else an error."""
    first, second = first.strip(), second.strip()
    if first and second:
        return PairExample(first, second, label, language)
    if machine:
        return EMPTY_REASON
    raise InputError(
        f"{path}, row {row}: the {'second' if first else 'first'} sentence is empty; fill it in or remove it"
    )
