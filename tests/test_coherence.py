"""Incoherent reviews: the rules find what they name, and the data card has their counts."""

import pytest

from xltlib.corpora import coherence
from xltlib.corpora.bank import MINI
from xltlib.corpora.embedded import Review
from xltlib.languages import REVIEW_LANGUAGES

IDIOM = ("own_idioms", "en", "shop", 5, 2, "delivery")


def say(*clauses, wrapper=None, connective=None):
    return ("say", wrapper, clauses, connective)


@pytest.mark.parametrize(
    ("contents", "kinds"),
    [
        ([say(("literal", "price", 3, 0), ("literal", "look", 5, 0), connective=("joins", "and"))], {"and"}),
        ([say(("literal", "price", 4, 0), ("literal", "look", 5, 0), connective=("joins", "and"))], set()),
        ([say(("literal", "price", 3, 0), ("literal", "look", 5, 0), connective=("contrast", "but"))], set()),
        ([say(("literal", "delivery", 1, 0), wrapper=("frames", "so_far"))], {"so far"}),
        ([say(("literal", "battery", 1, 0), wrapper=("frames", "so_far"))], set()),
        ([say(("literal", "assembly", 1, 0), wrapper=("frames", "after_weeks"))], {"weeks"}),
        ([("openings", "gift", "kettle", None, None), say(("literal", "speed", 5, 0))], {"motor"}),
        ([("openings", "gift", "blender", None, None), say(("literal", "speed", 5, 0))], set()),
        ([("openings", "gift", "dress", None, None), say(("literal", "instructions", 5, 0))], {"manual"}),
        ([say(("literal", "zip", 5, 0)), say(("literal", "instructions", 5, 0))], {"manual"}),
        ([say(("literal", "zip", 5, 0)), say(("literal", "zip", 5, 0))], {"twice"}),
        ([say(IDIOM), say((*IDIOM[:-1], "service"))], {"twice"}),
    ],
)  # fmt: skip
def test_a_fault_is_found_by_its_rule(contents, kinds):
    assert coherence.faults(Review("", 3, 3, tuple(contents)), "en") == kinds


def test_the_data_card_has_the_counts():
    card = (MINI / "README.md").read_text(encoding="utf-8")
    for row in coherence.card((*REVIEW_LANGUAGES, "ar")):
        assert row in card
