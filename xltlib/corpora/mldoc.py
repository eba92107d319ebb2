"""The reader of MLDoc (Schwenk and Li 2018): Reuters news in eight languages, four classes.

The texts are Reuters Corpora (RCV1, RCV2), which NIST hands out under an agreement and nobody may pass on: nothing is
downloaded, and none of it lies here. MLDoc itself is lists of documents, and a script that writes label and text.
"""

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

from xltlib.corpora.guards import Example, Kept, check, known_name, read_lines, several_classes, sift
from xltlib.errors import InputError, choice

LANGUAGES = {
    **{"en": "english", "de": "german", "es": "spanish", "fr": "french"},
    **{"it": "italian", "ja": "japanese", "ru": "russian", "zh": "chinese"},
}
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
SIZES = (1000, 2000, 5000, 10000)
CLASSES = ("CCAT", "ECAT", "GCAT", "MCAT")
TOPICS = ".//codes[@class='bip:topics:1.0']/code"
INDEX = re.compile(r"([A-Za-z0-9]+)-([0-9]+(?:newsML)?)")
BYTES = re.compile(r"b(['\"]).*\1")
ENCODING = re.compile(rb"\s*<\?xml[^>]*encoding=[\"']([A-Za-z0-9._-]+)[\"']")

MALFORMED = "XML that is not well-formed"
NOT_ONE_CLASS = "not exactly one of the four classes"
EMPTY = "an empty text or paragraph"

REMEDY = (
    "MLDoc needs the Reuters Corpora, which NIST gives out under an agreement; give the folder of MLDoc's prepared "
    "files, or that of its indices together with rcv="
)


def mldoc(folder: Path, language: str, split: str, *, size: int = 1000, rcv: Path | None = None) -> Kept:
    """Documents of MLDoc: corporate 0 (CCAT), economics 1 (ECAT), government 2 (GCAT), markets 3 (MCAT).

    `folder` holds <name>.train.<size>, <name>.dev and <name>.test, or <name>/ with them; <name> is english, german and
    so on. Without `rcv` they are as MLDoc's generate_documents.py writes them: label, tab, text, a document a line. Run
    with Python 3 that script writes the text as b'...' with escapes, which are decoded.
    With `rcv` they are MLDoc's indices, FDCH5-39373 or 19970617-667588newsML a line; `rcv` holds rcv1/ and
    RCV2_Multilingual_Corpus/<name>/, or is itself the language's folder. See `_document` for how one is read.
    InputError: an unknown name or label, a missing file, empty text, bad UTF-8, rows of another form.
    """
    name = LANGUAGES[choice(language, LANGUAGES, "language of MLDoc")]
    part = SPLITS[choice(split, SPLITS, "split")]
    file = f"{name}.{part}" + f".{choice(size, SIZES, 'size of MLDoc')}" * (part == "train")
    places = [Path(folder) / file, Path(folder) / name / file]
    path = next((place for place in places if place.exists()), places[0])
    lines, test = read_lines(path, REMEDY), part == "test"
    if rcv is None:
        return Kept(check([_prepared(line, language, path, row) for row, line in enumerate(lines, 1)], path, test=test))
    place = _corpus(Path(rcv), name)
    kept = sift([(row, _indexed(line, place, language, path, row)) for row, line in enumerate(lines, 1)], path)
    several_classes(kept, path, 1, len(lines), test=test)
    return kept


def _prepared(line: str, language: str, path: Path, row: int) -> Example:
    cells = line.split("\t")
    if INDEX.fullmatch(cells[-1].strip()):
        raise InputError(f"{path}, row {row}: {cells[-1].strip()!r} is a document's index, not a text; give rcv= too")
    if len(cells) != 2:
        raise InputError(
            f"{path}, row {row}: {len(cells)} columns, not 2; each line is label, tab, text (without tabs)"
        )
    label = known_name(cells[0], CLASSES, path, row)
    return Example(_decoded(cells[1].strip(), path, row).strip(), label, language)


def _decoded(text: str, path: Path, row: int) -> str:
    """The text itself, where a Python script wrote a bytes literal in its place."""
    if not BYTES.fullmatch(text):
        return text
    try:
        return ast.literal_eval(text).decode("utf-8")
    except (ValueError, SyntaxError):
        raise InputError(
            f"{path}, row {row}: the text is a damaged b'...' literal; prepare it again, without .encode('utf-8')"
        ) from None


def _corpus(rcv: Path, name: str) -> Path:
    """The folder of a language's documents: as MLDoc's generate_all_documents.sh has them, else the one given."""
    place = rcv / "rcv1" if name == "english" else rcv / "RCV2_Multilingual_Corpus" / name
    if not rcv.is_dir():
        raise InputError(f"{rcv}: no such folder; {REMEDY}")
    return place if place.is_dir() else rcv


def _indexed(line: str, place: Path, language: str, path: Path, row: int) -> Example | str:
    match = INDEX.fullmatch(line.strip())
    if not match:
        raise InputError(
            f"{path}, row {row}: no index such as FDCH5-39373, but {line[:40]!r}; for prepared files leave rcv= out"
        )
    document = place / match[1] / f"{match[2]}.xml"
    try:
        raw = document.read_bytes()
    except OSError:
        raise InputError(
            f"{path}, row {row}: no document {document}; give rcv= with rcv1/ and RCV2_Multilingual_Corpus/"
        ) from None
    return _document(_text(raw, document), language, document)


def _text(raw: bytes, document: Path) -> str:
    """UTF-8 where that fits, as upstream's script reads it, else the encoding that the file declares."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row, declared = raw[: error.start].count(b"\n") + 1, ENCODING.match(raw)
    try:
        return raw.decode(declared[1].decode() if declared else "utf-8")
    except (UnicodeDecodeError, LookupError):
        raise InputError(f"{document}, row {row}: not UTF-8, nor of the encoding it declares; get it again") from None


def _document(text: str, language: str, document: Path) -> Example | str:
    """A news item's class and text, by the rules of MLDoc's generate_documents.py, or why it is left out, as there.

    The class is the one code among its topics (bip:topics:1.0) that is one of CLASSES; the text is its paragraphs <p>,
    joined by blanks, without the headline. A document type or entities are refused: the corpora need none.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{document}: declares a document type or entities, which are refused; get the file again")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return MALFORMED
    found = [code.get("code") for code in root.findall(TOPICS) if code.get("code") in CLASSES]
    if len(found) != 1:
        return NOT_ONE_CLASS
    paragraphs = [paragraph.text for paragraph in root.findall(".//p")]
    if None in paragraphs or not " ".join(paragraphs).strip():
        return EMPTY
    return Example(" ".join(paragraphs).strip(), CLASSES.index(found[0]), language)
