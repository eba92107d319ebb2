"""Readers of sentences with a tag for each word, in their upstream's own format: UD, MultiCoNER and AQMAR.

Sentences that cannot be used are left out and counted (`guards.Kept`; the row named is their first). None needs a
network.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xltlib.corpora.guards import Kept, read_lines, sift
from xltlib.errors import InputError, choice

NER = ("O", "B", "I")
UPOS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
UD_SPLITS = {"train": "train", "validation": "dev", "test": "test"}
UD_COLUMNS = 10
MULTICONER_COLUMNS = 4

SPAN = re.compile(r"([1-9][0-9]{0,5})-([1-9][0-9]{0,5})")
"""The id of a multiword token: 3-4."""
EMPTY_NODE = re.compile(r"[0-9]+\.[1-9][0-9]*")
TREEBANK_FILE = re.compile(r"((?:([a-z]{2,3})_)?(?:.*-)?ud-(?:train|dev|test))(?:-([A-Za-z0-9-]+))?\.conllu")
"""Treebank and split, language, and the part of a split that comes in several files, as a-1 in de_hdt-ud-train-a-1."""
MULTICONER_TAG = re.compile(r"(O)|([BI])-[A-Za-z]\S*")
"""Of the type only the shape is checked: v1 has six, v2 over thirty, one of them Medication/Vaccine."""
AQMAR_LABEL = re.compile(r"(O)+|([BI])-+(?:PER|LOC|ORG|MIS)S*[-`0-9]*")
BLANKS = re.compile(r"[ \t]+")

MISSING_REASON = "a missing UPOS (_)"
UPOS_REASON = "an unknown UPOS"
WITHHELD_REASON = "every word withheld (_)"
WORD_REASON = "an empty word"
COLUMNS_REASON = "a row that is not a word and a label"
LABEL_REASON = "a label that is not clearly B, I or O"

UD_REMEDY = "give a .conllu file of a treebank of universaldependencies.org"
TREEBANK_REMEDY = "give the unpacked folder of one treebank, as UD_Spanish-GSD, and a split that it has"
MULTICONER_REMEDY = "give a .conll file of MultiCoNER v1 (2022) or v2 (2023), as EN-English/en_dev.conll"
AQMAR_REMEDY = "give an article of AQMAR_Arabic_NER_corpus-1.0.zip, as Damascus.txt"

Line = tuple[int, str]
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Tagged:
    """A sentence: as many words as tags, one at least. A word may hold blanks, as "10 000" does; `language` is an ISO
    639 code."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    language: str


def conllu(path: Path, language: str) -> Kept:
    """Sentences of a file in CoNLL-U, version 2 (de Marneffe et al. 2021), with the tags UPOS.

    The words are the syntactic words, as UPOS belongs to them: of 1-2 del, 1 de, 2 el, the words are "de" and "el", and
    the row of the multiword token is skipped. Comments (#) and empty nodes (8.1) are skipped too. A blank line or the
    end of the file ends a sentence. Left out are sentences with a missing (_) or unknown UPOS, with an empty word, and
    those of _ alone, as in treebanks that may not give their words away. `language` says what the file is in.
    InputError: the file is missing or empty, a row has not ten columns, the ids of a sentence's words are not 1, 2, 3
    and so on, a multiword token is not of the words that follow, or no sentence is left.
    """
    return _read(path, language, ("#",), _syntactic_words, UD_REMEDY)


def treebank(folder: Path, split: str) -> Kept:
    """Sentences of a split of a UD treebank, from its folder: train, validation (dev) or test.

    The language is what the files' names begin with (es_gsd-ud-dev). InputError: as for `treebank_files` and `conllu`,
    and where a name begins with no language.
    """
    paths = treebank_files(folder, split)
    if not (language := TREEBANK_FILE.fullmatch(paths[0].name)[2]):
        raise InputError(f"{paths[0]}: the name has no language, as es_gsd-{paths[0].name}; read it with conllu")
    read = [conllu(path, language) for path in paths]
    left_out: Counter[str] = Counter()
    for some in read:
        left_out.update(some.left_out)
    return Kept((sentence for some in read for sentence in some), left_out)


