"""Questions about statements whose answer is a span of the context: the SQuAD and XQuAD of scale mini.

A context is three statements of three events that share no name, place or time. The question asks for what fills one
slot of one of them, in data/mini/<language>/questions.toml. The answer to a question for a place is its name alone, as
in XQuAD: "Seoul" where the text says "from Seoul".
"""

import random
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from xltlib.corpora.bank import MINI, read_toml
from xltlib.corpora.problems import DIALS, SIZES, problem_bank, problems_hash
from xltlib.corpora.statements import SLOT, Statement, StatementBank, Word, actions, draw, shared, statement_bank
from xltlib.errors import InputError

RULES = 2
"""Version of the questions' own rules, beside `problems.RULES`; 2: the answer to a question for a place is its name."""
CONTEXT = 3
ASKED = ("a", "b", "p", "q", "at", "t")
"""Slots that are asked for."""


@dataclass(frozen=True)
class Asked:
    """Content of an item: the context's statements, the place of the one that is asked about, and the slot."""

    context: tuple[Statement, ...]
    about: int
    slot: str


@dataclass(frozen=True)
class Question:
    """An item in words: the context's sentences, the question, the answer, and where the answer is:
    `sentences[about][start : start + len(answer)] == answer`. `lead`: the characters of a preposition before it."""

    sentences: tuple[str, ...]
    question: str
    answer: str
    about: int
    start: int
    lead: int = 0


@cache
def question_table(code: str, root: Path = MINI) -> dict:
    """A language's questions: action -> slot -> wordings."""
    problem_bank(code)
    return read_toml(root / code / "questions.toml")


def ask(code: str, statement: Statement, slot: str, number: int = 0) -> str:
    """The question for what fills a slot of a statement, in its wording `number` (modulo how many there are)."""
    bank, wordings = statement_bank(code), question_table(code)[statement.action][slot]

    def filled(match) -> str:
        return bank.text(bank.filled(match[1], match[2], statement), whole=False)

    text = SLOT.sub(filled, bank.agreed(wordings[number % len(wordings)], statement))
    return text[:1].upper() + text[1:]


def located(
    bank: StatementBank, statement: Statement, form: str | int, slot: str, phrase: bool = False
) -> tuple[str, int, str]:
    """A statement's sentence, and where in it and as what the filler of a slot stands: of a place its name, in the
    case that the sentence has it in; with `phrase` also the preposition before it."""
    words, places = bank.words_and_slots(statement, form)
    if slot not in places:
        raise InputError(f"{bank.path}: [actions.{statement.action}] {form}: no slot {slot}")
    within = list(places[slot])
    if shared(bank.root)["slots"][slot] == "places" and not phrase:
        within = [i for i in within if words[i].name != "O"]
        if not within:
            raise InputError(f"{bank.path}: [places] {statement.get(slot)}: a form without a word of the name (PROPN)")
    first, last = within[0], within[-1]
    before = bank.text([*words[:first], Word("\x00", "NOUN")], whole=False).replace("\x00", "")
    upto = bank.text(words[: last + 1], whole=False)
    sentence = bank.text(words).strip()
    return sentence, len(before), sentence[len(before) : len(upto)]


def written(
    code: str, asked: Asked, forms: tuple[str | int, ...], number: int = 0, *, phrase: bool = False
) -> Question:
    """The item in a language, each statement in the wording `forms` says; `phrase` as in `located`."""
    bank = statement_bank(code)
    found = [bank.text(bank.words(*pair)).strip() for pair in zip(asked.context, forms, strict=True)]
    about = asked.context[asked.about], forms[asked.about], asked.slot
    _, start, answer = located(bank, *about, phrase)
    lead = start - located(bank, *about, phrase=True)[1]
    question = ask(code, asked.context[asked.about], asked.slot, number)
    return Question(tuple(found), question, answer, asked.about, start, lead)


@cache
def prepositions(code: str) -> tuple[str, ...]:
    """The prepositions of places in a language, the longest first."""
    parts = {
        part for forms in statement_bank(code).tables["places"].values() for f in forms.values() for part in f.split()
    }
    return tuple(sorted((p.removesuffix("/ADP") for p in parts if p.endswith("/ADP")), key=lambda p: (-len(p), p)))


def without_preposition(code: str, phrase: str) -> str:
    """A place without a preposition before it: Rom of "nach Rom"; as it is when it begins with none."""
    space = statement_bank(code).space
    for word in prepositions(code):
        if phrase.lower().startswith(word + space) and (name := phrase[len(word + space) :].strip()):
            return name
    return phrase


def draw_asked(rng: random.Random, split: str) -> Asked:
    """A random item, all of whose statements belong to a split."""
    everyday = [action for action in question_table("en") if action in actions()]
    while True:
        context: list[Statement] = []
        while len(context) < CONTEXT:
            found = draw(rng.choice(everyday), rng, 0.7, 0.7)
            fillers = set(dict(found.fills).values())
            if found.split == split and all(not fillers & set(dict(other.fills).values()) for other in context):
                context.append(found)
        about = rng.randrange(CONTEXT)
        statement = context[about]
        slots = [slot for slot in ASKED if statement.get(slot) and slot in question_table("en")[statement.action]]
        if slots:
            return Asked(tuple(context), about, rng.choice(slots))


@cache
def contents(split: str, size: int) -> tuple[Asked, ...]:
    """Items of a split, no two alike, in a fixed order: the same for every language."""
    rng, found = random.Random(f"{DIALS.seed}:questions:{split}"), {}
    while len(found) < size:
        found.setdefault(draw_asked(rng, split))
    return tuple(found)


def form_of(
    rng: random.Random, bank: StatementBank, statement: Statement, *, known: bool = False, asked: str | None = None
) -> str | int:
    """A wording of a statement: one of the language's own with the chance of the dial (`known`: of the first half of
    them), else an aligned one. `asked`: of the own ones only those where this slot has the form that it has in `main`,
    so that the span answers the question."""
    templates = bank.tables["actions"][statement.action]
    own = list(range(max(1, len(templates["own"]) // 2) if known else len(templates["own"])))
    if asked:
        wanted = f"{{{asked}.{dict(SLOT.findall(templates['main']))[asked]}}}"
        own = [i for i in own if wanted in templates["own"][i].split()]
    if own and rng.random() < DIALS.own_share:
        return rng.choice(own)
    return rng.choice(["main", "front"] if statement.get("t") else ["main"])


def forms_of(rng: random.Random, bank: StatementBank, asked: Asked, known: bool = False) -> tuple[str | int, ...]:
    """A wording of each statement of an item's context."""
    slots = [asked.slot if i == asked.about else None for i in range(len(asked.context))]
    return tuple(
        form_of(rng, bank, statement, known=known, asked=slot)
        for statement, slot in zip(asked.context, slots, strict=True)
    )


@cache
def questions(code: str, split: str, size: int | None = None) -> tuple[Question, ...]:
    """A split's items as a writer of this language would put them; the same contents in every language."""
    rng, bank = random.Random(f"{DIALS.seed}:wordings:{code}:{split}"), statement_bank(code)
    return tuple(
        written(code, asked, forms_of(rng, bank, asked), rng.randrange(4))
        for asked in contents(split, size or SIZES[split])
    )


def corpus_name() -> str:
    """The questions' name in records: their own hash, over `RULES` and `problems.problems_hash`."""
    digest = sha256(repr((RULES, problems_hash())).encode()).hexdigest()
    return f"questions@{digest[:12]}"
