"""Readers of GSM8K, MGSM, SQuAD and XQuAD: what they read, what they leave out, and what they refuse."""

import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from real_files import REAL, needs
from refusals import refused

from xltlib.corpora import generation_files
from xltlib.corpora.generation_files import MathProblem, SpanQuestion
from xltlib.corpora.guards import Kept
from xltlib.text_tasks import Item, final_number

SQUAD = REAL / "squad" / "dataset" / "dev-v1.1.json"
XQUAD_THERE = ("ar", "de", "en", "es", "ru", "th", "zh")


def solved(
    question: str = "Ada has 5 pens and buys 5. How many?", answer: str = "5+5=<<5+5=10>>10 pens\n#### 10"
) -> str:
    return json.dumps({"question": question, "answer": answer})


def write_gsm8k(folder: Path, *lines: str, split: str = "train") -> Path:
    path = folder / "grade_school_math" / "data" / f"{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def write_mgsm(folder: Path, *lines: str, language: str = "de") -> Path:
    path = folder / f"mgsm_{language}.tsv"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def asked(text: str = "a lamp", start: int = 8, question: str = "What hangs?") -> dict:
    return {"id": "q1", "question": question, "answers": [{"answer_start": start, "text": text}]}


def paragraph(*qas: dict, context: str = "There's a lamp by the door.") -> dict:
    return {"context": context, "qas": list(qas or [asked()])}


def write_squad(path: Path, *paragraphs: dict, **changes: object) -> Path:
    content = {"data": [{"title": "Lamps", "paragraphs": list(paragraphs or [paragraph()])}], "version": "1.1"}
    path.write_text(json.dumps(content | changes, ensure_ascii=False), encoding="utf-8")
    return path


# GSM8K ----------------------------------------------------------------------------------------------------------------


def test_gsm8k_solutions_without_annotations_and_with_the_number_last(tmp_path, capsys):
    write_gsm8k(
        tmp_path,
        solved(),
        solved(
            " How much? ", "He has $<<900*2=1800>>1,800.\n\nThat is 4 < 5 > 3 <<1800-4000=-2200>>left.\n#### -2,200\n"
        ),
        solved("How far?", "#### 1,234,567.50"),
    )
    write_gsm8k(tmp_path, solved(), split="test")
    read = generation_files.gsm8k(tmp_path, "train")
    assert isinstance(read, Kept) and read.left_out == {}
    assert read == [
        MathProblem("Ada has 5 pens and buys 5. How many?", "5+5=10 pens\n10", "10", "en"),
        MathProblem("How much?", "He has $1,800.\nThat is 4 < 5 > 3 left.\n-2200", "-2200", "en"),
        MathProblem("How far?", "1234567.50", "1234567.50", "en"),
    ]
    assert generation_files.gsm8k(tmp_path, "test") == read[:1]
    assert capsys.readouterr().err == ""


def test_gsm8k_annotations_without_end_are_left_out_and_counted(tmp_path, capsys):
    open_ended = solved(answer="5+5=<<5+5=10 pens\nand <<1+1=2>>2\n#### 10")
    path = write_gsm8k(tmp_path, solved(), open_ended, solved(answer="5+5=<5+5=10>>10\n#### 10"))
    read = generation_files.gsm8k(tmp_path, "train")
    assert len(read) == 1 and read.left_out == {generation_files.ANNOTATION_REASON: 2}
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(path) in said and "2 of 3 rows" in said and "row 2" in said
    write_gsm8k(tmp_path, open_ended)
    refused(lambda: generation_files.gsm8k(tmp_path, "train"), "train.jsonl", "no row can be used", "right file")


