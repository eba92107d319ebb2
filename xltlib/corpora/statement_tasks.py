"""Three tasks from the statement bank: topics of short news, paraphrase pairs, and natural language inference.

The label of a pair must not be guessed from one of its sides, from lengths, or from how many words the sides share. So
in both pair tasks the words are drawn first, without looking at the label, and the label decides only who stands where:
see `paraphrase` and `inference`. tests/test_statements.py measures baselines that see only a side, or only the overlap.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from xltlib.corpora.bank import MINI, read_toml
from xltlib.corpora.statements import FORMS, OPTIONAL, Statement, actions, draw, shared, statement_bank

TOPICS = ("companies", "economy", "government", "markets")
INFERENCE = ("entailment", "neutral", "contradiction")
SIZES = {"train": 2000, "validation": 250, "test": 1000}


@dataclass(frozen=True)
class TaskDials:
    """The generating rules' numbers, as `embedded.Dials` for the reviews."""

    idiom_share: float = 0.5  # chance that a statement is in the language's own words
    label_noise: float = 0.05  # chance that a label is another one
    stray: float = 0.25  # chance that a news text of three or more statements holds one of another topic
    closing: float = 0.4  # chance that a news text ends in a neutral sentence
    hypernym: float = 0.25  # first edition: chance that a pair in inference turns on the kind of object
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


def render(code: str, pieces: tuple[Piece, ...], corrected: bool = True) -> str:
    """Pieces as running text of a language; `corrected`: with the wordings of the labelled tasks."""
    bank = statement_bank(code, corrected)
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
        self.bank, self.split, self.rng = statement_bank(code, corrected=True), split, rng

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
        """Two to four statements of a topic, of three or more maybe one of another topic (so that a topic always has
        most of them), maybe a neutral closing. Nothing is said twice, or both ways, of the same thing."""
        topics = [TOPICS[label]] * self.rng.randint(2, 4)
        if len(topics) > 2 and self.rng.random() < DIALS.stray:
            topics[self.rng.randrange(1, len(topics))] = self.rng.choice([t for t in TOPICS if t != TOPICS[label]])
        told: set[tuple] = set()
        pieces = []
        for topic in topics:
            statement = self.statement(lambda topic=topic: self._event(topic, told))
            told.add(matter(statement))
            pieces.append(self.piece(statement))
        if self.rng.random() < DIALS.closing:
            pieces.append(self.closing())
        return (tuple(pieces),)

    def _event(self, topic: str, told: set[tuple]) -> Statement | None:
        """A plausible statement of a topic, of another matter than those that were told."""
        found = plausible(draw(self.rng.choice(rules()["topics"][topic]), self.rng))
        return None if found is None or matter(found) in told else found

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

        Drawn without looking at the label: the hypothesis, which has a time; the way in which it could be excluded
        (`exclusive`); a time or place of it, the *test slot*; the other statement, which could as well be the told one:
        it can be excluded in the same way and has the same slots. Then:

        - entailment: the told statement says what the hypothesis says, in other words; the other lacks the test slot;
        - neutral: the told statement lacks the test slot, and the other has it, with the hypothesis's value;
        - contradiction: the told statement is about the same event at the same time and place, and excludes the
          hypothesis; what is different (action, number, person) stands in the other, which lacks the test slot.

        So one of two like statements lacks the test slot whatever the label, and all words of a plain hypothesis stand
        in the premise. Who sees only the premise, only the hypothesis or only the overlap sees no label.
        """
        rng = self.rng
        hypothesis = self.statement(self._hypothesis)
        way = rng.choice(exclusive()[hypothesis.action])
        test = rng.choice([slot for slot in OPTIONAL if hypothesis.get(slot)])
        for _ in range(60):
            other = self._other(hypothesis, way, test)
            told, other = self._premise(hypothesis, other, INFERENCE[label], way, test)
            if told.split == other.split == self.split:
                sides, asked = [self.piece(told), self.piece(other)], self.piece(hypothesis)
                while sides[0][2] == asked[2]:  # never the same wording, whatever the label
                    asked = self.piece(hypothesis)
                rng.shuffle(sides)
                return tuple(sides), (asked,)
        return self.inference(label)

    def _hypothesis(self) -> Statement | None:
        """A statement that something can exclude, with its time."""
        return plausible(draw(self.rng.choice(list(exclusive())), self.rng, time=1))

    def _other(self, hypothesis: Statement, way: str, test: str) -> Statement:
        """A statement of other people, places, times and numbers with the same slots as the hypothesis, which stays
        plausible when it takes the hypothesis's time or place."""
        alike = company(hypothesis.action, way)
        while True:
            action = self.rng.choices(list(alike), list(alike.values()))[0]
            found = draw(action, self.rng, place=1, time=1)
            found = found.replace(**{slot: None for slot in OPTIONAL if not hypothesis.get(slot)})
            moved = found.replace(**{test: hypothesis.get(test)})
            apart = not set(dict(found.fills).values()) & set(dict(hypothesis.fills).values())
            if apart and plausible(found) == found and plausible(moved) == moved:
                return found

    def _premise(
        self, hypothesis: Statement, other: Statement, label: str, way: str, test: str
    ) -> tuple[Statement, Statement]:
        """The told statement and the other one."""
        if label == "neutral":
            return hypothesis.replace(**{test: None}), other.replace(**{test: hypothesis.get(test)})
        other = other.replace(**{test: None})
        if label == "entailment":
            return hypothesis, other
        if way == "roles":
            return swapped(hypothesis), other
        if way == "opposite":
            return Statement(other.action, hypothesis.fills), Statement(hypothesis.action, other.fills)
        return hypothesis.replace(**{way: other.get(way)}), other.replace(**{way: hypothesis.get(way)})


