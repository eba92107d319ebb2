"""XTREME's translations at scale paper: looked up where they are, made where they are not, and named in the spec."""

import pytest
from refusals import refused
from test_musc import Marks
from test_pair_files import write

from xltlib import given_translations, musc, translation
from xltlib.given_translations import GivenTranslations, folder_of

TRAIN = "She sings.\tShe  hums.\tSie singt.\tSie summt.\tentailment"
SAME = "She sings.\tShe fasts.\tSie singt laut.\tSie fastet.\tcontradictory"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XLT_DATA", str(tmp_path))
    there = tmp_path / "xtreme" / "xnli"
    write(there / "translate-train" / "en-de-translated.tsv", TRAIN, SAME)
    write(there / "translate-test" / "test-de-en-translated.tsv", "Ja.\tNein.\tYes.\tNo.\tneutral", SAME)
    yield there
    musc.translator.cache_clear()


def test_texts_are_looked_up_and_the_rest_is_translated_in_order(folder):
    base = Marks()
    both = GivenTranslations(base, "inference", folder)
    texts = ["New.", "She hums.", "She sings.", "Newer.", "She fasts."]
    assert both.translate(texts, "en", "de") == [
        "en>de New.",
        "Sie summt.",
        "Sie singt.",
        "en>de Newer.",
        "Sie fastet.",
    ]
    assert base.asked == [("en", "de", ["New.", "Newer."])]
    assert both.translate(["Nein.", "Gut."], "de", "en") == ["No.", "de>en Gut."]
    assert both.translate(["She sings."], "en", "fr") == ["en>fr She sings."]  # no file of that direction


def test_the_signature_names_files_and_translator(folder):
    both = GivenTranslations(Marks(), "inference", folder)
    before = both.signature("en", "de")
    assert before.startswith("src:en|tgt:de|given:xtreme-xnli@") and before.endswith(
        "|else:[src:en|tgt:de|engine:marks]"
    )
    assert both.signature("en", "fr") == Marks().signature("en", "fr")
    write(folder / "translate-train" / "en-de-translated.tsv", TRAIN, SAME, "A.\tB.\tC.\tD.\tneutral")
    assert both.signature("en", "de") != before


def test_scale_paper_takes_them_for_tasks_on_pairs(folder, monkeypatch):
    monkeypatch.setattr(translation, "translator", lambda *args, **options: Marks())
    musc.translator.cache_clear()
    assert folder_of("inference") == folder and folder_of("paraphrase") is None and folder_of("topics") is None
    assert musc.translator("paper", "inference").translate(["She hums."], "en", "de") == ["Sie summt."]
    for at, task in (("paper", "topics"), ("paper", "paraphrase"), ("mini", "inference")):
        assert isinstance(musc.translator(at, task), Marks)
    assert "given:xtreme-xnli@" in musc.signatures("paper", "inference", ["de"])[0]
    monkeypatch.delenv("XLT_DATA")
    assert folder_of("inference") is None


def test_two_files_of_one_name_are_refused(folder):
    write(folder / "old" / "en-de-translated.tsv", TRAIN, SAME)
    both = GivenTranslations(Marks(), "inference", folder)
    refused(lambda: both.translate(["x"], "en", "de"), "2 files en-de-translated.tsv", "keep one")
    assert given_translations.normal(" a  b ") == "a b"
