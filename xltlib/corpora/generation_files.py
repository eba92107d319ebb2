"""Readers of problems and questions in their upstream's own format: GSM8K, MGSM, SQuAD v1.1 and XQuAD.

Their answers are texts, not classes. Rows that cannot be used are left out and counted (`guards.Kept`); half of a
surrogate pair is read as U+FFFD and counted (`guards.whole`). None needs a network.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xltlib.answer_numbers import COMMA
from xltlib.corpora.guards import Kept, read_lines, read_text, sift, whole
from xltlib.errors import InputError, choice

GSM8K_SPLITS = ("train", "test")
MGSM_LANGUAGES = ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")
MGSM_SPLITS = ("test",)
XQUAD_LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
SQUAD_VERSION = "1.1"

ANNOTATION = re.compile(r"<<[^<>]*>>")
"""A calculator annotation in a solution of GSM8K, as in "5+5=<<5+5=10>>10"."""
ANSWER_LINE = re.compile(r"####\s+(.*\S)\s*")
NUMBER = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?")
"""Digits, with a comma before every three of them or none at all: 2,5 is refused, not read as 25."""
THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}\.[0-9]{3}")
BYTE_ORDER_MARK = "\ufeff"

ANNOTATION_REASON = "a calculator annotation that does not end"
EMPTY_REASON = "an empty question or answer"
SPAN_REASON = "an answer that is not in its context at its offset"

GSM8K_REMEDY = "give the folder of a copy of github.com/openai/grade-school-math"
MGSM_REMEDY = "give a folder with the files of mgsm/ in github.com/google-research/url-nlp"
SQUAD_REMEDY = "take SQuAD v1.1's train-v1.1.json or dev-v1.1.json, or XQuAD's xquad.<language>.json"


@dataclass(frozen=True)
class MathProblem:
    """A word problem. `solution` ends in a line with the answer alone, or is "" where upstream has none; `answer` is a
    number without thousands separators; `language` an ISO 639-1 code."""

    question: str
    solution: str
    answer: str
    language: str


@dataclass(frozen=True)
class SpanQuestion:
    """A question whose answer stands in the context: `context[start : start + len(answer)] == answer`. `language` is an
    ISO 639-1 code; `others` are further answers of the file, each text once."""

    context: str
    question: str
    answer: str
    start: int
    language: str
    others: tuple[str, ...] = ()


def gsm8k(folder: Path, split: str) -> Kept:
    """English problems with worked solutions of GSM8K (Cobbe et al. 2021); upstream has the splits train and test.

    `folder` holds grade_school_math/data/{train,test}.jsonl, JSON objects with question and answer. The calculator
    annotations (<<5+5=10>>) and blank lines in an answer are removed; its last line (#### 1,010) becomes 1010. Rows
    with an annotation that does not end are left out. InputError: unknown split, the file is missing or empty, a line
    is no JSON object, a question or answer is missing, empty or no text, an answer does not end in a line with #### and
    a number, or no row is left.
    """
    part = choice(split, GSM8K_SPLITS, "split of GSM8K")
    path = Path(folder) / "grade_school_math" / "data" / f"{part}.jsonl"
    lines = enumerate(read_lines(path, GSM8K_REMEDY), 1)
    rows = whole(((row, _json(line, f"{path}, row {row}", GSM8K_REMEDY)) for row, line in lines), path)
    return _some(sift([(row, _solved(value, f"{path}, row {row}")) for row, value in rows], path), path)


def mgsm(folder: Path, language: str, split: str) -> Kept:
    """Problems of MGSM (Shi et al. 2022): the first 250 of GSM8K's test split in 11 languages, without solutions.

    `folder` holds mgsm_<language>.tsv: question, tab, number; no header, and quotation marks are part of the question.
    The n-th problems of all languages are translations of each other. InputError: unknown language, a split other than
    test, the file is missing or empty, a row has not two columns, a question is empty, or an answer is no number, or
    one like 1.000 in a language that may mean 1000.
    """
    choice(language, MGSM_LANGUAGES, "language of MGSM")
    choice(split, MGSM_SPLITS, "split of MGSM")
    path = Path(folder) / f"mgsm_{language}.tsv"
    return Kept(
        _unsolved(line, language, f"{path}, row {row}") for row, line in enumerate(read_lines(path, MGSM_REMEDY), 1)
    )


def squad(path: Path, language: str = "en") -> Kept:
    """Questions with their answers, the first one apart, of a file like SQuAD v1.1 (Rajpurkar et al. 2016).

    That is JSON with version and data: articles with paragraphs, these with context and qas, these with question and
    answers, these with text and answer_start, which counts characters. Byte order marks (U+FEFF) before a context, as
    XQuAD has some, are removed and the offset shifted by them; blanks around a context stay. Left out are rows whose
    answer is not in the context at its offset, and rows with an empty question or answer. `language` says what the file
    is in. InputError: the file is missing, empty, no JSON, of another version or shape, or without any usable row.
    """
    path = Path(path)
    text = read_text(path, SQUAD_REMEDY)
    if not text.strip():
        raise InputError(f"{path}: the file is empty; {SQUAD_REMEDY}")
    ((_, content),) = whole([("", _json(text, str(path), SQUAD_REMEDY))], path)
    if (version := _field(content, "version", str, str(path), SQUAD_REMEDY)) != SQUAD_VERSION:
        raise InputError(f"{path}: version {version!r}, not {SQUAD_VERSION!r}; {SQUAD_REMEDY}")
    read = []
    for article_row, article in _members(content, "data", "", path):
        for paragraph_row, paragraph in _members(article, "paragraphs", article_row, path):
            context = _field(paragraph, "context", str, f"{path}, row {paragraph_row}", SQUAD_REMEDY)
            for row, question in _members(paragraph, "qas", paragraph_row, path):
                read.append((row, _spanned(context, question, language, row, path)))
    return _some(sift(read, path), path)


def xquad(folder: Path, language: str) -> Kept:
    """Questions of XQuAD (Artetxe et al. 2020), professional translations of a part of SQuAD v1.1's dev set.

    `folder` holds xquad.<language>.json. The n-th questions of all languages are translations of each other as long as
    none is left out. InputError: unknown language, and as for `squad`.
    """
    choice(language, XQUAD_LANGUAGES, "language of XQuAD")
    return squad(Path(folder) / f"xquad.{language}.json", language)


def _solved(row: object, where: str) -> MathProblem | str:
    """The problem in a row of GSM8K, or why it is left out."""
    question, worked = (_field(row, name, str, where, GSM8K_REMEDY).strip() for name in ("question", "answer"))
    if not question:
        raise InputError(f"{where}: the question is empty; fill it in or remove the row")
    *steps, last = worked.split("\n")
    if not (found := ANSWER_LINE.fullmatch(last)):
        raise InputError(f"{where}: the answer has no last line '#### <number>'; {GSM8K_REMEDY}")
    answer = _number(found[1], where, GSM8K_REMEDY)
    steps = [ANNOTATION.sub("", step).rstrip() for step in steps]
    if any("<<" in step or ">>" in step for step in steps):
        return ANNOTATION_REASON
    return MathProblem(question, "\n".join([*filter(None, steps), answer]), answer, "en")


def _unsolved(line: str, language: str, where: str) -> MathProblem:
    """The problem in a line of MGSM."""
    cells = line.split("\t")
    if len(cells) != 2:
        raise InputError(f"{where}: {len(cells)} columns, not 2 (question, number); {MGSM_REMEDY}")
    if not (question := cells[0].strip()):
        raise InputError(f"{where}: the question is empty; fill it in or remove the row")
    answer = _number(cells[1], where, MGSM_REMEDY)
    if language in COMMA and THOUSANDS.fullmatch(answer):
        raise InputError(
            f"{where}: the answer {answer!r} is a thousand or one in {language!r}; write it like 1000 or 1"
        )
    return MathProblem(question, "", answer, language)


def _spanned(context: str, asked: object, language: str, row: str, path: Path) -> SpanQuestion | str:
    """The question with its first answer, or why it is left out. A mark before the answer goes as one before the
    context does."""
    where = f"{path}, row {row}"
    question = _field(asked, "question", str, where, SQUAD_REMEDY).lstrip(BYTE_ORDER_MARK).strip()
    answers = [answer for _, answer in _members(asked, "answers", row, path)]
    if not answers:
        raise InputError(f"{where}: no answer; {SQUAD_REMEDY}")
    texts = [_field(found, "text", str, f"{where}.answers[{i}]", SQUAD_REMEDY) for i, found in enumerate(answers)]
    start, marked = _field(answers[0], "answer_start", int, f"{where}.answers[0]", SQUAD_REMEDY), texts[0]
    bare, answer = context.lstrip(BYTE_ORDER_MARK), marked.lstrip(BYTE_ORDER_MARK)
    start += (len(marked) - len(answer)) - (len(context) - len(bare))
    if not (question and answer.strip()):
        return EMPTY_REASON
    if start < 0 or bare[start : start + len(answer)] != answer:
        return SPAN_REASON
    others = dict.fromkeys(text.lstrip(BYTE_ORDER_MARK) for text in texts)
    return SpanQuestion(
        bare, question, answer, start, language, tuple(text for text in others if text.strip() and text != answer)
    )


def _json(text: str, where: str, remedy: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: no JSON ({error}); {remedy}") from None


def _field(holder: object, name: str, kind: type, where: str, remedy: str) -> Any:
    """The field of a JSON object, of the type wanted."""
    if not isinstance(holder, dict) or name not in holder:
        raise InputError(f"{where}: no field {name!r}; {remedy}")
    if type(holder[name]) is not kind:
        raise InputError(f"{where}: {name!r} is of type {type(holder[name]).__name__}, not {kind.__name__}; {remedy}")
    return holder[name]


def _members(holder: object, name: str, row: str, path: Path) -> Iterator[tuple[str, object]]:
    """The row (data[3].paragraphs[0]) and value of each member of a JSON object's list."""
    where = f"{path}, row {row}" if row else str(path)
    prefix = f"{row}." if row else ""
    for i, member in enumerate(_field(holder, name, list, where, SQUAD_REMEDY)):
        yield f"{prefix}{name}[{i}]", member


def _number(text: str, where: str, remedy: str) -> str:
    """The number as it is written, without thousands separators."""
    if not NUMBER.fullmatch(text.strip()):
        raise InputError(f"{where}: the answer {text!r} is no number like 1010 or 1,010; {remedy}")
    return text.strip().replace(",", "")


def _some(kept: Kept, path: Path) -> Kept:
    if not kept:
        raise InputError(f"{path}: no row can be used; check that it is the right file")
    return kept
