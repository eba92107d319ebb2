"""Checks of data/mini/<language>/problems.toml and questions.toml: for whoever corrects a language by hand."""

import random
from collections.abc import Iterator
from pathlib import Path

from xltlib.corpora import questions
from xltlib.corpora.bank import MINI
from xltlib.corpora.problems import NUMBER_SLOTS, ProblemBank, draw_problem, problem_kinds
from xltlib.corpora.statements import CHOICE, FORMS, SLOT, draw, statement_bank
from xltlib.errors import InputError

COUNTED = {*NUMBER_SLOTS, "f"}


def check_problems(code: str, root: Path = MINI) -> None:
    """Check a language's problems and questions against the rules of problems.md; InputError lists the faults."""
    faults = [*problem_faults(code, root), *question_faults(code, root)]
    if faults:
        raise InputError(f"{root / code}: {len(faults)} faults: " + "; ".join(faults[:20]))


def problem_faults(code: str, root: Path = MINI) -> Iterator[str]:
    """What is wrong with a language's word problems, a line each."""
    bank, english = ProblemBank(code, root), ProblemBank("en", root)
    for table in ("objects", "scenes", "facts", "questions", "steps"):
        yield from _keys(bank.tables[table], english.tables[table], f"problems.toml [{table}]")
    for table in ("scenes", "facts", "questions", "steps"):
        for key in english.tables[table].keys() & bank.tables[table].keys():
            yield from _wording_faults(bank.tables[table][key], english.tables[table][key], f"[{table}] {key}", table)
    yield from _unrendered(bank)


def _keys(found: dict, wanted: dict, where: str) -> Iterator[str]:
    if list(found) != list(wanted):
        odd = sorted(set(found) ^ set(wanted))
        yield f"{where}: keys must be those of English in the same order" + (f" ({', '.join(odd)})" if odd else "")


def _wording_faults(entry: dict, english: dict, where: str, table: str) -> Iterator[str]:
    slots = lambda text: {slot for slot, _ in SLOT.findall(text)} | {m[1] for m in CHOICE.finditer(text)}  # noqa: E731
    plain = english["plain"][0]
    people = set.union(*(slots(text) & {"a", "b"} for text in english["plain"] + english["own"]))
    for kind in ("plain", "own"):
        if len(entry.get(kind, [])) < len(english[kind]):
            yield f"{where}: needs {len(english[kind])} wordings or more in {kind!r}"
        for text in entry.get(kind, []):
            if slots(text) & COUNTED != slots(plain) & COUNTED:
                yield f"{where}: numbers must be {', '.join(sorted(slots(plain) & COUNTED))}: {text!r}"
            if not slots(text) & {"a", "b"} <= people:
                yield f"{where}: names people whom English does not: {text!r}"
            if table == "steps" and slots(text) & {"a", "b"} != people:
                yield f"{where}: a step names the same people in all its wordings: {text!r}"
            if text[-1].isalnum() and text.isascii():
                yield f"{where}: no full stop at the end: {text!r}"
    if set(entry["plain"]) & set(entry["own"]):
        yield f"{where}: a wording is both plain and own"


def _unrendered(bank: ProblemBank) -> Iterator[str]:
    rng, told = random.Random(0), set()
    for kind in problem_kinds()["kinds"]:
        for _ in range(40):
            problem = draw_problem(kind, rng, "train")
            try:
                text = bank.solved(problem, lambda entry: rng.choice([*entry["plain"], *entry["own"]]))
            except (InputError, KeyError, IndexError) as error:
                text = None
                fault = f"{kind}: {error}"
            if text and ("{" in text.question + text.solution or "}" in text.question + text.solution):
                fault = f"{kind}: a brace is left: {text.question}"
            elif text:
                continue
            if fault not in told:
                told.add(fault)
                yield fault


def question_faults(code: str, root: Path = MINI) -> Iterator[str]:
    """What is wrong with a language's questions, a line each; an answer that is no span of its statement, for one."""
    table, english, bank = (
        questions.question_table(code, root),
        questions.question_table("en", root),
        statement_bank(code),
    )
    yield from _keys(table, english, "questions.toml")
    rng = random.Random(0)
    for action in english.keys() & table.keys():
        yield from _keys(table[action], english[action], f"questions.toml [{action}]")
        for slot in english[action].keys() & table[action].keys():
            for number, template in enumerate(table[action][slot]):
                where = f"questions.toml [{action}] {slot}"
                if slot in {name for name, _ in SLOT.findall(template)}:
                    yield f"{where}: names what it asks for: {template!r}"
                statement = draw(action, rng, 1, 1)
                try:
                    asked = questions.ask(code, statement, slot, number)
                    for form in (*FORMS[:2], *range(len(bank.tables["actions"][action]["own"]))):
                        sentence, start, answer = questions.located(bank, statement, form, slot)
                        if not answer or sentence[start : start + len(answer)] != answer:
                            yield f"{where}: the answer is no span of {sentence!r}"
                except InputError as error:
                    yield f"{where}: {error}"
                else:
                    if "{" in asked or (asked[-1] not in "?？" and code != "th"):
                        yield f"{where}: {asked!r} is no question"
