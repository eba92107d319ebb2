"""The statement bank: who did what, where and when, in data/mini/<language>/statements.toml.

One bank for several tasks: topics, paraphrases, inference, and words with parts of speech and names. A statement is
kept as content (an action and what fills its slots) and rendered late, as in `bank`. Every word of the files carries
its part of speech (Universal Dependencies' tags), and names know what they name, so that token labels come for free.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xltlib.corpora.bank import MINI, partition, read_toml
from xltlib.errors import InputError

FORMS = ("main", "front", "turned")
"""Aligned wordings of an action: plain, with time and place first, and with a focus (a cleft, a passive)."""
OPTIONAL = ("at", "t")
TAGS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
    "VERB",
)  # fmt: skip
NAMES = {"people": "PER", "companies": "ORG", "places": "LOC"}
"""Kinds of names and their labels in named-entity recognition."""
TABLES = ("language", "people", "companies", "places", "times", "objects", "actions", "closings", "own_closings")
SLOT = re.compile(r"\{(\w+)(?:\.(\w+))?\}")
CHOICE = re.compile(r"\{(\w+)\?([^}]*)\}")
BLANK = "_"
"""In a language without blanks: a word that is a blank."""


@dataclass(frozen=True)
class Statement:
    """An action and what fills its slots: (slot, id) pairs in the action's order; an empty `at` or `t` is left out."""

    action: str
    fills: tuple[tuple[str, str | int], ...]

    def get(self, slot: str) -> str | int | None:
        """What fills a slot; None when nothing does."""
        return dict(self.fills).get(slot)

    def replace(self, **changes: str | int | None) -> "Statement":
        """The same with other fills; None empties a slot."""
        filled = dict(self.fills) | changes
        return Statement(
            self.action, tuple((s, filled[s]) for s in actions()[self.action] if filled.get(s) is not None)
        )

    @property
    def split(self) -> str:
        """The one split that this statement belongs to, in every language and wording.

        Statements that differ in who has which role, or in telling the same event from the other side, lie in one
        split: a pair of them must not be rarer than a pair of equals.
        """
        action = {v: k for k, v in shared()["converses"].items()}.get(self.action, self.action)
        return partition(repr(("statement", action, sorted(str(value) for _, value in self.fills))))


@dataclass(frozen=True)
class Word:
    """A word of a rendering: its text, its part of speech, and the label of the name that it is part of (or "O")."""

    text: str
    tag: str
    name: str = "O"


@cache
def shared(root: Path = MINI) -> dict:
    """What all languages share: names, groups, slots, actions by domain, opposites."""
    return read_toml(root / "statements.toml")


@cache
def actions(root: Path = MINI) -> dict[str, tuple[str, ...]]:
    """Every action's slots."""
    return {action: tuple(slots) for domain in shared(root)["domains"].values() for action, slots in domain.items()}


