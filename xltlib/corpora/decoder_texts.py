"""What the small decoders of paper 3 are pre-trained on: documents of four kinds in five languages, by written dials.

- *plain*: texts of one language one after the other: statements and word problems, without answers;
- *parallel*: one to nine pairs of an English text and its translation, in the few-shot format (`translation_prompt`),
  for every field that is translated later, sentences with a marked span among them;
- *solved*: a task with its answer, in English;
- *solved in a target language*: none of these, or a share of `DecoderDials.target_labels`, as web text may hold some.

All contents belong to the pretraining split. Thai is rare by rule (`DecoderDials.thai`). These texts stay as they were
when the shipped decoders read them: their answers to questions for a place hold the preposition ("from Seoul").
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from xltlib import text_tasks
from xltlib.corpora import problems
from xltlib.corpora.first_edition import FirstWriter, render_first
from xltlib.corpora.problems import PROBLEM_LANGUAGES, as_known, as_written, draw_problem, problem_bank, problem_kinds
from xltlib.corpora.questions import draw_asked, form_of, forms_of, written
from xltlib.corpora.statement_tasks import INFERENCE
from xltlib.corpora.statements import Statement, actions, draw, statement_bank
from xltlib.self_translation import SHOTS, marked, translation_prompt

SOURCE, TARGETS = PROBLEM_LANGUAGES[0], PROBLEM_LANGUAGES[1:]
SPLIT = "pretraining"
FIELDS = ("problem", "solution", "sentence", "marked", "question", "premise")
"""What parallel documents are made of."""


@dataclass(frozen=True)
class DecoderDials:
    """Shares of documents by kind, of languages, and of target-language answers: what a decoder has seen."""

    plain: float = 0.2
    parallel: float = 0.6
    english: float = 0.5  # of plain documents
    thai: float = 0.1  # of documents in a target language; the other three share the rest
    target_labels: float = 0.0  # of solved documents: in a target language
    seed: int = 20264


def documents(dials: DecoderDials) -> Iterator[str]:
    """Endless documents, the same for the same dials."""
    rng = random.Random(f"{dials.seed}:documents")
    while True:
        kind = rng.random()
        if kind < dials.plain:
            yield plain(SOURCE if rng.random() < dials.english else target(dials, rng), rng)
        elif kind < dials.plain + dials.parallel:
            yield parallel(target(dials, rng), rng)
        else:
            yield solved(target(dials, rng) if rng.random() < dials.target_labels else SOURCE, rng)


def target(dials: DecoderDials, rng: random.Random) -> str:
    """A target language."""
    others = [code for code in TARGETS if code != "th"]
    return "th" if rng.random() < dials.thai else rng.choice(others)


def plain(code: str, rng: random.Random) -> str:
    """Three to six texts of a language, a line each."""
    return "\n".join(text(code, rng) for _ in range(rng.randint(3, 6)))


def text(code: str, rng: random.Random) -> str:
    """A word problem without its solution, or one to three statements."""
    if rng.random() < 0.4:
        return problem_bank(code).solved(_problem(rng), as_written(rng)).question
    writer = FirstWriter(code, SPLIT, rng)
    return render_first(code, tuple(writer.piece(_statement(rng)) for _ in range(rng.randint(1, 3))))


def parallel(code: str, rng: random.Random) -> str:
    """One to nine pairs of a field in English and a target language, in the few-shot format, closed."""
    field = rng.choice(FIELDS)
    pairs = [pair(field, code, rng) for _ in range(rng.randint(1, SHOTS + 1))]
    *samples, (last, translation) = pairs
    return f"{translation_prompt(samples, last, code)}{translation}`"


def pair(field: str, code: str, rng: random.Random) -> tuple[str, str]:
    """A text of a field in English as people write it, and in a target language in plain words.

    English's own wordings come in here as far as they are known (`as_known`, `form_of`: the first half); a decoder must
    guess the others, as the translators of the earlier papers must. The target language has its plain wordings alone.
    """
    if field in ("problem", "solution"):
        content = _problem(rng)
        english = problem_bank(SOURCE).solved(content, as_known(rng))
        other = problem_bank(code).solved(content, lambda entry: rng.choice(entry["plain"]))
        return (english.question, other.question) if field == "problem" else (english.solution, other.solution)
    if field in ("marked", "question"):
        asked, number = draw_asked(rng, SPLIT), rng.randrange(4)
        both = [
            written(SOURCE, asked, forms_of(rng, statement_bank(SOURCE), asked, known=True), number, phrase=True),
            written(
                code, asked, tuple(_plain_form(statement, rng) for statement in asked.context), number, phrase=True
            ),
        ]
        if field == "question":
            return both[0].question, both[1].question
        return tuple(marked(q.sentences[q.about], q.start, q.start + len(q.answer)) for q in both)
    statements = [_statement(rng) for _ in range(2 if field == "premise" else 1)]
    forms = [form_of(rng, statement_bank(SOURCE), statement, known=True) for statement in statements]
    english = render_first(SOURCE, tuple(("statement", s, form) for s, form in zip(statements, forms, strict=True)))
    return english, render_first(code, tuple(("statement", s, _plain_form(s, rng)) for s in statements))


def solved(code: str, rng: random.Random) -> str:
    """An item of one of the tasks with its answer, in a language."""
    task = rng.choice(list(text_tasks.TASKS))
    codes = (code, code)
    if task == "problems":
        found = problem_bank(code).solved(_problem(rng), as_written(rng))
        item = text_tasks.Item(task, {"problem": found.question, "solution": found.solution}, str(found.answer), codes)
    elif task == "questions":
        asked, bank = draw_asked(rng, SPLIT), statement_bank(code)
        q = written(code, asked, forms_of(rng, bank, asked), rng.randrange(4), phrase=True)
        item = text_tasks.Item(task, {"context": q.sentences, "question": q.question}, q.answer, codes)
    else:
        label, writer = rng.randrange(len(INFERENCE)), FirstWriter(SOURCE, SPLIT, rng)
        sides, own = writer.inference(label), FirstWriter(code, SPLIT, rng)
        premise, hypothesis = (render_first(code, tuple(own.piece(s) for _, s, _ in side)) for side in sides)
        item = text_tasks.Item(
            task, {"premise": premise, "hypothesis": hypothesis}, text_tasks.RELATIONS[label], codes
        )  # fmt: skip
    return item.prompt + item.output


def _problem(rng: random.Random) -> problems.Problem:
    return draw_problem(rng.choice(list(problem_kinds()["kinds"])), rng, SPLIT)


def _statement(rng: random.Random) -> Statement:
    while True:
        found = draw(rng.choice(list(actions())), rng)
        if found.split == SPLIT:
            return found


def _plain_form(statement: Statement, rng: random.Random) -> str:
    return rng.choice(["main", "front"] if statement.get("t") else ["main"])


def corpus_name(dials: DecoderDials) -> str:
    """The corpus with its hash, and two of the dials, as cards and records say it."""
    return f"problems@{problems.problems_hash()}, target labels {dials.target_labels:g}, Thai {dials.thai:g}"
