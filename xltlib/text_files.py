"""Paper 3's own data as items, from local files under $XLT_DATA: GSM8K, MGSM, SQuAD, XQuAD, XNLI, in upstream's layout.

| task | training | validation (English) | test, samples |
|---|---|---|---|
| problems | gsm8k, all but the last 200 | gsm8k's last 200 of training | mgsm; samples: mgsm/exemplars.json |
| questions | squad/train-v1.1.json | squad/dev-v1.1.json | xquad; samples: its first eight questions |
| inference | xnli (MultiNLI in English) | xnli's validation | xnli's test; samples: its first eight of validation |

The paper samples its eight pairs from the train or validation splits of the multilingual sets. MGSM's exemplars are not
in its files: `exemplars.json` holds them as {"en": [{"question": ..., "solution": ...}, ...], "de": [...]}, eight a
language in the same order. XQuAD has one split; the eight questions that serve as samples are left out of its test.
"""

import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from xltlib.corpora import generation_files, pair_files
from xltlib.corpora.generation_files import SpanQuestion
from xltlib.corpora.guards import read_text, sift
from xltlib.errors import InputError, choice
from xltlib.self_translation import SHOTS, SOURCE, sentences
from xltlib.text_tasks import RELATIONS, Item

SPLITS = ("train", "validation", "test", "samples")
HELD_OUT = 200
"""GSM8K has no validation split: as many of its last training problems."""
CROSSING_REASON = "an answer that crosses the end of a sentence"


def items(task: str, code: str, split: str, size: int | None) -> tuple[Item, ...]:
    """The first `size` items of a task, language and split. InputError when files are not there or do not fit."""
    choice(split, SPLITS, "split")
    root = os.environ.get("XLT_DATA")
    if not root:
        raise InputError("paper 3's data are read from local files: put them into a folder and set XLT_DATA to it")
    readers = {"problems": problems, "questions": questions, "inference": inference}
    return readers[choice(task, readers, "task")](Path(root), code, split)[:size]


@cache
def problems(root: Path, code: str, split: str) -> tuple[Item, ...]:
    """Word problems: GSM8K in English, MGSM in the others."""
    if split == "samples":
        found = exemplars(root / "mgsm" / "exemplars.json", code)
    elif split == "test":
        found = [(p.question, p.answer, p.answer) for p in generation_files.mgsm(root / "mgsm", code, "test")]
    else:
        _english(code, split)
        every = [(p.question, p.solution, p.answer) for p in generation_files.gsm8k(root / "gsm8k", "train")]
        found = every[-HELD_OUT:] if split == "validation" else every[:-HELD_OUT]
    return tuple(Item("problems", {"problem": q, "solution": s}, a, (code, code)) for q, s, a in found)


def exemplars(path: Path, code: str) -> list[tuple[str, str, str]]:
    """MGSM's eight worked examples in a language: (question, solution, ""). InputError when the file does not hold
    them."""
    try:
        found = json.loads(read_text(path, "write it as xltlib/text_files.py says"))[code]
        pairs = [(row["question"], row["solution"], "") for row in found]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no worked examples in {code!r} ({error}); see xltlib/text_files.py") from None
    if len(pairs) != SHOTS or not all(text.strip() for pair in pairs for text in pair[:2]):
        raise InputError(f"{path}: {len(pairs)} worked examples in {code!r}: eight are needed, none of them empty")
    return pairs


@cache
def questions(root: Path, code: str, split: str) -> tuple[Item, ...]:
    """Questions on a text: SQuAD in English for training, XQuAD to test. English contexts are split into sentences, for
    these are translated one by one; a question whose answer crosses the end of a sentence is left out and counted."""
    if split in ("test", "samples"):
        found = generation_files.xquad(root / "xquad", code)
        chosen = found[:SHOTS] if split == "samples" else found[SHOTS:]
        made = [in_sentences(q) if split == "samples" else whole(q) for q in chosen]
        if None in made:
            raise InputError(f"{root / 'xquad'}: a sample's answer crosses the end of a sentence in {code!r}")
        return tuple(made)
    _english(code, split)
    path = root / "squad" / {"train": "train-v1.1.json", "validation": "dev-v1.1.json"}[split]
    asked = generation_files.squad(path)
    return tuple(sift([(f"question {i}", in_sentences(q) or CROSSING_REASON) for i, q in enumerate(asked, 1)], path))


def whole(q: SpanQuestion) -> Item:
    """A question with its context as one piece."""
    fields = {"context": (q.context,), "question": q.question}
    return Item("questions", fields, q.answer, (q.language,) * 2, span=(0, q.start), others=q.others)


def in_sentences(q: SpanQuestion) -> Item | None:
    """A question with its context sentence by sentence; None when its answer lies in no single one."""
    parts, at, span = sentences(q.context), 0, None
    for i, part in enumerate(parts):
        start = q.context.index(part, at)
        at = start + len(part)
        if start <= q.start and q.start + len(q.answer) <= at:
            span = (i, q.start - start)
    fields = {"context": tuple(parts), "question": q.question}
    return Item("questions", fields, q.answer, (q.language,) * 2, span=span, others=q.others) if span else None


@cache
def inference(root: Path, code: str, split: str) -> tuple[Item, ...]:
    """Premise and hypothesis: MultiNLI in English for training, XNLI for the rest."""
    if split == "train":
        _english(code, split)
    part = "validation" if split == "samples" else split
    rows: Sequence = pair_files.xnli(root / "xnli", code, part)
    rows = rows[:SHOTS] if split == "samples" else rows[SHOTS:] if split == "validation" else rows
    return tuple(
        Item("inference", {"premise": r.first, "hypothesis": r.second}, RELATIONS[r.label], (code, code)) for r in rows
    )


def _english(code: str, split: str) -> None:
    if code != SOURCE:
        raise InputError(f"paper 3 has no {split} items of its own in {code!r}: only in English")