@pytest.mark.parametrize(
    "line, words",
    [
        ('{"question": "How', ("no JSON",)),
        ("", ("no JSON",)),
        ("[" * 100_000, ("no JSON",)),
        ("[1, 2]", ("no field 'question'",)),
        ('{"question": "How many?"}', ("no field 'answer'",)),
        ('{"answer": "#### 1"}', ("no field 'question'",)),
        ('{"question": "How many?", "answer": 1}', ("'answer' is of type int, not str",)),
        (solved(question=" "), ("question is empty", "remove")),
        (solved(answer="5+5=10"), ("no last line '#### <number>'",)),
        (solved(answer=""), ("no last line '#### <number>'",)),
        (solved(answer="#### 10\n5+5=10"), ("no last line '#### <number>'",)),
        (solved(answer="It is #### 10"), ("no last line '#### <number>'",)),
        (solved(answer="5+5\n####"), ("no last line '#### <number>'",)),
        (solved(answer="5+5\n#### ten"), ("'ten' is no number", "1,010")),
        (solved(answer="5+5\n#### 2,5"), ("'2,5' is no number", "1,010")),
        (solved(answer="5+5\n#### 1234,567"), ("'1234,567' is no number",)),
    ],
)
def test_damaged_gsm8k_is_refused(tmp_path, line, words):
    write_gsm8k(tmp_path, solved(), line, solved())
    refused(lambda: generation_files.gsm8k(tmp_path, "train"), "train.jsonl, row 2: ", *words)


def test_gsm8k_split_file_and_encoding(tmp_path):
    for split in ("validation", "dev"):
        refused(lambda split=split: generation_files.gsm8k(tmp_path, split), repr(split), "GSM8K", "train, test")
    refused(lambda: generation_files.gsm8k(tmp_path, "test"), "test.jsonl", "no such file", "grade-school-math")
    path = write_gsm8k(tmp_path)
    refused(lambda: generation_files.gsm8k(tmp_path, "train"), "train.jsonl", "empty", "grade-school-math")
    path.write_bytes(solved().encode() + b'\n{"question": "K\xe4se"}')
    refused(lambda: generation_files.gsm8k(tmp_path, "train"), "train.jsonl, row 2", "0xe4", "UTF-8")


def test_gsm8k_byte_order_mark_line_ends_and_other_separators(tmp_path):
    line = '{"question": "One\u2028more?", "answer": "1+0=<<1+0=1>>1\\n#### 1"}'
    write_gsm8k(tmp_path).write_bytes(f"\ufeff{line}\r\n{line}".encode())
    assert generation_files.gsm8k(tmp_path, "train") == [MathProblem("One\u2028more?", "1+0=1\n1", "1", "en")] * 2


def test_half_a_character_is_replaced_and_counted(tmp_path, capsys):
    write_gsm8k(tmp_path, solved(), solved("Ada \ud83d has 5. \ude00?", "5 \ud83d\ude00\n#### 5"))
    read = generation_files.gsm8k(tmp_path, "train")
    assert (read[1].question, read[1].solution) == ("Ada \ufffd has 5. \ufffd?", "5 😀\n5")
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "train.jsonl: 1 texts" in said and "first row 2.question" in said


def test_half_a_character_in_squad_leaves_the_spans_right(tmp_path, capsys):
    place = paragraph(asked("lamp \ud83d", 6), context="\ude00 'a lamp \ud83d 😀 hangs")
    place["qas"][0]["answers"][0]["answer_start"] = place["context"].index("lamp")
    content = {"data": [{"title": "L", "paragraphs": [paragraph(), place]}], "version": "1.1"}
    (tmp_path / "dev.json").write_text(json.dumps(content), encoding="utf-8")
    read = generation_files.squad(tmp_path / "dev.json")
    assert read[1].context == "\ufffd 'a lamp \ufffd 😀 hangs" and read[1].answer == "lamp \ufffd"
    assert read[1].context[read[1].start :].startswith(read[1].answer) and read.left_out == {}
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "dev.json: 2 texts" in said and "data[0].paragraphs[1].context" in said


# MGSM -----------------------------------------------------------------------------------------------------------------


