"""Reviews with 1-5 stars from the bank, by a seed: labelled originals, their gold renderings, and parallel text.

The dials stand in `Dials` and in data/mini/README.md. Nothing here looks at a model's result.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256

from xltlib.corpora.bank import MINI, Bank, bank, partition, plain, slotted
from xltlib.languages import REVIEW_LANGUAGES


@dataclass(frozen=True)
class Dials:
    """The generating rules' numbers. Changing one changes the corpus and its hash."""

    idiom_share: float = 0.5  # chance that a part of an original is in the language's own words
    label_noise: float = 0.05  # chance that a star rating is moved by one
    typo_share: float = 0.2  # chance that a review holds one typo
    bitext_idiom_share: float = 0.25  # share of a language's own templates that the bitext holds, on the source side
    clause_counts: tuple[float, ...] = (0.25, 0.45, 0.30)  # chance of one, two, three clauses
    opening: float = 0.5
    usage: float = 0.2
    verdict: float = 0.35
    wrapped: float = 0.35  # chance of a hedge or filler around a sentence
    seed: int = 20261


DIALS = Dials()
RULES = 2
"""Version of the generating rules in this file: raise it when the same files and dials give other texts."""
SIZES = {"train": 1600, "validation": 250, "test": 1000}


@dataclass(frozen=True)
class Review:
    """One review. `stars` is the label with noise (1-5), `level` the star rating the text was written for."""

    text: str
    stars: int
    level: int
    contents: tuple = field(repr=False, default=())


def levels_for(stars: int, count: int, rng: random.Random) -> list[int]:
    """Levels of the clauses of a review: the first at the star rating, the others mostly; three stars may be mixed."""
    if stars == 3 and count > 1 and rng.random() < 0.5:
        return rng.sample([2, 4], 2) + [3] * (count - 2)
    near = [level for level in (stars - 1, stars + 1) if 1 <= level <= 5]
    return [stars] + [stars if rng.random() < 0.7 else rng.choice(near) for _ in range(count - 1)]


class Writer:
    """Writes sentences of one language for one split. `own` is the chance of own words, `limit` the share of own
    templates."""

    def __init__(self, bank: Bank, split: str, rng: random.Random, own: float, limit: float = 1.0):
        self.bank, self.split, self.rng, self.own, self.limit = bank, split, rng, own, limit

    def _index(self, items: list) -> int:
        return self.rng.randrange(max(1, round(len(items) * self.limit)))

    def _mine(self) -> bool:
        return self.rng.random() < self.own

    def clause(self, aspect: str, level: int) -> tuple:
        if self._mine():
            group = self.bank.group_of[aspect]
            index = self._index(self.bank.own["idioms"][group][str(level)])
            return ("own_idioms", self.bank.code, group, level, index, aspect)
        return ("literal", aspect, level, self.rng.randrange(2))

    def wrapper(self) -> tuple | None:
        if self.rng.random() >= DIALS.wrapped:
            return None
        if self._mine():
            return ("own_fillers", self.bank.code, self._index(self.bank.own["fillers"]))
        return ("frames", self.rng.choice(list(self.bank.tables["frames"])))

    def connective(self, first: int, second: int) -> tuple | None:
        opposed = (first - 3) * (second - 3) < 0
        if not opposed and self.rng.random() < 0.5:
            return None
        if opposed and self._mine():
            return ("own_contrast", self.bank.code, self._index(self.bank.own["contrast"]))
        table = "contrast" if opposed else "joins"
        return (table, self.rng.choice(list(self.bank.tables[table])))

    def judgements(self, aspects: list[str], levels: list[int]) -> tuple:
        """One sentence over one or two (aspect, level) pairs; a second pair is used only when a connective joins
        them."""
        connective = self.connective(*levels[:2]) if len(levels) > 1 else None
        count = 2 if connective else 1
        clauses = tuple(self.clause(a, level) for a, level in zip(aspects[:count], levels[:count], strict=True))
        return ("say", self.wrapper(), clauses, connective)

    def remark(self, kind: str, product: str, level: int | None = None) -> tuple:
        """An opening, a usage sentence, or a verdict at a level."""
        people, times = list(self.bank.tables["people"]), list(self.bank.tables["times"])
        at = [] if level is None else [level]
        if self._mine():
            items = self.bank.own[kind][str(level)] if at else self.bank.own[kind]
            place = ("own_" + kind, self.bank.code, *at, self._index(items))
        else:
            items = self.bank.tables[kind][str(level)] if at else self.bank.tables[kind]
            place = (kind, *at, self.rng.randrange(len(items)) if at else self.rng.choice(list(items)))
        return slotted(place, product, self.rng.choice(people), self.rng.choice(times), self.bank.code)

    def draw(self, make, *arguments) -> list[tuple]:
        """Draw sentences until one belongs to this writer's split; none if the few that there are all lie elsewhere."""
        for _ in range(300):
            content = make(*arguments)
            if self.bank.partition(content) == self.split:
                return [content]
        return []

    def review(self, stars: int) -> list[tuple]:
        """The contents of one review written for a star rating: at least one judgement, the first at the rating's
        level."""
        rng = self.rng
        product = rng.choice(list(self.bank.products))
        count = rng.choices((1, 2, 3), DIALS.clause_counts)[0]
        aspects, levels = rng.sample(self.bank.aspects_of(product), count), levels_for(stars, count, rng)
        contents = self.draw(self.remark, "openings", product) if rng.random() < DIALS.opening else []
        if rng.random() < DIALS.usage:
            contents += self.draw(self.remark, "usage", product)
        while levels:
            sentence = self.draw(self.judgements, aspects, levels)
            if not sentence:
                return self.review(stars)
            contents += sentence
            used = len(sentence[0][2])
            aspects, levels = aspects[used:], levels[used:]
        if rng.random() < DIALS.verdict:
            contents += self.draw(self.remark, "verdicts", product, stars)
        return contents


