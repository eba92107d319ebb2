"""What machine translation leaves in a text."""

import pytest

from xltlib import artifacts
from xltlib.errors import InputError

ORIGINALS = ["the cat sat on the mat", "a dog ran", "the dog sat"]
FLAT = ["the animal sat", "the animal ran", "the animal sat"]


def test_profile_counts_tokens_and_types_in_samples_of_one_size():
    assert artifacts.profile(ORIGINALS, str.split) == {"length": 4.0, "types": 8.0}
    assert artifacts.profile(ORIGINALS, str.split, sample=5)["types"] == 4  # the cat sat on, and "the" again
    with pytest.raises(InputError, match="needs texts"):
        artifacts.profile([], str.split)


def test_lost_types_looks_at_types_that_are_frequent_enough():
    assert artifacts.lost_types(ORIGINALS, FLAT, str.split, least=2) == pytest.approx(1 / 3)  # of the, dog, sat: dog
    assert artifacts.lost_types(ORIGINALS, ORIGINALS, str.split, least=1) == 0
    with pytest.raises(InputError, match="no token occurs 9 times"):
        artifacts.lost_types(ORIGINALS, FLAT, str.split, least=9)


def test_surviving_ignores_letter_case():
    assert artifacts.surviving(["The Cat sat"], ["the cat", "sat on"]) == 0.5


def test_the_detector_sees_artifacts_where_there_are_some_and_none_where_there_are_none():
    originals, translations = [f"lovely {i} idiom" for i in range(40)], [f"good {i} thing" for i in range(40)]
    halves = ((originals[:20], translations[:20]), (originals[20:], translations[20:]))
    assert artifacts.detector(*halves) == (1.0, 0.5)
    same = ((originals[:20], originals[:20]), (originals[20:], originals[20:]))
    assert artifacts.detector(*same)[0] == 0.5
