"""The four tasks of paper 2 as its experiments see them: labelled items of one text, or of two."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xltlib.corpora import embedded, statement_tasks, statement_text
from xltlib.errors import InputError, choice
from xltlib.regimes import Translate


@dataclass(frozen=True)
class Task:
    """A task: its name here and in the paper (`title`), classes, languages of the embedded corpus, the paper's
    fine-tuning epochs (appendix B), and lambda of SupCon in its Table 7, where "0.5/0.9" is read as its first number.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    languages: tuple[str, ...]
    epochs: int
    paper_lambda: float
    pair: bool = False


TASKS = {
    task.name: task
    for task in (
        Task(
            "reviews", "MARC", ("1 star", "2 stars", "3 stars", "4 stars", "5 stars"),
            ("en", "zh", "fr", "de", "es", "ja"), 4, 0.5,
        ),
        Task("topics", "MLDoc", statement_tasks.TOPICS, ("en", "zh", "fr", "de", "ru", "es", "it", "ja"), 10, 0.5),
        Task(
            "paraphrase", "PAWSX", ("different", "paraphrase"), ("en", "zh", "fr", "de", "es", "ko", "ja"), 4, 0.9,
            pair=True,
        ),
        Task(
            "inference", "XNLI", statement_tasks.INFERENCE, ("en", "ar", "zh", "fr", "de", "ru", "es", "th"), 2, 0.1,
            pair=True,
        ),
    )
}  # fmt: skip


def task(name: str) -> Task:
    """The task of a name; InputError lists the names when it is none of them."""
    return TASKS[choice(name, TASKS, "task")]


@dataclass(frozen=True)
class Items:
    """Labelled items of one language. `sides`: one tuple of n texts, or two in a task on pairs; labels are 0-based."""

    sides: tuple[tuple[str, ...], ...]
    labels: tuple[int, ...]
    language: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def texts(self) -> Sequence[str] | Sequence[tuple[str, str]]:
        """What an encoder reads: texts, or pairs of them."""
        return self.sides[0] if len(self.sides) == 1 else tuple(zip(*self.sides, strict=True))

    @property
    def lines(self) -> list[str]:
        """Each item as one line, the two texts of a pair with a bar between them: for tables."""
        return [" | ".join(parts) for parts in zip(*self.sides, strict=True)]

    def first(self, size: int | None) -> "Items":
        """The first `size` items; None keeps all."""
        return Items(tuple(side[:size] for side in self.sides), self.labels[:size], self.language)

    def translated(self, translate: Translate, target: str) -> "Items":
        """The same items machine-translated, side by side; labels carry over."""
        sides = tuple(tuple(translate(list(side), self.language, target)) for side in self.sides)
        return Items(sides, self.labels, target)


@cache
def items(name: str, code: str, split: str, size: int | None = None, at: str = "mini") -> Items:
    """A task's labelled originals of a language and split: the first `size` of the embedded corpus, or of the paper's
    own files at scale "paper" (see `files_of`)."""
    found = task(name)
    if at == "paper":
        return files_of(found, code, split).first(size)
    choice(code, found.languages, f"language of {name}")
    if name == "reviews":
        reviews = embedded.reviews(code, split, size)
        return Items((tuple(r.text for r in reviews),), tuple(r.stars - 1 for r in reviews), code)
    examples = statement_tasks.examples(name, code, split, size)
    sides = zip(*(example.texts for example in examples), strict=True)
    return Items(tuple(sides), tuple(example.label for example in examples), code)


def corpus_name(name: str, at: str = "mini") -> str:
    """A task's corpus with the hash of what it was generated from, or at scale "paper" of the files it is read from
    (its title alone when there are none yet)."""
    if at == "paper":
        return _files_name(task(name))
    return f"reviews@{embedded.corpus_hash()}" if name == "reviews" else f"statements@{statement_text.tasks_hash()}"


def _files_name(found: Task) -> str:
    from xltlib.corpora import files, hub

    if found.name == "reviews":
        return hub.marc_name()
    root = os.environ.get("XLT_DATA")
    folder = Path(root or "") / found.title.lower()
    return files.folder_fingerprint(found.title, folder) if root and folder.is_dir() else found.title


def files_of(found: Task, code: str, split: str) -> Items:
    """The paper's own data from local files: $XLT_DATA/mldoc, /pawsx and /xnli in upstream's layout (MARC may also come
    from the hub, see `corpora.hub`). With a folder $XLT_DATA/rcv (the Reuters Corpora) MLDoc's files are its indices,
    without it they are prepared texts. For XTREME's translations see `given_translations`. InputError when files are
    not there."""
    from xltlib.corpora import hub, mldoc, pair_files

    if found.name == "reviews":
        return _single(hub.marc(code, split), code)
    if not os.environ.get("XLT_DATA"):
        raise InputError(f"{found.title} is read from local files: put them into a folder and set XLT_DATA to it")
    root = Path(os.environ["XLT_DATA"])
    if found.name == "topics":
        rcv = root / "rcv"
        size = {"size": 10000} if split == "train" else {}
        return _single(mldoc.mldoc(root / "mldoc", code, split, rcv=rcv if rcv.is_dir() else None, **size), code)
    reader = pair_files.pawsx if found.name == "paraphrase" else pair_files.xnli
    rows = reader(root / found.title.lower(), code, split)
    return Items((tuple(r.first for r in rows), tuple(r.second for r in rows)), tuple(r.label for r in rows), code)


def _single(rows: Sequence, code: str) -> Items:
    return Items((tuple(row.text for row in rows),), tuple(row.label for row in rows), code)
