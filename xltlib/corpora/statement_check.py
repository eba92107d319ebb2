"""Checks of data/mini/<language>/statements.toml: for whoever corrects a language by hand."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from xltlib.corpora.bank import MINI
from xltlib.corpora.statements import FORMS, SLOT, TAGS, StatementBank, actions, draw, shared
from xltlib.errors import InputError


def check_statements(code: str, root: Path = MINI, corrected: bool = False) -> None:
    """Raise InputError when a language's statements lack a key or a form, or hold a word without part of speech.

    `corrected`: with corrections.toml. The one line names the file and the first fault, and how many more there are.
    """
    bank, english = StatementBank(code, root, corrected), StatementBank("en", root)
    found = [*_key_faults(bank, english), *_rendering_faults(bank, root)]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(f"{bank.path}: {found[0]}{more}")


def _key_faults(bank: StatementBank, english: StatementBank) -> Iterator[str]:
    about = shared(bank.root)
    things = [*(m for members in about["groups"].values() for m in members), *about["groups"]]
    wanted = dict(about["names"]) | {"objects": things, "actions": list(actions(bank.root))}
    for table, keys in (wanted | {"closings": list(english.tables["closings"])}).items():
        ours = list(bank.tables[table])
        missing, extra = [k for k in keys if k not in ours], [k for k in ours if k not in keys]
        if missing or extra:
            yield f"[{table}]: missing {', '.join(missing) or 'nothing'}; extra {', '.join(extra) or 'nothing'}"
        elif ours != list(keys):
            yield f"[{table}]: keep the order of the English file"
    for action, slots in actions(bank.root).items():
        templates = bank.tables["actions"].get(action, {})
        if set(templates) != {*FORMS, "own"} or len(templates["own"]) < 2:
            yield f"[actions.{action}]: needs {', '.join(FORMS)}, and own with two texts or more"
            continue
        for form, template in [(f, templates[f]) for f in FORMS] + [("own", text) for text in templates["own"]]:
            used = {slot for slot, _ in SLOT.findall(template)} | ({"n"} if "o" in slots else set())
            if used != set(slots):
                yield f"[actions.{action}] {form}: slots must be {', '.join(slots)}: {template!r}"
            if re.search(r"[.?!。！？۔]\s*$", template):
                yield f"[actions.{action}] {form}: ends in a full stop: {template!r}"


def _rendering_faults(bank: StatementBank, root: Path) -> Iterator[str]:
    """Every wording with every filler of each slot, one slot at a time."""
    rng, told = random.Random(0), set()
    for action, slots in actions(root).items():
        templates = bank.tables["actions"].get(action)
        for form in (*FORMS, *range(len(templates["own"]))) if templates else ():
            first = draw(action, rng, 1, 1)
            every = [first] + [first.replace(**{s: v}) for s in slots if s != "n" for v in _values(s, root)]
            for statement in every:
                try:
                    bank.words(statement, form)
                except InputError as error:
                    fault = str(error).removeprefix(f"{bank.path}: ")
                    if fault not in told:
                        told.add(fault)
                        yield f"[actions.{action}] {form}: {fault}"
    for table, texts in (
        ("closings", bank.tables["closings"].values()),
        ("own_closings", bank.tables["own_closings"]["texts"]),
    ):
        for text in texts:
            for part in text.split():
                if part.rpartition("/")[2] not in TAGS:
                    yield f"[{table}]: {part!r} needs a part of speech after a slash"


def _values(slot: str, root: Path) -> list[str]:
    about = shared(root)
    kind = about["slots"][slot]
    if kind == "objects":
        return [name for group, members in about["groups"].items() for name in (*members, group)]
    return about["names"][kind]
