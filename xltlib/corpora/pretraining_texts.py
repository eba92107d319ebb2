"""What the small checkpoints are trained on: parallel and monolingual text of the pretraining split, by generation.

A generation is a frozen choice: records depend on checkpoints, so a checkpoint's text never changes. Another one
stands beside it.
"""

import random
from collections.abc import Iterator
from hashlib import sha256

from xltlib.corpora import embedded, statement_text
from xltlib.corpora.problems import PROBLEM_LANGUAGES, problems_hash
from xltlib.corpora.statement_text import STATEMENT_LANGUAGES
from xltlib.languages import REVIEW_LANGUAGES


class Reviews:
    """First generation: the embedded reviews in seven languages."""

    languages = REVIEW_LANGUAGES

    def name(self) -> str:
        """The corpus with its hash, as cards and records say it."""
        return f"reviews@{embedded.corpus_hash()}"

    def bitext(self, split: str, size: int, own: float = 0.2) -> Iterator[dict]:
        """Parallel texts, language -> plain rendering; an entry "own" is (language, source in its own words)."""
        return embedded.bitext(split, size, own=own)

    def originals(self, code: str, size: int) -> list[str]:
        """Monolingual texts of the pretraining split."""
        return list(embedded.originals(code, size))

    def lines(self) -> list[str]:
        """What the vocabulary is made from: the same amount for each language."""
        lines = [text for code in self.languages for text in self.originals(code, 3000)]
        return lines + [entry[code] for entry in self.bitext("pretraining", 1500) for code in self.languages]


class ReviewsAndStatements:
    """Second generation: the reviews, and statements of three tasks in eleven languages, in turns."""

    languages = STATEMENT_LANGUAGES
    share = 0.6  # of parallel texts that are statements

    def name(self) -> str:
        """Both corpora under one hash."""
        both = f"{embedded.corpus_hash()} {statement_text.corpus_hash()}"
        return f"reviews+statements@{sha256(both.encode()).hexdigest()[:12]}"

    def bitext(self, split: str, size: int, own: float = 0.2) -> Iterator[dict]:
        """As `Reviews.bitext`; entries of reviews hold seven languages, those of statements eleven."""
        kinds = random.Random(f"kinds:{split}")
        reviews = embedded.bitext(split, size, seed="bitext of the second generation", own=own)
        statements = statement_text.bitext(split, size, own)
        for _ in range(size):
            yield next(statements if kinds.random() < self.share else reviews)

    def originals(self, code: str, size: int) -> list[str]:
        """Monolingual texts of the pretraining split: reviews where there are any, and statements."""
        if code not in REVIEW_LANGUAGES:
            return list(statement_text.originals(code, size))
        return [*embedded.originals(code, size // 2), *statement_text.originals(code, size - size // 2)]

    def lines(self) -> list[str]:
        """As `Reviews.lines`."""
        lines = [text for code in self.languages for text in self.originals(code, 3000)]
        entries = list(self.bitext("pretraining", 1500))
        return lines + [entry[code] for entry in entries for code in self.languages if code in entry]


class EnglishAlone(ReviewsAndStatements):
    """The second generation's English originals, without any parallel text: for an encoder that knows no other
    language."""

    languages = ("en",)

    def bitext(self, split: str, size: int, own: float = 0.2) -> Iterator[dict]:
        """None."""
        return iter(())


class Problems:
    """Word problems, questions and statements of paper 3, field by field, English and one other language."""

    languages = PROBLEM_LANGUAGES

    def name(self) -> str:
        """The corpus with its hash."""
        return f"problems@{problems_hash()}"

    def bitext(self, split: str, size: int, own: float = 0.0) -> Iterator[dict]:
        """Parallel texts of the pretraining split in English, as people write it, and in plain words of another
        language; a solution's lines are texts of their own."""
        from xltlib.corpora import decoder_texts

        rng, others = random.Random(f"bitext of problems:{split}"), PROBLEM_LANGUAGES[1:]
        while size > 0:
            code = rng.choice(others)
            pair = decoder_texts.pair(rng.choice(decoder_texts.FIELDS), code, rng)
            for english, other in zip(*(side.split("\n") for side in pair), strict=True):
                if not english.isdigit():
                    yield {"en": english, code: other}
                    size -= 1

    def originals(self, code: str, size: int) -> list[str]:
        """Monolingual texts of the pretraining split."""
        from xltlib.corpora import decoder_texts

        rng = random.Random(f"originals of problems:{code}")
        return [decoder_texts.text(code, rng) for _ in range(size)]

    def lines(self) -> list[str]:
        """As `Reviews.lines`."""
        lines = [text for code in self.languages for text in self.originals(code, 2000)]
        return lines + [text for entry in self.bitext("pretraining", 8000) for text in entry.values()]


GENERATIONS = {1: Reviews(), 2: ReviewsAndStatements(), 3: EnglishAlone(), 4: Problems()}
