"""From predicted probabilities to metrics and per-example records; the one definition of macro-F1.

What is not finite is never counted: the class with the largest of several NaNs is class 0, which scores like a lazy
classifier.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from xltlib.errors import Diverged, InputError

F1_MACRO = "mean of the F1 of every class that occurs among the labels or the guesses"
"""f1_macro, in words: scikit-learn's default, and what the papers' released code computes. A class that is neither a
label nor guessed has no F1 and counts nowhere; one that is a label and never guessed, or the reverse, counts 0."""


def f1_macro(labels: Sequence[int], guesses: Sequence[int]) -> float:
    """Macro-F1 of texts, and of words: see F1_MACRO. InputError for none, or for unequal numbers."""
    truth, guess = np.asarray(labels), np.asarray(guesses)
    if truth.shape != guess.shape or truth.ndim != 1 or not len(truth):
        shapes = f"{guess.shape} guesses for {truth.shape} labels"
        raise InputError(f"f1_macro: {shapes}; give one for each, at least one")
    return float(f1_score(truth, guess, average="macro", zero_division=0))


def metrics(labels: Sequence[int], probabilities: np.ndarray, language: str, **also) -> list[dict]:
    """F1-micro (for one label a text, this is accuracy) and macro-F1 of one test set, with the majority baseline
    beside them.

    probabilities: (n, classes), finite; labels: n of 0, 1, ..., classes - 1. f1_macro: F1_MACRO. Every row carries n
    and the language; `also` is added to each row. InputError for other shapes and labels and for an empty set, Diverged
    for probabilities that are not finite.
    """
    truth, probabilities = checked(labels, probabilities, language)
    guess = probabilities.argmax(axis=1)
    n = len(truth)
    values = {
        "f1_micro": float((truth == guess).mean()),
        "f1_macro": f1_macro(truth, guess),
        "majority": float(np.bincount(truth).max() / n),
    }
    return [
        {"language": language, "metric": name, "value": value, "n": n, "n_effective": n, **also}
        for name, value in values.items()
    ]


def predictions(labels: Sequence[int], probabilities: np.ndarray, language: str) -> pd.DataFrame:
    """One row a test item: language, index, label, and float16 probabilities p0, p1, ... Errors as in `metrics`."""
    truth, probabilities = checked(labels, probabilities, language)
    frame = pd.DataFrame(probabilities.astype(np.float16), columns=[f"p{i}" for i in range(probabilities.shape[1])])
    frame.insert(0, "label", truth.astype(np.int8))
    frame.insert(0, "index", np.arange(len(frame), dtype=np.int32))
    frame.insert(0, "language", language)
    return frame


def checked(labels: Sequence[int], probabilities: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) as integers and probabilities (n, classes), if they are what they should be; `name` says of what."""
    truth, found = np.asarray(labels), np.asarray(probabilities)
    if found.ndim != 2 or truth.ndim != 1 or len(truth) != len(found) or not found.size:
        shapes = f"labels {truth.shape}, probabilities {found.shape}"
        raise InputError(f"test set {name!r}: {shapes}; give (n,) and (n, classes), n at least 1")
    finite_rows(found, f"test set {name!r}: the probabilities")
    classes = found.shape[1]
    whole = truth.dtype.kind in "iub" or (truth.dtype.kind == "f" and (truth == np.floor(truth)).all())
    if not whole or truth.min() < 0 or truth.max() >= classes:
        bad = next(i for i, label in enumerate(truth.tolist()) if label not in range(classes))
        raise InputError(f"test set {name!r}: label {bad} is {truth[bad]!r}; use 0 to {classes - 1}, one a class")
    return truth.astype(np.int64), found


def finite_rows(values: np.ndarray, what: str) -> None:
    """Diverged when a row of (n, ...) numbers is not finite; `what` they are, in the plural."""
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        share = f"{(~finite).sum()} of {len(values)} rows"
        raise Diverged(f"{what} are not finite (row {int(np.flatnonzero(~finite)[0])}, {share}): the training diverged")
