"""Real text as items for paper 4's tasks, and how it is split: UD treebanks for POS, ar-res-reviews for sentiment.

Treebanks with upstream's train, dev and test keep them (`split_by` "upstream"). The other data have no such split:
they are dealt, group by group, into tenths (`tenths`); seed s tests on tenth s, validates on the next and trains on the
other eight, 8:1:1 as in the paper, and over ten seeds every item is tested once. A group is

- "documents": a document of PUD, whose sentence ids are the same in every language, and so are the splits;
- "shuffled": one review (the paper does not say how it cuts; this is our reading): what stands in the file twice may be
  trained on and tested on;
- "texts": the reviews whose text is the same by `same_letters`;
- "restaurants": the reviews of one restaurant.
"""

import csv
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from xltlib.corpora import review_files, token_files
from xltlib.corpora.files import folder_fingerprint
from xltlib.corpora.guards import read_lines, read_text
from xltlib.downstream import TextItem, WordItem
from xltlib.errors import InputError, choice

TREEBANKS = {"UD_English-GUM": "en", "UD_Russian-Taiga": "ru"}
"""Treebanks with upstream's split, and their languages: two of those that the paper takes."""
PARALLEL = {
    "UD_Arabic-PUD": "ar", "UD_Chinese-PUD": "zh", "UD_English-PUD": "en", "UD_French-PUD": "fr",
    "UD_German-PUD": "de", "UD_Japanese-PUD": "ja", "UD_Russian-PUD": "ru", "UD_Spanish-PUD": "es",
}  # fmt: skip
"""The same sentences in several languages; upstream has a test file only."""
REVIEWS = "ar-res-reviews"
LANGUAGE = TREEBANKS | PARALLEL | {REVIEWS: "ar"}
"""The data sets, and what they are in."""
SPLITS = ("shuffled", "texts", "restaurants")
"""The ways to split the reviews."""
TENTHS = 10
PUD_ID = re.compile(r"# sent_id = ([nw]\d{5})\d{3}")
"""A sentence's id in PUD: its document, and its number there."""
Item = WordItem | TextItem
Sets = dict[str, list[Item]]


def locate(data: str, folder: Path | str | None = None) -> Path:
    """The folder of a data set in `folder`, else in $XLT_DATA: there, in ud/ or in ud_pud/. InputError: not there."""
    if not (root := folder or os.environ.get("XLT_DATA")):
        raise InputError(f"{data} is read from local files: put them into a folder and set XLT_DATA to it")
    for place in (Path(root) / data, Path(root) / "ud" / data, Path(root) / "ud_pud" / data):
        if place.is_dir():
            return place
    remedy = token_files.TREEBANK_REMEDY if data.startswith("UD_") else review_files.RES1_REMEDY
    raise InputError(f"{Path(root) / data}: no such folder, nor in ud/ or ud_pud/ beside it; {remedy}")


def fingerprint(data: str, place: Path) -> str:
    """The data set's name with a hash of its files, for a spec."""
    return folder_fingerprint(data, place, "datasets/RES1.csv" if data == REVIEWS else "*.conllu")


def sets_of(data: str, place: Path, split_by: str, seed: int, most: int) -> Sets:
    """The train, validation and test items of a data set, made of the first `most` sentences or reviews of each file.
    InputError: unknown names, and what the readers refuse."""
    choice(data, LANGUAGE, "data set")
    if data in TREEBANKS:
        choice(split_by, ("upstream",), f"way to split {data}")
        return {name: treebank(place, name)[:most] for name in token_files.UD_SPLITS}
    if data in PARALLEL:
        choice(split_by, ("documents",), f"way to split {data}")
        items = treebank(place, "test")
        groups = documents(place, len(items))
    else:
        items = [TextItem((review.text,), review.label) for review in review_files.ar_res_reviews(place)]
        groups = review_groups(place, items, choice(split_by, SPLITS, f"way to split {data}"))
    return rotated(items[:most], groups[:most], seed)


