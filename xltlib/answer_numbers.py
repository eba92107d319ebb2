"""Numbers in answers, read as the language of the item writes them (paper 3, GSM8K and MGSM).

A text says 70000 as 70,000 in English, Chinese or Thai, as 70.000 in German, and as 70 000 in Russian or French; its
digits may be full-width or Thai. All come out in one plain form: ASCII digits, a point before decimals, a minus sign,
no leading and no trailing zeros. Plain forms are compared as texts, so that numbers may have any number of digits.
"""

import re
import unicodedata
from decimal import Decimal, localcontext
from functools import cache

COMMA = ("de", "el", "es", "fr", "it", "nl", "pt", "ru", "tr", "vi")
"""Languages with a decimal comma, and a point or a blank between thousands. All others are read as English is."""
MYRIADS = {"zh": "万萬亿億", "ja": "万億兆"}
"""Languages that count in ten thousands, and how they write that after digits: 8万 is 80000."""
EXPONENTS = {"百": 2, "千": 3, "万": 4, "萬": 4, "亿": 8, "億": 8, "兆": 12}
SMALL = "千(?![克米瓦卡帕焦伏赫])|百(?!分)"
"""What may stand before them or alone. The Chinese prefixes of units do not count: 5千克 are five kilograms."""
MARKS = {
    **dict.fromkeys("，﹐", ","), **dict.fromkeys("﹒", "."), **dict.fromkeys("＇’ʼ", "'"), "＾": "^", "＝": "=",
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-"), "％": "%", "（": "(", "）": ")",
    "\u066b": "٫", "\u066c": "٬",
}  # fmt: skip
"""Full-width marks, the true minus sign, and dashes that may be one, with what they stand for."""
NO_BREAK = "\u00a0"
"""Stands for all blanks that are made for numbers: those without a break, and the narrow ones."""
NUMBER_BLANKS = "\u00a0\u2007\u2008\u2009\u200a\u202f\u205f"
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "THAI", "LAO", "KHMER", "MYANMAR")
"""How the Unicode names of letters begin whose scripts have no blanks between words."""
MEASURE = 2
"""In these scripts as many letters between a number and a hyphen are a measure word: 3个-5个 is a range."""
SYMBOLS = "".join(c for c in map(chr, range(0x10000)) if unicodedata.category(c) == "Sc")
CURRENCY = re.compile(rf"-(?:[A-Z]{{3}}|[A-Z]{{0,3}}[{re.escape(SYMBOLS)}])[ {NO_BREAK}]*$")
"""A minus sign before a currency sign: -$, -US$, -EUR."""
LATEX = {"{,}": ",", "{.}": ".", "\\,": NO_BREAK, "\\$": "$", "\\%": "%"}
"""What stands for a mark or a narrow blank in formulas."""
CLOSING, QUOTES = ")]}%‰°”»", "\"'"
WINDOW = 40
"""As many characters before a number are looked at for its sign."""
RELATIONS = "=≈<>≤≥"
HEAD = r"[1-9]\d{0,2}"
"""What stands before the first group of three digits."""
TOKEN = re.compile(r"\d++(?:[.,'٬٫]\d++)*+")
NUMBER = re.compile(r"\d++(?:\.\d++)?+")
LEADING = re.compile(r"[.．,٫](?=\d++(?![.,]\d))")
POWER = re.compile(r"(\d\s?(?:[kcdm]?m|ft|yd|[ксдм]?м)\^?)[23](?!\w)")
"""The power of a unit: the 2 in 25 m2."""


def final_number(text: str, code: str = "en") -> str | None:
    """The last number of a text in a language, in plain form ("-1234.5"); None when there is none (MGSM: the final
    digits of the output). `code`: ISO 639-1; "en" reads plain forms, too.

    The language decides what a mark means, also where a model may have written as another language does: in German,
    "1.000" is 1000 and "1,000" is 1; in English the other way round. What can only be the other kind is read so: in
    German "2.5" is 2.5 and "1,000,000" is 1000000. Thousands have groups of three digits: "3,4,5" are three numbers.
    Russian, French, German and their like group by any blank; the others by narrow blanks and those without a break,
    and by others before a zero (70 000).
    In Chinese and Japanese 8万 is 80000.

    A minus sign stands at its number, or before its currency sign. A hyphen or dash after a digit, a letter or a
    closing bracket joins or subtracts ("3-5", "COVID-19", "10 -3"); "- 5" is negative after a sign of relation alone.
    Units and percent signs change nothing; the power of a unit (25 m2) is no number. Words are not read (ten, minus).
    """
    found = numbers(text, code)
    return found[-1] if found else None


def numbers(text: str, code: str = "en") -> list[str]:
    """All numbers of a text in a language, in order and in plain form; see `final_number`."""
    for written, meant in LATEX.items():
        text = text.replace(written, meant)
    text = POWER.sub(r"\1", "".join(map(_simplified, text)))
    text = re.sub(r"(?<=\d)．(?=\d)", ".", text)
    text = LEADING.sub(lambda match: _with_zero(match, code), text)
    text = _blanks(code).sub(lambda match: re.sub(r"\D", "", match[0]), text)
    text = TOKEN.sub(lambda match: _resolved(match[0], code), text)
    if code in MYRIADS:
        text = _myriads(code).sub(_counted, text)
    return [_signed(match) for match in NUMBER.finditer(text)]


def _simplified(c: str) -> str:
    """A character as the rules know it: ASCII digits, one kind of each mark, two kinds of blanks."""
    if c in MARKS:
        return MARKS[c]
    kind = unicodedata.category(c)
    if kind == "Nd":
        return str(unicodedata.decimal(c))
    if kind == "Zs":
        return NO_BREAK if c in NUMBER_BLANKS else " "
    return "" if kind == "Cf" else c  # marks of direction, and blanks without width


