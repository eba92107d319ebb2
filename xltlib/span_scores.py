"""Exact match and F1 of answer spans, by the rule that a language's benchmark has.

- "squad-1.1", languages with blanks between words: lower case, ASCII punctuation removed, the articles a, an, the
  removed, tokens between blanks (Rajpurkar et al. 2016; XQuAD has the same for all its languages).
- "mlqa-zh": lower case, all Unicode punctuation removed, each Chinese character (U+4E00 to U+9FA5) a token, the rest
  (numbers, Latin words) split at blanks; no articles (Lewis et al. 2020).
- "mlqa-ja" and "mlqa-th": MLQA has neither language; this is its idea. In Japanese kana are tokens one by one, too. In
  Thai a token is a character with the vowel and tone marks above and below it (Unicode category Mn): a reader sees one
  sign there, and a wrong tone makes it another one. Numbers, in any digits, and Latin words stay whole.

Neither removes anything else: full-width and Thai digits are other tokens than ASCII ones, as in the rules' own code.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable

ARTICLES = re.compile(r"\b(a|an|the)\b")
ASCII_MARKS = str.maketrans("", "", string.punctuation)
RULES = {"zh": "mlqa-zh", "ja": "mlqa-ja", "th": "mlqa-th"}


def span_rule(code: str) -> str:
    """The name of the rule that a language's spans are scored by: "squad-1.1", or one of RULES."""
    return RULES.get(code, "squad-1.1")


def span_tokens(text: str, code: str) -> list[str]:
    """What is left of a span to compare, token by token."""
    text = text.lower()
    if code not in RULES:
        return ARTICLES.sub(" ", text.translate(ASCII_MARKS)).split()
    text = "".join(c for c in text if c not in string.punctuation and unicodedata.category(c)[0] != "P")
    return _SPLIT[code](text)


def normalised(text: str, code: str = "en") -> str:
    """A span in its rule's normal form: its tokens with blanks between them."""
    return " ".join(span_tokens(text, code))


def exact(guess: str, answer: str, code: str = "en") -> float:
    """1.0 when both have the same normal form, else 0.0."""
    return float(normalised(guess, code) == normalised(answer, code))


def overlap(guess: str, answer: str, code: str) -> float:
    """F1 of the tokens that both share; 0.0 when there are none, as when nothing is left of either."""
    one, other = (Counter(span_tokens(text, code)) for text in (guess, answer))
    same = (one & other).total()
    return 2 * same / (one.total() + other.total()) if same else 0.0


def _single(pattern: str) -> Callable[[str], list[str]]:
    """A splitter: what matches is a token, and so is what stands between matches and blanks."""
    token = re.compile(rf"{pattern}|(?:(?!{pattern})\S)+")
    return lambda text: token.findall(text)


_SPLIT = {
    "zh": _single("[\u4e00-\u9fa5]"),
    "ja": _single("[\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f]"),
    "th": _single("(?:(?![\u0e50-\u0e59])[\u0e01-\u0e5b][\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]*)"),
}
