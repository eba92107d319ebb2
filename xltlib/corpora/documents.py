"""Parallel documents in six languages for paper 4: each is used once as documents and once as bitext.

Two domains, after the model of UNPC and OpenSubtitles. *News* are there in all six languages, as the documents of the
United Nations are; *everyday* texts (small talk about who did what, and product reviews) in the language that they were
written in and in some others. A document that several languages have is given to one pair of them, by the paper's
greedy rule (`assign`), so that document-level and sentence-level objectives read the same sentences.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import pandas as pd

from xltlib.corpora.bank import bank
from xltlib.corpora.embedded import Writer, plain, within
from xltlib.corpora.first_edition import FirstWriter, render_first
from xltlib.corpora.statement_tasks import TOPICS, plain_pieces
from xltlib.corpora.statements import draw, shared

LANGUAGES = ("ar", "en", "es", "fr", "ru", "zh")
"""UNPC's languages, the paper's."""
DOMAINS = ("news", "everyday")
SPLITS = ("pretraining", "validation")


@dataclass(frozen=True)
class DocumentDials:
    """The generating rules' numbers. `also`: chance that an everyday document exists in another language, too."""

    news: float = 0.4  # share of documents
    reviews: float = 0.5  # of everyday documents
    also: float = 0.4
    own_share: float = 0.5  # chance that a sentence of the original is in the language's own words
    seed: int = 20265


DIALS = DocumentDials()


@dataclass(frozen=True)
class Draft:
    """A document before it is given to a pair: its content sentence by sentence, the language that it was written in,
    and the languages that have it."""

    domain: str
    kind: str  # "statements" or "reviews"
    contents: tuple
    original: str
    available: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """A document in two languages, sentence by sentence."""

    domain: str
    languages: tuple[str, str]
    sentences: tuple[tuple[str, str], ...]

    def side(self, code: str) -> tuple[str, ...]:
        """Its sentences in one of the two languages."""
        place = self.languages.index(code)
        return tuple(pair[place] for pair in self.sentences)


Pair = tuple[str, str]


def assign(available: Sequence[tuple[Sequence[str], int]]) -> list[Pair | None]:
    """The paper's greedy rule (section 2.2): documents in turn, given as (languages that have it, its number of
    sentences), go to that pair of their languages that has the fewest sentences so far, ties by the pairs' alphabet. A
    document in one language alone cannot be a bitext and is discarded (None)."""
    sizes: Counter[Pair] = Counter()
    found: list[Pair | None] = []
    for codes, sentences in available:
        pairs = list(combinations(sorted(set(codes)), 2))
        pair = min(pairs, key=lambda one: (sizes[one], one)) if pairs else None
        if pair:
            sizes[pair] += sentences
        found.append(pair)
    return found


def drafts(split: str, size: int) -> Iterator[Draft]:
    """Drafts of a split, in a fixed order."""
    rng = random.Random(f"{DIALS.seed}:documents:{split}")
    for _ in range(size):
        original = rng.choice(LANGUAGES)
        if rng.random() < DIALS.news:
            yield Draft("news", "statements", _statements(original, split, rng, True), original, LANGUAGES)
            continue
        others = [code for code in LANGUAGES if code != original and rng.random() < DIALS.also]
        reviews = rng.random() < DIALS.reviews
        contents = _review(original, split, rng) if reviews else _statements(original, split, rng, False)
        kind = "reviews" if reviews else "statements"
        yield Draft("everyday", kind, contents, original, tuple(sorted([original, *others])))


def _statements(code: str, split: str, rng: random.Random, news: bool) -> tuple:
    """Pieces of three to six statements of one topic, or of everyday life; news may end in a closing."""
    writer = FirstWriter(code, split, rng)
    choices = list(shared()["domains"][rng.choice(TOPICS) if news else "everyday"])
    count = rng.randint(3, 6)
    pieces = [writer.piece(writer.statement(lambda: draw(rng.choice(choices), rng))) for _ in range(count)]
    return tuple(pieces + ([writer.closing()] if news and rng.random() < 0.5 else []))


def _review(code: str, split: str, rng: random.Random) -> tuple:
    """Contents of two reviews' sentences whose plain meaning lies in the split, too."""
    writer, found = Writer(bank(code), split, rng, DIALS.own_share), []
    while len(found) < 3:
        contents = writer.review(rng.randint(1, 5))
        found += [content for content in contents if within(plain(content), {split})]
    return tuple(found)


def written(draft: Draft, code: str, split: str) -> tuple[str, ...]:
    """A draft's sentences in a language: as written in its original language, in plain words in the others."""
    if draft.kind == "reviews":
        own = [c if code == draft.original else within(plain(c), {split}) for c in draft.contents]
        return tuple(bank(code).text([content]) for content in own)
    pieces = draft.contents if code == draft.original else plain_pieces(draft.contents)
    return tuple(render_first(code, (piece,)) for piece in pieces)


@cache
def documents(split: str, size: int) -> tuple[Document, ...]:
    """`size` drafts of a split, each given to a pair of languages or discarded."""
    found = list(drafts(split, size))
    pairs = assign([(draft.available, len(draft.contents)) for draft in found])
    return tuple(
        Document(draft.domain, pair, tuple(zip(*(written(draft, code, split) for code in pair), strict=True)))
        for draft, pair in zip(found, pairs, strict=True)
        if pair
    )


def statistics(sizes: dict[str, int]) -> pd.DataFrame:
    """Table 6 for splits and their numbers of drafts: sentences and documents by domain."""
    rows = []
    for split, size in sizes.items():
        for domain in DOMAINS:
            found = [document for document in documents(split, size) if document.domain == domain]
            sentences = sum(len(document.sentences) for document in found)
            rows.append({"split": split, "domain": domain, "documents": len(found), "sentences": sentences})
    return pd.DataFrame(rows)


def pair_sizes(found: Sequence[Document]) -> pd.DataFrame:
    """Sentences by pair of languages: how even the greedy rule makes them."""
    sizes: Counter[Pair] = Counter()
    for document in found:
        sizes[document.languages] += len(document.sentences)
    return pd.DataFrame([{"pair": "-".join(pair), "sentences": n} for pair, n in sorted(sizes.items())])
