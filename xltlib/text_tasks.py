"""Paper 3's tasks as text generation: items with fields, prompts and outputs (Figures 3-4, Table 4), answers, scores.

What an item's fields say may be in any language, and each on its own: the frame around them stays English, as nothing
in the paper says otherwise. A blank line stands between the parts of a prompt and before the output; the paper leaves
this open.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from xltlib.corpora import problems, questions, statement_tasks
from xltlib.errors import InputError, choice, several
from xltlib.self_translation import SHOTS

RELATIONS = ("Entailment", "Neutral", "Contradiction")
"""Outputs in inference, in the order of `statement_tasks.INFERENCE`."""
GAP = "\n\n"
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
ARTICLES = re.compile(r"\b(a|an|the)\b")
UNSPACED = ("zh", "th", "ja")
"""Languages whose overlap in F1 counts characters: they have no blanks between words."""


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
    """One example. `fields` holds its texts; `target` is what is right: a number, a span, or a relation. `request` is
    "Please answer in ...", for code-switched items; `codes`: the languages of input and output. `span`: in questions,
    the context's sentence that holds the answer, and where the answer begins in it."""

    task: str
    fields: Mapping[str, str | tuple[str, ...]]
    target: str
    codes: tuple[str, str]
    request: str = ""
    span: tuple[int, int] = (0, 0)

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
            Item(task, {"context": q.sentences, "question": q.question}, q.answer, codes, span=(q.about, q.start))
            for q in asked
        )
    pairs = statement_tasks.parallel_inference(code, split, size or problems.SIZES[split])
    return tuple(
        Item(task, {"premise": texts[0], "hypothesis": texts[1]}, RELATIONS[label], codes) for texts, label in pairs
    )


def joined(sentences: Sequence[str], code: str) -> str:
    """Sentences as one text: a blank between them, but in languages that write none."""
    return ("" if code in ("zh", "ja") else " ").join(several(sentences, "sentences"))


# Answers --------------------------------------------------------------------------------------------------------------


def final_number(text: str) -> str | None:
    """The last number of a text, without thousands separators and without a decimal part of zeros; None when there is
    none (MGSM: the final digits of the output)."""
    found = NUMBER.findall(text)
    if not found:
        return None
    whole, _, decimals = found[-1].replace(",", "").partition(".")
    return f"{int(whole)}" + (f".{decimals.rstrip('0')}" if decimals.strip("0") else "")


def normalised(text: str) -> str:
    """SQuAD's normal form: lower case, without punctuation, English articles and spare blanks."""
    text = "".join(
        " " if unicodedata.category(c).startswith("P") or c in string.punctuation else c for c in text.lower()
    )
    return " ".join(ARTICLES.sub(" ", text).split())


def exact(guess: str, answer: str) -> float:
    """1.0 when both are the same in `normalised` form, else 0.0."""
    return float(normalised(guess) == normalised(answer))


def overlap(guess: str, answer: str, code: str) -> float:
    """F1 of the words that both share (SQuAD's); of the characters in languages without blanks."""
    split: Callable[[str], Sequence[str]] = (lambda t: t.replace(" ", "")) if code in UNSPACED else str.split
    one, other = (Counter(split(normalised(text))) for text in (guess, answer))
    same = (one & other).total()
    if not same:
        return float(one == other)
    precision, recall = same / one.total(), same / other.total()
    return 2 * precision * recall / (precision + recall)


def scores(item: Item, output: str) -> dict[str, float]:
    """What an output is worth: accuracy; in questions exact match and F1 of the first line."""
    if item.task == "problems":
        return {"accuracy": float(final_number(output) == final_number(item.target))}
    first = output.strip().split("\n")[0].strip()
    if item.task == "questions":
        return {"exact_match": exact(first, item.target), "f1": overlap(first, item.target, item.codes[1])}
    if item.task == "inference":
        return {"accuracy": float(first == item.target)}
    raise InputError(f"unknown task {item.task!r}: use one of {', '.join(TASKS)}")
