"""Paper 2's tasks: their settings against the paper's, their items, and the readers of the paper's own files."""

import re

import pytest
from refusals import refused
from test_corpora_files import write_marc
from test_mldoc import ROWS
from test_mldoc import write as write_lines
from test_pair_files import write_pawsx, write_train, write_xnli, xnli_row

from xltlib import published, tasks
from xltlib.corpora import embedded, mldoc, pair_files, statement_tasks, statement_text
from xltlib.tasks import TASKS, Items, items

REVIEWS, TOPICS = Items((("a", "b", "c"),), (0, 4, 1), "en"), Items((("d",),), (2,), "de")
PAIRS = Items((("a", "b"), ("c", "d")), (1, 0), "en")


def capitals(texts, source, target):
    """A translator that says between which languages."""
    return [f"{source}>{target} {text.upper()}" for text in texts]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_epochs_and_lambda_are_the_papers(task):
    rows = published.hyperparameters("musc")
    rows = rows[rows["source"] == "document"].set_index(["scope", "item"])["value"]
    assert task.epochs == int(rows[task.title, "epochs"])
    assert task.paper_lambda == float(rows[f"{task.title} / L_sc", "lambda"].split("/")[0])


def test_classes_stand_in_the_order_of_the_papers_labels():
    assert len(TASKS["reviews"].classes) == 5
    short = {"CCAT": "companies", "ECAT": "economy", "GCAT": "government", "MCAT": "markets"}
    assert TASKS["topics"].classes == tuple(short[name] for name in mldoc.CLASSES)
    assert TASKS["inference"].classes == tuple(pair_files.XNLI_CLASSES)
    assert TASKS["paraphrase"].classes == ("different", "paraphrase")  # 0 and 1 in PAWS-X


@pytest.mark.parametrize("name", TASKS)
def test_every_language_has_labelled_items(name):
    task = tasks.task(name)
    assert task.languages[0] == "en" and task.pair == (name in ("paraphrase", "inference"))
    for code in task.languages:
        found = items(name, code, "validation", 12)
        assert found.language == code and len(found) == len(found.texts) == 12
        assert len(found.sides) == 1 + task.pair and {len(side) for side in found.sides} == {12}
        assert set(found.labels) <= set(range(len(task.classes))) and len(set(found.labels)) > 1


def test_items_are_those_of_the_corpora():
    reviews = embedded.reviews("de", "test", 8)
    assert items("reviews", "de", "test", 8).texts == tuple(review.text for review in reviews)
    assert items("reviews", "de", "test", 8).labels == tuple(review.stars - 1 for review in reviews)
    for name in ("topics", "paraphrase", "inference"):
        examples = statement_tasks.examples(name, "zh", "test", 8)
        found = items(name, "zh", "test", 8)
        assert found.labels == tuple(example.label for example in examples)
        assert list(found.texts) == [e.texts if TASKS[name].pair else e.texts[0] for e in examples]


def test_an_encoder_reads_texts_or_pairs_of_them():
    assert REVIEWS.texts == ("a", "b", "c") and len(REVIEWS) == 3
    assert PAIRS.texts == (("a", "c"), ("b", "d")) and len(PAIRS) == 2


def test_a_beginning_is_that_of_every_side():
    assert REVIEWS.first(2) == Items((("a", "b"),), (0, 4), "en")
    assert PAIRS.first(1) == Items((("a",), ("c",)), (1,), "en")
    assert PAIRS.first(None) == PAIRS


def test_translation_goes_side_by_side_and_labels_stay():
    assert REVIEWS.translated(capitals, "de") == Items((("en>de A", "en>de B", "en>de C"),), (0, 4, 1), "de")
    pairs = PAIRS.translated(capitals, "zh")
    assert pairs.texts == (("en>zh A", "en>zh C"), ("en>zh B", "en>zh D"))
    assert pairs.labels == PAIRS.labels and pairs.language == "zh"
    assert pairs.translated(capitals, "en").sides[1] == ("zh>en EN>ZH C", "zh>en EN>ZH D")


def test_unknown_names_are_refused():
    refused(lambda: tasks.task("sentiment"), "'sentiment'", "reviews, topics, paraphrase, inference")
    refused(lambda: items("mldoc", "en", "train", 5), "'mldoc'", "reviews, topics")
    for name in TASKS:
        refused(
            lambda name=name: items(name, "xx", "train", 5),
            f"language of {name}",
            "'xx'",
            ", ".join(TASKS[name].languages),
        )
    refused(lambda: items("paraphrase", "ru", "train", 5), "'ru'", "ko")


