"""The one error that a user's mistake raises, its kind for trainings that diverge, and the commonest mistakes."""

import math
from collections.abc import Iterable


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