def treebank_files(folder: Path, split: str) -> list[Path]:
    """The file in a UD treebank's folder whose name ends in ud-{train,dev,test}.conllu, or all parts of such a file.

    Parts (ru_syntagrus-ud-train-a, -b; de_hdt-ud-train-a-1, -a-2) come in order: letters by the alphabet, numbers by
    size. InputError: unknown split, there is no such file (the PUD treebanks have a test split only), there are files
    of several treebanks, or a whole split beside its parts.
    """
    part = f"ud-{UD_SPLITS[choice(split, UD_SPLITS, 'split')]}"
    there = sorted(path.name for path in Path(folder).glob("*.conllu"))
    named = {name: found for name in there if (found := TREEBANK_FILE.fullmatch(name)) and found[1].endswith(part)}
    whole = [name for name, found in named.items() if not found[3]]
    if len({found[1] for found in named.values()}) != 1 or (whole and len(named) > 1):
        what = f"{len(named)} files *{part}.conllu (or in parts, as *{part}-a.conllu), not one treebank's"
        raise InputError(f"{folder}: {what}; there is {', '.join(there) or 'no *.conllu'}; {TREEBANK_REMEDY}")
    return [Path(folder) / name for name in sorted(named, key=lambda name: _order(named[name][3]))]


def _order(part: str | None) -> list[tuple[int, int, str]]:
    """What sorts a split's parts: a-2 before a-10."""
    pieces = re.findall(r"[0-9]+|[A-Za-z]+", part or "")
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces]


def multiconer(path: Path, language: str) -> Kept:
    """Sentences of a file of MultiCoNER v1 (Malmasi et al. 2022) or v2 (Fetahu et al. 2023), with the tags B, I and O.

    A row is "word _ _ B-PER", with single blanks; a row "# id ..." opens a sentence, and a blank line or the end of the
    file ends it. Only "# id" makes a comment: the word # stands in "# _ _ O". Of a tag the type goes, fine (v2) or
    coarse. An I that follows an O or another type's span stays I: nothing is repaired. Sentences with an empty word are
    left out. `language` says what the file is in. InputError: the file is missing or empty, a row has not four columns
    or not _ in the two middle ones, a tag is not O, B-TYPE or I-TYPE (as where test tags are withheld), or no sentence
    is left.
    """
    return _read(path, language, ("# id ",), _named_words, MULTICONER_REMEDY)


def aqmar(path: Path, language: str = "ar") -> Kept:
    """Sentences of an article of AQMAR (Mohit et al. 2012), Arabic Wikipedia, with the tags B, I and O.

    A row is a word, a blank and a label, and a blank line or the end of the file ends a sentence. The labels are dirty.
    Most are O or B-, I- with PER, LOC, ORG, MIS or MIS0 to MIS3; but there are OO and B-MISS1, and in other articles
    I--ORG, B-MIS-1, B-MIS1`, IO, B-ENGLISH, B-SPANISH. The rule, for labels in capitals and without blanks around:

    - O, once or repeated, is O;
    - B or I, hyphens (one or more), PER, LOC, ORG or MIS, then any S, and after it any digits, hyphens and backticks
      (AQMAR_LABEL), is B or I: the letter in front is clear, and the slip is in the type, which goes anyway;
    - everything else makes the sentence be left out: IO may be I or O, and B-ENGLISH may be a name or a foreign word.

    Left out are also sentences with a row of more or less than two columns. An I that follows an O or another type's
    span stays I. InputError: the file is missing or empty, or no sentence is left.
    """
    return _read(path, language, (), _labelled_words, AQMAR_REMEDY)


