"""What every reader returns, and the guards that stand between a file and an experiment.

A guard raises InputError in one line that names the file, the row (counted from 1, a header included) and the remedy.
Most of them exist because such files are in use: placeholder test labels, shifted label files, re-encoded text.

No reader returns half of a surrogate pair, half of an emoji, which nothing can write in UTF-8. An escape that is such a
half (JSON's and UMSAB's \\ud83d) is read as U+FFFD, the replacement character, and counted (`whole`); bytes that are
one are not UTF-8 and are refused with their row (`read_text`).
"""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xltlib.errors import HALF, InputError


@dataclass(frozen=True)
class Example:
    """One labelled text. `label` is a 0-based class number; `language` an ISO 639-1 code."""

    text: str
    label: int
    language: str


class Kept(list):
    """A file's examples, and under `left_out` how many of its rows are not among them, by reason."""

    def __init__(self, examples: Iterable = (), left_out: Mapping[str, int] | None = None) -> None:
        super().__init__(examples)
        self.left_out = dict(left_out or {})


def sift(read: Sequence[tuple[int | str, object]], path: Path) -> Kept:
    """The examples among (row, example or the reason to leave it out); one line on stderr counts the others."""
    reasons = Counter(found for _, found in read if isinstance(found, str))
    if reasons:
        first = next(row for row, found in read if isinstance(found, str))
        counts = ", ".join(f"{count} with {reason}" for reason, count in reasons.items())
        print(f"{path}: {reasons.total()} of {len(read)} rows left out: {counts}; first row {first}", file=sys.stderr)
    return Kept((found for _, found in read if not isinstance(found, str)), reasons)


def whole(read: Iterable[tuple[int | str, Any]], path: Path) -> list[tuple[int | str, Any]]:
    """(row, text or JSON value), with U+FFFD for each half of a surrogate pair; one line on stderr counts the texts
    that have some. A JSON value is changed in place; the row "" stands for a file that is one value."""
    places: list[str] = []
    found = [(row, _mended(value, str(row), places)) for row, value in read]
    if places:
        what = "half of a character (of a surrogate pair), read as U+FFFD"
        print(f"{path}: {len(places)} texts with {what}; first row {places[0]}", file=sys.stderr)
    return found


def _mended(value: Any, place: str, places: list[str]) -> Any:
    if isinstance(value, str) and HALF.search(value):
        places.append(place)
        return HALF.sub("\ufffd", value)
    if isinstance(value, dict):
        for name, inner in value.items():
            value[name] = _mended(inner, f"{place}.{name}".lstrip("."), places)
    if isinstance(value, list):
        for i, inner in enumerate(value):
            value[i] = _mended(inner, f"{place}[{i}]", places)
    return value


def read_text(path: Path, remedy: str = "check the path") -> str:
    """The file's text, UTF-8 with or without a byte order mark, line ends as \\n."""
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {remedy}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, row {row}: not UTF-8 (byte 0x{raw[error.start]:02x}); save it as UTF-8") from None
    return text.replace("\r\n", "\n")


def read_lines(path: Path, remedy: str = "check the path") -> list[str]:
    """The file's lines, split at line feeds only: texts may hold U+2028 and its like."""
    text = read_text(path, remedy)
    if not text.strip():
        raise InputError(f"{path}: the file is empty; {remedy}")
    return text.removesuffix("\n").split("\n")


def whole_number(value: object, classes: int, path: Path, row: int, first: int = 0) -> int:
    """The 0-based class of a label written as a number from `first` to `first + classes - 1`."""
    try:
        number = int(str(value).strip())
    except ValueError:
        number = first - 1
    if not first <= number < first + classes:
        wanted = f"{first} to {first + classes - 1}"
        raise InputError(f"{path}, row {row}: label {value!r} is unknown; use whole numbers {wanted}")
    return number - first


def known_name(value: str, names: Sequence[str], path: Path, row: int) -> int:
    """The 0-based class of a label written as a name: its place in `names`."""
    if value.strip() not in names:
        raise InputError(f"{path}, row {row}: label {value!r} is unknown; use one of {', '.join(names)}")
    return list(names).index(value.strip())


def same_length(texts: Sequence, labels: Sequence, text_path: Path, label_path: Path) -> None:
    """Refuse text and label files whose line counts differ: from some row on every label would be another text's."""
    if len(texts) != len(labels):
        raise InputError(
            f"{label_path}, row {min(len(texts), len(labels)) + 1}: {len(labels)} labels for {len(texts)} texts in "
            f"{Path(text_path).name}; get both files again, from the same version"
        )


def check(examples: Sequence[Example], path: Path, *, test: bool = False, first_row: int = 1) -> list[Example]:
    """The examples, if none is empty of text and they have two classes at least.

    `first_row`: the row of the first example. `test`: one class only then means placeholder labels, as in test sets
    whose labels were withheld.
    """
    examples = list(examples)
    if not examples:
        raise InputError(f"{path}: no rows; check that it is the right file")
    for row, example in enumerate(examples, first_row):
        if not example.text.strip():
            raise InputError(f"{path}, row {row}: the text is empty; remove the row (and its label) or fill it in")
    several_classes(examples, path, first_row, first_row + len(examples) - 1, test=test)
    return examples


def several_classes(examples: Sequence, path: Path, first_row: int, last_row: int, *, test: bool = False) -> None:
    """Refuse examples (of the rows named) whose labels are all the same; `test` as for `check`."""
    if not examples:
        raise InputError(f"{path}: no row of {first_row} to {last_row} can be used; check that it is the right file")
    if len({example.label for example in examples}) == 1:
        what = "placeholders? take the released test labels, or the validation split" if test else "add other classes"
        label = examples[0].label
        raise InputError(f"{path}, rows {first_row} to {last_row}: every label is the same ({label}); {what}")


def balanced(examples: Sequence[Example], classes: int, path: Path) -> None:
    """Refuse a file whose classes are not of equal size, where upstream's are."""
    counts = Counter(example.label for example in examples)
    sizes = [counts[label] for label in range(classes)]
    if len(set(sizes)) > 1:
        sizes_text = ", ".join(map(str, sizes))
        raise InputError(
            f"{path}, rows 1 to {len(examples)}: class sizes {sizes_text} are not equal as upstream's are; get it again"
        )


def duplicates(train: Iterable[Example], test: Iterable[Example]) -> int:
    """How many test examples have a text (blanks normalised) that is also in the training set."""
    seen = {same_text(example.text) for example in train}
    return sum(same_text(example.text) in seen for example in test)


def same_text(text: str) -> str:
    """The form in which two texts count as one."""
    return " ".join(text.split())
