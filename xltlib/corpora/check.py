"""Checks of data/mini/<language>/reviews.toml against the English file: for whoever corrects a language by hand."""

from collections.abc import Iterator
from pathlib import Path

from xltlib.corpora.bank import MINI, SLOT, TABLES, Bank
from xltlib.errors import InputError

PIVOT = "en"
SAME_KEYS = TABLES[1:-1]
SLOTS = {
    "openings": ("p", "who", "when"), "usage": ("p", "who", "when"), "verdicts": ("p",), "literal": (),
    "idioms": ("a",), "contrast": ("x", "y"), "joins": ("x", "y"), "frames": ("c",), "fillers": ("c",),
}  # fmt: skip
"""The slots that a table's texts may have; in connectives, frames and fillers each must stand there exactly once."""
ONCE = ("contrast", "joins", "frames", "fillers")
LEAST = {"openings": 10, "usage": 8, "fillers": 12, "contrast": 3, "typos": 20}
LEAST_VERDICTS, LEAST_IDIOMS = 6, 8
LEVELS = "12345"


def check_language(code: str, root: Path = MINI) -> None:
    """Raise InputError when a language's file lacks a key, a form or a text, or holds a text that cannot be used.

    The one line names the file, the table and key, and says how many more problems there are.
    """
    bank = Bank(code, root)
    found = list(_problems(bank, Bank(PIVOT, root)))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(f"{bank.path}: {found[0]}{more}")


def _problems(bank: Bank, pivot: Bank) -> Iterator[str]:
    keys = list(_key_problems(bank, pivot))
    yield from keys
    if not keys:
        yield from _text_problems(bank, pivot)
        yield from _duplicates(bank)
        yield from _typo_problems(bank)


def _key_problems(bank: Bank, pivot: Bank) -> Iterator[str]:
    ours, english = bank.tables, pivot.tables
    for table in SAME_KEYS:
        yield from _compare_keys(table, ours[table], english[table])
    for category, products in english["products"].items():
        yield from _compare_keys(f"products.{category}", ours["products"].get(category, {}), products)
    for aspect, levels in english["literal"].items():
        mine = ours["literal"].get(aspect, {})
        yield from _compare_keys(f"literal.{aspect}", mine, levels)
        yield from (p for k in levels if k in mine for p in _same_count(f"literal.{aspect}.{k}", mine[k], levels[k]))
    for level in LEVELS:
        mine = ours["verdicts"].get(level, [])
        yield from _same_count(f"verdicts.{level}", mine, english["verdicts"][level])
    yield from _too_few(bank)


def _compare_keys(where: str, ours: dict, english: dict) -> Iterator[str]:
    missing, extra = [k for k in english if k not in ours], [k for k in ours if k not in english]
    if missing or extra:
        yield f"[{where}]: " + "; ".join(
            f"{w} {', '.join(k)}" for w, k in (("missing", missing), ("extra", extra)) if k
        )
    elif list(ours) != list(english):
        first = next(a for a, b in zip(ours, english, strict=True) if a != b)
        yield f"[{where}]: {first} is not where the English file has it; keep its order"


def _same_count(where: str, ours: list, english: list) -> Iterator[str]:
    if len(ours) != len(english):
        yield f"[{where}]: {len(ours)} texts, the English file has {len(english)}"


def _too_few(bank: Bank) -> Iterator[str]:
    counts = {table: (len(bank.own.get(table, [])), least) for table, least in LEAST.items()}
    verdicts, idioms = bank.own.get("verdicts", {}), bank.own.get("idioms", {})
    counts |= {f"verdicts.{level}": (len(verdicts.get(level, [])), LEAST_VERDICTS) for level in LEVELS}
    groups = [(group, level) for group in bank.shared["groups"] for level in LEVELS]
    counts |= {f"idioms.{g}.{k}": (len(idioms.get(g, {}).get(k, [])), LEAST_IDIOMS) for g, k in groups}
    yield from (
        f"[own.{name}]: {n} texts, at least {least} are needed" for name, (n, least) in counts.items() if n < least
    )


def texts_of(bank: Bank) -> Iterator[tuple[str, str, str]]:
    """(table and key, kind, text) of every text of a language; the kind is a key of SLOTS."""
    for kind in ("literal", "verdicts", "openings", "usage", "contrast", "joins", "frames"):
        yield from ((where, kind, text) for where, text in _leaves(kind, bank.tables[kind]))
    for kind in ("openings", "usage", "verdicts", "fillers", "contrast", "idioms"):
        yield from ((where, kind, text) for where, text in _leaves(f"own.{kind}", bank.own[kind]))


def _leaves(where: str, node) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield where, node
        return
    for key, value in node.items() if isinstance(node, dict) else ((None, item) for item in node):
        yield from _leaves(f"{where}.{key}" if key else where, value)


def _text_problems(bank: Bank, pivot: Bank) -> Iterator[str]:
    english = {where: text for where, kind, text in texts_of(pivot) if kind in ("openings", "usage")}
    for where, kind, text in texts_of(bank):
        own = where.startswith("own.")
        yield from (f"[{where}]: {problem}: {text!r}" for problem in _wrong_text(bank, kind, text, own))
        if where in english and not own and _slots(text) != _slots(english[where]):
            yield f"[{where}]: slots must be those of the English text, {_slots(english[where])}: {text!r}"


def _slots(text: str) -> list[str]:
    return sorted(name for name, _ in SLOT.findall(text))


def _wrong_text(bank: Bank, kind: str, text: str, own: bool) -> Iterator[str]:
    names = _slots(text)
    if not text or text != text.strip():
        yield "blank, or blanks around it"
    if text.endswith((".", "。", "！", "!")):
        yield "ends in a full stop"
    if "{" in SLOT.sub("", text) or "}" in SLOT.sub("", text):
        yield "broken slot"
    for name in sorted(set(names) - set(SLOTS[kind])):
        yield f"slot {name} does not belong here"
    needed = SLOTS[kind] if kind in ONCE else ("p",) if (own and kind != "idioms") or kind == "verdicts" else ()
    for name in needed:
        if names.count(name) != 1:
            yield f"slot {name} must stand there exactly once"
    yield from _missing_forms(bank, text)


def _missing_forms(bank: Bank, text: str) -> Iterator[str]:
    tables = {
        "p": bank.products,
        "who": bank.tables["people"],
        "when": bank.tables["times"],
        "a": bank.tables["aspects"],
    }
    for slot, form in SLOT.findall(text):
        lacking = [name for name, forms in tables.get(slot, {}).items() if form not in forms]
        if lacking:
            yield f"form {form!r} of {lacking[0]} is missing"


def _duplicates(bank: Bank) -> Iterator[str]:
    """A clause under two keys would make two labels, or two splits, of one sentence."""
    for kind in ("literal", "idioms"):
        seen: dict[str, str] = {}
        for where, _, text in (item for item in texts_of(bank) if item[1] == kind):
            if text in seen:
                yield f"[{where}]: used already in [{seen[text]}]: {text!r}"
            seen[text] = where


def _typo_problems(bank: Bank) -> Iterator[str]:
    texts = [text for _, kind, text in texts_of(bank) if kind in ("literal", "idioms", "fillers")]
    for pair in bank.own["typos"]:
        if len(pair) != 2 or pair[0] == pair[1]:
            yield f"[own.typos]: not a pair of right and wrong: {pair}"
        elif not any(pair[0] in text for text in texts):
            yield f"[own.typos]: {pair[0]!r} occurs in no clause, idiom or filler"
