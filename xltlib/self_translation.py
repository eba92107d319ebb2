"""Self-translation: a causal language model translates training data from a few examples (paper 3, A.2 to A.4).

The model continues a prompt that ends at an open backtick; what it writes up to the closing backtick is the
translation. Texts that share a prompt's beginning are generated together, and the beginning is read once.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm

from xltlib.degenerate import translatable
from xltlib.errors import InputError, strings
from xltlib.generation import generate
from xltlib.languages import language as language_of
from xltlib.memory import Translation, TranslationMemory, key

VERSION = 1
"""Of the method: raise it when a change here changes a translation."""
TICK = "`"
SOURCE = "en"
SHOTS = 8
"""Examples in a prompt (section 4.4)."""
MARKS = ("<answer>", "</answer>")
"""What stands around an answer span while its sentence is translated (A.2)."""
STOPS, WIDE_STOPS = ".!?…؟۔।॥", "。！？｡"
"""What ends a sentence: the first when a blank follows, the second, which stand in text without blanks, anywhere."""
BRACKETS = ")]}）］｝」』】》〉〕〗｣’”›»"
"""What closes a bracket or quotation in every language; after STOPS the marks that open in some and close in others
(German and Chinese have “ for the one and the other) close when no blank is before them."""
SENTENCE_END = re.compile(
    rf"(?<![{STOPS}])[{STOPS}]++(?:[{re.escape(BRACKETS)}\"'“‘«‹*_]|[\u00a0\u202f ][»›](?=\s|$))*(?=\s)"
    rf"|[{WIDE_STOPS}][{STOPS}{WIDE_STOPS}]*[{re.escape(BRACKETS)}]*"
)
ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"“‘'.-])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Mt|Ft|Sr|Jr|Gen|Col|Lt|Capt|Sgt|Rev|Hon|Gov|Sen|Rep|vs|cf|ca|al|"
    r"e\.g|i\.e|Vol|Fig|pp?)\.$"
)
"""A full stop that belongs to an English abbreviation or an initial."""

Pair = tuple[str, str]
"""A text in English and in a target language."""


def translation_prompt(samples: Sequence[Pair], text: str, language: str) -> str:
    """Figure 5: the (English, target) samples and the text, each after its language tag and between backticks, one
    newline between lines, none blank; it ends at the open backtick of the translation.

    `language` is the target's ISO 639-1 code. InputError for a text with a backtick in it, which would end too early.
    """
    for part in (text, *(side for pair in samples for side in pair)):
        if TICK in part:
            raise InputError(f"a text to translate has a backtick in it, which ends a translation: {part[:60]!r}")
    lines = [
        f"{tag}: {TICK}{side}{TICK}" for pair in samples for tag, side in zip((SOURCE, language), pair, strict=True)
    ]
    return "\n".join([*lines, f"{SOURCE}: {TICK}{text}{TICK}", f"{language}: {TICK}"])


def length(text: str, code: str) -> int:
    """Characters, times the language's factor: a Chinese character counts 3 (A.3)."""
    return len(text) * language_of(code).length_factor


def keep_translation(source: str, output: str, language: str) -> tuple[bool, str]:
    """The filters of A.3 on a raw continuation: (True, translation), or (False, reason).

    Reason "unclosed": it has no closing backtick, as repetitions do that run into the limit. Reason "length": the
    translation's `length` is less than a third of the English source's, or more than three times it.
    """
    text, tick, _ = output.partition(TICK)
    if not tick:
        return False, "unclosed"
    own, other = length(source, SOURCE), length(text, language)
    if not text.strip() or not own <= 3 * other <= 9 * own:
        return False, "length"
    return True, text


def marked(sentence: str, start: int, end: int) -> str:
    """A sentence with marks around the span `sentence[start:end]`."""
    return sentence[:start] + MARKS[0] + sentence[start:end] + MARKS[1] + sentence[end:]


def unmarked(text: str) -> tuple[str, int, str] | None:
    """A marked text without its marks, where the span begins, and the span; None when the marks are not there once
    each, in order, around something."""
    if any(text.count(mark) != 1 for mark in MARKS):
        return None
    before, _, rest = text.partition(MARKS[0])
    span, closing, after = rest.partition(MARKS[1])
    if not closing or not span.strip():
        return None
    lead = len(span) - len(span.lstrip())
    return before + span + after, len(before) + lead, span.strip()


