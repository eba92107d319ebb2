"""Exact match and F1 of spans against the benchmarks' rules, written a second time here, on XQuAD's answers."""

import random
import re
import string
import sys
import unicodedata

import pytest
from real_files import REAL, needs

from xltlib.corpora import generation_files
from xltlib.span_scores import exact, normalised, overlap, span_rule
from xltlib.text_tasks import Item, scores


def second_squad(text: str) -> list[str]:
    """SQuAD v1.1's normal form, character by character and word by word."""
    kept = "".join("" if c in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" else c for c in text.lower())
    return [w for w in re.split(r"\s+", re.sub(r"\b(?:the|an|a)\b", " ", kept)) if w]


MARKS = {chr(i) for i in range(sys.maxunicode) if unicodedata.category(chr(i)).startswith("P")} | set(
    string.punctuation
)


def second_mlqa(text: str, single) -> list[str]:
    """MLQA's mixed segmentation: a character of the kind `single` by itself, all else in words."""
    found, word = [], ""
    for c in text.lower():
        if c in MARKS:
            continue
        if single(c) or c.isspace():
            found += [word] if word else []
            word = ""
            found += [c] if single(c) else []
        else:
            word += c
    return found + ([word] if word else [])


def second_thai(text: str) -> list[str]:
    """MLQA's idea with Thai characters, then each mark put to the character before it, within words."""

    def thai(c: str) -> bool:
        return "THAI" in unicodedata.name(c, "") and not c.isdigit()

    found: list[str] = []
    for word in "".join(c for c in text if c not in MARKS).split():
        tokens = second_mlqa(word, thai)
        for i, token in enumerate(tokens):
            if i and unicodedata.category(token[0]) == "Mn" and thai(tokens[i - 1][-1]):
                found[-1] += token
            else:
                found.append(token)
    return found


def second(text: str, code: str) -> list[str]:
    if code == "zh":
        return second_mlqa(text, lambda c: "\u4e00" <= c <= "\u9fa5")
    return second_thai(text) if code == "th" else second_squad(text)


def second_f1(guess: list[str], answer: list[str]) -> float:
    left, same = list(answer), 0
    for token in guess:
        if token in left:
            left.remove(token)
            same += 1
    if not same:
        return 0.0
    precision, recall = same / len(guess), same / len(answer)
    return 2 * precision * recall / (precision + recall)


def perturbed(text: str, rng: random.Random) -> str:
    """The text with some characters lost, doubled, exchanged, or put between: marks, digits, articles, blanks."""
    characters = list(text)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(characters) + 1)
        kind = rng.randrange(4)
        if kind == 0 and characters:
            del characters[min(at, len(characters) - 1)]
        elif kind == 1:
            characters.insert(
                at, rng.choice([" the ", " a ", ".", ",", "-", "“", "。", "'", " ", "7", "x", "京", "ก", "่"])
            )
        elif kind == 2:
            rng.shuffle(characters)
        elif characters:
            characters = characters[: max(1, at)]
    return "".join(characters)


@needs("xquad")
@pytest.mark.parametrize("code", ["ar", "de", "en", "es", "ru", "th", "zh"])
def test_real_answers_score_as_by_a_second_writing_of_the_rules(code):
    rng, partly = random.Random(code), 0
    for asked in generation_files.xquad(REAL / "xquad", code):
        for _ in range(8):
            guess = perturbed(asked.answer, rng)
            one, other = second(guess, code), second(asked.answer, code)
            assert exact(guess, asked.answer, code) == float(" ".join(one) == " ".join(other)), guess
            assert overlap(guess, asked.answer, code) == pytest.approx(second_f1(one, other), abs=1e-12), guess
            partly += 0 < overlap(guess, asked.answer, code) < 1
    assert partly > 100


BY_HAND = [
    ("en", "9000", "9,000", 1.0, 1.0), ("en", "US", "U.S.", 1.0, 1.0), ("en", "2.5 litres", "1.5 litres", 0.0, 0.5),
    ("en", "dont know", "don't know", 1.0, 1.0), ("en", "The Berlin.", "berlin", 1.0, 1.0), ("en", "?", "!", 1.0, 0.0),
    ("en", "", "", 1.0, 0.0), ("en", "a b", "b c", 0.0, 2 / 3), ("en", "“Rome”", "Rome", 0.0, 0.0),
    ("de", "der Rhein", "Rhein", 0.0, 2 / 3), ("de", "U-Bahn", "UBahn", 1.0, 1.0), ("ru", "в Риме", "Риме", 0.0, 2 / 3),
    ("zh", "1989", "1998", 0.0, 0.0), ("zh", "1989年", "1998年", 0.0, 0.5), ("zh", "2,100", "1,200", 0.0, 0.0),
    ("zh", "2100", "2,100", 1.0, 1.0), ("zh", "北京市", "北京", 0.0, 0.8), ("zh", "《红楼梦》。", "红楼梦", 1.0, 1.0),
    ("zh", "the北京", "北京", 0.0, 0.8), ("zh", "New York州", "new york", 0.0, 0.8), ("zh", "北 京", "北京", 1.0, 1.0),
    ("ja", "103", "301", 0.0, 0.0), ("ja", "東京です", "東京", 0.0, 2 / 3), ("ja", "ローマ", "ローマ", 1.0, 1.0),
    ("ja", "ロンドン", "ローマ", 0.0, 2 / 7), ("ja", "Windows版", "Windows", 0.0, 2 / 3),
    ("th", "1989", "1998", 0.0, 0.0), ("th", "ปี 1989", "ปี 1998", 0.0, 0.5), ("th", "๑๙๘๙", "๑๙๙๘", 0.0, 0.0),
    ("th", "ที่โรม", "โรม", 0.0, 6 / 7), ("th", "“โรม”", "โรม", 1.0, 1.0), ("th", "ป่า", "ป้า", 0.0, 0.5),
    ("th", "IBMไทย", "IBM", 0.0, 0.4),
]  # fmt: skip


@pytest.mark.parametrize(("code", "guess", "answer", "same", "f1"), BY_HAND)
def test_spans_by_hand(code, guess, answer, same, f1):
    assert (exact(guess, answer, code), overlap(guess, answer, code)) == (same, pytest.approx(f1))


def test_the_rule_has_a_name():
    assert [span_rule(code) for code in ("en", "de", "ar", "ko")] == ["squad-1.1"] * 4
    assert [span_rule(code) for code in ("zh", "ja", "th")] == ["mlqa-zh", "mlqa-ja", "mlqa-th"]
    assert normalised("The 北京-City", "zh") == "the 北 京 city" and normalised("The A-Team", "en") == "ateam"


def test_of_several_answers_the_best_one_counts():
    item = Item("questions", {}, "in the year 1998", ("en", "en"), others=("1998", "year 1998 AD"))
    assert scores(item, "1998") == {"exact_match": 1.0, "f1": 1.0}
    assert scores(item, "year 1998")["f1"] == pytest.approx(0.8) and scores(item, "year 1998")["exact_match"] == 0.0
    assert scores(Item("questions", {}, "1998年", ("en", "zh")), "1989年") == {"exact_match": 0.0, "f1": 0.5}
