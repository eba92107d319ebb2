"""A classifier that needs no pre-trained weights: TF-IDF of words and characters, and logistic regression.

The settings are the same for every language and corpus and were not tuned: scikit-learn's defaults but for the n-grams
and the logarithm of counts. Character n-grams carry languages that are written without blanks.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from xltlib.errors import InputError, strings

WORDS = (1, 2)
CHARACTERS = (2, 4)
C = 1.0
SETTINGS = {"words": list(WORDS), "characters": list(CHARACTERS), "C": C}
"""For a run's spec."""


def pipeline(seed: int = 0):
    """The unfitted scikit-learn pipeline: texts in, class probabilities out."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    features = make_union(
        TfidfVectorizer(ngram_range=WORDS, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=CHARACTERS, sublinear_tf=True),
    )
    return make_pipeline(features, LogisticRegression(C=C, max_iter=1000, random_state=seed))


def fit(texts: Sequence[str], labels: Sequence[int], seed: int = 0) -> Callable[[Sequence[str]], np.ndarray]:
    """Train on texts with 0-based classes; returns a function from texts to class probabilities (n, classes), float32.

    Deterministic: the solver draws nothing, and `seed` is there so that classifiers are called alike. The vocabulary
    comes from the training texts; classes = the largest label + 1. InputError when there are fewer than two classes, or
    no words.
    """
    if len(set(labels)) < 2:
        raise InputError("training needs texts of two classes at least; the training labels have one")
    model, texts = pipeline(seed), strings(texts)
    try:
        model.fit(texts, np.asarray(labels))
    except ValueError as error:
        raise InputError(f"no classifier can be fitted to these {len(texts)} texts: {error}") from None
    return partial(_probabilities, model, max(labels) + 1)


def _probabilities(model, classes: int, texts: Sequence[str]) -> np.ndarray:
    texts = strings(texts)
    probabilities = np.zeros((len(texts), classes), dtype=np.float32)
    if texts:
        probabilities[:, model.classes_] = model.predict_proba(texts)
    return probabilities


def fit_predict(
    train_texts: Sequence[str], train_labels: Sequence[int], test_sets: Mapping[str, Sequence[str]], seed: int = 0
) -> dict[str, np.ndarray]:
    """Train once and predict several test sets: name -> class probabilities (n, classes); see `fit`."""
    predict = fit(train_texts, train_labels, seed)
    return {name: predict(texts) for name, texts in test_sets.items()}
