"""Texts with nothing to translate, and translations that are wrong at first sight: empty, copied, truncated, repeated;
and the counts of both."""

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass

SHORT_LOOP = re.compile(r"(..?)\1{3}", re.DOTALL)
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\\s\x00-\x1f\x7f-\x9f]"
)
"""A character that leaves no mark on paper: blanks, controls, what Unicode calls Default_Ignorable_Code_Point (soft
hyphens, direction marks, Hangul fillers, variation selectors, the byte order mark), and the empty Braille pattern."""
LETTER_LIKE = re.compile("[0-9]\ufe0f?\u20e3|\u2139\ufe0f")
"""Emoji that Unicode writes with a digit or a letter: keycaps, and the sign for information."""


def blank(text: str) -> bool:
    """Whether a text shows nothing: it is empty, or of INVISIBLE characters alone."""
    return not INVISIBLE.sub("", text)


def translatable(text: str) -> bool:
    """Whether a text has a letter or a digit (Unicode's categories L and N); marks, signs and emoji are none."""
    bare = INVISIBLE.sub("", LETTER_LIKE.sub("", text))
    return any(unicodedata.category(character)[0] in "LN" for character in bare)


@dataclass
class Counts:
    """How many of `n` texts (blank ones are not counted) came back unchanged, as they have nothing to translate
    (`translatable`), and how many of the other translations were degenerate, and how."""

    n: int = 0
    empty: int = 0
    copied: int = 0
    truncated: int = 0
    repeated: int = 0
    unchanged: int = 0

    def add(self, kinds: tuple[str, ...]) -> None:
        """Count one text's output, and what `degenerate` said of it, or "unchanged"."""
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
