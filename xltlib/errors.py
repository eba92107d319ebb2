"""The one error that a user's mistake raises, its kind for trainings that diverge, and the commonest mistakes."""

import math
import re
from collections.abc import Iterable
from typing import TypeVar

HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: no character, and nothing that can be written in UTF-8."""
Many = TypeVar("Many", bound=Iterable)


class InputError(ValueError):
    """Bad input, told in one line that names what is wrong, where (file, row), and the remedy."""


class Diverged(InputError):
    """A run whose loss, weights or predictions are not finite: the line names the run, and where it happened."""


def finite(value: float, what: str, where: str, about: str) -> float:
    """The value when it is finite; else Diverged says what it is, in which step or epoch, of which training."""
    if not math.isfinite(value):
        raise Diverged(f"the training ({about}) diverged: the {what} of {where} is {value}; lower the learning rate")
    return value


def choice(value: str | int | None, names: Iterable[str | int | None], what: str) -> str | int | None:
    """The value, if it is one of the names; InputError lists them when it is not."""
    if value not in (names := list(names)):
        raise InputError(f"unknown {what} {value!r}: use one of {', '.join(map(str, names))}")
    return value


def several(values: Many, what: str) -> Many:
    """The values as they are; InputError when they are one string, whose characters would pass for them."""
    if isinstance(values, (str, bytes)):
        raise InputError(f"{what} must be a list of strings, not one string: put it in a list")
    return values


def strings(texts: Iterable[str], what: str = "text") -> list[str]:
    """The texts in a list; InputError for one string in place of several, and, naming its place (from 0), for a member
    that is no string or that holds half of a surrogate pair."""
    texts = list(several(texts, f"{what}s"))
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"{what} {i} is {text!r}, no string: fill or drop missing values first")
        if found := HALF.search(text):
            half = ascii(found[0])
            raise InputError(f"{what} {i} holds {half}, half of a character: read its source anew or put U+FFFD there")
    return texts