def test_mgsm_reads_unquoted_questions_and_numbers(tmp_path):
    write_mgsm(
        tmp_path, 'Wie viele "Stifte hat Ada?\t10', " Wie weit? \t70,000", "Wie kalt?\t-3 ", '"Wie schwer?"\t2.5'
    )
    read = generation_files.mgsm(tmp_path, "de", "test")
    assert isinstance(read, Kept) and read.left_out == {}
    assert read == [
        MathProblem('Wie viele "Stifte hat Ada?', "", "10", "de"),
        MathProblem("Wie weit?", "", "70000", "de"),
        MathProblem("Wie kalt?", "", "-3", "de"),
        MathProblem('"Wie schwer?"', "", "2.5", "de"),
    ]


@pytest.mark.parametrize(
    "line, words",
    [
        ("Wie weit?", ("1 columns, not 2", "question, number")),
        ("", ("1 columns, not 2", "url-nlp")),
        ("Wie weit?\t5\t5", ("3 columns, not 2",)),
        ("\t5", ("question is empty", "remove")),
        ("Wie weit?\t", ("'' is no number",)),
        ("Wie weit?\tfünf", ("'fünf' is no number", "1,010")),
        ("Wie weit?\t2,5", ("'2,5' is no number",)),
        ("Wie weit?\t1.234.567", ("'1.234.567' is no number",)),
        ("Wie weit?\t1.000", ("'1.000' is a thousand or one", "1000")),
    ],
)
def test_damaged_mgsm_is_refused(tmp_path, line, words):
    write_mgsm(tmp_path, "Wie viele?\t10", line, "Wie oft?\t2")
    refused(lambda: generation_files.mgsm(tmp_path, "de", "test"), "mgsm_de.tsv, row 2: ", *words)


def test_mgsm_names_and_file(tmp_path):
    refused(lambda: generation_files.mgsm(tmp_path, "it", "test"), "'it'", "MGSM", "bn, de, en, es, fr, ja, ru, sw, te")
    for split in ("train", "validation"):
        refused(lambda split=split: generation_files.mgsm(tmp_path, "de", split), repr(split), "use one of test")
    refused(lambda: generation_files.mgsm(tmp_path, "de", "test"), "mgsm_de.tsv", "no such file", "url-nlp")
    write_mgsm(tmp_path)
    refused(lambda: generation_files.mgsm(tmp_path, "de", "test"), "mgsm_de.tsv", "empty", "url-nlp")


# SQuAD and XQuAD ------------------------------------------------------------------------------------------------------


def test_squad_takes_the_first_answer_and_keeps_the_others(tmp_path, capsys):
    two = asked(question=" What hangs? ")
    for text in ("by the door", "\ufeffby the door", "a lamp", " ", "lamp"):
        two["answers"].append({"answer_start": 15, "text": text})
    path = write_squad(tmp_path / "dev.json", paragraph(two), paragraph(asked("By", 0), context="By the\nsea. "))
    read = generation_files.squad(path)
    assert isinstance(read, Kept) and read.left_out == {} and capsys.readouterr().err == ""
    assert read == [
        SpanQuestion("There's a lamp by the door.", "What hangs?", "a lamp", 8, "en", ("by the door", "lamp")),
        SpanQuestion("By the\nsea. ", "What hangs?", "By", 0, "en"),
    ]
    assert [question.language for question in generation_files.squad(str(path), "fr")] == ["fr"] * 2
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert generation_files.squad(path) == read


def test_squad_byte_order_marks_go_and_spans_stay_right(tmp_path):
    context = "Eine Lampe \ufeffhängt 🏮 da."
    qas = [asked("Lampe", 6), asked("da", 21), asked("\ufeffEine", 0), asked("Eine", 1, "\ufeffWer?")]
    path = write_squad(tmp_path / "dev.json", paragraph(*qas, context="\ufeff" + context))
    read = generation_files.squad(path, "de")
    assert [(q.context, q.answer, q.start) for q in read] == [
        (context, answer, start) for answer, start in (("Lampe", 5), ("da", 20), ("Eine", 0), ("Eine", 0))
    ]
    assert all(q.context[q.start : q.start + len(q.answer)] == q.answer for q in read) and read[3].question == "Wer?"


