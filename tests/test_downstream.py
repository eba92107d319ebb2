"""Downstream items: labels from the grammar, words found in their texts, first subwords, and both ways of counting."""

import pytest
from refusals import refused

from xltlib import downstream, objective_models, objective_runs, scratch
from xltlib.corpora.documents import LANGUAGES
from xltlib.downstream import CUT, NER, first_subwords, items, located, token_scores

WORDS = [code for code in LANGUAGES]


@pytest.mark.parametrize("code", WORDS)
@pytest.mark.parametrize("task", ["ner", "pos"])
def test_words_stand_where_they_are_said_to(task, code):
    found = items(task, code, "validation", 60)
    assert len({item.text for item in found}) == 60
    for item, (_, _, words) in zip(found, downstream.worded(code, "validation", 60), strict=True):
        assert len(item.starts) == len(item.labels) == len(words) and list(item.starts) == sorted(item.starts)
        for start, word in zip(item.starts, words, strict=True):
            assert item.text[start : start + len(word.text)].lower() == word.text.lower()


def test_names_are_b_and_i():
    found = items("ner", "en", "validation", 200)
    labels = [NER[label] for item in found for label in item.labels]
    assert {"O", "B"} <= set(labels) and labels.count("O") > labels.count("B")
    text = next(item for item in found if item.text.startswith("Anna "))
    assert NER[text.labels[0]] == "B"


def test_ner_and_pos_share_their_texts():
    assert [i.text for i in items("ner", "fr", "test", 40)] == [i.text for i in items("pos", "fr", "test", 40)]


def test_splits_share_no_text():
    texts = [{item.text for item in items("pos", "ru", split, 200)} for split in ("train", "validation", "test")]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]


def test_inference_and_sentiment_have_texts_and_labels():
    pair = items("nli", "ar", "validation", 9)[0]
    assert len(pair.texts) == 2 and 0 <= pair.label < 3
    for code in LANGUAGES:
        reviews = items("sentiment", code, "validation", 50)
        assert len(reviews[0].texts) == 1 and {item.label for item in reviews} == set(range(5))


def test_unknown_names_are_refused():
    refused(lambda: items("qa", "en", "test"), "unknown task 'qa'")
    refused(lambda: items("pos", "de", "test"), "unknown language 'de'")
    refused(lambda: items("pos", "en", "dev"), "unknown split 'dev'")
    refused(lambda: located("abc", [downstream.Word("x", "NOUN")]), "'x' is not in 'abc'")


def test_a_word_is_its_first_subword():
    text, offsets = "un chien", [(0, 0), (0, 2), (2, 4), (4, 8), (0, 0)]
    assert first_subwords(offsets, [0, 3]) == [1, 2]  # a subword that begins with the blank before a word is its first
    assert first_subwords(offsets[:2], [0, 3]) == [1, None] and len(text) == 8


def test_a_piece_that_stands_for_a_blank_is_no_part_of_a_word():
    """Whatever its offsets claim: before a text, where two tokens claim the first character, and within one."""
    pieces, offsets = ["▁", "o", "k", "▁", "o", "k"], [(0, 1), (0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert first_subwords(offsets, [0, 3], pieces) == first_subwords(offsets, [0, 3]) == [1, 4]
    assert first_subwords([(0, 2), (2, 4)], [0, 3], ["▁o", "▁k"]) == [0, 1]
    of_bytes = ["Ġ", "<0xE4>", "<0xBD>", "<0xA0>"]  # one character in three pieces
    assert first_subwords([(0, 1)] * 4, [0], of_bytes) == [1]
    assert first_subwords([(0, 1)], [0, 4], ["▁"]) == [None, None]


class Pieces:
    """A tokenizer of characters that leaves each blank, and one before the text, a piece of its own."""

    def __call__(self, texts, **_):
        rows = [[*"▁", *text.replace(" ", "▁")] for text in texts]
        ends = [[(0, 1), *((i, i + 1) for i in range(len(text)))] for text in texts]
        return {"input_ids": [[ord(piece) for piece in row] for row in rows], "offset_mapping": ends}

    def convert_ids_to_tokens(self, ids):
        return [chr(i) for i in ids]


def tokenizers() -> dict:
    """Every tokenizer of the course that labels of words meet, and one of the worst kind."""
    texts = [item.text for code in WORDS for item in items("pos", code, "train", 40)]
    return {"paper 4": objective_models.tokenizer(), "real text": scratch.fit_tokenizer(texts), "worst": Pieces()}


@pytest.mark.parametrize("code", WORDS)
@pytest.mark.parametrize("name", ["paper 4", "real text", "worst"])
def test_every_word_is_read_at_its_own_first_piece(name, code):
    """At every place: the piece holds a character of the word, and no piece before it in the text does."""
    tokenizer, found = tokenizers()[name], items("pos", code, "test", 150)
    encoded = tokenizer([item.text for item in found], add_special_tokens=False, return_offsets_mapping=True)
    encoding = objective_runs.encode(found, tokenizer, 512)
    for item, ids, offsets, places in zip(
        found, encoded["input_ids"], encoded["offset_mapping"], encoding.places, strict=True
    ):
        pieces = tokenizer.convert_ids_to_tokens(ids)
        for start, place in zip(item.starts, places, strict=True):
            read = place - 1  # the text's first token stands before
            assert pieces[read].strip("▁ ") and offsets[read][0] <= start < offsets[read][1], (item.text, pieces[read])
            earlier = [i for i in range(read) if offsets[i][0] <= start < offsets[i][1]]
            assert all(not pieces[i].strip("▁ ") for i in earlier)


def test_cut_words_are_counted_both_ways():
    scores = token_scores([0, 1, 1, 2], [0, 1, 0, CUT])
    assert scores.accuracy == pytest.approx(2 / 3) and scores.accuracy_all == 0.5
    assert (scores.words, scores.cut) == (4, 1) and scores.f1_macro == pytest.approx((2 / 3 + 2 / 3) / 2)
    refused(lambda: token_scores([0], [CUT]), "every word was cut")
    refused(lambda: token_scores([0, 1], [0]), "1 guesses for 2 words")
