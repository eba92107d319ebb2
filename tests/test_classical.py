"""TF-IDF + logistic regression, and the small encoder from scratch."""

import dataclasses
import hashlib

import numpy as np
import pytest

from xltlib import classical, scratch
from xltlib.errors import InputError

GOOD, BAD = ["great fine lovely", "lovely great day"], ["awful bad broken", "broken awful mess"]
TEXTS, LABELS = (GOOD + BAD) * 6, [1, 1, 0, 0] * 6
TESTS = {"one": ["a lovely thing", "a broken thing"], "none": []}
SMALL = dataclasses.replace(scratch.SIZE, vocabulary=80, hidden=16, feed_forward=16, heads=2, layers=1, epochs=12)
SMALL = dataclasses.replace(SMALL, learning_rate=1e-2)  # few steps on few texts


def test_learns_and_sums_to_one():
    out = classical.fit_predict(TEXTS, LABELS, TESTS)
    assert out["one"].shape == (2, 2) and out["none"].shape == (0, 2)
    np.testing.assert_allclose(out["one"].sum(1), 1, atol=1e-6)
    assert out["one"].argmax(1).tolist() == [1, 0]


def test_same_inputs_same_numbers_and_seed_draws_nothing():
    first, second = (classical.fit_predict(TEXTS, LABELS, TESTS, seed)["one"] for seed in (0, 1))
    assert (first == second).all()


def test_characters_carry_languages_without_blanks():
    texts = ["音質がとても良いです", "画面が綺麗で良いです", "すぐ壊れて最悪です", "音が悪くて最悪だった"] * 3
    out = classical.fit_predict(texts, [1, 1, 0, 0] * 3, {"t": ["電池が良いです", "箱が最悪でした"]})
    assert out["t"].argmax(1).tolist() == [1, 0]


def test_a_class_without_training_texts_has_probability_zero():
    out = classical.fit_predict(TEXTS, [label * 2 for label in LABELS], TESTS)["one"]
    assert out.shape == (2, 3) and (out[:, 1] == 0).all() and out.argmax(1).tolist() == [2, 0]


def test_training_that_cannot_be_is_one_line():
    with pytest.raises(InputError, match="two classes"):
        classical.fit(TEXTS, [1] * len(TEXTS))
    with pytest.raises(InputError, match="no classifier can be fitted to these 2 texts"):
        classical.fit(["", " "], [0, 1])


def test_the_encoder_learns_from_scratch_and_repeats():
    runs = [scratch.fit_predict(TEXTS, LABELS, TESTS, seed, size=SMALL)["one"] for seed in (0, 0, 1)]
    assert (runs[0] == runs[1]).all() and (runs[0] != runs[2]).any()
    assert runs[0].argmax(1).tolist() == [1, 0]
    np.testing.assert_allclose(runs[0].sum(1), 1, atol=1e-5)


def test_validation_keeps_the_best_epoch():
    texts, reversed_labels = TESTS["one"], [0, 1]  # the better the training, the worse on these
    kept = scratch.fit_predict(TEXTS, LABELS, TESTS, 0, (texts, reversed_labels), SMALL)["one"]
    last = scratch.fit_predict(TEXTS, LABELS, TESTS, 0, size=SMALL)["one"]
    assert last[0, 1] - last[1, 1] > kept[0, 1] - kept[1, 1] + 0.1


def test_tokenizer_is_the_same_in_every_process():
    words = [f"{a}{b}{c}" for a in "bcdfg" for b in "aeiou" for c in "lmnrst"] * 2
    found = scratch.fit_tokenizer(words, SMALL).get_vocab()
    # from another process: WordPiece's trainer, for one, numbers its pieces differently in each
    assert hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:12] == "e8749df38993"
