"""Unlabelled text from the statement bank for pretraining: parallel and monolingual, and the corpus's hash."""

import random
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from hashlib import sha256

from xltlib.corpora.bank import MINI
from xltlib.corpora.first_edition import FirstWriter, render_first
from xltlib.corpora.statement_tasks import DIALS, TOPICS, Piece, plain_pieces
from xltlib.corpora.statements import statement_bank

RULES = 1
"""Version of the generating rules of the statements: raise it when the same files and dials give other texts."""
TASK_RULES = 2
"""The same for the labelled tasks."""
STATEMENT_LANGUAGES = ("en", "de", "es", "fr", "ja", "zh", "ru", "it", "ko", "th", "ar")
"""The languages of the statement bank."""


def _text(writer: FirstWriter) -> tuple[Piece, ...]:
    """Pieces of one text: a piece of news, the two statements of a premise, or a single statement."""
    kind = writer.rng.choice(("news", "premise", "single"))
    if kind == "news":
        return writer.news(writer.rng.randrange(len(TOPICS)))[0]
    side = writer.inference(writer.rng.randrange(3))[0 if kind == "premise" else 1]
    return tuple(side)


def bitext(split: str, size: int, own: float = 0.2) -> Iterator[dict]:
    """Parallel texts: language -> plain rendering; with chance `own`, the entry "own" is (language, source in its own
    words).

    Of each action's own wordings the bitext holds the first half only, so that a translator must fail on the others in
    its own way. All statements belong to `split`.
    """
    codes = STATEMENT_LANGUAGES
    rng = random.Random(f"{DIALS.seed}:bitext:{split}")
    for _ in range(size):
        code = rng.choice(codes)
        writer = FirstWriter(code, split, rng)
        pieces = _text(writer)
        plain = plain_pieces(pieces)
        texts = {target: render_first(target, plain) for target in codes}
        yield texts | ({"own": (code, render_first(code, _known(code, pieces)))} if rng.random() < own else {})


def _known(code: str, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """The same with own wordings of the first half of each list alone."""
    bank = statement_bank(code)
    result = []
    for kind, content, *form in pieces:
        if kind == "statement" and isinstance(form[0], int):
            form = [form[0] % max(1, len(bank.tables["actions"][content.action]["own"]) // 2)]
        if kind == "own_closing":
            content = content % max(1, len(bank.tables["own_closings"]["texts"]) // 2)
        result.append((kind, content, *form))
    return tuple(result)


@cache
def originals(code: str, size: int) -> tuple[str, ...]:
    """Unlabelled originals of the pretraining split."""
    rng = random.Random(f"{DIALS.seed}:monolingual:{code}")
    writer = FirstWriter(code, "pretraining", rng)
    return tuple(render_first(code, _text(writer)) for _ in range(size))


@cache
def corpus_hash() -> str:
    """Twelve hex digits over the bank's files, the rules' version and the dials."""
    digest = sha256(repr((RULES, sorted(asdict(DIALS).items()))).encode())
    for path in sorted(MINI.rglob("statements.toml")):
        digest.update(path.relative_to(MINI).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def tasks_hash() -> str:
    """The same for the labelled tasks (topics, paraphrase, inference), with their rules and the corrected wordings."""
    digest = sha256(repr((corpus_hash(), TASK_RULES)).encode())
    for path in sorted([*MINI.rglob("corrections.toml"), MINI / "statement_tasks.toml"]):
        digest.update(path.relative_to(MINI).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
