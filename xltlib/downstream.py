"""Paper 4's downstream tasks from the embedded grammars: sentiment, NER, POS and NLI in six languages.

Labels of words come from the statement bank, where every word carries its part of speech and names know that they are
names. A word's label is predicted at its first subword; words that lie beyond the limit of subwords are cut, and both
ways of counting them are offered (`TokenScores`).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from xltlib.corpora import embedded, statement_tasks
from xltlib.corpora.documents import LANGUAGES
from xltlib.corpora.first_edition import FirstWriter
from xltlib.corpora.statement_tasks import TOPICS
from xltlib.corpora.statements import BLANK, TAGS, Word, draw, shared, statement_bank
from xltlib.errors import InputError, choice
from xltlib.evaluation import f1_macro

NER = ("O", "B", "I")
"""Labels of NER in paper 4 (section 2.3): the kind of a name does not matter."""
SIZES = {"train": 2000, "validation": 250, "test": 1000}
SEED = 20266
BLANK_MARKS = "\u2581\u0120\u010a\u0109\u010d \t\n\r\u00a0\u3000"
"""What tokenizers write for a blank: SentencePiece's low line; byte-level space, line feed, tab and return; blanks."""
CUT = -1
"""Predicted class of a word that was cut."""


@dataclass(frozen=True)
class Downstream:
    """A task: its classes, whether its labels belong to words, and whether it reads two texts."""

    name: str
    title: str
    classes: tuple[str, ...]
    words: bool = False
    pair: bool = False


TASKS = {
    task.name: task
    for task in (
        Downstream("sentiment", "SA", ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")),
        Downstream("ner", "NER", NER, words=True),
        Downstream("pos", "POS", TAGS, words=True),
        Downstream("nli", "NLI", statement_tasks.INFERENCE, pair=True),
    )
}


@dataclass(frozen=True)
class WordItem:
    """A text and where each of its words begins, with their labels (0-based)."""

    text: str
    starts: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class TextItem:
    """One text, or two, with a label (0-based)."""

    texts: tuple[str, ...]
    label: int


@cache
def items(task: str, code: str, split: str, size: int | None = None) -> tuple[WordItem | TextItem, ...]:
    """A task's items of a language and split. InputError for unknown names."""
    about = TASKS[choice(task, TASKS, "task")]
    choice(code, LANGUAGES, "language")
    size = size or SIZES[choice(split, SIZES, "split")]
    if about.words:
        labels = {name: i for i, name in enumerate(about.classes)}
        of_word = (lambda word: word.tag) if task == "pos" else (lambda word: word.name[0])
        return tuple(
            WordItem(text, starts, tuple(labels[of_word(word)] for word in words))
            for text, starts, words in worded(code, split, size)
        )
    if task == "nli":
        found = statement_tasks.examples("inference", code, split, size)
        return tuple(TextItem(example.texts, example.label) for example in found)
    return tuple(TextItem((review.text,), review.stars - 1) for review in embedded.reviews(code, split, size))


@cache
def worded(code: str, split: str, size: int) -> tuple[tuple[str, tuple[int, ...], tuple[Word, ...]], ...]:
    """(text, where its words begin, its words) of statements of all domains, no two texts alike; NER and POS share
    them."""
    rng, bank = random.Random(f"{SEED}:words:{code}:{split}"), statement_bank(code)
    writer, found = FirstWriter(code, split, rng), {}
    domains = ["everyday", *TOPICS]
    while len(found) < size:
        choices = list(shared()["domains"][rng.choice(domains)])
        statement = writer.statement(lambda choices=choices: draw(rng.choice(choices), rng))
        every = bank.words(statement, writer.form(statement))
        text, words = bank.text(every).strip(), [word for word in every if word.text != BLANK]
        found.setdefault(text, (text, located(text, words), tuple(words)))
    return tuple(found.values())


def located(text: str, words: Sequence[Word]) -> tuple[int, ...]:
    """Where each word begins in its text, in order; the first letter of a text may be a capital there."""
    starts, at, plain = [], 0, text.lower()
    for word in words:
        found = plain.find(word.text.lower(), at)
        if found < 0:
            raise InputError(f"word {word.text!r} is not in {text!r} after character {at}")
        starts.append(found)
        at = found + len(word.text)
    return tuple(starts)


def first_subwords(
    offsets: Sequence[tuple[int, int]], starts: Sequence[int], pieces: Sequence[str] | None = None
) -> list[int | None]:
    """For each word the number of the first token that holds one of its characters; None when it was cut.

    `offsets`: each token's (begin, end) in the text; special tokens have (0, 0). `pieces`: the tokens as text. A piece
    that stands for a blank alone is no part of a word, although its offsets can claim the word's first character: many
    tokenizers put a blank before a text, or before every word, and may leave it a piece of its own. Without `pieces`
    the last of several tokens that claim the character is taken, which is right unless a character has several pieces.
    """
    found: list[int | None] = []
    for start in starts:
        claims = [i for i, (begin, end) in enumerate(offsets) if begin <= start < end]
        if pieces is not None:
            claims = [i for i in claims if not is_blank(pieces[i])][:1]
        found.append(claims[-1] if claims else None)
    return found


def is_blank(piece: str) -> bool:
    """Whether a token's text is blanks alone, as SentencePiece and byte-level tokenizers write them."""
    return not piece.strip(BLANK_MARKS)


@dataclass(frozen=True)
class TokenScores:
    """Accuracy and macro-F1 (`evaluation.F1_MACRO`) of words. `accuracy_all` counts a cut word as an error, as the
    released code's accuracy does; the other two leave cut words out, as its F1 does."""

    accuracy: float
    accuracy_all: float
    f1_macro: float
    words: int
    cut: int


def token_scores(labels: Sequence[int], guesses: Sequence[int]) -> TokenScores:
    """Scores of predicted word classes, CUT for a word that was cut. InputError for unequal numbers, no word, and
    what is no class."""
    truth, guess = np.asarray(labels), np.asarray(guesses)
    if truth.shape != guess.shape or truth.ndim != 1 or not len(truth):
        raise InputError(f"{len(guess)} guesses for {len(truth)} words: give one for each, at least one")
    for name, values, least in (("label", truth, 0), ("guess", guess, CUT)):
        if values.dtype.kind not in "iu" or values.min() < least:
            raise InputError(f"a {name} of a word is no class: use whole numbers from {least} on")
    seen = guess != CUT
    if not seen.any():
        raise InputError("every word was cut: raise the limit of subwords")
    right = (truth == guess) & seen
    macro = f1_macro(truth[seen], guess[seen])
    return TokenScores(float(right[seen].mean()), float(right.mean()), macro, len(truth), int((~seen).sum()))
