"""Metrics from probabilities, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from xltlib import evaluation

LABELS = [0, 0, 1, 2, 2, 2]
GUESSES = [0, 1, 1, 2, 0, 2]
PROBABILITIES = np.eye(3, dtype=np.float32)[GUESSES] * 0.8 + 0.1


def by_name(rows):
    return {row["metric"]: row["value"] for row in rows}


def test_by_hand():
    values = by_name(evaluation.metrics(LABELS, PROBABILITIES, "de"))
    assert values["f1_micro"] == pytest.approx(4 / 6)
    assert values["f1_macro"] == pytest.approx((1 / 2 + 2 / 3 + 4 / 5) / 3)
    assert values["majority"] == 0.5


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 5, 400), rng.dirichlet(np.ones(5), 400)
    values = by_name(evaluation.metrics(labels, probabilities, "de"))
    guess = probabilities.argmax(1)
    assert values["f1_micro"] == pytest.approx(f1_score(labels, guess, average="micro"))
    assert values["f1_macro"] == pytest.approx(f1_score(labels, guess, average="macro"))


def test_a_class_that_nobody_names_counts_in_the_macro_mean():
    probabilities = np.array([[0.9, 0.1, 0.0, 0.0, 0.0]] * 4)
    values = by_name(evaluation.metrics([0, 0, 1, 1], probabilities, "de"))
    assert values["f1_macro"] == pytest.approx((2 / 3) / 5)  # five classes, one of them found


def test_rows_carry_language_n_and_what_else_is_given():
    rows = evaluation.metrics(LABELS, PROBABILITIES, "de", condition="plain")
    assert [row["metric"] for row in rows] == ["f1_micro", "f1_macro", "majority"]
    assert all(row["language"] == "de" and row["n"] == row["n_effective"] == 6 for row in rows)
    assert all(row["condition"] == "plain" and type(row["value"]) is float for row in rows)


def test_predictions_are_one_row_an_item():
    frame = evaluation.predictions(LABELS, PROBABILITIES, "de")
    assert list(frame) == ["language", "index", "label", "p0", "p1", "p2"]
    assert frame["label"].tolist() == LABELS and frame["index"].tolist() == list(range(6))
    assert set(frame["language"]) == {"de"} and frame["p0"].dtype == np.float16
    np.testing.assert_allclose(frame[["p0", "p1", "p2"]], PROBABILITIES, atol=1e-3)
    assert (frame[["p0", "p1", "p2"]].to_numpy().argmax(1) == GUESSES).all()
