"""The review bank: hand-written material in data/mini/<language>/reviews.toml, and how content becomes text.

A sentence is kept as *content*, a small nested tuple, and rendered late. Aligned content (plain wording) renders in
every language, which gives exact parallel text; own content (idioms, fillers) renders in its own language only, and
`plain` maps it to the aligned content with the same meaning: the gold rendering.
"""

import re
import tomllib
from functools import cache
from hashlib import sha256
from pathlib import Path

from xltlib.errors import InputError
from xltlib.languages import language
from xltlib.scales import DATA

MINI = DATA / "mini"
SLOT = re.compile(r"\{(\w+)(?:\.(\w+))?\}")
TABLES = (
    "products", "people", "times", "aspects", "literal", "openings", "usage", "verdicts", "contrast", "joins", "frames",
    "own",
)  # fmt: skip
PARTITIONS = {"pretraining": 0.30, "train": 0.25, "validation": 0.10, "test": 0.35}


def read_toml(path: Path) -> dict:
    """A TOML file; InputError with file and line when it is missing, not UTF-8 or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; restore it from git") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


def fraction(text: str) -> float:
    """A number in [0, 1) that depends on the text alone, the same on every machine."""
    return int.from_bytes(sha256(text.encode()).digest()[:6], "big") / 2**48


def partition(key: str) -> str:
    """The one split that a sentence belongs to. Deciding it by hash makes leaks between splits impossible."""
    point = fraction("split:" + key)
    for name, share in PARTITIONS.items():
        if point < share:
            return name
        point -= share
    return "test"


class Bank:
    """One language's material. `tables` is the file; `shared` holds categories and idiom groups."""

    def __init__(self, code: str, root: Path = MINI):
        language(code)
        self.code, self.path = code, root / code / "reviews.toml"
        self.tables, self.shared = read_toml(self.path), read_toml(root / "reviews.toml")
        missing = [table for table in TABLES if table not in self.tables]
        if missing:
            raise InputError(f"{self.path}: table [{missing[0]}] is missing; see data/mini/README.md for the shape")
        self.own = self.tables["own"]
        self.stop, self.space = self.tables["language"]["stop"], self.tables["language"]["space"]
        self.products = {name: forms for group in self.tables["products"].values() for name, forms in group.items()}
        self.group_of = {aspect: group for group, aspects in self.shared["groups"].items() for aspect in aspects}

    def aspects_of(self, product: str) -> list[str]:
        """The aspects that a product has: those of its category and those of every product."""
        categories = self.shared["categories"]
        for category, products in self.tables["products"].items():
            if product in products:
                return categories[category] + categories["any"]
        raise InputError(f"{self.path}: unknown product {product!r}")

    def fill(self, template: str, fills: dict[str, str | None]) -> str:
        """Put forms into a template: {p.def} is the form `def` of the product named by fills['p']."""
        tables = {
            "p": self.products,
            "who": self.tables["people"],
            "when": self.tables["times"],
            "a": self.tables["aspects"],
        }

        def form(match: re.Match) -> str:
            slot, name = match.groups()
            if slot not in tables:
                return fills[slot]
            try:
                return tables[slot][fills[slot]][name]
            except KeyError:
                raise InputError(f"{self.path}: no form {name!r} of {fills[slot]!r} for {template!r}") from None

        return SLOT.sub(form, template)

    def template(self, kind: str, *where) -> str:
        """The template at a place, e.g. template('own_verdicts', 'de', 5, 0) or template('openings', 'gift')."""
        node = self.own[kind.removeprefix("own_")] if kind.startswith("own_") else self.tables[kind]
        for step in where[1:] if kind.startswith("own_") else where:
            node = node[step] if isinstance(node, list) else node[str(step)]
        return node

    def clause(self, content: tuple) -> str:
        """A clause: ('literal', aspect, level, variant) or ('own_idioms', language, group, level, index, aspect)."""
        if content[0] == "literal":
            return self.template(*content)
        return self.fill(self.template(*content[:-1]), {"a": content[-1]})

    def say(self, content: tuple) -> str:
        """A sentence's text without capital and full stop. See `sentences` for the shapes of content."""
        if content[0] != "say":
            *place, product, who, when = content
            return self.fill(self.template(*place), {"p": product, "who": who, "when": when})
        _, wrapper, clauses, connective = content
        texts = [self.clause(clause) for clause in clauses]
        text = texts[0]
        if connective:
            text = self.fill(self.template(*connective), {"x": texts[0], "y": texts[1]})
        return self.fill(self.template(*wrapper), {"c": text}) if wrapper else text

    def sentence(self, content: tuple) -> str:
        """A whole sentence, with its capital and full stop."""
        text = self.say(content)
        return text[:1].upper() + text[1:] + ("" if text[-1] in "?？!！…" else self.stop)

    def text(self, contents: list[tuple]) -> str:
        """Several sentences as running text."""
        return self.space.join(self.sentence(content) for content in contents)

    def partition(self, content: tuple) -> str:
        """The split of a sentence: by content when it is aligned (one split in all languages), else by its text."""
        return partition(repr(content) if is_aligned(content) else f"{self.code}:{self.say(content)}")


def is_aligned(content: tuple) -> bool:
    """Whether every part of the content exists in all languages."""
    return not any(part.startswith("own_") for part in _kinds(content))


def _kinds(content: tuple) -> list[str]:
    if content[0] != "say":
        return [content[0]]
    _, wrapper, clauses, connective = content
    return [clause[0] for clause in clauses] + [part[0] for part in (wrapper, connective) if part]


@cache
def bank(code: str) -> Bank:
    """The bank of a language, read once."""
    return Bank(code)


def plain(content: tuple) -> tuple:
    """The aligned content with the same meaning. Fillers fall away; an idiom becomes the literal clause of its aspect
    and level."""
    if content[0] != "say":
        return _plain_sentence(content)
    _, wrapper, clauses, connective = content
    wrapper = None if wrapper and wrapper[0] == "own_fillers" else wrapper
    connective = ("contrast", "but") if connective and connective[0] == "own_contrast" else connective
    return ("say", wrapper, tuple(map(_plain_clause, clauses)), connective)


def _plain_clause(clause: tuple) -> tuple:
    if clause[0] == "literal":
        return clause
    _, _, _, level, index, aspect = clause
    return ("literal", aspect, level, index % 2)


def _plain_sentence(content: tuple) -> tuple:
    kind, *place, product, who, when = content
    if kind == "own_verdicts":
        return ("verdicts", place[1], place[2] % 3, product, None, None)
    if kind in ("own_openings", "own_usage"):
        names = list(bank("en").tables[kind.removeprefix("own_")])
        name = names[place[1] % len(names)]
        return slotted((kind.removeprefix("own_"), name), product, who or "friend", when or "last_week")
    return content


def slotted(place: tuple, product: str, who: str, when: str, code: str = "en") -> tuple:
    """Content of a one-template sentence, with None for slots that the template lacks, so that equal texts have equal
    content."""
    used = {slot for slot, _ in SLOT.findall(bank(code).template(*place))}
    return (*place, product, who if "who" in used else None, when if "when" in used else None)