def company(action: str, way: str) -> dict[str, float]:
    """The actions that can stand beside one in a premise, and how often: for "opposite" the opposite, else those that
    can be excluded in the same way and have the same time, place and number slots, itself among them. An action that
    can be excluded in two ways comes in half as often, as it does itself."""
    if way == "opposite":
        return {opposite(action): 1.0}
    kind = lambda a: set(actions()[a]) & {*OPTIONAL, "n"}  # noqa: E731
    return {a: 1 / len(ways) for a, ways in exclusive().items() if way in ways and kind(a) == kind(action)}


@cache
def rules() -> dict:
    """What data/mini/statement_tasks.toml says: topics, what is plausible, what excludes what."""
    return read_toml(MINI / "statement_tasks.toml")


@cache
def exclusive() -> dict[str, tuple[str, ...]]:
    """The actions that a hypothesis of inference can have, and the ways in which each can be excluded."""
    return {action: tuple(rule["ways"]) for rule in rules()["exclusive"] for action in rule["actions"]}


def plausible(statement: Statement) -> Statement | None:
    """The statement, without what no news would say of it (the place of an oil price); None when it cannot be mended: a
    yearly figure of a day, a company that is supplied with apples."""
    about, action = rules()["plausible"], statement.action
    if action in about["no_place"]:
        statement = statement.replace(at=None)
    time, thing = statement.get("t"), statement.get("o")
    if time and action in about["measured"] and time not in about["periods"]:
        return None
    if time and action in about["on_a_day"] and time not in about["days"]:
        return None
    if action in about["supplied"] and group_of(thing) not in about["goods"]:
        return None
    return statement


def matter(statement: Statement) -> tuple:
    """What a statement is about, the same for both directions: its action or the opposite, and its first name."""
    opposites = shared()["opposites"]
    action = {v: k for k, v in opposites.items()}.get(statement.action, statement.action)
    names = [value for slot, value in statement.fills if shared()["slots"][slot] in ("companies", "people", "places")]
    return action, *names[:1]


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