def _read(
    path: Path,
    language: str,
    comments: tuple[str, ...],
    words_of: Callable[[list[Line], Path], Pairs | str],
    remedy: str,
) -> Kept:
    """The sentences of a file; `words_of` makes a sentence's rows to words and tags, or says why it is left out."""
    path = Path(path)
    blocks = _blocks(read_lines(path, remedy), comments)
    kept = sift([(block[0][0], _tagged(words_of(block, path), language)) for block in blocks], path)
    if not kept:
        raise InputError(f"{path}: no sentence can be used; check that it is the right file; {remedy}")
    return kept


def _blocks(lines: list[str], comments: tuple[str, ...]) -> Iterator[list[Line]]:
    """The rows of each sentence, without comments; what has only comments is no sentence."""
    block: list[Line] = []
    for row, line in enumerate([*lines, ""], 1):
        if line.strip():
            block += [] if line.startswith(comments) else [(row, line)]
        elif block:
            yield block
            block = []


def _tagged(pairs: Pairs | str, language: str) -> Tagged | str:
    if isinstance(pairs, str):
        return pairs
    words, tags = zip(*pairs, strict=True)
    return Tagged(words, tags, language) if all(word.strip() for word in words) else WORD_REASON


def _syntactic_words(block: list[Line], path: Path) -> Pairs | str:
    """The forms and UPOS of a sentence in CoNLL-U, or why it is left out."""
    pairs: Pairs = []
    promised = 1
    for row, line in block:
        cells = _cells(line, "\t", UD_COLUMNS, f"{path}, row {row}", UD_REMEDY)
        if EMPTY_NODE.fullmatch(cells[0]):
            continue
        span, due = SPAN.fullmatch(cells[0]), len(pairs) + 1
        if (span[1] if span else cells[0]) != str(due) or (span and int(span[2]) < due):
            raise InputError(f"{path}, row {row}: id {cells[0]!r} where {due} is due; {UD_REMEDY}")
        if span:
            promised = int(span[2])
        else:
            pairs.append((cells[1], cells[3]))
    if len(pairs) < promised:
        raise InputError(f"{path}, row {block[-1][0]}: the sentence ends before its word {promised}; {UD_REMEDY}")
    return _unusable(pairs) or pairs


def _unusable(pairs: Pairs) -> str:
    """Why a sentence of UD is left out, or nothing."""
    if all(word == "_" for word, _ in pairs):
        return WITHHELD_REASON
    wrong = next((tag for _, tag in pairs if tag not in UPOS), None)
    return "" if wrong is None else MISSING_REASON if wrong == "_" else UPOS_REASON


def _named_words(block: list[Line], path: Path) -> Pairs:
    """The words and B, I, O of a sentence of MultiCoNER."""
    pairs: Pairs = []
    for row, line in block:
        where = f"{path}, row {row}"
        word, *middle, tag = _cells(line, " ", MULTICONER_COLUMNS, where, MULTICONER_REMEDY)
        if middle != ["_", "_"]:
            raise InputError(f"{where}: {' '.join(middle)!r} between word and tag, not '_ _'; {MULTICONER_REMEDY}")
        if not (found := MULTICONER_TAG.fullmatch(tag)):
            raise InputError(f"{where}: tag {tag!r} is not O, B-TYPE or I-TYPE; take a file whose tags are released")
        pairs.append((word, found[1] or found[2]))
    return pairs


def _labelled_words(block: list[Line], path: Path) -> Pairs | str:
    """The words and B, I, O of a sentence of AQMAR, or why it is left out."""
    rows = [BLANKS.split(line.strip(" \t")) for _, line in block]
    if any(len(cells) != 2 for cells in rows):
        return COLUMNS_REASON
    found = [AQMAR_LABEL.fullmatch(label.upper()) for _, label in rows]
    if not all(found):
        return LABEL_REASON
    return [(word, match[1] or match[2]) for (word, _), match in zip(rows, found, strict=True) if match]


def _cells(line: str, separator: str, width: int, where: str, remedy: str) -> list[str]:
    cells = line.split(separator)
    if len(cells) != width:
        raise InputError(f"{where}: {len(cells)} columns, not {width}; {remedy}")
    return cells
