"""Translations that came with a data set (XTREME's, for PAWS-X and XNLI): used where there are some, else made."""

import os
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from xltlib.corpora.files import folder_fingerprint
from xltlib.corpora.pair_files import xtreme
from xltlib.errors import InputError, strings
from xltlib.translation import Translator

TASKS = {"paraphrase": "pawsx", "inference": "xnli"}
"""Tasks whose training and test text paper 2 takes from XTREME, translated (its appendix A)."""


def folder_of(task: str) -> Path | None:
    """$XLT_DATA/xtreme/pawsx or /xnli, with XTREME's files anywhere below; None when it is not there or when the task
    has no such files."""
    root = os.environ.get("XLT_DATA")
    folder = Path(root or "") / "xtreme" / TASKS.get(task, "")
    return folder if root and task in TASKS and folder.is_dir() else None


class GivenTranslations:
    """A translator that looks a text up in XTREME's files first, and has `base` translate what is not there."""

    def __init__(self, base: Translator, task: str, folder: Path):
        self.base, self.task, self.folder = base, TASKS[task], folder

    def signature(self, source: str, target: str) -> str:
        """What made a translation, in one line: the files by their hash, and the translator of the rest."""
        made = self.base.signature(source, target)
        if not file_of(self.folder, source, target):
            return made
        name = folder_fingerprint(f"xtreme-{self.task}", self.folder, "**/*.tsv")
        return f"src:{source}|tgt:{target}|given:{name}|else:[{made}]"

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Translations in the texts' order; InputError as for `translation.Translator.translate`."""
        texts = strings(texts)
        path = file_of(self.folder, source, target)
        known = given(path, self.task, source, target) if path else {}
        missing = [text for text in texts if normal(text) not in known]
        made = iter(self.base.translate(missing, source, target))
        return [known[normal(text)] if normal(text) in known else next(made) for text in texts]


def file_of(folder: Path, source: str, target: str) -> Path | None:
    """The file from one language to the other: en-<language>-translated.tsv of training text, and
    test-<language>-en-translated.tsv of test text. InputError when several have that name."""
    start = "test-" if target == "en" else ""
    found = sorted(folder.rglob(f"{start}{source}-{target}-translated.tsv"))
    if len(found) > 1:
        raise InputError(f"{folder}: {len(found)} files {found[0].name}; keep one, upstream has one a task")
    return found[0] if found else None


@cache
def given(path: Path, task: str, source: str, target: str) -> dict[str, str]:
    """What a file of XTREME's holds: each text, in normal form, and its translation (the first one, if several)."""
    originals, translations = xtreme(path, task, source, target)
    found: dict[str, str] = {}
    for one, other in zip(originals, translations, strict=True):
        found.setdefault(normal(one.first), other.first)
        found.setdefault(normal(one.second), other.second)
    return found


def normal(text: str) -> str:
    """A text in NFC with single blanks: files of one sentence differ in both."""
    return " ".join(unicodedata.normalize("NFC", text).split())
