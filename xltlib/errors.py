"""The one error that a user's mistake raises, and the commonest of these mistakes."""

from collections.abc import Iterable


class InputError(ValueError):
    """Bad input, told in one line that names what is wrong, where (file, row), and the remedy."""


def choice(value: str | int | None, names: Iterable[str | int | None], what: str) -> str | int | None:
    """The value, if it is one of the names; InputError lists them when it is not."""
    if value not in (names := list(names)):
        raise InputError(f"unknown {what} {value!r}: use one of {', '.join(map(str, names))}")
    return value