def test_a_corpus_is_named_with_its_hash(monkeypatch, tmp_path):
    assert tasks.corpus_name("reviews") == f"reviews@{embedded.corpus_hash()}"
    for name in ("topics", "paraphrase", "inference"):
        assert tasks.corpus_name(name, "smoke") == f"statements@{statement_text.tasks_hash()}"
    monkeypatch.delenv("XLT_DATA", raising=False)
    marc, *others = (tasks.corpus_name(name, "paper") for name in TASKS)
    assert others == ["MLDoc", "PAWSX", "XNLI"] and marc.startswith("marc:mteb/amazon_reviews_multi@1399c761")
    monkeypatch.setenv("XLT_DATA", str(tmp_path))
    (tmp_path / "xnli").mkdir()
    (tmp_path / "xnli" / "a.tsv").write_text("one")
    first = tasks.corpus_name("inference", "paper")
    (tmp_path / "xnli" / "a.tsv").write_text("two!")
    assert re.fullmatch(r"XNLI@[0-9a-f]{8}", first) and tasks.corpus_name("inference", "paper") != first


# The paper's own files ------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of the paper's data, made up; what was read from another one is forgotten."""
    monkeypatch.setenv("XLT_DATA", str(tmp_path))
    items.cache_clear()
    yield tmp_path
    items.cache_clear()


def read(name, code, split, size=None):
    return items(name, code, split, size, "paper")


def test_pawsx(root):
    write_pawsx(root / "pawsx", "1\tEins.\tZwei.\t1", "2\tDrei.\tVier.\t0", name="translated_train")
    write_pawsx(root / "pawsx", language="en", name="train")
    found = read("paraphrase", "de", "train")
    assert found == Items((("Eins.", "Drei."), ("Zwei.", "Vier.")), (1, 0), "de")
    assert read("paraphrase", "de", "train", 1).texts == (("Eins.", "Zwei."),)
    assert read("paraphrase", "en", "train").language == "en"


def test_xnli(root):
    write_xnli(root / "xnli", xnli_row(label="contradiction"), xnli_row(label="entailment", first="Er isst."))
    write_train(root / "xnli", "Sie singt.\tEs ist still.\tcontradictory", "Er isst.\tEr kaut.\tentailment")
    assert read("inference", "de", "validation").labels == (2, 0)
    found = read("inference", "de", "train")
    assert found.texts == (("Sie singt.", "Es ist still."), ("Er isst.", "Er kaut.")) and found.labels == (2, 0)


def test_mldoc_takes_the_largest_training_file(root):
    write_lines(root / "mldoc" / "german.train.1000", ROWS[0], ROWS[1])
    write_lines(root / "mldoc" / "german.train.10000", *ROWS)
    write_lines(root / "mldoc" / "german.dev", *ROWS[1:])
    assert read("topics", "de", "train").labels == (0, 3, 2, 1) and read("topics", "de", "train", 3).labels == (0, 3, 2)
    assert read("topics", "de", "validation").texts[-1] == "Mehr Brot."


def test_marc(root):
    (root / "marc").mkdir()
    write_marc(root / "marc")
    found = read("reviews", "de", "train", 3)
    assert found == Items((tuple(f"Text mit {stars} Sternen" for stars in (1, 2, 3)),), (0, 1, 2), "de")


@pytest.mark.parametrize("name", ["topics", "paraphrase", "inference"])
def test_missing_files_are_refused(root, name, monkeypatch):
    refused(lambda: read(name, "de", "test"), "no such file")
    monkeypatch.delenv("XLT_DATA")
    refused(lambda: read(name, "de", "test"), TASKS[name].title, "set XLT_DATA")
    monkeypatch.setenv("XLT_DATA", "")
    refused(lambda: read(name, "de", "test"), TASKS[name].title, "set XLT_DATA")


def test_reviews_without_files_ask_the_hub_and_say_so(monkeypatch):
    items.cache_clear()
    monkeypatch.delenv("XLT_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(lambda: read("reviews", "de", "test"), "HF_HUB_OFFLINE", "local folder")
