"""Metrics from probabilities, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from xltlib import comparison, downstream, evaluation
from xltlib.errors import Diverged, InputError

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


def test_macro_f1_is_over_the_classes_that_occur():
    probabilities = np.array([[0.9, 0.1, 0.0, 0.0, 0.0]] * 4)
    values = by_name(evaluation.metrics([0, 0, 1, 1], probabilities, "de"))
    assert values["f1_macro"] == pytest.approx((2 / 3) / 2)  # of five classes two occur, and one of them is found
    guessed = np.array([[0.1, 0.0, 0.0, 0.9, 0.0]] + [[0.9, 0.1, 0.0, 0.0, 0.0]] * 3)
    values = by_name(evaluation.metrics([0, 0, 1, 1], guessed, "de"))
    assert values["f1_macro"] == pytest.approx((2 / (2 + 3)) / 3)  # class 3 occurs as a guess, and counts 0


@pytest.mark.parametrize("seed", range(5))
def test_there_is_one_macro_f1(seed):
    """Texts, words and the bootstrap's confusion matrices: the same number, which is scikit-learn's default."""
    rng = np.random.default_rng(seed)
    labels, guesses = rng.integers(0, 4, 12), rng.integers(2, 6, 12)
    expected = f1_score(labels, guesses, average="macro", zero_division=0)
    probabilities = np.eye(8)[guesses]
    confusion = np.zeros((8, 8))
    np.add.at(confusion, (labels, guesses), 1)
    assert evaluation.f1_macro(labels, guesses) == expected
    assert by_name(evaluation.metrics(labels, probabilities, "de"))["f1_macro"] == expected
    assert downstream.token_scores([*labels, 7], [*guesses, downstream.CUT]).f1_macro == expected
    assert comparison.score(confusion, "f1_macro") == pytest.approx(expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("function", [evaluation.metrics, evaluation.predictions])
def test_probabilities_that_are_not_finite_are_an_error(function, value):
    bad = PROBABILITIES.copy()
    bad[4, 1] = value
    with pytest.raises(Diverged, match=r"test set 'de': .*not finite .row 4, 1 of 6 rows") as error:
        function(LABELS, bad, "de")
    assert isinstance(error.value, InputError) and "\n" not in str(error.value)
    with pytest.raises(Diverged, match="6 of 6 rows"):
        function(LABELS, np.full((6, 3), value, dtype=np.float32), "de")


@pytest.mark.parametrize("function", [evaluation.metrics, evaluation.predictions])
@pytest.mark.parametrize(
    ("labels", "probabilities", "words"),
    [
        ([], np.zeros((0, 3)), "n at least 1"),
        ([], [], "n at least 1"),
        (LABELS[:5], PROBABILITIES, "labels .5,., probabilities .6, 3."),
        (LABELS, PROBABILITIES[:, 0], "labels .6,., probabilities .6,."),
        (LABELS, PROBABILITIES[None], "probabilities .1, 6, 3."),
        ([LABELS], PROBABILITIES, "labels .1, 6."),
        (LABELS, np.zeros((6, 0)), "n at least 1"),
        ([0, 0, 1, 3, 2, 2], PROBABILITIES, "label 3 is .*use 0 to 2"),
        ([0, -1, 1, 2, 2, 2], PROBABILITIES, "label 1 is .*use 0 to 2"),
        ([0, 0, 0.5, 2, 2, 2], PROBABILITIES, "label 2 is .*use 0 to 2"),
        ([0, 0, np.nan, 2, 2, 2], PROBABILITIES, "label 2 is .*use 0 to 2"),
        (list("abcabc"), PROBABILITIES, "label 0 is .*use 0 to 2"),
    ],
)
def test_what_is_no_test_set_is_refused_in_one_line(function, labels, probabilities, words):
    with pytest.raises(InputError, match=words) as error:
        function(labels, probabilities, "de")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "guesses"), [([], []), ([0, 1], [0]), ([0, 1], [0.0, np.nan]), ([0, 1], [0, -2]), ([0, -1], [0, 1])]
)
def test_words_without_a_class_are_refused(labels, guesses):
    with pytest.raises(InputError):
        downstream.token_scores(labels, guesses)


def test_a_bootstrap_refuses_what_is_not_finite():
    with pytest.raises(Diverged):
        comparison.paired_bootstrap(LABELS, PROBABILITIES, np.full((6, 3), np.nan), "accuracy")


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