def test_squad_wrong_spans_and_empty_texts_are_left_out_and_counted(tmp_path, capsys):
    wrong = [asked(start=9), asked("door", -5), asked("door. ", 22), asked("Lamp", 10), asked(start=900)]
    empty = [asked(question=" "), asked(""), asked(" ", 7)]
    path = write_squad(tmp_path / "dev.json", paragraph(), paragraph(asked(), *wrong, *empty))
    read = generation_files.squad(path)
    assert len(read) == 2
    assert read.left_out == {generation_files.SPAN_REASON: 5, generation_files.EMPTY_REASON: 3}
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(path) in said and "8 of 10 rows" in said
    assert "first row data[0].paragraphs[1].qas[1]\n" in said
    write_squad(path, paragraph(asked("There's", 0), context="\ufeffThere's a lamp."))
    refused(lambda: generation_files.squad(path), "dev.json", "no row can be used", "right file")


FIRST = "data[0].paragraphs[0]"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"version": "v2.0"}, ("dev.json: version 'v2.0', not '1.1'",)),
        ({"version": 1.1}, ("dev.json: 'version' is of type float, not str",)),
        ({"data": {}}, ("dev.json: 'data' is of type dict, not list",)),
        ({"data": []}, ("dev.json: no row can be used",)),
        ({"data": ["Lamps"]}, ("row data[0]: no field 'paragraphs'",)),
        ({"data": [{"paragraphs": []}, {"title": "Lamps"}]}, ("row data[1]: no field 'paragraphs'",)),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, (f"row {FIRST}: no field 'context'",)),
        ({"data": [{"paragraphs": [{"context": "A lamp."}]}]}, (f"row {FIRST}: no field 'qas'",)),
        ({"data": [{"paragraphs": [{"context": None, "qas": []}]}]}, (f"row {FIRST}: 'context' is of type NoneType",)),
        ({"data": [{"paragraphs": [paragraph(asked() | {"answers": []})]}]}, (f"row {FIRST}.qas[0]: no answer",)),
        ({"data": [{"paragraphs": [paragraph(asked() | {"answers": [{}]})]}]}, ("qas[0].answers[0]: no field 'text'",)),
        ({"data": [{"paragraphs": [paragraph(asked(), asked(start="8"))]}]}, (f"{FIRST}.qas[1].answers[0]: ", "str")),
        ({"data": [{"paragraphs": [paragraph(asked(start=True))]}]}, ("'answer_start' is of type bool, not int",)),
        ({"data": [{"paragraphs": [paragraph({"answers": []})]}]}, (f"row {FIRST}.qas[0]: no field 'question'",)),
        ({"data": [{"paragraphs": [paragraph({"question": "?"})]}]}, (f"row {FIRST}.qas[0]: no field 'answers'",)),
    ],
)
def test_squad_of_another_shape_is_refused(tmp_path, changes, words):
    path = write_squad(tmp_path / "dev.json", **changes)
    refused(lambda: generation_files.squad(path), str(path), *words)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", ("file is empty",)),
        (" \n", ("file is empty",)),
        ('{"data": [', ("no JSON",)),
        ("[]", ("no field 'version'",)),
        ('{"data": []}', ("no field 'version'",)),
        ('{"version": "1.1"}', ("no field 'data'",)),
    ],
)
def test_files_that_are_not_squad_are_refused(tmp_path, text, words):
    (path := tmp_path / "dev.json").write_text(text)
    refused(lambda: generation_files.squad(path), str(path), "train-v1.1.json", *words)


def test_xquad_file_and_language(tmp_path):
    write_squad(tmp_path / "xquad.th.json")
    assert generation_files.xquad(tmp_path, "th") == [
        SpanQuestion("There's a lamp by the door.", "What hangs?", "a lamp", 8, "th")
    ]
    refused(lambda: generation_files.xquad(tmp_path, "vi"), "xquad.vi.json", "no such file", "XQuAD")
    refused(lambda: generation_files.xquad(tmp_path, "fr"), "'fr'", "ar, de, el, en, es, hi, ru, th, tr, vi, zh")
    (tmp_path / "xquad.tr.json").write_bytes(b'{"data": "\xe4"}')
    refused(lambda: generation_files.xquad(tmp_path, "tr"), "xquad.tr.json, row 1", "0xe4", "UTF-8")


