"""Paper 3's own data as items, from made-up files of upstream's shape, and from real ones where they are."""

import json

import pytest
from real_files import REAL, needs
from refusals import refused
from test_generation_files import asked, paragraph, solved, write_gsm8k, write_mgsm, write_squad
from test_pair_files import write_train, write_xnli, xnli_row

from xltlib import text_files
from xltlib.corpora.generation_files import SpanQuestion
from xltlib.self_translation import SHOTS
from xltlib.text_tasks import items


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty XLT_DATA."""
    monkeypatch.setenv("XLT_DATA", str(tmp_path))
    caches = (text_files.problems, text_files.questions, text_files.inference, items)
    for cached in caches:
        cached.cache_clear()
    yield tmp_path
    for cached in caches:
        cached.cache_clear()


def write_exemplars(folder, count=SHOTS, code="de"):
    (folder / "mgsm").mkdir(exist_ok=True)
    rows = [{"question": f"Frage {i}?", "solution": f"Es sind {i}.\n{i}"} for i in range(count)]
    (folder / "mgsm" / "exemplars.json").write_text(json.dumps({code: rows}), encoding="utf-8")


def test_problems_come_from_gsm8k_and_mgsm(folder):
    write_gsm8k(folder / "gsm8k", *(solved(f"How many, {i}?") for i in range(205)))
    write_exemplars(folder)
    write_mgsm(folder / "mgsm", "Wie viele?\t1,200", "Und hier?\t7")
    train = items("problems", "en", "train", at="paper")
    assert len(train) == 5 and train[0].output == "5+5=10 pens\n10" and train[0].prompt == "How many, 0?\n\n"
    assert len(items("problems", "en", "validation", at="paper")) == text_files.HELD_OUT
    assert [item.target for item in items("problems", "de", "test", 1, at="paper")] == ["1200"]
    assert len(items("problems", "de", "samples", at="paper")) == SHOTS
    refused(lambda: items("problems", "de", "train", at="paper"), "no train items", "only in English")


def test_missing_or_short_examples_are_refused(folder):
    refused(lambda: items("problems", "de", "samples", at="paper"), "exemplars.json", "no such file")
    write_exemplars(folder, count=7)
    refused(lambda: items("problems", "de", "samples", at="paper"), "7 worked examples", "eight")
    refused(lambda: items("problems", "th", "samples", at="paper"), "no worked examples in 'th'")


def test_english_contexts_are_split_and_spans_stay_right(folder, capsys):
    context = "There is a lamp. It hangs by the door. Nobody knows why."
    (folder / "squad").mkdir()
    crossing = asked("lamp. It", context.index("lamp. It"))
    write_squad(folder / "squad" / "train-v1.1.json", paragraph(asked("the door", 29), crossing, context=context))
    (item,) = items("questions", "en", "train", at="paper")
    assert "1 of 2 rows left out" in (said := capsys.readouterr().err) and "question 2" in said
    assert item.fields["context"] == ("There is a lamp.", "It hangs by the door.", "Nobody knows why.")
    place, start = item.span
    assert item.fields["context"][place][start : start + len(item.target)] == "the door"
    assert item.prompt.startswith(f"Context: {context}\n\nQuestion: ")


def test_an_answer_that_is_a_quoted_sentence_is_kept():
    for context, answer in [
        ('The motto was "Never late." It hung over the door.', '"Never late."'),
        ("Das Motto war „Nie zu spät.“ Es hing da.", "„Nie zu spät.“"), ("座右铭是“不迟到。”挂在门上。", "“不迟到。”"),
    ]:  # fmt: skip
        item = text_files.in_sentences(SpanQuestion(context, "?", answer, context.index(answer), "en", ("late",)))
        place, start = item.span
        assert item.fields["context"][place][start : start + len(answer)] == answer and item.others == ("late",)


def test_the_first_eight_questions_of_xquad_are_samples_and_no_test(folder):
    (folder / "xquad").mkdir()
    qas = [asked(question=f"What hangs, {i}?") for i in range(10)]
    write_squad(folder / "xquad" / "xquad.de.json", paragraph(*qas))
    samples, test = (items("questions", "de", split, at="paper") for split in ("samples", "test"))
    assert len(samples) == 8 and len(test) == 2
    assert not {s.fields["question"] for s in samples} & {t.fields["question"] for t in test}
    assert test[0].fields["context"] == ("There's a lamp by the door.",) and test[0].span == (0, 8)


def test_inference_comes_from_multinli_and_xnli(folder):
    rows = [xnli_row(label=("neutral", "entailment", "contradiction")[i % 3], first=f"Satz {i}.") for i in range(12)]
    write_xnli(folder / "xnli", *rows)
    write_train(folder / "xnli", "a\tb\tneutral", "c\td\tentailment", language="en")
    assert [i.output for i in items("inference", "en", "train", at="paper")] == ["Neutral", "Entailment"]
    samples, rest = (items("inference", "de", split, at="paper") for split in ("samples", "validation"))
    assert len(samples) == 8 and len(rest) == 4 and samples[0].fields["premise"] == "Satz 0."


def test_without_a_folder_it_says_so(monkeypatch):
    monkeypatch.delenv("XLT_DATA", raising=False)
    items.cache_clear()
    refused(lambda: items("problems", "en", "train", at="paper"), "XLT_DATA")
    refused(lambda: text_files.items("sums", "en", "train", None), "XLT_DATA")


@needs("xquad")
def test_real_xquad_contexts_split_into_sentences_without_loss(folder):
    (folder / "xquad").symlink_to(REAL / "xquad")
    samples = items("questions", "en", "samples", at="paper")
    for item in samples:
        place, start = item.span
        assert item.fields["context"][place][start : start + len(item.target)] == item.target
    for code in ("de", "ru", "th", "zh"):
        found = items("questions", code, "test", at="paper")
        assert len(found) == 225 - SHOTS and all(i.target in i.fields["context"][0] for i in found)


@needs("squad")
def test_few_real_answers_cross_the_end_of_a_sentence(folder):
    (folder / "squad").symlink_to(REAL / "squad" / "dataset")
    found = items("questions", "en", "validation", at="paper")
    assert 0.999 < len(found) / 1680 <= 1 and sum(bool(item.others) for item in found) > 800
