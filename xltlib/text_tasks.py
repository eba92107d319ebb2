"""Paper 3's tasks as text generation: items with fields, prompts and outputs (Figures 3-4, Table 4), answers, scores.

What an item's fields say may be in any language, and each on its own: the frame around them stays English, as nothing
in the paper says otherwise. A blank line stands between the parts of a prompt and before the output; the paper leaves
this open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from xltlib.answer_numbers import final_number
from xltlib.corpora import problems, questions, statement_tasks
from xltlib.errors import InputError, choice, several
from xltlib.self_translation import SHOTS
from xltlib.span_scores import exact, normalised, overlap, span_rule

__all__ = ["RELATIONS", "TASKS", "Item", "TextTask", "exact", "final_number", "items", "joined", "normalised",
           "overlap", "scores", "scoring_rule", "span_rule"]  # fmt: skip

RELATIONS = ("Entailment", "Neutral", "Contradiction")
"""Outputs in inference, in the order of `statement_tasks.INFERENCE`."""
GAP = "\n\n"


@dataclass(frozen=True)
class TextTask:
    """A task: its `title` in the paper, the field that is natural language and must be produced (or ""), and the
    metric that the tables show."""

    name: str
    title: str
    produced: str
    metric: str


TASKS = {
    task.name: task
    for task in (
        TextTask("problems", "MGSM", "solution", "accuracy"),
        TextTask("questions", "XQuAD", "answer", "f1"),
        TextTask("inference", "XNLI", "", "accuracy"),
    )
}


@dataclass(frozen=True)
class Item:
    """One example. `fields` holds its texts; `target` is what is right: a number in plain form ("-1234.5"), a span, or
    a relation. `request` is "Please answer in ...", for code-switched items; `codes`: the languages of input and
    output. `span`: in questions, the context's sentence that holds the answer, and where the answer begins in it.
    `others`: further answers that are as right as `target`, where a data set has several. `lead`: so many characters
    before the answer, a preposition, are marked with it for translation, as the embedded decoders' marked texts are."""

    task: str
    fields: Mapping[str, str | tuple[str, ...]]
    target: str
    codes: tuple[str, str]
    request: str = ""
    span: tuple[int, int] = (0, 0)
    others: tuple[str, ...] = ()
    lead: int = 0

    @property
    def prompt(self) -> str:
        """What the model reads, up to where its output begins."""
        parts = {
            "problems": lambda f: [f["problem"]],
            "questions": lambda f: [f"Context: {joined(f['context'], self.codes[0])}", f"Question: {f['question']}"],
            "inference": lambda f: [
                f"Premise: {f['premise']}", f"Hypothesis: {f['hypothesis']}",
                f"What is their logical relation? {', '.join(RELATIONS[:-1])} or {RELATIONS[-1]}.",
            ],
        }[self.task](self.fields)  # fmt: skip
        return GAP.join([*parts, *([self.request] if self.request else []), ""])

    @property
    def output(self) -> str:
        """What the model shall write."""
        return str(self.fields["solution"]) if self.task == "problems" else self.target

    def with_input_of(self, other: "Item", request: str) -> "Item":
        """Code-switched: the input of another item with the same meaning, the output of this one (section 3)."""
        fields = {**other.fields} | ({"solution": self.fields["solution"]} if self.task == "problems" else {})
        return replace(self, fields=fields, codes=(other.codes[0], self.codes[1]), request=request)


@cache
def items(task: str, code: str, split: str, size: int | None = None, at: str = "mini") -> tuple[Item, ...]:
    """A task's originals in a language, of the embedded corpora, or of the paper's own files at scale "paper" (see
    `text_files`). The same contents in every language, so that the n-th items are translations of each other. Split
    "samples" holds the eight examples of a few-shot prompt, which no other split has. InputError for unknown names."""
    choice(task, TASKS, "task")
    if at == "paper":
        from xltlib import text_files

        return text_files.items(task, code, split, size)
    if split == "samples":
        return items(task, code, "train", problems.SIZES["train"] + SHOTS)[-SHOTS:]
    codes = (code, code)
    if task == "problems":
        found = problems.problems(code, split, size)
        return tuple(
            Item(task, {"problem": p.question, "solution": p.solution}, str(p.answer), codes) for p in found
        )  # fmt: skip
    if task == "questions":
        asked = questions.questions(code, split, size)
        return tuple(
            Item(
                task,
                {"context": q.sentences, "question": q.question},
                q.answer,
                codes,
                span=(q.about, q.start),
                lead=q.lead,
            )
            for q in asked
        )
    pairs = statement_tasks.parallel_inference(code, split, size or problems.SIZES[split])
    return tuple(
        Item(task, {"premise": texts[0], "hypothesis": texts[1]}, RELATIONS[label], codes) for texts, label in pairs
    )


def joined(sentences: Sequence[str], code: str) -> str:
    """Sentences as one text: a blank between them, but in languages that write none."""
    return ("" if code in ("zh", "ja") else " ").join(several(sentences, "sentences"))


# Scores ---------------------------------------------------------------------------------------------------------------


def scores(item: Item, output: str) -> dict[str, float]:
    """What an output is worth: accuracy; in questions exact match and F1 of the first line, each with the answer that
    fits best (SQuAD's way with several), by the rule that `scoring_rule` names."""
    code = item.codes[1]
    if item.task == "problems":
        return {"accuracy": float(final_number(output, code) == final_number(item.target))}
    first = output.strip().split("\n")[0].strip()
    if item.task == "questions":
        answers = (item.target, *item.others)
        return {
            "exact_match": max(exact(first, answer, code) for answer in answers),
            "f1": max(overlap(first, answer, code) for answer in answers),
        }
    if item.task == "inference":
        return {"accuracy": float(first == item.target)}
    raise InputError(f"unknown task {item.task!r}: use one of {', '.join(TASKS)}")


def scoring_rule(task: str, code: str) -> str:
    """The rule behind a task's scores in a language, where languages differ in it: the spans' in questions, else ""."""
    return span_rule(code) if task == "questions" else ""