def sentences(text: str) -> list[str]:
    """A text's sentences by a rule of punctuation (the paper uses spaCy): after . ! ? and a blank, or after 。！？.

    Quotation marks and brackets that close after the stop stay with their sentence, which goes on when a small letter
    follows them. A stop of an initial, or of one of a few English abbreviations, ends no sentence. All parts together
    are the text, blanks around them aside.
    """
    parts, start = [], 0
    for match in SENTENCE_END.finditer(text):
        end = match.end()
        if match[0][0] in WIDE_STOPS and text[end : end + 1] in {'"', "'"} and text[start:end].count(text[end]) % 2:
            end += 1  # a straight mark closes when it was opened in this sentence
        closed = match[0][0] in STOPS and text[end - 1] not in STOPS
        goes_on = closed and text[end : end + 3].lstrip()[:1].islower()  # "Stop!" he said.
        if not goes_on and not ABBREVIATION.search(text, max(start, end - 8), end):  # the longest have six characters
            parts.append(text[start:end].strip())
            start = end
    return [part for part in (*parts, text[start:].strip()) if part]


@dataclass(frozen=True)
class Translated:
    """What became of a list of texts: a translation or None each, and how many were lost, by reason."""

    texts: tuple[str | None, ...]
    lost: dict[str, int]


class SelfTranslator:
    """A causal model, its tokenizer and the samples of a target language and field, with a memory of its outputs.

    `name` identifies the model (name and hash). Outputs are kept chunk by chunk: what is killed goes on where it was.
    """

    def __init__(
        self, model, tokenizer, name: str, samples: Sequence[Pair], language: str, max_tokens: int, *,
        memory: Path | None = None, batch: int = 128,
    ):  # fmt: skip
        if max_tokens < 2:
            raise InputError(f"max_tokens={max_tokens}: use 2 or more")
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.samples, self.language, self.max_tokens, self.batch = tuple(samples), language, max_tokens, batch
        self.memory = TranslationMemory(Path(memory) / "self-translation.sqlite") if memory else None

    def signature(self) -> str:
        """What made a translation, in one line that travels with it."""
        return signature_of(self.language, self.name, len(self.samples), repr(self.samples), str(self.max_tokens))

    def outputs(self, texts: Sequence[str], progress: bool = True) -> list[str]:
        """The raw continuations of the texts, in order, each different text generated once; a text without a letter or
        digit is its own translation, and the model is not asked."""
        texts = strings(texts)
        wanted = sorted({text for text in texts if translatable(text)}, key=lambda text: (len(text), text))
        keys = {text: key(self.signature(), SOURCE, self.language, 1, {}, text) for text in wanted}
        stored = self.memory.get(keys.values()) if self.memory else {}
        found = {text: stored[keys[text]].text for text in wanted if keys[text] in stored}
        todo = [text for text in wanted if text not in found]
        with tqdm(total=len(todo), desc=f"self-translation {self.language}", disable=None if progress else True) as bar:
            for start in range(0, len(todo), self.batch):
                chunk = todo[start : start + self.batch]
                prompts = [translation_prompt(self.samples, text, self.language) for text in chunk]
                made = generate(self.model, self.tokenizer, prompts, self.max_tokens, stop=TICK)
                found |= dict(zip(chunk, made, strict=True))
                if self.memory:
                    self.memory.put({keys[text]: Translation(found[text]) for text in chunk})
                bar.update(len(chunk))
        return [found.get(text, text + TICK) for text in texts]

    def translate(self, texts: Sequence[str]) -> Translated:
        """Translations that pass the filters, None for the others, and why those are lost. A text with a backtick is
        lost before it is tried ("backtick")."""
        texts = strings(texts)
        clean = [text for text in texts if TICK not in text]
        outputs = dict(zip(clean, self.outputs(clean), strict=True))
        lost: Counter[str] = Counter()
        kept: list[str | None] = []
        for text in texts:
            good, found = (
                keep_translation(text, outputs[text], self.language) if text in outputs else (False, "backtick")
            )
            kept.append(found if good else None)
            lost.update([] if good else [found])
        return Translated(tuple(kept), dict(lost))


def signature_of(language: str, model: str, shots: int, samples: str, max_tokens: str) -> str:
    """What makes a model's translations into a language, in one line: `samples` goes in by its hash."""
    parts = {"src": SOURCE, "tgt": language, "engine": "self", "model": model, "shots": shots}
    parts |= {"samples": sha256(samples.encode()).hexdigest()[:8], "decoding": "greedy", "max": max_tokens}
    return "|".join(f"{name}:{value}" for name, value in (parts | {"v": VERSION}).items())
