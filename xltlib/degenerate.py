"""Translations that are wrong at first sight: empty, copied, truncated, repeated; and their counts."""

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass

SHORT_LOOP = re.compile(r"(..?)\1{3}", re.DOTALL)


@dataclass
class Counts:
    """How many of `n` translations (blank texts are not counted) were degenerate, and how."""

    n: int = 0
    empty: int = 0
    copied: int = 0
    truncated: int = 0
    repeated: int = 0

    def add(self, kinds: tuple[str, ...]) -> None:
        """Count one translation and what `degenerate` said of it."""
        self.n += 1
        for kind in kinds:
            setattr(self, kind, getattr(self, kind) + 1)


def degenerate(source: str, output: str, truncated: bool = False) -> tuple[str, ...]:
    """What is wrong with an output at first sight, of: empty, copied (letters and all), truncated, repeated (a loop of
    characters where the source has none)."""
    kinds = []
    if not output.strip():
        kinds.append("empty")
    if _squeezed(source) == _squeezed(output) and any(c.isalpha() for c in source):
        kinds.append("copied")
    if truncated:
        kinds.append("truncated")
    if _loops(output) and not _loops(source):
        kinds.append("repeated")
    return tuple(kinds)


def _squeezed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _loops(text: str) -> bool:
    """Whether a stretch of 1 to 120 characters, letters among them, stands four times in a row (a single one: eight
    times, 20 and more: three). Four characters at three equally distant places are the sign to look closer."""
    text += " "
    longer = [text[i : i + 6] for i in range(len(text) - 5)]
    if len(longer) - len(set(longer)) < 2 and not SHORT_LOOP.search(text):
        return False  # most texts, at little cost
    places = defaultdict(list)
    for i in range(len(text) - 3):
        places[text[i : i + 4]].append(i)
    for at in places.values():
        for a, b, c in zip(at, at[1:], at[2:], strict=False):
            size = b - a
            if c - b == size <= 120 and _repeats(text[a:], text[a:b], 8 if size == 1 else 4 if size < 20 else 3):
                return True
    return False


def _repeats(text: str, unit: str, times: int) -> bool:
    return text.startswith(unit * times) and any(c.isalpha() for c in unit)
