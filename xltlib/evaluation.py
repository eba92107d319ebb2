"""From predicted probabilities to metrics and per-example records."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score


def metrics(labels: Sequence[int], probabilities: np.ndarray, language: str, **also) -> list[dict]:
    """F1-micro (for one label a text, this is accuracy) and macro-F1 of one test set, with the majority baseline
    beside them.

    probabilities: (n, classes). Every row carries n and the language; `also` is added to each row.
    """
    truth, guess = np.asarray(labels), probabilities.argmax(axis=1)
    classes = list(range(probabilities.shape[1]))
    majority = float(np.bincount(truth, minlength=len(classes)).max() / len(truth))
    values = {
        "f1_micro": float((truth == guess).mean()),
        "f1_macro": float(f1_score(truth, guess, labels=classes, average="macro", zero_division=0)),
        "majority": majority,
    }
    n = len(truth)
    return [
        {"language": language, "metric": name, "value": value, "n": n, "n_effective": n, **also}
        for name, value in values.items()
    ]


def predictions(labels: Sequence[int], probabilities: np.ndarray, language: str) -> pd.DataFrame:
    """One row a test item: language, index, label, and float16 probabilities p0, p1, ..."""
    frame = pd.DataFrame(probabilities.astype(np.float16), columns=[f"p{i}" for i in range(probabilities.shape[1])])
    frame.insert(0, "label", np.asarray(labels, dtype=np.int8))
    frame.insert(0, "index", np.arange(len(frame), dtype=np.int32))
    frame.insert(0, "language", language)
    return frame
