"""Readers of files in their upstream's own format: UMSAB, MARC, and CSV with named columns. None needs a network."""

import csv as csv_module
import io
import json
import re
from collections.abc import Sequence
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path

from xltlib.corpora.guards import (
    Example,
    balanced,
    check,
    known_name,
    read_lines,
    read_text,
    same_length,
    whole,
    whole_number,
)
from xltlib.errors import HALF, InputError, several

UMSAB = {"en": "english", "es": "spanish", "fr": "french"}
UMSAB_CLASSES = ("negative", "neutral", "positive")
UMSAB_SPLITS = {"train": "train", "validation": "val", "test": "test"}
MARC_LANGUAGES = ("de", "en", "es", "fr", "ja", "zh")
MARC_SPLITS = {"train": "train", "validation": "dev", "test": "test"}
MARC_FIELDS = (
    *("review_id", "product_id", "reviewer_id", "stars"),
    *("review_body", "review_title", "language", "product_category"),
)
STARS = 5


def umsab(folder: Path, language: str, split: str) -> list[Example]:
    """Tweets of the Unified Multilingual Sentiment Analysis Benchmark (Barbieri et al. 2022, section 4).

    `folder` holds english/, spanish/, french/ with {train,val,test}_{text,labels}.txt, one tweet or class number (0
    negative, 1 neutral, 2 positive) a line. The English files hold literal escapes (\\u2019), which are decoded;
    half of a surrogate pair is read as U+FFFD and counted on stderr.
    """
    place = Path(folder) / _choice(language, UMSAB, "language of UMSAB here")
    part = _choice(split, UMSAB_SPLITS, "split")
    text_path, label_path = place / f"{part}_text.txt", place / f"{part}_labels.txt"
    remedy = "get the files with: xlt data get umsab"
    texts, labels = read_lines(text_path, remedy), read_lines(label_path, remedy)
    same_length(texts, labels, text_path, label_path)
    classes = [whole_number(v, len(UMSAB_CLASSES), label_path, row) for row, v in enumerate(labels, 1)]
    decoded = whole(((row, _decoded(text)) for row, text in enumerate(texts, 1)), text_path)
    found = [Example(t.strip(), label, language) for (_, t), label in zip(decoded, classes, strict=True)]
    check(found, text_path, test=part == "test")
    balanced(found, len(UMSAB_CLASSES), label_path)
    return found


def umsab_paths() -> list[str]:
    """The relative paths of the files that the reader takes, sorted."""
    kinds = ("labels", "text")
    return sorted(f"{f}/{s}_{kind}.txt" for f in UMSAB.values() for s in UMSAB_SPLITS.values() for kind in kinds)


def umsab_fingerprint(folder: Path) -> str:
    """umsab@<8 hex digits> over the contents of all files: the corpus' name in records."""
    hashes = []
    for path in umsab_paths():
        try:
            hashes.append(sha256((Path(folder) / path).read_bytes()).hexdigest())
        except OSError:
            raise InputError(f"{Path(folder) / path}: no such file; get it with: xlt data get umsab") from None
    return corpus_name("umsab", hashes)


def folder_fingerprint(name: str, folder: Path, pattern: str = "**/*") -> str:
    """name@<8 hex digits> over the contents of a folder's files: the corpus' name in records. Read again only when a
    file's size or time has changed. InputError when there is none."""
    paths = sorted(path for path in Path(folder).glob(pattern) if path.is_file())
    if not paths:
        raise InputError(f"{folder}: no files of {name} ({pattern}); check the folder that XLT_DATA names")
    stats = [(path, path.stat()) for path in paths]
    return _folder_fingerprint(name, tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats))


@cache
def _folder_fingerprint(name: str, states: tuple[tuple[str, int, int], ...]) -> str:
    hashes = []
    for path, _, _ in states:
        with open(path, "rb") as stream:
            hashes.append(file_digest(stream, "sha256").hexdigest())
    return corpus_name(name, hashes)


def corpus_name(name: str, hashes: Sequence[str]) -> str:
    """name@<8 hex digits> of files' sha256, given in the order of their paths."""
    return f"{name}@{sha256(' '.join(hashes).encode()).hexdigest()[:8]}"


def unescape(text: str) -> str:
    """Decode literal \\uXXXX escapes, surrogate pairs included, half a pair as U+FFFD; every other backslash stays."""
    return HALF.sub("\ufffd", _decoded(text))


