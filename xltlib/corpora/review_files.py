"""Readers of reviews in their upstream's own format: restaurants in Arabic (RES1) and clothes in Russian (RuReviews).

Neither has upstream splits: `shuffled_split` makes them. Rows that cannot be used are left out and counted
(`guards.Kept`). None needs a network.
"""

import csv
import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from xltlib.corpora.guards import Example, Kept, known_name, read_lines, read_text, several_classes, sift
from xltlib.errors import InputError, choice

RES1_CLASSES = ("negative", "positive")
RES1_POLARITIES = {"-1": 0, "1": 1}
"""The class of each polarity. RES1 has no neutral reviews."""
RES1_MIXED = "0"
RES1_COLUMNS = ("polarity", "text", "restaurant_id", "user_id")
RUREVIEWS_CLASSES = ("negative", "neutral", "positive")
RUREVIEWS_SENTIMENTS = ("negative", "neautral", "positive")
"""The classes as upstream spells them."""
RUREVIEWS_COLUMNS = ("review", "sentiment")
SPLITS = {"train": (0, 8), "validation": (8, 9), "test": (9, 10)}
"""Where each split begins and ends, in tenths."""
TENTHS = 10

EMPTY_REASON = "an empty text"
MIXED_REASON = "the polarity 0 (mixed)"

RES1_REMEDY = "give the folder of a copy of github.com/hadyelsahar/large-arabic-sentiment-analysis-resouces"
RUREVIEWS_REMEDY = "take the tab-separated file of github.com/sismetanin/rureviews, unquoted"

Row = TypeVar("Row")


def ar_res_reviews(folder: Path) -> Kept:
    """Arabic reviews of restaurants on qaym.com (ElSahar and El-Beltagy 2015), of class 0 (negative) or 1 (positive).

    `folder` holds datasets/RES1.csv, with the columns polarity, text, restaurant_id and user_id, in upstream's order:
    restaurant by restaurant. Its line ends may be CRLF; a quoted text over several lines keeps its line feeds. The
    polarity is -1 or 1 (RES1_POLARITIES); 0, which stands for mixed in other files of the resource, is left out, and so
    are empty texts. `row` in messages counts records, the header as row 1. InputError: the file is missing, empty or no
    CSV, a column is missing, a record has more or fewer cells than the header, a polarity is unknown, or the records
    left are none or all of one class.
    """
    path = Path(folder) / "datasets" / "RES1.csv"
    header, *records = _records(path, RES1_REMEDY)
    where = [_place(header, name, path, RES1_REMEDY) for name in RES1_COLUMNS[:2]]
    read: list[tuple[int, Example | str]] = []
    for row, cells in enumerate(records, 2):
        polarity, text = _picked(cells, where, len(header), path, row, RES1_REMEDY)
        read.append((row, _restaurant_review(polarity.strip(), text.strip(), path, row)))
    return _finished(read, path)


def rureviews(path: Path) -> Kept:
    """Russian reviews of clothes (Smetanin and Komarov 2019): negative 0, neutral 1, positive 2.

    The file is tab-separated, with the header review, sentiment, a review a line and no quoting: a quotation mark is
    part of its review. Upstream spells neutral "neautral". Empty reviews are left out. This reader was written from a
    description and not tried on a real file. InputError: the file is missing or empty, a column is missing, a row has
    more or fewer cells than the header, a sentiment is unknown, or the rows left are none or all of one class.
    """
    path = Path(path)
    header, *rows = (line.split("\t") for line in read_lines(path, RUREVIEWS_REMEDY))
    where = [_place(header, name, path, RUREVIEWS_REMEDY) for name in RUREVIEWS_COLUMNS]
    read: list[tuple[int, Example | str]] = []
    for row, cells in enumerate(rows, 2):
        text, sentiment = _picked(cells, where, len(header), path, row, RUREVIEWS_REMEDY)
        label = known_name(sentiment, RUREVIEWS_SENTIMENTS, path, row)
        read.append((row, Example(text.strip(), label, "ru") if text.strip() else EMPTY_REASON))
    return _finished(read, path)


def shuffled_split(examples: Sequence[Row], split: str, seed: int = 0) -> list[Row]:
    """The examples of a split, train, validation or test, by 8:1:1 from one shuffle with `seed`.

    For one seed the three are disjoint and complete. What stands in the examples twice may stand in two splits
    (`guards.duplicates` counts it), and so may what one author wrote. InputError: unknown split, or fewer than ten
    examples, of which a split might get none.
    """
    start, stop = SPLITS[choice(split, SPLITS, "split")]
    if len(examples) < TENTHS:
        raise InputError(f"{len(examples)} examples cannot be split 8:1:1; give {TENTHS} at least")
    order = list(range(len(examples)))
    random.Random(seed).shuffle(order)
    size = len(examples)
    return [examples[i] for i in order[size * start // TENTHS : size * stop // TENTHS]]


def _restaurant_review(polarity: str, text: str, path: Path, row: int) -> Example | str:
    """The review, or why it is left out."""
    if polarity == RES1_MIXED:
        return MIXED_REASON
    if polarity not in RES1_POLARITIES:
        known = " or ".join(RES1_POLARITIES)
        raise InputError(f"{path}, row {row}: polarity {polarity!r} is unknown, not {known}; {RES1_REMEDY}")
    return Example(text, RES1_POLARITIES[polarity], "ar") if text else EMPTY_REASON


def _records(path: Path, remedy: str) -> list[list[str]]:
    """The records of a CSV file; blank lines between them are skipped."""
    text = read_text(path, remedy)
    if not text.strip():
        raise InputError(f"{path}: the file is empty; {remedy}")
    records: list[list[str]] = []
    try:
        records.extend(cells for cells in csv.reader(io.StringIO(text, newline=""), strict=True) if cells)
    except csv.Error as error:
        raise InputError(f"{path}, row {len(records) + 1}: not CSV ({error}); {remedy}") from None
    return records


def _place(header: Sequence[str], name: str, path: Path, remedy: str) -> int:
    if name not in header:
        raise InputError(f"{path}, row 1: no column {name!r}; there are: {', '.join(map(repr, header))}; {remedy}")
    return list(header).index(name)


def _picked(
    cells: Sequence[str], where: Sequence[int], width: int, path: Path, row: int, remedy: str
) -> tuple[str, ...]:
    if len(cells) != width:
        raise InputError(f"{path}, row {row}: {len(cells)} cells under {width} columns; {remedy}")
    return tuple(cells[i] for i in where)


def _finished(read: Sequence[tuple[int, Example | str]], path: Path) -> Kept:
    kept = sift(read, path)
    several_classes(kept, path, 2, read[-1][0] if read else 2)
    return kept
