"""Word problems with solutions in steps, in data/mini/<language>/problems.toml: the GSM8K and MGSM of scale mini.

As with reviews and statements, a problem is kept as content (a kind, people, a thing, numbers) and rendered late, so
that the same problem exists in every language: literally (`plain`), or as a person would put it (`own`).
"""

import operator
import random
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from xltlib.corpora.bank import MINI, partition, read_toml
from xltlib.corpora.statements import CHOICE, SLOT, StatementBank, shared, statement_bank
from xltlib.errors import InputError

RULES = 1
"""Version of the generating rules: raise it when the same files and dials give other texts."""
PROBLEM_LANGUAGES = ("en", "de", "ru", "zh", "th")
TABLES = ("language", "objects", "scenes", "facts", "questions", "steps")
SIZES = {"train": 1000, "validation": 200, "test": 250}
OPERATIONS: dict[str, Callable[[int, int], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip
NUMBER_SLOTS = ("x", "y", "z", "k", "p", "m")


@dataclass(frozen=True)
class ProblemDials:
    """The generating rules' numbers, as `embedded.Dials` for the reviews."""

    own_share: float = 0.5  # chance that a sentence of an original is in the language's own words
    scene: float = 0.5  # chance of an opening without numbers
    seed: int = 20263


DIALS = ProblemDials()


@dataclass(frozen=True)
class Problem:
    """A problem's content: its kind, an opening or "", two people, a thing, and numbers as (slot, value) pairs."""

    kind: str
    scene: str
    a: str
    b: str
    o: str
    numbers: tuple[tuple[str, int], ...]

    @property
    def split(self) -> str:
        """The one split that this problem belongs to, in every language and wording, whoever the people are."""
        return partition(repr(("problem", self.kind, self.o, self.numbers)))

    @property
    def steps(self) -> list[tuple[str, str, int]]:
        """(key of the sentence, formula with its result, result) of each step."""
        values, found = dict(self.numbers), []
        for key, formula in problem_kinds()["kinds"][self.kind]["steps"]:
            left, sign, right = formula.split()
            one, two = (int(part) if part.isdigit() else values[part] for part in (left, right))
            result = OPERATIONS[sign](one, two)
            if result != int(result) or result < 1:
                raise ValueError(f"{formula} of {values} is no count")
            values["r"] = int(result)
            found.append((key, f"{one} {sign} {two} = {values['r']}", values["r"]))
        return found

    @property
    def answer(self) -> int:
        """The number asked for."""
        return self.steps[-1][2]

    @property
    def parts(self) -> list[tuple[str, str]]:
        """(table, key) of each sentence of the problem's text."""
        kind = problem_kinds()["kinds"][self.kind]
        opening = [("scenes", self.scene)] if self.scene else []
        return [*opening, *(("facts", key) for key in kind["facts"]), ("questions", kind["question"])]


@dataclass(frozen=True)
class Solved:
    """A problem in words: its text, its solution (a line a step, the answer alone on the last one), the answer."""

    question: str
    solution: str
    answer: int
    content: Problem


Choose = Callable[[dict], str]
"""Chooses a wording among an entry's lists `plain` and `own`."""


@cache
def problem_kinds(root: Path = MINI) -> dict:
    """What all languages share: things, openings, numbers, kinds."""
    return read_toml(root / "problems.toml")


class ProblemBank:
    """One language's word problems."""

    def __init__(self, code: str, root: Path = MINI):
        self.code, self.path = code, root / code / "problems.toml"
        self.tables, self.people = read_toml(self.path), statement_bank(code)
        missing = [table for table in TABLES if table not in self.tables]
        if missing:
            raise InputError(f"{self.path}: table [{missing[0]}] is missing; see data/mini/problems.md for the shape")
        self.space, self.request = self.tables["language"]["space"], self.tables["language"]["request"]

    def sentence(self, template: str, problem: Problem, formula: str = "") -> str:
        """A template with the problem's people, thing and numbers in it."""
        genders = self.people.genders

        def agreed(match: re.Match) -> str:
            gender = self.people.tables["people"][getattr(problem, match[1])]["g"]
            return match[2].split("|")[genders.index(gender)]

        def filled(match: re.Match) -> str:
            slot, form = match[1], match[2]
            if slot == "f":
                return formula
            if slot in NUMBER_SLOTS:
                return str(dict(problem.numbers)[slot])
            return self._form(slot, getattr(problem, slot), form)

        return SLOT.sub(filled, CHOICE.sub(agreed, template))

    def _form(self, slot: str, value: str, form: str) -> str:
        forms = self.tables["objects"][value] if slot == "o" else self.people.tables["people"][value]
        if form not in forms:
            raise InputError(f"{self.path}: {value}: form {form!r} is missing")
        return plain_text(forms[form], self.people) if slot != "o" else forms[form]

    def solved(self, problem: Problem, choose: Choose) -> Solved:
        """The problem and its solution in this language, each sentence in the wording that `choose` takes."""
        text = self.space.join(
            self.sentence(choose(self.tables[table][key]), problem) for table, key in problem.parts
        )  # fmt: skip
        lines = [
            self.sentence(choose(self.tables["steps"][key]), problem, formula) for key, formula, _ in problem.steps
        ]
        return Solved(text, "\n".join([*lines, str(problem.answer)]), problem.answer, problem)


@cache
def problem_bank(code: str) -> ProblemBank:
    """The word problems of a language, read once; InputError when there are none."""
    if code not in PROBLEM_LANGUAGES:
        raise InputError(f"there are no word problems in {code!r}: use one of {', '.join(PROBLEM_LANGUAGES)}")
    return ProblemBank(code)


def plain_text(form: str, bank: StatementBank) -> str:
    """A form of the statement bank as text, its parts of speech taken away."""
    return bank.space.join(part.rpartition("/")[0] or part for part in form.split())


def literal(entry: dict) -> str:
    """The plainest wording."""
    return entry["plain"][0]


def as_written(rng: random.Random) -> Choose:
    """Originals: one of the language's own wordings with the chance of the dial, else a plain one."""
    return lambda entry: rng.choice(entry["own" if rng.random() < DIALS.own_share else "plain"])


def as_known(rng: random.Random) -> Choose:
    """As `as_written`, but of the own wordings the first half alone: what parallel text knows of a language."""
    return lambda entry: rng.choice(
        entry["own"][: max(1, len(entry["own"]) // 2)] if rng.random() < DIALS.own_share else entry["plain"]
    )


def draw_problem(kind: str, rng: random.Random, split: str) -> Problem:
    """A random problem of a kind and split, all of whose counted things are numbers that every language can count."""
    about, people = problem_kinds(), shared()["names"]["people"]
    counts = set(about["counts"])
    needed = [slot for slot in NUMBER_SLOTS if slot in _slots(kind)]
    while True:
        numbers = tuple((slot, rng.choice(about["slots"][slot])) for slot in needed)
        a, b = rng.sample(people, 2)
        scene = rng.choice(about["scenes"]) if rng.random() < DIALS.scene else ""
        found = Problem(kind, scene, a, b, rng.choice(about["objects"]), numbers)
        if found.split != split:
            continue
        try:
            results = [result for _, _, result in found.steps]
        except ValueError:
            continue
        if set(results) <= counts:
            return found


@cache
def _slots(kind: str) -> frozenset[str]:
    """The number slots that a kind's English facts name."""
    bank = ProblemBank("en")
    return frozenset(
        slot
        for key in problem_kinds()["kinds"][kind]["facts"]
        for slot, _ in SLOT.findall(bank.tables["facts"][key]["plain"][0])
        if slot in NUMBER_SLOTS
    )


@cache
def contents(split: str, size: int) -> tuple[Problem, ...]:
    """Problems of a split, the kinds in turn, no two alike, in a fixed order: the same for every language."""
    rng, kinds = random.Random(f"{DIALS.seed}:problems:{split}"), list(problem_kinds()["kinds"])
    found: dict[Problem, None] = {}
    while len(found) < size:
        found.setdefault(draw_problem(kinds[len(found) % len(kinds)], rng, split))
    return tuple(found)


@cache
def problems(code: str, split: str, size: int | None = None) -> tuple[Solved, ...]:
    """A split's word problems as a writer of this language would put them; the same contents in every language."""
    rng, bank = random.Random(f"{DIALS.seed}:wordings:{code}:{split}"), problem_bank(code)
    return tuple(bank.solved(content, as_written(rng)) for content in contents(split, size or SIZES[split]))


@cache
def problems_hash() -> str:
    """Twelve hex digits over the files of problems and questions, the statements' names, the rules and the dials."""
    digest = sha256(repr((RULES, sorted(asdict(DIALS).items()))).encode())
    names = ("problems.toml", "questions.toml", "statements.toml")
    codes = [MINI, *(MINI / code for code in PROBLEM_LANGUAGES)]
    for path in (folder / name for folder in codes for name in names):
        if path.exists():
            digest.update(path.relative_to(MINI).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
