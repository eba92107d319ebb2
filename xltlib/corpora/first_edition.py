"""The first edition of news and inference: what the shipped checkpoints read in pretraining, without labels.

A checkpoint's text never changes. So these rules stay as they were, with the wordings of statements.toml alone, while
the labelled tasks have newer ones (`statement_tasks`). What is wrong with them is harmless here: a text whose topic
hangs on the order of its statements, or two sentences that do not exclude each other, are text all the same.
"""

import random
from functools import partial

from xltlib.corpora.statement_tasks import (
    DIALS,
    INFERENCE,
    TOPICS,
    Piece,
    TaskWriter,
    group_of,
    opposite,
    render,
    swappable,
    swapped,
)
from xltlib.corpora.statements import OPTIONAL, Statement, actions, draw, shared, statement_bank

render_first = partial(render, corrected=False)
"""`statement_tasks.render` with the wordings of the first edition."""


class FirstWriter(TaskWriter):
    """`TaskWriter` with the rules and wordings of the first edition."""

    def __init__(self, code: str, split: str, rng: random.Random):
        super().__init__(code, split, rng)
        self.bank = statement_bank(code)

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
