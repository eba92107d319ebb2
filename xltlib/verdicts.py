"""The rule: what our runs say of a claim, of one part or of several. Notebook 00 and the book's introduction tell it.

A claim of a direction is *reproduced* when the 95 % interval of its effect over runs lies wholly in that direction. A
claim of several parts, "on every data set", "in all languages", "better than each rival" (which is what "the best of
several" says), is tested part by part, each by the unit of the claim. No part is averaged away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from xltlib.errors import InputError
from xltlib.statistics import Summary


class Verdict(StrEnum):
    """What our runs say of a claim."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
    PREMISE_NOT_MET = "premise not met"
    NOT_RUN = "not run"
    UNCHECKABLE = "cannot be checked"


def verdict(effect: Summary | None, direction: str, unit: float = 0.01) -> Verdict:
    """The verdict on a claim from its effect at run level with a 95 % interval over seeds; `unit` is one point.

    ">0", "<0": reproduced when the interval lies wholly in the claimed direction; not reproduced when wholly opposite
    or within one point of zero; else inconclusive. "=0": reproduced within one point of zero, not reproduced wholly
    farther out, else inconclusive. None is not run; an interval that one seed cannot give is inconclusive.
    """
    if direction not in (">0", "<0", "=0"):
        raise InputError(f"verdict: direction {direction!r} is none of '>0', '<0', '=0'")
    if effect is None:
        return Verdict.NOT_RUN
    low, high = (-effect.high, -effect.low) if direction == "<0" else (effect.low, effect.high)
    near, far = -unit <= low and high <= unit, low > unit or high < -unit
    if direction == "=0":
        return Verdict.REPRODUCED if near else Verdict.NOT_REPRODUCED if far else Verdict.INCONCLUSIVE
    if low > 0:
        return Verdict.REPRODUCED
    return Verdict.NOT_REPRODUCED if high < 0 or near else Verdict.INCONCLUSIVE


Decided = Verdict | str | tuple[Summary | None, str] | tuple[Summary | None, str, float]
"""A part of a claim: its verdict, or its effect and direction (and unit), as `verdict` takes them."""


def verdict_of_parts(parts: Iterable[Decided]) -> Verdict:
    """The verdict on a claim of several parts that must all hold, among them "better than each rival" ("the best of
    several"): one effect a part or rival, each by the unit of the claim (seed, pretraining seed).

    Reproduced when every part is; not reproduced when one part is not; else inconclusive. A claim none of whose parts
    was run, or can be checked, is not run, or cannot be checked. Do not average the parts, nor take the
    best rival in each cell, before: an open part would hide a refuted one, and the best of several noisy scores lies
    above them all.
    InputError for no part or no such verdict.
    """
    found = [_decided(part) for part in parts]
    if not found:
        raise InputError("verdict_of_parts: a claim has one part or more, got none")
    if Verdict.NOT_REPRODUCED in found:
        return Verdict.NOT_REPRODUCED
    return found[0] if len(set(found)) == 1 else Verdict.INCONCLUSIVE


def _decided(part: Decided) -> Verdict:
    if isinstance(part, tuple):
        return verdict(*part)
    if part not in list(Verdict):
        raise InputError(f"verdict_of_parts: {part!r} is no verdict: use one of {', '.join(Verdict)}")
    return Verdict(part)


@dataclass(frozen=True)
class Part:
    """One of the things that a claim says: what (a difference, a language, a rival), its effect at run level (None: not
    run), and the claimed direction. `p`: of the effect's own test, for one that is no mean over runs."""

    what: str
    effect: Summary | None
    direction: str = ">0"
    p: float | None = None

    def verdict(self, unit: float = 0.01) -> Verdict:
        """The rule's verdict on this part alone."""
        return verdict(self.effect, self.direction, unit)

    def told(self, unit: float = 0.01) -> str:
        """In one line: what, the effect with its interval, the verdict."""
        return f"{self.what}: {self.effect if self.effect else 'no runs'}, {self.verdict(unit)}"


def most(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on "on most of them": reproduced on more than half, not reproduced when half or more are not, else
    inconclusive; not run when one was not."""
    found = list(verdicts)
    if not found or Verdict.NOT_RUN in found:
        return Verdict.NOT_RUN
    if 2 * found.count(Verdict.REPRODUCED) > len(found):
        return Verdict.REPRODUCED
    return Verdict.NOT_REPRODUCED if 2 * found.count(Verdict.NOT_REPRODUCED) >= len(found) else Verdict.INCONCLUSIVE


def deciding(parts: Sequence[Part], unit: float = 0.01) -> Part:
    """Of a claim's parts the one that its row shows: one that is not reproduced before one that is open before one that
    is reproduced; of equals the one whose interval reaches farthest against the claim."""
    order = [Verdict.NOT_RUN, Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE, Verdict.REPRODUCED]

    def against(part: Part) -> float:
        if part.effect is None:
            return 0.0
        ends = {">0": part.effect.low, "<0": -part.effect.high, "=0": -max(abs(part.effect.low), abs(part.effect.high))}
        return ends[part.direction]

    return min(parts, key=lambda part: (order.index(part.verdict(unit)), against(part)))