def treebank(place: Path, split: str) -> list[WordItem]:
    """The sentences of a treebank's split."""
    return [word_item(sentence) for sentence in token_files.treebank(place, split)]


def word_item(sentence: token_files.Tagged) -> WordItem:
    """A sentence as its syntactic words with blanks between, whatever its script; labels are numbers in UPOS."""
    ends = np.cumsum([len(word) + 1 for word in sentence.words]).tolist()
    labels = tuple(token_files.UPOS.index(tag) for tag in sentence.tags)
    return WordItem(" ".join(sentence.words), (0, *ends[:-1]), labels)


def words_of(item: WordItem) -> list[str]:
    """The word forms of an item, lower-cased as the tokenizer reads them; as many as labels."""
    ends = [*(start - 1 for start in item.starts[1:]), len(item.text)]
    return [item.text[a:b].lower() for a, b in zip(item.starts, ends, strict=True)]


def text_of(item: Item) -> str:
    """The text of an item."""
    return item.text if isinstance(item, WordItem) else item.texts[0]


# Splits ---------------------------------------------------------------------------------------------------------------


def same_letters(text: str) -> str:
    """The form in which near-duplicates count as one text: NFKC, no case, letters and digits only, no Arabic vowel
    signs and no lengthening stroke, a repeated character once. A text without letters and digits stays as it is."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"(.)\1+", r"\1", "".join(c for c in plain if c.isalnum() and c != "\u0640")) or text


def documents(place: Path, sentences: int) -> list[str]:
    """The document of each sentence of a PUD treebank, from the sentence's id. InputError: not an id a sentence."""
    paths = token_files.treebank_files(place, "test")
    found = [PUD_ID.fullmatch(line) for path in paths for line in read_lines(path, token_files.UD_REMEDY)]
    ids = [match[1] for match in found if match]
    if len(ids) != sentences:
        raise InputError(
            f"{paths[0]}: {len(ids)} ids as n01001011 for {sentences} sentences; take the file as released"
        )
    return ids


def review_groups(place: Path, reviews: Sequence[TextItem], split_by: str) -> list[str]:
    """The group of each review, for one of SPLITS."""
    if split_by == "shuffled":
        return [str(i) for i in range(len(reviews))]
    return [same_letters(text_of(item)) for item in reviews] if split_by == "texts" else restaurants(place)


def restaurants(place: Path) -> list[str]:
    """The restaurant of each review that `review_files.ar_res_reviews` keeps, which has checked the other columns."""
    path = place / "datasets" / "RES1.csv"
    rows = csv.DictReader(io.StringIO(read_text(path, review_files.RES1_REMEDY), newline=""))
    if "restaurant_id" not in (rows.fieldnames or ()):
        raise InputError(f"{path}, row 1: no column 'restaurant_id'; {review_files.RES1_REMEDY}")
    kept = (r for r in rows if r["polarity"].strip() in review_files.RES1_POLARITIES and r["text"].strip())
    return [row["restaurant_id"].strip() for row in kept]


def tenths(groups: Sequence[str]) -> list[int]:
    """The tenth (0 to 9) of each item; items of one group share it. The largest groups are dealt first, those of one
    size in the order of their names' sha256, each to the tenth with the fewest items so far. InputError: a tenth is
    empty."""
    sizes, load, tenth = Counter(groups), [0] * TENTHS, {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], sha256(name.encode()).hexdigest())):
        tenth[group] = load.index(min(load))
        load[tenth[group]] += sizes[group]
    if not all(load):
        raise InputError(f"{len(sizes)} groups of {len(groups)} items cannot be dealt into tenths; give larger files")
    return [tenth[group] for group in groups]


def rotated(items: Sequence[Item], groups: Sequence[str], seed: int) -> Sets:
    """8:1:1 by groups: tenth `seed` is the test set, the next one the validation set."""
    sets: Sets = {"train": [], "validation": [], "test": []}
    names = {seed % TENTHS: "test", (seed + 1) % TENTHS: "validation"}
    for item, tenth in zip(items, tenths(groups), strict=True):
        sets[names.get(tenth, "train")].append(item)
    return sets
