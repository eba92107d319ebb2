"""One string in place of several, and half a character in a text: refused in one line wherever texts are taken."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from xltlib import (
    artifacts,
    classical,
    generation,
    musc,
    otc,
    pretraining,
    real_text,
    regimes,
    scratch,
    statistics,
    text_tasks,
    training,
    tweets,
)
from xltlib.corpora import files
from xltlib.errors import InputError, several, strings
from xltlib.given_translations import GivenTranslations
from xltlib.self_translation import SelfTranslator
from xltlib.translation import bleu, translator

MODEL = SimpleNamespace(settings=SimpleNamespace(frozen_layers=0, bfloat16=False, separator=None))
TEXTS, LABELS = ["good", "bad", "good good", "bad bad"], [1, 0, 1, 0]
predict = classical.fit(TEXTS, LABELS)
ONE_STRING = {
    "bleu of outputs": lambda t: bleu(t, TEXTS, "de"),
    "bleu of references": lambda t: bleu(TEXTS, t, "de"),
    "translate": lambda t: translator().translate(t, "en", "de"),
    "given translations": lambda t: GivenTranslations(None, "paraphrase", None).translate(t, "en", "de"),
    "self-translation": lambda t: SelfTranslator(None, None, "x", [], "de", 9).translate(t),
    "raw self-translation": lambda t: SelfTranslator(None, None, "x", [], "de", 9).outputs(t),
    "encode": lambda t: training.encode(t, None, MODEL),
    "embed": lambda t: pretraining.embed(None, None, t),
    "generate": lambda t: generation.generate(None, lambda text: {"input_ids": [1]}, t, 5),
    "classical fit": lambda t: classical.fit(t, LABELS),
    "classical predict": lambda t: predict(t),
    "scratch tokenizer": lambda t: scratch.fit_tokenizer(t),
    "profile": lambda t: artifacts.profile(t, str.split),
    "lost types of originals": lambda t: artifacts.lost_types(t, TEXTS, str.split, 1),
    "lost types of translations": lambda t: artifacts.lost_types(TEXTS, t, str.split, 1),
    "surviving texts": lambda t: artifacts.surviving(t, TEXTS),
    "surviving wordings": lambda t: artifacts.surviving(TEXTS, t),
    "detector": lambda t: artifacts.detector((t, TEXTS), (TEXTS, TEXTS)),
    "held-out texts of a detector": lambda t: artifacts.detector((TEXTS, TEXTS), (TEXTS, t)),
}
NAMES_ONLY = {
    "gold translations": lambda t: otc.gold_translate(t, "en", "de"),
    "sentences": lambda t: text_tasks.joined(t, "en"),
    "labels": lambda t: statistics.majority_baseline(t),
    "classes of a CSV": lambda t: files.csv("a.csv", "en", labels=t),
    "targets": lambda t: regimes.with_translations(regimes.Labelled(TEXTS, LABELS, "en"), t, None),
    "languages of OTC": lambda t: otc.spec("smoke", "en", "mixed", 0, languages=t),
    "targets of MUSC": lambda t: musc.spec("smoke", "reviews", "S_trn", 0, targets=t),
    "data of real text": lambda t: real_text.specs(data=t),
}


@pytest.mark.parametrize("name", [*ONE_STRING, *NAMES_ONLY])
def test_one_string_is_no_list(name):
    call = (ONE_STRING | NAMES_ONLY)[name]
    for text in ("de", "", b"de"):
        refused(lambda: call(text), "must be a list of strings, not one string", "put it in a list")  # noqa: B023


@pytest.mark.parametrize("name", ONE_STRING)
def test_half_a_character_and_missing_values_are_named(name):
    call = ONE_STRING[name]
    refused(lambda: call(["good", "bad \ud83d", "a", "b"]), " 1 holds '\\ud83d', half of a character")
    refused(lambda: call(["good", "\udc00", "a", "b"]), " 1 holds '\\udc00'")


def test_targets_and_methods_of_tweets(monkeypatch):
    monkeypatch.setattr(tweets.fetch, "locate", lambda *a: None)
    monkeypatch.setattr(tweets.files, "umsab_fingerprint", lambda folder: "umsab@0")
    refused(lambda: tweets.specs(targets="es", seeds=1), "targets must be a list")
    refused(lambda: tweets.specs(targets=["es"], methods="zero-shot", seeds=1), "methods must be a list")


def test_what_is_a_sequence_of_texts_passes():
    for texts in (TEXTS, tuple(TEXTS), np.array(TEXTS), pd.Series(TEXTS), iter(TEXTS), [], ["", "😀", "\ufffd"]):
        assert several(texts, "texts") is texts
    assert strings(iter(TEXTS)) == TEXTS and strings(pd.Series(TEXTS)) == TEXTS and strings([]) == []
    with pytest.raises(
        InputError, match=re.escape("reference 1 is None, no string: fill or drop missing values first")
    ):
        strings(["a", None], "reference")
