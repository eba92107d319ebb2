"""MARC for the paper scale: upstream's own files when XLT_DATA has them, else a script-less copy on the hub.

The original data set is withdrawn, and was a loading script. The copy deviates from upstream and says so in its name.
"""

import os
from pathlib import Path

from xltlib.corpora import files
from xltlib.corpora.files import MARC_LANGUAGES, MARC_SPLITS, STARS
from xltlib.corpora.guards import Example, check, whole_number
from xltlib.errors import InputError

MARC_COPY = "mteb/amazon_reviews_multi"
MARC_REVISION = "1399c76144fd37290681b995c656ef9b2e06e26d"
MARC_FILES = "dataset_*_*.json"
DEVIATION = "title and body joined, other fields dropped"
FORMS = (("review_body", "stars", 1), ("text", "label", 0))
"""Columns of a copy: text, label, the label of one star. Upstream's own, then the Text Embedding Benchmark's."""


class Corpus(list[Example]):
    """Examples, and in `name` where they are from, deviations from upstream included."""

    def __init__(self, name: str, examples: list[Example]):
        super().__init__(examples)
        self.name = name


def require_hub(what: str, timeout: float = 5.0) -> None:
    """InputError at once when the hub may not or cannot be reached; the hub's own client would retry for minutes."""
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE"):
            raise InputError(f"{what}: {variable} is set, so the hub is not asked; unset it, or give a local folder")
    import requests

    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        requests.head(address, timeout=timeout)
    except (OSError, RuntimeError) as error:
        remedy = "check the network, or give a local folder"
        raise InputError(f"{what}: the hub ({address}) cannot be reached ({type(error).__name__}); {remedy}") from None


def marc(language: str, split: str) -> Corpus:
    """Reviews of one language and split: upstream's files under $XLT_DATA/marc or $XLT_DATA, else the hub's copy."""
    folder = _marc_folder()
    return Corpus("marc", files.marc(folder, language, split)) if folder else marc_copy(language, split)


def marc_name() -> str:
    """What `marc` reads, as records name it: upstream's files with their hash, or the hub's copy with its commit."""
    folder = _marc_folder()
    if folder:
        return files.folder_fingerprint("marc", folder, MARC_FILES)
    return f"marc:{MARC_COPY}@{MARC_REVISION[:8]} ({DEVIATION})"


def _marc_folder() -> Path | None:
    root = os.environ.get("XLT_DATA")
    folders = (Path(root) / "marc", Path(root)) if root else ()
    return next((folder for folder in folders if any(folder.glob(MARC_FILES))), None)


def marc_copy(
    language: str,
    split: str,
    *,
    name: str = MARC_COPY,
    revision: str = MARC_REVISION,
    cache: Path | None = None,
    limit: int | None = None,
) -> Corpus:
    """Reviews of one language and split from a copy with files <language>/<split>.jsonl.

    `name`: a data set of the hub at `revision`, or a local folder of the same layout. `limit`: the first rows only, for
    tests (the copy is sorted by stars, so they are no sample). The class is the number of stars less one.
    """
    for value, known, what in ((language, MARC_LANGUAGES, "language of MARC"), (split, MARC_SPLITS, "split")):
        if value not in known:
            raise InputError(f"unknown {what} {value!r}: use one of {', '.join(known)}")
    file, source = _place(name, revision, language, split)
    rows = _load(file, cache)
    text, label, first = _form(rows.column_names, file)
    rows = rows.select(range(min(limit or len(rows), len(rows))))
    classes = [whole_number(value, STARS, file, row, first) for row, value in enumerate(rows[label], 1)]
    examples = [Example(t or "", c, language) for t, c in zip(rows[text], classes, strict=True)]
    deviation = "" if text == "review_body" else f" ({DEVIATION})"
    return Corpus(f"marc:{source}{deviation}", check(examples, file, test=split == "test"))


def _place(name: str, revision: str, language: str, split: str) -> tuple[str, str]:
    if Path(name).is_dir():
        path = Path(name) / language / f"{split}.jsonl"
        if not path.exists():
            raise InputError(f"{path}: no such file; a copy has <language>/<split>.jsonl")
        return str(path), Path(name).name
    require_hub(f"MARC ({name})")
    return f"hf://datasets/{name}@{revision}/{language}/{split}.jsonl", f"{name}@{revision[:8]}"


def _load(file: str, cache: Path | None):
    import datasets

    datasets.disable_progress_bars()
    try:  # by file, not by the data set's name: some copies still hold the old script, which datasets refuses to run
        return datasets.load_dataset("json", data_files={"rows": file}, split="rows", cache_dir=cache and str(cache))
    except Exception as error:  # the library raises a dozen kinds
        cause = " ".join(str(error.__cause__ or error).split())[:200]
        problem = f"{type(error).__name__}: {cause}"
        if "surrogate" in cause:  # the library reads blocks, so the row that it names is no row of the file
            remedy = r"put \ufffd in the place of escapes such as \ud83d that stand without their other half"
            raise InputError(f"{file}: a text holds half of a character ({problem}); {remedy}") from None
        raise InputError(f"{file}: cannot be loaded ({problem}); check name and revision") from None


def _form(columns: list[str], file: str) -> tuple[str, str, int]:
    for text, label, first in FORMS:
        if text in columns and label in columns:
            return text, label, first
    wanted = " or ".join(f"{text} and {label}" for text, label, _ in FORMS)
    raise InputError(f"{file}, row 1: no columns {wanted}; there are: {', '.join(columns)}")
