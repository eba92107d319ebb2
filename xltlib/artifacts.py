"""What machine translation leaves in a text: length, variety of words, lost wordings, and whether a classifier notices.

"Translation artifacts" (paper 2) and "translationese" mean the same marks: shorter stocks of words, fewer idioms, the
translator's own habits.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from xltlib import classical
from xltlib.errors import InputError, strings

Tokenize = Callable[[str], list[str]]
"""A text's words or subword pieces; languages without blanks need pieces."""


def pieces_of(tokenizer) -> Tokenize:
    """The subword pieces of a text by a (fast) tokenizer, whole however long it is."""
    return lambda text: tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).tokens


def profile(texts: Sequence[str], tokenize: Tokenize, sample: int = 5000) -> dict[str, float]:
    """`length`: mean number of tokens of a text. `types`: different tokens among the first `sample` tokens (or all that
    there are): samples of one size can be compared, whole texts of different lengths cannot.

    InputError without a text.
    """
    rows = [tokenize(text) for text in strings(texts)]
    if not any(rows):
        raise InputError("a profile needs texts")
    tokens = [token for row in rows for token in row][:sample]
    return {"length": len([t for row in rows for t in row]) / len(rows), "types": float(len(set(tokens)))}


def lost_types(originals: Sequence[str], translations: Sequence[str], tokenize: Tokenize, least: int = 3) -> float:
    """Share of the originals' token types (those with `least` occurrences or more) that no translation has."""
    counts = Counter(token for text in strings(originals, "original") for token in tokenize(text))
    kept = {token for text in strings(translations, "translation") for token in tokenize(text)}
    common = [token for token, count in counts.items() if count >= least]
    if not common:
        raise InputError(f"no token occurs {least} times in the originals")
    return float(np.mean([token not in kept for token in common]))


def surviving(texts: Sequence[str], wordings: Sequence[str]) -> float:
    """Share of the given wordings (pieces of text) that occur in at least one of the texts, letter case aside."""
    whole = "\n".join(strings(texts)).lower()
    return float(np.mean([wording.lower() in whole for wording in strings(wordings, "wording")]))


def detector(
    training: tuple[Sequence[str], Sequence[str]], held_out: tuple[Sequence[str], Sequence[str]]
) -> tuple[float, float]:
    """Accuracy of a TF-IDF classifier that tells originals from machine translations, on held-out texts, and the
    majority baseline: how visible the artifacts are. Each argument: (originals, translations)."""
    sides = [strings(side) for side in (*training, *held_out)]
    predict = classical.fit(sides[0] + sides[1], [0] * len(sides[0]) + [1] * len(sides[1]))
    labels = np.array([0] * len(sides[2]) + [1] * len(sides[3]))
    right = predict(sides[2] + sides[3]).argmax(1) == labels
    return float(right.mean()), float(np.bincount(labels).max() / len(labels))
