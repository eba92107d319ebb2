"""The five pretraining objectives of paper 4 as batch makers over one parallel corpus (section 2.1, Table 5).

| objective | stack | reads | learns to write |
|---|---|---|---|
| 2-LM | double | a document with noise (BART's) | the document |
| 2-MT | double | a sentence after its language's token | its translation, after that language's token |
| CLM | single, causal | a document | its next tokens |
| MLM | single | a document with masks | the masked tokens |
| TLM | single, causal | a sentence, a language's token, its translation | the next tokens |

All read the same documents (`corpora.documents`): as documents, a side at a time, or as sentence pairs.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xltlib.corpora.documents import LANGUAGES, Document
from xltlib.errors import InputError, choice
from xltlib.pretraining import pad

SPECIALS = ("<pad>", "<unk>", "<s>", "</s>", "<mask>", *(f"<{code}>" for code in LANGUAGES))
PAD, UNKNOWN, START, END, MASK = range(5)
IGNORED = -100
LANGUAGE_TOKEN = {code: 5 + i for i, code in enumerate(LANGUAGES)}
"""Control tokens of the languages."""


@dataclass(frozen=True)
class Objective:
    """An objective: double or single stack, whether it is causal, and whether it reads documents or sentence pairs."""

    name: str
    double: bool
    causal: bool
    documents: bool


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("2-LM", True, True, True),
        Objective("2-MT", True, True, False),
        Objective("CLM", False, True, True),
        Objective("MLM", False, False, True),
        Objective("TLM", False, True, False),
    )
}


def first_token(objective: str, language: str) -> int:
    """What a text begins with when a model of an objective reads it in pretraining: its language's token in 2-MT's
    encoder, <s> in all others. Downstream texts begin alike."""
    return LANGUAGE_TOKEN[language] if objective == "2-MT" else START


@dataclass(frozen=True)
class Noise:
    """What 2-LM does to a document. BART's (Lewis et al. 2020): spans of Poisson length are each replaced by one mask
    until about `masked` of the tokens are, and sentences are permuted. Paper 4's released script sets no flag, which in
    its toolkit means no masks and half of the inputs rotated (`RELEASED`)."""

    masked: float = 0.3
    span: float = 3.0
    permuted: bool = True
    rotated: float = 0.0


BART, RELEASED, NONE = Noise(), Noise(0.0, 3.0, False, 0.5), Noise(0.0, 3.0, False, 0.0)
NOISES = {"bart": BART, "released": RELEASED, "none": NONE}
MASKED = 0.15
"""Share of tokens that MLM predicts (Devlin et al. 2019)."""
VOCABULARY = 6000
"""Pieces of the tokenizer that the five models share: MLM draws its random tokens from all of them."""


@dataclass(frozen=True)
class Example:
    """One example of an objective before noise: a document's sentences in one language, or a pair of sentences with
    their languages; as token ids."""

    sentences: tuple[tuple[int, ...], ...]
    languages: tuple[str, ...]

    @property
    def length(self) -> int:
        """Its tokens, specials not counted."""
        return sum(map(len, self.sentences))


@dataclass(frozen=True)
class Batch:
    """What a model takes: `ids` (n, length) of the single stack or the decoder, `labels` (n, length) with IGNORED where
    nothing is to be predicted, and `source` (n, length) of the encoder of a double stack."""

    ids: Tensor
    labels: Tensor
    source: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Tokens read, padding not counted, by encoder and decoder."""
        read = int(self.ids.ne(PAD).sum())
        return read if self.source is None else read + int(self.source.ne(PAD).sum())

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device."""
        source = None if self.source is None else self.source.to(device)
        return Batch(self.ids.to(device), self.labels.to(device), source)


def examples(objective: str, documents: Sequence[Document], tokenizer, limit: int = 256) -> list[Example]:
    """The examples of an objective: each document on both sides, or each of its sentence pairs once. A document longer
    than `limit` tokens is cut between sentences; a sentence longer than that is cut.

    InputError for an unknown objective.
    """
    about = OBJECTIVES[choice(objective, OBJECTIVES, "objective")]
    if not about.documents:
        sides = [[pair[i] for document in documents for pair in document.sentences] for i in (0, 1)]
        codes = [document.languages for document in documents for _ in document.sentences]
        first, second = (_ids(tokenizer, side, limit // 2 - 2) for side in sides)
        return [Example((a, b), pair) for a, b, pair in zip(first, second, codes, strict=True) if a and b]
    found = []
    for document in documents:
        for code in document.languages:
            part: list[tuple[int, ...]] = []
            for sentence in _ids(tokenizer, document.side(code), limit - 2):
                if part and sum(map(len, part)) + len(sentence) > limit - 2:
                    found.append(Example(tuple(part), (code,)))
                    part = []
                part.append(sentence)
            found.append(Example(tuple(part), (code,)))
    return [example for example in found if example.length]


def _ids(tokenizer, sentences: Sequence[str], limit: int) -> list[tuple[int, ...]]:
    rows = tokenizer(list(sentences), add_special_tokens=False)["input_ids"] if sentences else []
    return [tuple(row[:limit]) for row in rows]


def batch(
    objective: str, chosen: Sequence[Example], rng: random.Random, noise: Noise = BART, vocabulary: int = VOCABULARY
) -> Batch:
    """A batch of an objective; noise, masks and directions are drawn from `rng`. `vocabulary`: how many pieces the
    tokenizer has. InputError for no example, and for a vocabulary of control tokens alone."""
    if not chosen:
        raise InputError("a batch needs an example")
    if choice(objective, OBJECTIVES, "objective") == "MLM":
        return masked(chosen, rng, vocabulary)
    return MAKERS[objective](chosen, rng, noise)


def denoising(chosen: Sequence[Example], rng: random.Random, noise: Noise) -> Batch:
    """2-LM: the decoder writes the document that the encoder reads with noise."""
    rows = [[START, *sum(example.sentences, ()), END] for example in chosen]
    return _double([noised(example.sentences, noise, rng) for example in chosen], rows)


def translation(chosen: Sequence[Example], rng: random.Random, noise: Noise = BART) -> Batch:
    """2-MT: each pair in a random direction. The encoder reads the source after its language's token, and the decoder
    begins with the target language's."""
    sources, targets = [], []
    for example in chosen:
        order = (0, 1) if rng.random() < 0.5 else (1, 0)
        (source, target), (a, b) = ([side[i] for i in order] for side in (example.sentences, example.languages))
        sources.append([LANGUAGE_TOKEN[a], *source, END])
        targets.append([LANGUAGE_TOKEN[b], *target, END])
    return _double(sources, targets)


