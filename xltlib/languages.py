"""The languages of the course: codes, names, scripts, families, and what depends on them."""

from dataclasses import dataclass

from xltlib.errors import InputError


@dataclass(frozen=True)
class Language:
    """One language: ISO 639-1 code, English name, script, family, how BLEU splits its text, and how many characters of
    an alphabet one of its characters counts for (Self-Translate-Train, A.3; 1 where the paper says nothing)."""

    code: str
    name: str
    script: str
    family: str
    european: bool
    bleu_tokenizer: str = "13a"
    length_factor: int = 1


LANGUAGES = {
    language.code: language
    for language in (
        Language("en", "English", "Latin", "Germanic", True),
        Language("de", "German", "Latin", "Germanic", True),
        Language("es", "Spanish", "Latin", "Romance", True),
        Language("fr", "French", "Latin", "Romance", True),
        Language("ja", "Japanese", "Kanji and kana", "Japonic", False, "ja-mecab"),
        Language("zh", "Chinese", "Han", "Sinitic", False, "zh", length_factor=3),
        Language("ru", "Russian", "Cyrillic", "Slavic", True),
        Language("it", "Italian", "Latin", "Romance", True),
        Language("ko", "Korean", "Hangul", "Koreanic", False, "char"),
        Language("th", "Thai", "Thai", "Kra-Dai", False, "char"),
        Language("ar", "Arabic", "Arabic", "Semitic", False),
    )
}
REVIEW_LANGUAGES = ("en", "de", "es", "fr", "ja", "zh", "ru")
"""The languages of the embedded reviews, and of the checkpoints that were trained on them."""
OTC_LANGUAGES = ("en", "de", "es", "fr", "ja", "zh")
"""The six languages of the Multilingual Amazon Reviews Corpus, which paper 1 uses."""


def language(code: str) -> Language:
    """The language of a code; InputError names the known codes when it is none of them."""
    if code not in LANGUAGES:
        raise InputError(f"unknown language {code!r}: use one of {', '.join(LANGUAGES)}")
    return LANGUAGES[code]