def misspell(text: str, bank: Bank, rng: random.Random) -> str:
    """One typo: a pair of the language's list if one applies, else two swapped letters inside a word."""
    pairs = [pair for pair in bank.own["typos"] if pair[0] in text]
    if pairs and rng.random() < 0.7:
        return text.replace(*rng.choice(pairs), 1)
    inner = [i for i in range(1, len(text) - 2) if text[i - 1 : i + 3].isalpha() and bank.space]
    if not inner:
        return text
    i = rng.choice(inner)
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]


@cache
def reviews(code: str, split: str, size: int | None = None) -> tuple[Review, ...]:
    """Labelled originals of a language and split, balanced over star ratings before label noise, in a fixed order."""
    source, size = bank(code), size or SIZES[split]
    rng = random.Random(f"{DIALS.seed}:reviews:{code}:{split}")
    writer = Writer(source, split, rng, DIALS.idiom_share)
    result, seen = [], set()
    while len(result) < size:
        stars = len(result) % 5 + 1
        contents = writer.review(stars)
        text = source.text(contents)
        if text in seen:
            continue
        seen.add(text)
        text = misspell(text, source, rng) if rng.random() < DIALS.typo_share else text
        label = stars
        if rng.random() < DIALS.label_noise:
            label = rng.choice([level for level in (stars - 1, stars + 1) if 1 <= level <= 5])
        result.append(Review(text, label, stars, tuple(contents)))
    return tuple(result)


def gold(review: Review, target: str, split: str | None = None) -> str:
    """The gold rendering: the review's meaning in the target language's plain words. For scoring and as a ceiling,
    never as MT.

    With `split` "train", each sentence takes the first of its equivalent plain wordings that lies in train or
    pretraining, so that gold renderings of training reviews repeat no validation or test sentence; the few sentences
    that have no such wording (overall verdicts, mostly) are left out.
    """
    sentences = [plain(content) for content in review.contents]
    if split is None:
        return bank(target).text(sentences)
    kept = [found for content in sentences if (found := within(content, {split, "pretraining"}))]
    return bank(target).text(kept or sentences)