def causal(chosen: Sequence[Example], rng: random.Random, noise: Noise = BART) -> Batch:
    """CLM: the next token of a document."""
    return _next_token([[START, *sum(example.sentences, ()), END] for example in chosen])


def translation_causal(chosen: Sequence[Example], rng: random.Random, noise: Noise = BART) -> Batch:
    """TLM, the causal kind: a sentence, the control token of the other language, the translation."""
    rows = []
    for example in chosen:
        order = (0, 1) if rng.random() < 0.5 else (1, 0)
        (first, second), (_, b) = ([side[i] for i in order] for side in (example.sentences, example.languages))
        rows.append([START, *first, LANGUAGE_TOKEN[b], *second, END])
    return _next_token(rows)


def masked(chosen: Sequence[Example], rng: random.Random, vocabulary: int = VOCABULARY) -> Batch:
    """MLM: MASKED of the tokens are predicted; of these 80 % are replaced by <mask>, 10 % by a random piece of the
    whole vocabulary (no control token), 10 % stay. A row in which chance masked nothing gets one mask; an empty one
    gets none."""
    if vocabulary <= len(SPECIALS):
        raise InputError(f"vocabulary of {vocabulary}: MLM needs more than the {len(SPECIALS)} control tokens")
    rows, labels = [], []
    for example in chosen:
        row = [START, *sum(example.sentences, ()), END]
        inside = range(1, len(row) - 1)
        places = [i for i in inside if rng.random() < MASKED]
        if not places and inside:
            places = [rng.choice(inside)]
        labels.append([row[i] if i in set(places) else IGNORED for i in range(len(row))])
        for i in places:
            row[i] = _hidden(row[i], rng, vocabulary)
        rows.append(row)
    return Batch(pad(rows, PAD), pad(labels, IGNORED))