def test_what_is_read_cannot_be_changed():
    for example in (MathProblem("How many?", "", "1", "en"), SpanQuestion("A lamp.", "What?", "lamp", 2, "en")):
        with pytest.raises(FrozenInstanceError):
            example.answer = "2"


# The real files -------------------------------------------------------------------------------------------------------


@needs("gsm8k")
@pytest.mark.parametrize("split, rows", [("train", 2000), ("test", 300)])
def test_real_gsm8k(split, rows, capsys):
    read = generation_files.gsm8k(REAL / "gsm8k", split)
    assert len(read) == rows and read.left_out == {} and not capsys.readouterr().err
    for problem in read:
        assert problem.solution.endswith(f"\n{problem.answer}") and "," not in problem.answer
        assert "<<" not in problem.solution and "####" not in problem.solution and "\n\n" not in problem.solution
        assert final_number(problem.solution) == problem.answer == str(int(problem.answer))
        item = Item(
            "problems", {"problem": problem.question, "solution": problem.solution}, problem.answer, ("en", "en")
        )
        assert item.prompt == f"{problem.question}\n\n" and item.output == problem.solution


@needs("gsm8k")
@needs("mgsm")
def test_real_mgsm_is_parallel_to_gsm8k():
    start = generation_files.gsm8k(REAL / "gsm8k", "test")[:100]
    for language in generation_files.MGSM_LANGUAGES:
        read = generation_files.mgsm(REAL / "mgsm", language, "test")
        assert [problem.answer for problem in read] == [problem.answer for problem in start]
        assert {(problem.language, problem.solution) for problem in read} == {(language, "")}
        assert len({problem.question for problem in read}) == 100
        item = Item("problems", {"problem": read[0].question, "solution": ""}, read[0].answer, (language, language))
        assert item.prompt == f"{read[0].question}\n\n" and item.output == ""


def check_spans(read: Kept, language: str) -> None:
    """Spans equal their answers, no mark is left, and the task's items can be built from the fields."""
    for asked in read:
        assert asked.language == language and "\ufeff" not in asked.context + asked.question + asked.answer
        assert asked.context[asked.start : asked.start + len(asked.answer)] == asked.answer
        fields = {"context": (asked.context,), "question": asked.question}
        item = Item(task="questions", fields=fields, target=asked.answer, codes=(language, language))
        assert item.prompt == f"Context: {asked.context}\n\nQuestion: {asked.question}\n\n"
        assert item.output == asked.answer


@needs("squad")
def test_real_squad(capsys):
    read = generation_files.squad(SQUAD)
    assert len(read) == 1680 and len({asked.context for asked in read}) == 240
    assert read.left_out == {} and not capsys.readouterr().err
    check_spans(read, "en")


@needs("xquad")
def test_real_xquad(capsys):
    for language in XQUAD_THERE:
        read = generation_files.xquad(REAL / "xquad", language)
        assert len(read) == 225 and len({asked.context for asked in read}) == 40 and read.left_out == {}
        check_spans(read, language)
    assert not capsys.readouterr().err


@needs("xquad")
def test_real_xquad_has_marks_before_some_contexts():
    raw = (REAL / "xquad" / "xquad.th.json").read_text(encoding="utf-8")
    contexts = [p["context"] for article in json.loads(raw)["data"] for p in article["paragraphs"]]
    assert sum(context.startswith("\ufeff") for context in contexts) == 2


@needs("squad")
@needs("xquad")
def test_real_english_xquad_is_a_part_of_squad():
    squad = {(asked.context, asked.question) for asked in generation_files.squad(SQUAD)}
    both = [asked for asked in generation_files.xquad(REAL / "xquad", "en") if (asked.context, asked.question) in squad]
    assert len(both) == 135 and all(asked.language == "en" for asked in both)
