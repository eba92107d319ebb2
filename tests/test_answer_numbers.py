"""Numbers of answers as each language writes them: by hand, and on GSM8K's, MGSM's and the embedded files."""

import re

import pytest
from real_files import REAL, needs

from xltlib import text_tasks
from xltlib.answer_numbers import final_number, numbers
from xltlib.corpora import generation_files
from xltlib.corpora.generation_files import MGSM_LANGUAGES
from xltlib.corpora.problems import PROBLEM_LANGUAGES
from xltlib.text_tasks import Item, scores

BY_HAND = {
    "en": [
        ("It costs $70,000.", "70000"), ("1,234,567.50 in all", "1234567.5"), ("They are 3,4,5", "5"),
        ("1.000", "1"), ("1.000.000 pens", "1000000"), ("1.234,56", "1234.56"), ("12,345", "12345"),
        ("1,2345", "2345"), ("007", "7"), ("12.05.2024", "2024"), ("70 000 pens", "70000"),
        ("a 5 100 dollar bills", "100"), ("70\u202f000", "70000"), ("12\u200b345", "12345"),
        ("so 12 apples.\n72", "72"), ("none", None), ("", None), ("²", None), (".", None),
    ],
    "de": [
        ("Insgesamt sind es 70.000 Euro.", "70000"), ("Die Antwort ist 1.000.", "1000"),
        ("Das macht 2,5 Liter.", "2.5"), ("1.234.567,80 €", "1234567.8"), ("70 000", "70000"),
        ("1'000 Franken", "1000"), ("1’000’000", "1000000"), ("12.000,- €", "12000"), ("1,000", "1"),
        ("1,000,000", "1000000"), ("1,234.5", "1234.5"), ("2.5", "2.5"), ("0.125", "0.125"), ("0,125", "0.125"),
        ("3,4,5", "5"), ("am 12.05.2024", "2024"), ("im Jahr 2010 300", "300"), ("1234,5", "1234.5"),
        ("1234.567", "1234.567"),
    ],
    "ru": [
        ("Всего 70 000 рублей.", "70000"), ("70\u00a0000", "70000"), ("70\u2009000", "70000"),
        ("70\u202f000", "70000"), ("1 000 000,5", "1000000.5"), ("2,5", "2.5"), ("1.000", "1000"), ("5 10", "10"),
        ("1 000\n200", "200"),
    ],
    "fr": [("Il paie 1\u202f250 euros.", "1250"), ("1 250,75 €", "1250.75"), ("0,5", "0.5"), ("19,50 $", "19.5")],
    "es": [("$80 000 y luego", "80000"), ("80.000", "80000"), ("$1,5 cada", "1.5"), ("$1.5", "1.5")],
    "zh": [
        ("一共是１，０００个。", "1000"), ("１２．５元", "12.5"), ("70,000元", "70000"), ("8万元", "80000"),
        ("2.5万", "25000"), ("1万500元", "10500"), ("3百万", "3000000"), ("5千克", "5"), ("5千元", "5000"),
        ("3亿5000万", "350000000"), ("3，4，5", "5"), ("1万5", "10005"), ("1万20000", "20000"), ("5百分点", "5"),
    ],
    "ja": [
        ("8万ドルです。", "80000"), ("１万５千円", "15000"), ("1兆2000億円", "1200000000000"),
        ("５００　円", "500"), ("です．５０", "50"), ("5千円", "5000"),
    ],
    "th": [("รวม ๗๐,๐๐๐ บาท", "70000"), ("๒.๕", "2.5"), ("70,000 บาท", "70000"), ("13.00 น.", "13")],
    "ar": [("٧٠٬٠٠٠", "70000"), ("٢٫٥", "2.5")],
    "bn": [("$৮০,০০০", "80000")],
    "te": [("౭౦,౦౦౦", "70000")],
}  # fmt: skip
SIGNS = [
    ("en", "The change is -0.5", "-0.5"), ("en", "It is now \u22123 degrees.", "-3"), ("en", "-5", "-5"),
    ("zh", "温度是－３度", "-3"), ("ja", "気温は-3度", "-3"), ("th", "อุณหภูมิ -๓ องศา", "-3"), ("th", "เป็น-3", "-3"),
    ("de", "–5 Grad", "-5"), ("en", "-$5", "-5"), ("en", "$-5", "-5"), ("en", "-€1,000.50", "-1000.5"),
    ("fr", "\u22121\u202f250,75 €", "-1250.75"), ("en", "10 - 13 = -3", "-3"), ("en", "10 - 13 = - 3", "-3"),
    ("en", "from 3 to -5", "-5"), ("en", "(-5)", "-5"), ("en", '"-5"', "-5"), ("en", "**-5**", "-5"),
    ("en", "Answer:\n-7", "-7"), ("en", "5 + -7", "-7"), ("en", "x: -2", "-2"), ("en", "3-5", "5"),
    ("en", "3\u22125", "5"), ("de", "3–5 Euro", "5"), ("en", "COVID-19", "19"), ("en", "10 -3", "3"),
    ("en", "- 5 apples", "5"), ("en", "5km-8km", "8"), ("en", "3€-5€", "5"), ("en", "3 € -5", "5"),
    ("en", "5%-10%", "10"), ("zh", "3个-5个", "5"), ("zh", "3公斤-5公斤", "5"), ("en", "(2)-7", "7"),
    ("en", "x-7", "7"), ("en", "so--5", "5"), ("en", "2010-05-12", "12"), ("en", '3"-5"', "5"),
    ("ru", "счёт-5", "5"), ("en", "-0", "0"), ("en", "-0.00", "0"), ("en", "+5", "5"),
    ("en", "-US$5", "-5"), ("de", "-EUR 5", "-5"), ("en", "F-USD 5", "5"), ("de", "3.-5. Mai", "5"),
    ("en", "\u2212\u00a35", "-5"), ("en", "5\n-5", "-5"), ("en", "3 \u00d7 -5", "-5"), ("en", "- $5", "5"),
]  # fmt: skip
POINTS_AND_UNITS = [
    ("en", "It costs $.50", "0.5"), ("en", ".50", "0.5"), ("en", "-.5", "-0.5"), ("en", "-$.50", "-0.5"),
    ("en", "(.5)", "0.5"), ("de", ",5 Liter", "0.5"), ("de", ".500", "0.5"), ("ja", "．５", "0.5"),
    ("zh", "是.50元", "0.5"), ("en", "the end.50", "50"), ("en", "...50", "50"), ("en", "He left (early).50", "50"),
    ("en", "It is ,50", "50"), ("en", "3.50 euros", "3.5"), ("en", "7.00", "7"), ("en", "50%", "50"),
    ("de", "50 %", "50"), ("zh", "５０％", "50"), ("en", "5km", "5"), ("en", "25 m2", "25"),
    ("en", "25 cm^2", "25"), ("ru", "25 м2", "25"), ("en", "25 m²", "25"), ("ja", "1,000円", "1000"),
    ("en", "US$5", "5"), ("en", "5€.", "5"), ("en", "H2", "2"), ("en", "2^3", "3"),
    ("en", "\\boxed{70{,}000}", "70000"), ("de", "2{,}5", "2.5"), ("en", "70\\,000\\%", "70000"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "number"), [(c, *case) for c, cases in BY_HAND.items() for case in cases])
