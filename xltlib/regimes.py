"""The training sets of the papers, as groups of rows that share a batch.

Pure functions of texts, labels and translations.
`originals` maps a language to its labelled texts; `translate(texts, source, target)` is a translator's method.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xltlib.errors import InputError, several
from xltlib.training import Group, Row

Translate = Callable[[list[str], str, str], list[str]]
RATIOS = ("2:1", "1:1", "1:2", "1:5")
"""Originals to translations within a batch."""


@dataclass(frozen=True)
class Labelled:
    """Texts of one language with 0-based class labels."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]
    language: str

    def __len__(self) -> int:
        return len(self.texts)

    def first(self, size: int | None) -> "Labelled":
        """The first `size` texts; None keeps all."""
        return Labelled(self.texts[:size], self.labels[:size], self.language)


def originals_only(data: Labelled) -> list[Group]:
    """Each original alone: zero-shot transfer when tested on another language, the upper bound when tested on its
    own."""
    return [(Row(text, label, data.language),) for text, label in zip(data.texts, data.labels, strict=True)]


def translated_only(data: Labelled, target: str, translate: Translate) -> list[Group]:
    """Each original machine-translated into `target` (translate-train): labels carry over, no original text is seen."""
    texts = translate(list(data.texts), data.language, target)
    return [(Row(text, label, target, True),) for text, label in zip(texts, data.labels, strict=True)]


def with_translations(data: Labelled, targets: Sequence[str], translate: Translate, ratio: str = "1:1") -> list[Group]:
    """Originals beside their own translations, in one batch at the ratio: paper 1's training set, as its line 119
    reads.

    At 1:1 each original goes with its translation into one target, the targets in turn within each label, so that
    each translated language has about a fifth of the original's examples and the same balance of labels. At 1:5
    it goes with one translation into each of five targets; at 2:1 every second original has a translation (an odd one
    at the end is left out). InputError for an unknown ratio, and for fewer targets than an original has translations:
    one would come twice.
    """
    if ratio not in RATIOS:
        raise InputError(f"unknown ratio {ratio!r}: use one of {', '.join(RATIOS)}")
    first, count = (int(part) for part in ratio.split(":"))
    if len(several(targets, "targets")) < count:
        raise InputError(f"ratio {ratio} needs {count} target languages, there are {len(targets)}")
    starts = range(0, len(data) - first + 1, first)
    turn = dict(zip(starts, turns([data.labels[i] for i in starts]), strict=True))
    wanted = {i: [targets[(turn[i] * count + k) % len(targets)] for k in range(count)] for i in starts}
    outputs = _translate_each(data, wanted, translate)
    groups = []
    for start in starts:
        rows = [Row(data.texts[i], data.labels[i], data.language) for i in range(start, start + first)]
        rows += [Row(outputs[start, target], data.labels[start], target, True) for target in wanted[start]]
        groups.append(tuple(rows))
    return groups


def turns(labels: Sequence[int]) -> list[int]:
    """The turn of each item among those of its label, shifted by the label: turn % n deals items out to n languages.

    Dealing by position instead would tie languages to labels wherever a corpus lists its labels in a cycle, and a model
    would learn that a translation's language tells its label.
    """
    seen: Counter[int] = Counter()
    result = []
    for label in labels:
        result.append(seen[label] + label)
        seen[label] += 1
    return result


def _translate_each(data: Labelled, wanted: dict[int, list[str]], translate: Translate) -> dict[tuple[int, str], str]:
    """Translations of item i into each language of wanted[i]; one call a language."""
    result = {}
    for target in sorted({target for targets in wanted.values() for target in targets}):
        items = [i for i, targets in wanted.items() if target in targets]
        texts = translate([data.texts[i] for i in items], data.language, target)
        result |= {(i, target): text for i, text in zip(items, texts, strict=True)}
    return result


def with_translations_into(data: Labelled, others: Sequence[Labelled], translate: Translate) -> list[Group]:
    """The other reading of paper 1 (its line 39): originals of one language, and other languages' originals
    translated INTO it.

    Pairs stand 1:1 in a batch, but the translated text's own original is in another language and not in the set: no
    OTC.
    """
    short = [other.language for other in others if len(other) < len(data)]
    if short or not others:
        which = ", ".join(short) or "none given"
        raise InputError(f"translations into {data.language} need {len(data)} texts of each other language: {which}")
    turn = turns(data.labels)
    translated: dict[int, Row] = {}
    for k, other in enumerate(others):
        mine = [i for i in range(len(data)) if turn[i] % len(others) == k]
        texts = translate([other.texts[i] for i in mine], other.language, data.language)
        translated |= {i: Row(text, other.labels[i], data.language, True) for i, text in zip(mine, texts, strict=True)}
    return [(*group, translated[i]) for i, group in enumerate(originals_only(data))]


def match_rows(groups: list[Group], rows: int) -> list[Group]:
    """The first groups that hold about `rows` rows together: more rows must not pass for better rows."""
    kept, count = [], 0
    for group in groups:
        if count + len(group) > rows:
            break
        kept.append(group)
        count += len(group)
    return kept