# Separators -----------------------------------------------------------------------------------------------------------


def _with_zero(match: re.Match, code: str) -> str:
    """A point (or decimal comma) that begins a number gets its zero: .50 is 0.50."""
    mark, before = match[0], match.string[: match.start()][-1:]
    if mark == "," and code not in COMMA:
        return mark
    if before.isdigit() or before in {*CLOSING, *".．,…'"} or (_is_letter(before) and not _is_unspaced(before)):
        return mark
    if mark == "．" and _is_letter(before):  # the full stop of some Japanese texts
        return mark
    return "0" + mark.replace("．", ".")


@cache
def _blanks(code: str) -> re.Pattern:
    """Thousands with blanks between them, all of one kind."""
    kinds = f" {NO_BREAK}" if code in COMMA else NO_BREAK
    same = rf"(?P<blank>[{kinds}])\d{{3}}(?:(?P=blank)\d{{3}})*"
    zeros = r"(?: \d{3})*? 0\d\d(?: \d{3})*"  # no number begins with a zero: 70 000 are thousands in every language
    return re.compile(rf"(?<![\d.,'٬٫]){HEAD}(?:{same}|{zeros})(?!\d)")


@cache
def _forms(comma: bool) -> list[re.Pattern]:
    """How a number may be written, its own language's way first: `whole` with its separators, and decimals `part`."""
    point, other = (",", r"\.") if comma else (r"\.", ",")
    groups = "|".join(rf"{HEAD}(?:{mark}\d{{3}})+" for mark in (other, "'", "٬"))
    forms = [
        rf"(?P<whole>{groups}|\d+)(?:(?:{point}|٫)(?P<part>\d+))?",
        rf"(?P<whole>{HEAD}(?:{point}\d{{3}})+){other}(?P<part>\d+)",
        rf"(?P<whole>{HEAD}(?:{point}\d{{3}}){{2,}})(?P<part>)",
        *([r"(?P<whole>\d+)\.(?P<part>\d+)"] if comma else []),
    ]
    return [re.compile(form) for form in forms]


def _resolved(token: str, code: str) -> str:
    """Digits with marks between them, as a number with a point; as several when they are no one number."""
    for form in _forms(code in COMMA):
        if match := form.fullmatch(token):
            return re.sub(r"\D", "", match["whole"]) + (f".{match['part']}" if match["part"] else "")
    return re.sub(r"\D", " ", token)


# Ten thousands --------------------------------------------------------------------------------------------------------


@cache
def _myriads(code: str) -> re.Pattern:
    """Numbers with 万 and its like: 8万, 3千万, 1万5000, 5千."""
    unit, number = rf"(?:{SMALL})?[{MYRIADS[code]}]", NUMBER.pattern
    rest = rf"{number}{unit}|{number}(?:{SMALL})|\d{{1,4}}+(?![\d.])"
    return re.compile(rf"(?<![\d.]){number}(?:{unit}(?:{rest})*+|(?:{SMALL}))")


def _counted(match: re.Match) -> str:
    """The value of such a number, as digits."""
    with localcontext() as context:
        context.prec = 2 * len(match[0]) + 40  # no digit is lost
        total = Decimal(0)
        for digits, units in re.findall(rf"({NUMBER.pattern})(\D*)", match[0]):
            total += Decimal(digits).scaleb(sum(EXPONENTS[unit] for unit in units))
        return f"{total:f}" + " " * match.string[match.end() :][:1].isdigit()


# Signs ----------------------------------------------------------------------------------------------------------------


def _signed(match: re.Match) -> str:
    """The number of a match in plain form, with the sign that stands before it."""
    whole, _, part = match[0].partition(".")
    plain = (whole.lstrip("0") or "0") + (f".{part.rstrip('0')}" if part.strip("0") else "")
    before = match.string[max(0, match.start() - WINDOW) : match.start()]
    return f"-{plain}" if plain != "0" and _is_negative(before) else plain


def _is_negative(before: str) -> bool:
    """Whether what stands before a number ends in its minus sign."""
    if before.endswith("-"):
        return not _is_operand(before[:-1])
    if match := CURRENCY.search(before):
        return not _is_operand(before[: match.start()])
    bare = before.rstrip(f" {NO_BREAK}")
    return bare.endswith("-") and bare[:-1].rstrip(f" {NO_BREAK}")[-1:] in {*RELATIONS}


def _is_operand(before: str) -> bool:
    """Whether what stands before a hyphen is joined to what follows it, or something is subtracted from it."""
    bare = before.rstrip(f" {NO_BREAK}\t")
    last, apart = bare[-1:], len(bare) < len(before)
    if not last or last == "\n":
        return False
    if last.isnumeric() or last in CLOSING:
        return True
    if last in SYMBOLS:
        return bare[:-1].rstrip(f" {NO_BREAK}")[-1:].isnumeric()
    if apart:
        return False
    if last in QUOTES or last == ".":  # 3"-5", and 3.-5. of ordinals
        return before[-2:-1].isnumeric()
    if _is_unspaced(last):
        return re.search(rf"\d[^\W\d]{{1,{MEASURE}}}$", before) is not None
    return last == "-" or _is_letter(last)


def _is_letter(c: str) -> bool:
    """Whether a character is a letter, or a mark on one."""
    return unicodedata.category(c or " ")[0] in "LM"


def _is_unspaced(c: str) -> bool:
    """Whether a character belongs to a script without blanks between words."""
    return unicodedata.name(c, "").startswith(UNSPACED)