def test_separators_and_digits_of_each_language(code, text, number):
    assert final_number(text, code) == number


@pytest.mark.parametrize(("code", "text", "number"), SIGNS)
def test_signs_and_hyphens(code, text, number):
    assert final_number(text, code) == number


@pytest.mark.parametrize(("code", "text", "number"), POINTS_AND_UNITS)
def test_leading_points_units_and_zeros(code, text, number):
    assert final_number(text, code) == number


@pytest.mark.parametrize("code", ["en", "de", "zh"])
def test_a_number_may_have_any_length(code):
    digits = "5" * 30000
    assert final_number(digits, code) == digits and final_number(f"is -{digits}.", code) == f"-{digits}"
    item = Item("problems", {}, digits, (code, code))
    assert scores(item, f"So {digits}") == {"accuracy": 1.0} and scores(item, digits[1:]) == {"accuracy": 0.0}
    assert final_number("1." * 20000 + "7", code) == "7" and final_number("-" * 20000 + "7", code) == "7"
    assert final_number(f"{digits}万", "zh") == digits + "0000"


def test_scores_read_the_output_as_its_language_and_the_target_in_plain_form():
    for code, output, value in [("de", "1.000", 1.0), ("en", "1.000", 0.0), ("en", "1,000", 1.0), ("de", "1,000", 0.0)]:
        assert scores(Item("problems", {}, "1000", (code, code)), output) == {"accuracy": value}
    assert scores(Item("problems", {}, "1.125", ("de", "de")), "1,125") == {"accuracy": 1.0}
    assert scores(Item("problems", {}, "1000", ("en", "de")), "1.000") == {"accuracy": 1.0}  # asked to answer in German


# As a language writes it ----------------------------------------------------------------------------------------------

