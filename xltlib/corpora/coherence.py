"""What is incoherent in the embedded reviews, counted by rule on their contents: for the data card.

Each sentence of a review is drawn by itself, so that some go badly together, or with their product. The texts stay as
they are, because checkpoints were trained on them; this says how often it happens.
"""

from collections import Counter
from collections.abc import Iterator

from xltlib.corpora.bank import Bank, bank
from xltlib.corpora.embedded import Review, reviews

WITH_MOTOR = ("coffee_machine", "blender", "bread_maker", "food_processor", "juicer")
"""Kitchen products that have a motor (the aspect "speed" is its motor)."""
ONCE = ("delivery", "packaging", "service", "price", "size", "look", "assembly")
"""Aspects that are settled at once: neither "so far" nor "after a few weeks of use" is said of them."""
FAULTS = {
    "and": "\"and\" or \"also\" joins a neutral point with a good or bad one",
    "manual": "instructions of clothes, bags and the like",
    "so far": "\"so far\" on what is settled at once (delivery, price, size, look ...)",
    "weeks": "\"after a few weeks of use\" on what is settled at once",
    "motor": "the motor of a kettle, a rice cooker ...",
    "twice": "the same clause, idiom or filler twice",
}  # fmt: skip
"""Kinds of fault, and what the card calls them."""


def faults(review: Review, code: str) -> set[str]:
    """The kinds of FAULTS in a review. A product counts where the text names it, or where its aspects tell its kind."""
    return set(_faults(review.contents, bank(code)))


def counts(code: str, split: str = "test") -> Counter:
    """Reviews with each kind of fault in a language's split; "any": with one or more."""
    found: Counter = Counter()
    for review in reviews(code, split):
        kinds = faults(review, code)
        found.update(kinds)
        found["any"] += bool(kinds)
    return found


def _faults(contents: tuple, source: Bank) -> Iterator[str]:
    said = [content for content in contents if content[0] == "say"]
    named = {content[-3] for content in contents if content[0] != "say"} - {None}
    aspects = {_aspect(clause) for _, _, clauses, _ in said for clause in clauses}
    if "instructions" in aspects and (named | _kind(aspects, source)) & set(source.tables["products"]["wear"]):
        yield "manual"
    if "speed" in aspects and named and not named & set(WITH_MOTOR):
        yield "motor"
    for _, wrapper, clauses, connective in said:
        levels = [_level(clause) for clause in clauses]
        if connective and connective[0] == "joins" and 3 in levels and set(levels) != {3}:
            yield "and"
        late = any(_aspect(clause) in ONCE for clause in clauses)
        if wrapper == ("frames", "so_far") and late:
            yield "so far"
        if wrapper == ("frames", "after_weeks") and late:
            yield "weeks"
    parts = [clause[:-1] if clause[0] == "own_idioms" else clause for _, _, clauses, _ in said for clause in clauses]
    parts += [wrapper for _, wrapper, _, _ in said if wrapper]
    parts += [content for content in contents if content[0] != "say"]
    if len(set(parts)) < len(parts):
        yield "twice"


def _kind(aspects: set[str], source: Bank) -> set[str]:
    """The products of the category that the aspects belong to."""
    categories = source.shared["categories"]
    return {
        product
        for category, products in source.tables["products"].items()
        for product in products
        if aspects & set(categories[category])
    }


def _aspect(clause: tuple) -> str:
    return clause[1] if clause[0] == "literal" else clause[-1]


def _level(clause: tuple) -> int:
    return clause[2] if clause[0] == "literal" else clause[3]


def card(codes: tuple[str, ...]) -> list[str]:
    """The rows of the data card: one a kind of fault, a column a language, of 1,000 test reviews each."""
    found = {code: counts(code) for code in codes}
    rows = [*FAULTS.items(), ("any", "**any of these**")]
    return [f"| {text} | " + " | ".join(str(found[code][kind]) for code in codes) + " |" for kind, text in rows]