class StatementBank:
    """One language's statements. `corrected`: with what corrections.toml puts in the place of entries: the wordings of
    the labelled tasks. Without, as the checkpoints read them in pretraining."""

    def __init__(self, code: str, root: Path = MINI, corrected: bool = False):
        self.code, self.root, self.path = code, root, root / code / "statements.toml"
        self.tables = read_toml(self.path)
        if corrected and (found := root / code / "corrections.toml").exists():
            self.tables = _corrected(self.tables, read_toml(found), found)
            self.path = found
        missing = [table for table in TABLES if table not in self.tables]
        if missing:
            raise InputError(f"{self.path}: table [{missing[0]}] is missing; see data/mini/statements.md for the shape")
        about = self.tables["language"]
        self.stop, self.space, self.genders = about["stop"], about["space"], about["genders"]

    def entry(self, slot: str, value: str | int) -> dict:
        """The forms of what fills a slot."""
        kind = shared(self.root)["slots"][slot]
        try:
            return self.tables[kind][value]
        except KeyError:
            raise InputError(f"{self.path}: [{kind}] lacks {value!r}") from None

    def words(self, statement: Statement, form: str | int = "main") -> list[Word]:
        """A statement's words in one of FORMS, or in the language's own wording number `form`. No capital, no stop."""
        return self.words_and_slots(statement, form)[0]

    def words_and_slots(self, statement: Statement, form: str | int = "main") -> tuple[list[Word], dict[str, range]]:
        """`words`, and for each filled slot of the template which of the words fill it."""
        templates = self.tables["actions"][statement.action]
        template = templates["own"][form] if isinstance(form, int) else templates[form]
        words: list[Word] = []
        places: dict[str, range] = {}
        for part in self._parts(template, statement):
            found, slot = list(self._part(part, statement, "")), SLOT.fullmatch(part)
            if slot and found:
                places[slot[1]] = range(len(words), len(words) + len(found))
            words += found
        return words, places

    def filled(self, slot: str, form: str, statement: Statement) -> list[Word]:
        """The words of what fills a slot, in a form; none when it is empty."""
        value = statement.get(slot)
        return [] if value is None else list(self._filled(slot, value, form, statement))

    def agreed(self, template: str, statement: Statement) -> str:
        """A template whose words agree with the statement's names."""
        return CHOICE.sub(lambda match: self._agreed(match, statement), template)

    def _parts(self, template: str, statement: Statement) -> list[str]:
        return self.agreed(template, statement).split()

    def _expand(self, template: str, statement: Statement, kind: str) -> Iterator[Word]:
        for part in self._parts(template, statement):
            yield from self._part(part, statement, kind)

    def _part(self, part: str, statement: Statement, kind: str) -> Iterator[Word]:
        slot = SLOT.fullmatch(part)
        if slot is None:
            yield self._word(part, statement, kind)
        elif slot[1] == "n":
            yield Word(str(statement.get("n")), "NUM")
        elif (value := statement.get(slot[1])) is not None:
            yield from self._filled(slot[1], value, slot[2], statement)

    def _filled(self, slot: str, value: str | int, form: str, statement: Statement) -> Iterator[Word]:
        forms, kind = self.entry(slot, value), shared(self.root)["slots"][slot]
        if form not in forms:
            raise InputError(f"{self.path}: [{kind}] {value}: form {form!r} is missing")
        label, first = NAMES.get(kind, ""), True
        for word in self._expand(forms[form], statement, kind):
            if label and word.tag == "PROPN":
                word, first = Word(word.text, word.tag, f"{'B' if first else 'I'}-{label}"), False
            yield word

    def _word(self, part: str, statement: Statement, kind: str) -> Word:
        text, _, tag = part.rpartition("/")
        if not text:  # names may leave their tag out
            text, tag = part, "PROPN" if kind in NAMES else ""
        if tag not in TAGS:
            raise InputError(f"{self.path}: {part!r} needs a part of speech after a slash, such as {part}/NOUN")
        return Word(SLOT.sub(lambda match: str(statement.get(match[1])), text), tag)

    def _agreed(self, match: re.Match, statement: Statement) -> str:
        """{a?er|sie}: the form for the gender of what fills the slot, in the order of the language's `genders`."""
        slot, options = match[1], match[2].split("|")
        gender = self.entry(slot, statement.get(slot)).get("g")
        if gender not in self.genders or len(options) != len(self.genders):
            raise InputError(f"{self.path}: {match[0]} needs one form for each of {', '.join(self.genders)}")
        return options[self.genders.index(gender)]

    def phrase(self, table: str, key: str | int) -> list[Word]:
        """The words of a closing ("closings", its key) or of an own one ("own_closings", its number)."""
        texts = self.tables[table]["texts"] if table == "own_closings" else self.tables[table]
        return [self._word(part, Statement("", ()), "") for part in texts[key].split()]

    def text(self, words: Sequence[Word], whole: bool = True) -> str:
        """Words as running text; `whole`: with a capital and a full stop."""
        text = ""
        for word in words:
            glued = not text or word.tag == "PUNCT" or word.text[0] in "'’-" or text[-1] in "'’"
            text += " " if word.text == BLANK else word.text if glued else self.space + word.text
        text = " ".join(text.split()) if " " in text else text
        return text[:1].upper() + text[1:] + self.stop if whole else text

    def sentence(self, statement: Statement, form: str | int = "main") -> str:
        """A statement as a sentence."""
        return self.text(self.words(statement, form)).strip()


def _corrected(tables: dict, changes: dict, path: Path) -> dict:
    """Tables with changed entries; of an action only the wordings that are given change. InputError for an entry that
    replaces nothing."""
    result = dict(tables)
    for table, entries in changes.items():
        spare = [key for key in entries if key not in tables.get(table, {})]
        if table not in tables or spare:
            name = f"[{table}]" if table not in tables else f"[{table}] {spare[0]}"
            raise InputError(f"{path}: {name} is not in statements.toml, so there is nothing to correct")
        if table == "actions":
            entries = {action: tables[table][action] | wordings for action, wordings in entries.items()}
        result[table] = tables[table] | entries
    return result


@cache
def statement_bank(code: str, corrected: bool = False) -> StatementBank:
    """The statement bank of a language, read once."""
    return StatementBank(code, corrected=corrected)


def draw(action: str, rng: random.Random, place: float = 0.5, time: float = 0.6) -> Statement:
    """A random statement: different names in slots of one kind; `at` and `t` filled with these chances."""
    about, fills, used = shared(), {}, set()
    for slot in actions()[action]:
        if slot in OPTIONAL and rng.random() >= (place if slot == "at" else time):
            continue
        kind = about["slots"][slot]
        if kind == "numbers":
            fills[slot] = rng.choice(about["numbers"])
            continue
        choices = (
            [o for group in about["groups"].values() for o in group] if kind == "objects" else about["names"][kind]
        )
        fills[slot] = rng.choice([name for name in choices if name not in used])
        used.add(fills[slot])
    return Statement(action, tuple(fills.items()))
