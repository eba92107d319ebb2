"""What the checkpoints are trained on: every language, both sides of the right split, idioms held back."""

import re
from collections import Counter
from functools import cache

import pytest

from xltlib.corpora import embedded, statement_tasks, statement_text
from xltlib.corpora.pretraining_texts import GENERATIONS
from xltlib.corpora.statements import actions, statement_bank
from xltlib.languages import LANGUAGES, REVIEW_LANGUAGES

SECOND = GENERATIONS[2]


@cache
def entries() -> tuple[dict, ...]:
    return tuple(SECOND.bitext("pretraining", 400))


def test_the_first_generation_is_the_reviews_alone():
    first = GENERATIONS[1]
    assert first.languages == REVIEW_LANGUAGES and first.name() == f"reviews@{embedded.corpus_hash()}"
    assert list(first.bitext("validation", 20, own=0.0)) == list(embedded.bitext("validation", 20, own=0.0))
    assert first.originals("de", 10) == list(embedded.originals("de", 10))


def test_the_second_generation_has_every_language():
    assert set(SECOND.languages) == set(LANGUAGES)
    kinds = Counter(len(set(entry) - {"own"}) for entry in entries())
    assert set(kinds) == {7, 11} and 0.5 < kinds[11] / len(entries()) < 0.7
    assert all(text.strip() == text and text for entry in entries() for code, text in entry.items() if code != "own")
    own = Counter(entry["own"][0] for entry in entries() if "own" in entry)
    assert 0.1 < sum(own.values()) / len(entries()) < 0.3 and len(own) == 11
    assert SECOND.originals("ko", 20) == SECOND.originals("ko", 20) and len(SECOND.originals("en", 21)) == 21


@pytest.mark.parametrize("code", ["en", "ko", "ar"])  # a full stop ends a sentence there
def test_no_statement_of_a_task_is_in_the_bitext(code):
    found = {sentence for entry in entries() if code in entry for sentence in re.split(r"(?<=\.) ", entry[code])}
    bank = statement_bank(code)
    for task in statement_tasks.TASKS:
        for example in statement_tasks.examples(task, code, "test", 300):
            for side in example.pieces:
                for piece in side:
                    if piece[0] == "statement":
                        assert bank.sentence(piece[1], "main") not in found


def test_the_bitext_lacks_half_of_the_own_wordings(monkeypatch):
    seen, words = set(), type(statement_bank("en")).words

    def watched(bank, statement, form="main"):
        seen.add((statement.action, form) if isinstance(form, int) else None)
        return words(bank, statement, form)

    monkeypatch.setattr(type(statement_bank("en")), "words", watched)
    list(statement_text.bitext("pretraining", 300, own=1.0))
    used = seen - {None}
    assert len(used) > 20
    least = {a: min(len(statement_bank(c).tables["actions"][a]["own"]) for c in LANGUAGES) for a in actions()}
    assert all(form < max(1, least[action] // 2) + 1 for action, form in used)
    monkeypatch.undo()
    originals = statement_text.originals("en", 300)
    assert any(
        word in text for text in originals for word in ("treated herself", "treated himself")
    )  # the second own one