POINT = {"en", "zh", "ja", "th", "bn", "sw", "te"}
GROUPS = {"de": ". \u00a0\u202f\u2009", "es": ". \u00a0", "fr": " \u00a0\u202f\u2009", "ru": " \u00a0\u202f\u2009"}
DIGITS = {
    "zh": "０１２３４５６７８９",
    "ja": "０１２３４５６７８９",
    "th": "๐๑๒๓๔๕๖๗๘๙",
    "bn": "০১২৩৪৫৬৭৮৯",
    "te": "౦౧౨౩౪౫౬౭౮౯",
}
SENTENCES = {
    "en": ["So it is ${}.", "There are {} left."], "de": ["Das macht {} Euro.", "Die Antwort ist {}."],
    "es": ["La respuesta es {}.", "Son {} €."], "fr": ["La réponse est {}.", "Il reste {} €."],
    "ru": ["Ответ: {}.", "Всего {} рублей."], "zh": ["答案是{}。", "一共{}元。"],
    "ja": ["答えは{}です。", "全部で{}円。"],
    "th": ["คำตอบคือ {}", "รวม {} บาท"], "bn": ["উত্তর হল {}।", "মোট ${}।"], "sw": ["Jibu ni {}.", "Jumla ni ${}."],
    "te": ["సమాధానం {}.", "మొత్తం ${}."],
}  # fmt: skip
OWN = ["0", "7", "12", "999", "1000", "1010", "70000", "1234567", "109200000", "-7", "-47", "-1200", "2.5", "0.5",
       "0.75", "-0.5", "1234.5", "70000.25"]  # fmt: skip


def writings(number: str, code: str) -> list[str]:
    """A number in plain form as a language writes it, in every way that the test knows."""
    sign, (whole, _, part) = "-" * number.startswith("-"), number.lstrip("-").partition(".")
    point = "." if code in POINT else ","
    bare = sign + whole + (point + part if part else "")
    found = [bare, number] if "." not in number or code in POINT else [bare]
    for mark in GROUPS.get(code, ","):
        found.append(sign + f"{int(whole):,}".replace(",", mark) + (point + part if part else ""))
    found += [text.replace("-", "\u2212") for text in found if sign]
    if code in DIGITS:
        own = str.maketrans("0123456789", DIGITS[code])
        found += [text.translate(own) for text in found]
        if code in ("zh", "ja"):
            found += [text.translate(str.maketrans(",.-\u2212", "，．－－")) for text in found]
    return found


def check_number(number: str, code: str) -> None:
    for text in writings(number, code):
        for said in (text, *(sentence.format(text) for sentence in SENTENCES[code])):
            assert final_number(said, code) == number, (code, said)


@pytest.mark.parametrize("code", MGSM_LANGUAGES)
def test_numbers_are_read_back_as_the_language_writes_them(code):
    for number in OWN:
        check_number(number, code)


@needs("gsm8k")
@pytest.mark.parametrize("code", MGSM_LANGUAGES)
def test_real_gold_answers_of_gsm8k_are_read_back_in_every_language(code):
    golds = {p.answer for split in ("train", "test") for p in generation_files.gsm8k(REAL / "gsm8k", split)}
    assert len(golds) > 400
    for number in golds:
        check_number(number, code)


@needs("mgsm")
@pytest.mark.parametrize("code", MGSM_LANGUAGES)
def test_real_gold_answers_of_mgsm_are_read_back(code):
    for problem in generation_files.mgsm(REAL / "mgsm", code, "test"):
        check_number(problem.answer, code)


@needs("mgsm")
@pytest.mark.parametrize(
    ("code", "marked"),
    [("de", r"\d[.,]\d"), ("ru", r"\d[,\s]\d"), ("fr", r"\d[,\s]\d"), ("es", r"\d[.,\s]\d"), ("zh", r"\d[.,]\d"),
     ("ja", r"\d[.,万]")],
)  # fmt: skip
def test_numbers_in_mgsms_own_questions_mean_what_the_english_ones_do(code, marked):
    """The rows where a language's text has a separator: its numbers are numbers of the English text, too."""
    own, english = (generation_files.mgsm(REAL / "mgsm", c, "test") for c in (code, "en"))
    rows = [(one, other) for one, other in zip(own, english, strict=True) if re.search(marked, one.question)]
    odd = [
        (number, one.question)
        for one, other in rows
        for number in set(numbers(one.question, code)) - set(numbers(other.question, "en"))
        if "." in number or len(number) > 3
    ]
    assert len(rows) > 12 and odd == []


# Scores on record -----------------------------------------------------------------------------------------------------


def former(text: str) -> str | None:
    """The rule that the recorded scores of word problems were made with."""
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    if not found:
        return None
    whole, _, decimals = found[-1].replace(",", "").partition(".")
    return f"{int(whole)}" + (f".{decimals.rstrip('0')}" if decimals.strip("0") else "")


@pytest.mark.parametrize("code", PROBLEM_LANGUAGES)
def test_the_embedded_problems_are_read_as_before(code):
    """Why word problems keep their version of the method: every line, and outputs that end in the middle of one."""
    for split in ("train", "samples", "validation", "test"):
        found = text_tasks.items("problems", code, split)
        lines = {line for i in found for field in ("problem", "solution") for line in i.fields[field].split("\n")}
        assert len(found) == len([i for i in found if final_number(i.output, code) == former(i.output) == i.target])
        assert [line for line in lines if final_number(line, code) != former(line)] == []
    for item in text_tasks.items("problems", code, "test")[:40]:
        cut = [item.output[:end] for end in range(len(item.output))]
        assert [text for text in cut if final_number(text, code) != former(text)] == []