def _decoded(text: str) -> str:
    if "\\u" not in text:
        return text
    decoded = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    return decoded.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def marc(folder: Path, language: str, split: str, *, title: bool = False) -> list[Example]:
    """Reviews of the Multilingual Amazon Reviews Corpus (Keung et al. 2020), from a local folder in upstream's form.

    dataset_<language>_{train,dev,test}.json: one JSON object a line with MARC_FIELDS. The text is the body, with
    `title` the title, a line feed and the body; the class is the number of stars less one. Half of a surrogate pair is
    read as U+FFFD and counted on stderr.
    """
    part = _choice(split, MARC_SPLITS, "split")
    _choice(language, dict.fromkeys(MARC_LANGUAGES, ""), "language of MARC")
    path = Path(folder) / f"dataset_{language}_{part}.json"
    remedy = "MARC is withdrawn: give the folder of a copy that you may use (XLT_DATA or folder=), or a copy on the hub"
    reviews = whole(((row, _parsed(line, path, row)) for row, line in enumerate(read_lines(path, remedy), 1)), path)
    examples = [_review(review, language, title, path, row) for row, review in reviews]
    return check(examples, path, test=part == "test")


def _parsed(line: str, path: Path, row: int) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, row {row}: not a JSON object ({error}); one review a line is wanted") from None


def _review(review: object, language: str, title: bool, path: Path, row: int) -> Example:
    missing = [name for name in MARC_FIELDS if not isinstance(review, dict) or name not in review]
    if missing:
        raise InputError(f"{path}, row {row}: no field {missing[0]}; upstream's rows have {', '.join(MARC_FIELDS)}")
    if review["language"] != language:
        raise InputError(f"{path}, row {row}: language {review['language']!r} in the file of {language!r}; sort it out")
    label = whole_number(review["stars"], STARS, path, row, first=1)
    body = _string(review, "review_body", path, row)
    head = _string(review, "review_title", path, row) if title else ""
    return Example(f"{head}\n{body}".strip() if body.strip() else "", label, language)


def _string(review: dict, name: str, path: Path, row: int) -> str:
    if not isinstance(review[name], str):
        raise InputError(f"{path}, row {row}: {name} is {review[name]!r}, not a text; write it in quotes")
    return review[name]


def csv(
    path: Path,
    language: str,
    *,
    text: str = "text",
    label: str = "label",
    labels: Sequence[str] | None = None,
    test: bool = False,
) -> list[Example]:
    """Examples from a CSV file with a header; `text` and `label` name the columns, others are ignored.

    `labels`: the classes' names in the order of their numbers; without it the column holds class numbers from 0.
    `row` in messages counts records, the header as row 1.
    """
    names = labels if labels is None else tuple(several(labels, "labels"))
    rows = _records(Path(path))
    header = rows[0]
    for column in (text, label):
        if column not in header:
            raise InputError(f"{path}, row 1: no column {column!r}; there are: {', '.join(header)}; name the right one")
    where = header.index(text), header.index(label)
    found = [_example(cells, where, len(header), language, names, path, row) for row, cells in enumerate(rows[1:], 2)]
    return check(found, path, test=test, first_row=2)


def _records(path: Path) -> list[list[str]]:
    reader = csv_module.reader(io.StringIO(read_text(path), newline=""), strict=True)
    rows: list[list[str]] = []
    try:
        rows.extend(cells for cells in reader if cells)
    except csv_module.Error as error:
        raise InputError(f"{path}, row {len(rows) + 1}: not CSV ({error}); check its quotes") from None
    if not rows:
        raise InputError(f"{path}: the file is empty; it needs a header and rows")
    return rows


def _example(
    cells: list[str],
    where: tuple[int, int],
    width: int,
    language: str,
    names: Sequence[str] | None,
    path: Path,
    row: int,
) -> Example:
    if len(cells) != width:
        raise InputError(f"{path}, row {row}: {len(cells)} cells under {width} columns; quote texts that hold commas")
    text, value = (cells[i] for i in where)
    if names is not None:
        return Example(text, known_name(value, names, path, row), language)
    if not value.strip().isdecimal():
        raise InputError(f"{path}, row {row}: label {value!r} is no class number from 0; for names give labels=(...)")
    return Example(text, int(value), language)


def _choice(value: str, table: dict, what: str) -> str:
    if value not in table:
        raise InputError(f"unknown {what} {value!r}: use one of {', '.join(table)}")
    return table[value]