def within(content: tuple, splits: set[str]) -> tuple | None:
    """The first equivalent wording of plain content that lies in one of the splits, itself if it does; None if none
    does."""
    return next((wording for wording in wordings(content) if partition(repr(wording)) in splits), None)


def wordings(content: tuple) -> Iterator[tuple]:
    """Plain content, then its equivalents: the other variants and hedges of judgements, the other variants of a
    verdict at its level, and, since they say nothing about the rating, every other opening or usage sentence on the
    product."""
    english = bank("en")
    if content[0] == "say":
        _, wrapper, clauses, connective = content
        wrappers = [wrapper, None, *(("frames", name) for name in english.tables["frames"])]
        for flips in itertools.product((0, 1), repeat=len(clauses)):
            turned = tuple((k, a, level, (v + flip) % 2) for (k, a, level, v), flip in zip(clauses, flips, strict=True))
            yield from (("say", choice, turned, connective) for choice in wrappers)
        return
    kind, *place, product, who, when = content
    yield content
    if kind == "verdicts":
        count = len(english.tables[kind][str(place[0])])
        yield from ((kind, place[0], (place[1] + turn) % count, product, who, when) for turn in range(1, count))
        return
    names, people, times = (list(english.tables[table]) for table in (kind, "people", "times"))
    for name, person, time in itertools.product([place[0], *names], [who, *people], [when, *times]):
        yield slotted((kind, name), product, person or people[0], time or times[0])


@cache
def originals(code: str, size: int) -> tuple[str, ...]:
    """Unlabelled originals of the pretraining split: monolingual text for the encoder and the tokenizer."""
    rng = random.Random(f"{DIALS.seed}:monolingual:{code}")
    writer = Writer(bank(code), "pretraining", rng, DIALS.idiom_share)
    texts = (bank(code).text(writer.review(rng.randint(1, 5))) for _ in range(size))
    return tuple(misspell(text, bank(code), rng) if rng.random() < DIALS.typo_share else text for text in texts)


def bitext(split: str, size: int, seed: str = "bitext", own: float = 0.2) -> Iterator[dict[str, str]]:
    """Parallel texts: language -> plain rendering; with chance `own`, the entry 'own' holds a source in its own words.

    Both the source in its own words and the plain rendering belong to `split`, sentence by sentence.

    Own words come from the first `bitext_idiom_share` of each list only: the other idioms are in no bitext, so a
    translator trained on it must fail on them in its own way. Entries 'own' are (language, text).
    """
    rng = random.Random(f"{DIALS.seed}:{seed}:{split}")
    codes = list(REVIEW_LANGUAGES)
    made = 0
    while made < size:
        code = rng.choice(codes)
        mine = rng.random() < own
        writer = Writer(bank(code), split, rng, DIALS.idiom_share if mine else 0.0, DIALS.bitext_idiom_share)
        contents = writer.review(rng.randint(1, 5))
        contents = contents[: rng.randint(1, len(contents))]
        pairs = [(content, within(plain(content), {split})) for content in contents]
        pairs = [(content, meaning) for content, meaning in pairs if meaning]  # both sides lie in the split
        if not pairs:
            continue
        contents, meaning = zip(*pairs, strict=True)
        texts = {target: bank(target).text(meaning) for target in codes}
        made += 1
        yield texts | ({"own": (code, bank(code).text(contents))} if mine else {})


@cache
def corpus_hash() -> str:
    """Twelve hex digits over the bank's files, the rules' version and the dials: a record with another one is out of
    date. A language outside REVIEW_LANGUAGES has no part in it. Sizes do not count: another size is the beginning of
    the same reviews, and a run's settings name it."""
    digest = sha256(repr((RULES, sorted(asdict(DIALS).items()))).encode())
    files = [path for path in MINI.rglob("reviews.toml") if path.parent == MINI or path.parent.name in REVIEW_LANGUAGES]
    for path in sorted(files):
        digest.update(path.relative_to(MINI).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
