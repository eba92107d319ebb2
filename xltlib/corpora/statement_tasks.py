"""Three tasks from the statement bank: topics of short news, paraphrase pairs, and natural language inference.

The label of a pair must not be guessed from one of its sides, from lengths, or from how many words the sides share. So
in both pair tasks the words are drawn first, without looking at the label, and the label decides only who stands where:
see `paraphrase` and `inference`. tests/test_statements.py measures baselines that see only a side, or only the overlap.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from xltlib.corpora.statements import FORMS, OPTIONAL, Statement, actions, draw, shared, statement_bank

TOPICS = ("companies", "economy", "government", "markets")
INFERENCE = ("entailment", "neutral", "contradiction")
SIZES = {"train": 2000, "validation": 250, "test": 1000}


@dataclass(frozen=True)
class TaskDials:
    """The generating rules' numbers, as `embedded.Dials` for the reviews."""

    idiom_share: float = 0.5  # chance that a statement is in the language's own words
    label_noise: float = 0.05  # chance that a label is another one
    stray: float = 0.25  # chance that a news text holds one statement of another topic
    closing: float = 0.4  # chance that a news text ends in a neutral sentence
    hypernym: float = 0.25  # chance that a pair in inference turns on the kind of object
    seed: int = 20262


DIALS = TaskDials()
Piece = tuple  # ("statement", Statement, form) or ("closing" or "own_closing", key)


@dataclass(frozen=True)
class Example:
    """One example: one text (topics) or two, its label (0-based, with noise), and the content of each text."""

    texts: tuple[str, ...]
    label: int
    clean: int
    pieces: tuple[tuple[Piece, ...], ...] = field(repr=False, default=())


def render(code: str, pieces: tuple[Piece, ...]) -> str:
    """Pieces as running text of a language."""
    bank = statement_bank(code)
    sentences = []
    for kind, content, *form in pieces:
        if kind == "statement":
            words = bank.words(content, form[0])
        else:
            words = bank.phrase("closings" if kind == "closing" else "own_closings", content)
        sentences.append(bank.text(words))
    return bank.space.join(sentences).strip()  # Thai ends a sentence with a blank


