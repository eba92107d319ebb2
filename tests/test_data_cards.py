"""The data cards say what the code does."""

import json
import re
import tomllib
from dataclasses import asdict

import pytest

from xltlib import decoders
from xltlib.corpora import embedded
from xltlib.corpora.bank import MINI, TABLES, bank
from xltlib.models import CHECKPOINTS
from xltlib.scales import DATA

CARD = (MINI / "README.md").read_text(encoding="utf-8")


def test_the_card_lists_every_dial_with_its_value():
    printed = dict(re.findall(r"^\| `(\w+)` \| ([\d., ]+) \|", CARD, re.MULTILINE))
    dials = asdict(embedded.DIALS)
    values = {
        name: ", ".join(map(str, value)) if isinstance(value, tuple) else str(value) for name, value in dials.items()
    }
    assert printed == values


def test_the_card_tells_the_sizes():
    names = {"train": "training", "validation": "validation", "test": "test"}
    assert all(f"{size:,} {names[split]}" in CARD for split, size in embedded.SIZES.items())


def test_the_card_explains_every_table_of_the_files():
    explained = set(re.findall(r"`(\w+)(?:\.[\w.<>]+)?`", CARD.split("## The fields of `<code>")[1]))
    shared = tomllib.loads((MINI / "reviews.toml").read_text("utf-8"))
    assert {*TABLES, "language", *bank("en").own, *shared} <= explained | _own()


def _own():
    return set(re.findall(r"`own\.(\w+)", CARD))


def test_the_card_of_the_checkpoints_names_each_and_each_has_its_own():
    card = (DATA / "checkpoints" / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in card for name in CHECKPOINTS)


@pytest.mark.parametrize("name", decoders.RECIPES)
def test_the_card_of_a_decoder_says_what_its_manifest_does(name):
    folder = DATA / "checkpoints" / name
    card = " ".join((folder / "README.md").read_text(encoding="utf-8").split())
    about = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    recipe, facts = about["recipe"], about["facts"]
    dials = recipe["dials"]
    assert f"width {recipe['width']}, learning rate {recipe['learning_rate']:g}; it ended at a loss of" in card
    assert f"a loss of {facts['loss']:.3f}." in card and f"{facts['tokens']:,} tokens" in card
    assert f"{dials['parallel']:.0%} pairs of translations" in card and f"{dials['plain']:.0%} plain text" in card
    assert f"{dials['target_labels']:.0%} of these in the target languages" in card