def _hidden(token: int, rng: random.Random, vocabulary: int) -> int:
    """What stands in the place of a token that MLM predicts."""
    kind = rng.random()
    if kind < 0.8:
        return MASK
    return rng.randrange(len(SPECIALS), vocabulary) if kind < 0.9 else token


MAKERS = {"2-LM": denoising, "2-MT": translation, "CLM": causal, "TLM": translation_causal}
"""The objectives' batch makers, but for MLM, whose random tokens need the size of the vocabulary."""


def _double(sources: list[list[int]], targets: list[list[int]]) -> Batch:
    shifted = _next_token(targets)
    return Batch(shifted.ids, shifted.labels, pad(sources, PAD))


def _next_token(rows: list[list[int]]) -> Batch:
    """Rows without their last token, and as labels each next one."""
    return Batch(pad([row[:-1] for row in rows], PAD), pad([row[1:] for row in rows], IGNORED))


# Noise ----------------------------------------------------------------------------------------------------------------


def noised(sentences: Sequence[tuple[int, ...]], noise: Noise, rng: random.Random) -> list[int]:
    """A document's ids with noise, between <s> and </s>."""
    order = list(sentences)
    if noise.permuted:
        rng.shuffle(order)
    ids = infilled([token for sentence in order for token in sentence], noise, rng)
    if noise.rotated and rng.random() < noise.rotated and len(ids) > 1:
        start = rng.randrange(len(ids))
        ids = ids[start:] + ids[:start]
    return [START, *ids, END]


def infilled(ids: list[int], noise: Noise, rng: random.Random) -> list[int]:
    """Text infilling: spans whose length is drawn from a Poisson distribution become one mask each, until about the
    share `noise.masked` of the tokens is gone; a span of length 0 puts a mask between two tokens. Masks do not touch.

    All lengths are drawn before places are found for them: to draw a span again because it does not fit, where others
    lie already, would make spans shorter than the distribution has them.
    """
    sizes = span_lengths(round(noise.masked * len(ids)), len(ids), noise.span, rng)
    kept = len(ids) - sum(sizes)
    sizes = sizes[: kept + 1]  # between two masks a token must be left
    slots = sorted(rng.sample(range(kept + 1), len(sizes)))  # each mask stands after so many of the kept tokens
    found: list[int] = []
    at = told = 0
    for slot, size in zip(slots, sizes, strict=True):
        found += [*ids[at : at + slot - told], MASK]
        at += slot - told + size
        told = slot
    return found + ids[at:]


def span_lengths(wanted: int, most: int, mean: float, rng: random.Random) -> list[int]:
    """Poisson lengths in random order whose sum is `wanted` tokens on average, and at most `most`.

    The last one would often go too far. It is kept whole or left out by chance, so that neither the share of masked
    tokens nor the lengths are biased; cut to fit, it would be too short. InputError for a mean of 0 or less.
    """
    if mean <= 0:
        raise InputError(f"mean span length {mean}: use a number above 0")
    sizes: list[int] = []
    total = 0
    while total < wanted:
        size = min(poisson(mean, rng), most - total)
        if total + size > wanted and rng.random() >= (wanted - total) / size:
            break
        sizes.append(size)
        total += size
    rng.shuffle(sizes)
    return sizes


def poisson(mean: float, rng: random.Random) -> int:
    """A Poisson number (Knuth 1969: products of uniform numbers)."""
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count, product = count + 1, product * rng.random()
    return count