def plain_pieces(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """The aligned pieces with the same meaning: own wordings become the plain one, own closings some plain closing."""
    keys = list(statement_bank("en").tables["closings"])
    result = []
    for kind, content, *form in pieces:
        if kind == "statement":
            result.append((kind, content, "main" if isinstance(form[0], int) else form[0]))
        else:
            result.append(("closing", keys[content % len(keys)] if kind == "own_closing" else content))
    return tuple(result)


def gold(example: Example, target: str) -> tuple[str, ...]:
    """The example's texts in the target language's plain words: for scoring and as a ceiling, never as MT."""
    return tuple(render(target, plain_pieces(pieces)) for pieces in example.pieces)


class TaskWriter:
    """Draws statements of one split and words them in one language."""

    def __init__(self, code: str, split: str, rng: random.Random):
        self.bank, self.split, self.rng = statement_bank(code), split, rng

    def statement(self, make: Callable[[], Statement | None]) -> Statement | None:
        """What `make` draws, drawn until it belongs to the split; None when it never does."""
        for _ in range(400):
            found = make()
            if found is not None and found.split == self.split:
                return found
        return None

    def form(self, statement: Statement) -> str | int:
        """A wording: one of the language's own with the chance of the dial, else one of the aligned ones."""
        if self.rng.random() < DIALS.idiom_share:
            return self.rng.randrange(len(self.bank.tables["actions"][statement.action]["own"]))
        return self.rng.choice([form for form in FORMS if form != "front" or statement.get("t")])

    def piece(self, statement: Statement) -> Piece:
        """A statement in some wording."""
        return ("statement", statement, self.form(statement))

    def closing(self) -> Piece:
        """A neutral sentence."""
        if self.rng.random() < DIALS.idiom_share:
            return ("own_closing", self.rng.randrange(len(self.bank.tables["own_closings"]["texts"])))
        return ("closing", self.rng.choice(list(self.bank.tables["closings"])))

    # Topics -----------------------------------------------------------------------------------------------------------

    def news(self, label: int) -> tuple[tuple[Piece, ...], ...]:
        """Two to four statements of a topic, maybe a stray one of another topic, maybe a neutral closing."""
        topics = [TOPICS[label]] * self.rng.randint(2, 4)
        if self.rng.random() < DIALS.stray:
            topics[self.rng.randrange(1, len(topics))] = self.rng.choice([t for t in TOPICS if t != TOPICS[label]])
        pieces = []
        for topic in topics:
            choices = list(shared()["domains"][topic])
            pieces.append(self.piece(self.statement(lambda c=choices: draw(self.rng.choice(c), self.rng))))
        if self.rng.random() < DIALS.closing:
            pieces.append(self.closing())
        return (tuple(pieces),)

    # Paraphrases ------------------------------------------------------------------------------------------------------

    def paraphrase(self, label: int) -> tuple[tuple[Piece, ...], ...]:
        """Two wordings of an action with two like names; label 1: the same roles, label 0: the roles are swapped.

        Action, names and both wordings are drawn without looking at the label. For an action with a converse (buy and
        sell) the second side may be the converse, whose roles are swapped when both sides mean the same.
        """
        rng = self.rng
        action = rng.choice([action for action in actions() if swappable(action)])
        first = self.statement(lambda: draw(action, rng))
        other = converse(action) if rng.random() < 0.5 else None
        second = swapped(first) if (label == 0) != bool(other) else first
        second = Statement(other, second.fills) if other else second
        forms = [self.form(first), self.form(second)]
        while forms[0] == forms[1]:  # never the same wording, whatever the label
            forms = [self.form(first), self.form(second)]
        return (("statement", first, forms[0]),), (("statement", second, forms[1]),)

    # Inference --------------------------------------------------------------------------------------------------------

    def inference(self, label: int) -> tuple[tuple[Piece, ...], ...]:
        """A premise of two statements (in any order), and a hypothesis about one of them, "the told one".

        Drawn without looking at the label: the hypothesis; a time or place of it, the *test slot*; whether the other
        statement has the opposite action; whether both statements of the premise fill a second slot. Then:

        - entailment: the told statement says all that the hypothesis says; the other lacks the test slot;
        - neutral: the told statement lacks the test slot, and the other has it, with the hypothesis's value;
        - contradiction: the other statement has the action, second slot or number of the hypothesis and the told one
          does not, or the told one has the roles swapped; the other lacks the test slot.

        So one of two statements lacks the test slot whatever the label, and all words of a plain hypothesis stand in
        the premise. Who sees only the premise, only the hypothesis or only the overlap sees no label.
        """
        rng = self.rng
        hypothesis = self.statement(self._hypothesis)
        filled = [slot for slot in OPTIONAL if hypothesis.get(slot)]
        test = rng.choice(filled)
        second = next((slot for slot in filled if slot != test and rng.random() < 0.5), None)
        against = opposite(hypothesis.action) if rng.random() < 0.5 else None
        for _ in range(60):
            told, other = self._premise(hypothesis, INFERENCE[label], test, second, against)
            if told.split == other.split == self.split:
                sides = [self.piece(told), self.piece(other)]
                rng.shuffle(sides)
                return tuple(sides), (self.piece(hypothesis),)
        return self.inference(label)

    def _hypothesis(self) -> Statement | None:
        """A statement from which each label can follow: with a time or place, and with a number or two roles."""
        choices = [a for a, slots in actions().items() if "n" in slots or swappable(a)]
        found = draw(self.rng.choice(choices), self.rng)
        if not any(found.get(slot) for slot in OPTIONAL):
            return None
        if found.get("o") and self.rng.random() < DIALS.hypernym:
            found = found.replace(o=group_of(found.get("o")))
        return found

    def _premise(
        self, hypothesis: Statement, label: str, test: str, second: str | None, against: str | None
    ) -> tuple[Statement, Statement]:
        """The told statement and the other one."""
        told = self._more(hypothesis)
        other = self._other(told, against or self._like(told.action)).replace(**{test: None})
        if second:
            other = other.replace(**{second: self._another(second, told)})
        if label == "neutral":
            return told.replace(**{test: None}), other.replace(**{test: hypothesis.get(test)})
        if label == "entailment":
            return told, other
        if against:
            return Statement(against, told.fills), Statement(hypothesis.action, other.fills)
        ways = [way for way in (second, "n") if way and hypothesis.get(way)] + ["roles"] * bool(swappable(told.action))
        way = self.rng.choice(ways)
        if way == "roles":
            return swapped(told), other
        return told.replace(**{way: other.get(way)}), other.replace(**{way: hypothesis.get(way)})

    def _more(self, hypothesis: Statement) -> Statement:
        """The hypothesis as the premise tells it: the thing itself, and maybe a time or place more."""
        told, thing = hypothesis, hypothesis.get("o")
        for slot in actions()[told.action]:
            if slot in OPTIONAL and not told.get(slot) and self.rng.random() < 0.6:
                told = told.replace(**{slot: self._another(slot, told)})
        groups = shared()["groups"]
        return told.replace(o=self.rng.choice(groups[thing])) if thing in groups else told

    def _like(self, action: str) -> str:
        """Another action with the same time, place, number and object slots."""
        kind = lambda a: set(actions()[a]) & {*OPTIONAL, "n", "o"}  # noqa: E731
        return self.rng.choice([a for a in actions() if a != action and kind(a) == kind(action)])

    def _other(self, told: Statement, action: str) -> Statement:
        """A statement of other people, places, times and numbers."""
        while True:
            found = draw(action, self.rng)
            if not set(dict(found.fills).values()) & set(dict(told.fills).values()):
                return found

    def _another(self, slot: str, told: Statement) -> str:
        """Another filler of a slot than any in a statement."""
        return self.rng.choice(
            [v for v in shared()["names"][shared()["slots"][slot]] if v not in dict(told.fills).values()]
        )


def swappable(action: str) -> tuple[str, str] | None:
    """The two slots of an action that hold names of one kind in different roles."""
    for pair in (("a", "b"), ("c", "d"), ("p", "q")):
        if set(pair) <= set(actions()[action]):
            return pair
    return None


def swapped(statement: Statement) -> Statement:
    """The same with the roles of its two like names exchanged."""
    one, two = swappable(statement.action)
    return statement.replace(**{one: statement.get(two), two: statement.get(one)})


def converse(action: str) -> str | None:
    """The action that tells the same event from the other side."""
    table = shared()["converses"]
    return table.get(action) or {v: k for k, v in table.items()}.get(action)


def opposite(action: str) -> str | None:
    """The action that excludes this one."""
    table = shared()["opposites"]
    return table.get(action) or {v: k for k, v in table.items()}.get(action)


def group_of(thing: str) -> str:
    """The word for all of a thing's group."""
    return next(group for group, members in shared()["groups"].items() if thing in members)


TASKS: dict[str, tuple[int, Callable[[TaskWriter, int], tuple]]] = {
    "topics": (len(TOPICS), TaskWriter.news),
    "paraphrase": (2, TaskWriter.paraphrase),
    "inference": (len(INFERENCE), TaskWriter.inference),
}
"""Each task's number of classes and how an example of a class is made."""


@cache
def examples(task: str, code: str, split: str, size: int | None = None) -> tuple[Example, ...]:
    """A task's labelled originals of a language and split, balanced before label noise, in a fixed order."""
    classes, make = TASKS[task]
    rng = random.Random(f"{DIALS.seed}:{task}:{code}:{split}")
    writer, result, seen = TaskWriter(code, split, rng), [], set()
    while len(result) < (size or SIZES[split]):
        clean = len(result) % classes
        pieces = make(writer, clean)
        texts = tuple(render(code, side) for side in pieces)
        if texts in seen:
            continue
        seen.add(texts)
        noisy = rng.random() < DIALS.label_noise
        label = rng.choice([k for k in range(classes) if k != clean]) if noisy else clean
        result.append(Example(texts, label, clean, pieces))
    return tuple(result)


@cache
def parallel_inference(code: str, split: str, size: int) -> tuple[tuple[tuple[str, str], int], ...]:
    """((premise, hypothesis), label) of inference, without label noise: the same contents in every language, each
    worded as a writer of that language would put it. XNLI's shape; `examples` has contents of its own a language."""
    writer = TaskWriter(code, split, random.Random(f"{DIALS.seed}:parallel wordings:{code}:{split}"))
    return tuple(
        (tuple(render(code, tuple(writer.piece(statement) for _, statement, _ in side)) for side in pieces), label)
        for pieces, label in _inference_contents(split, size)
    )


@cache
def _inference_contents(split: str, size: int) -> tuple[tuple[tuple[tuple[Piece, ...], ...], int], ...]:
    writer = TaskWriter("en", split, random.Random(f"{DIALS.seed}:parallel inference:{split}"))
    labels = [i % len(INFERENCE) for i in range(size)]
    return tuple((writer.inference(label), label) for label in labels)
