"""Many claims at once: what chance alone would call reproduced, p-values of verdicts, and Holm's adjustment.

The rule (`verdicts.verdict`) decides one claim by a 95 % interval. Of many claims some are decided by chance; Holm
(1979) keeps the chance of even one false decision among all of them below 5 %, whatever depends on what.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

from xltlib.errors import InputError
from xltlib.statistics import Summary
from xltlib.verdicts import Verdict, verdict, verdict_of_parts

ALPHA = 0.05


def expected_by_chance(k: int, alpha: float = ALPHA) -> float:
    """How many of k claims of a direction (">0", "<0") chance alone would call reproduced when every true effect is
    zero: alpha / 2 of them, 2.5 % with a 95 % interval, for intervals that cover as they should (t intervals of normal
    differences). Of claims of several parts it is at most that, as every part must hold.

    Claims of no difference ("=0") do not count here: there an effect of zero is what they say. They are called
    reproduced by mistake in at most 2.5 % too, when the true effect lies a point or more from zero. InputError for a
    negative number of claims.
    """
    if k < 0 or not 0 < alpha < 1:
        raise InputError(
            f"expected_by_chance: {k} claims at alpha {alpha}: use 0 claims or more, alpha between 0 and 1"
        )
    return k * alpha / 2


def interval(effect: Summary, confidence: float) -> Summary:
    """The same mean over runs with a t interval of another confidence; 1 - 0.05 / k makes k intervals hold together
    (Bonferroni). InputError for a Summary that is no mean over runs (its sd is nan, as a coefficient's)."""
    half = stats.t.ppf((1 + confidence) / 2, effect.n - 1) * _error(effect) if effect.n > 1 else math.nan
    return Summary(effect.mean, effect.sd, float(effect.mean - half), float(effect.mean + half), effect.n)


def p_value(effect: Summary, direction: str, unit: float = 0.01) -> float:
    """p of the verdict on a claim, by the t interval over runs: the smallest alpha at which the interval of confidence
    1 - alpha still gives it (of "inconclusive": at which it gives another one). Two-sided.

    Against zero where zero is excluded; against the zone of one `unit` on either side where the interval lies inside
    (two one-sided tests, Schuirmann 1987) or, for "=0", outside of it. nan for one run. InputError as for `interval`
    and `verdicts.verdict`.
    """
    decided = verdict(effect, direction, unit)
    if effect.n < 2:
        return math.nan
    zero = _two_sided(effect, abs(effect.mean))
    inside = _two_sided(effect, unit - abs(effect.mean))
    outside = _two_sided(effect, abs(effect.mean) - unit)
    if direction == "=0":
        return {Verdict.REPRODUCED: inside, Verdict.NOT_REPRODUCED: outside}.get(decided, min(inside, outside))
    opposite = effect.mean < 0 if direction == ">0" else effect.mean > 0
    refuted = min(zero, inside) if opposite else inside
    return {Verdict.REPRODUCED: zero, Verdict.NOT_REPRODUCED: refuted}.get(decided, min(zero, inside))


def _two_sided(effect: Summary, distance: float) -> float:
    """p of a t test whose estimate lies `distance` on the side that is to be shown; 1 when it lies on the other."""
    error = _error(effect)
    if distance <= 0:
        return 1.0
    return float(2 * stats.t.sf(distance / error, effect.n - 1)) if error else 0.0


def _error(effect: Summary) -> float:
    if effect.n > 1 and not (math.isfinite(effect.sd) and math.isfinite(effect.mean)):
        raise InputError(f"{effect}: no mean over runs (its sd is {effect.sd}); take the p-value of its own test")
    return effect.sd / math.sqrt(effect.n)


@dataclass(frozen=True)
class Claim:
    """A claim's parts, each (effect or None, direction) or (effect, direction, unit); one part for a simple claim."""

    parts: tuple[tuple, ...]

    @property
    def verdict(self) -> Verdict:
        """By the rule, part by part."""
        return verdict_of_parts(self.parts)

    @property
    def p(self) -> float:
        """p of that verdict. Every part must hold: the largest of the parts' (Berger 1982). One that does not hold is
        enough: the smallest of those, times the number of parts. nan when a part was not run or has one run."""
        if any(part[0] is None for part in self.parts):
            return math.nan
        every = [p_value(*part) for part in self.parts]
        if self.verdict is not Verdict.NOT_REPRODUCED:
            return max(every) if not np.isnan(every).any() else math.nan
        refuted = [p for p, part in zip(every, self.parts, strict=True) if verdict(*part) is Verdict.NOT_REPRODUCED]
        return min(1.0, min(refuted) * len(every))


def holm(p: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values in their order (statsmodels). nan, a claim that was not tested, stays nan and is not
    counted. InputError for what is no probability."""
    values = np.asarray(list(p), dtype=float)
    tested = ~np.isnan(values)
    if values.ndim != 1 or ((values[tested] < 0) | (values[tested] > 1)).any():
        raise InputError("holm: give one p-value from 0 to 1 for each claim, nan where it was not tested")
    if tested.any():
        values[tested] = multipletests(values[tested], method="holm")[1]
    return values.tolist()


def adjusted(claims: Sequence[Claim], alpha: float = ALPHA) -> list[tuple[Verdict, float]]:
    """(verdict, adjusted p) of claims that are tested together: what the rule decides, where Holm's p is below alpha;
    else inconclusive. What was not run, or cannot be tested, keeps its verdict."""
    values = holm([claim.p for claim in claims])
    return [
        (claim.verdict if math.isnan(p) or p < alpha else Verdict.INCONCLUSIVE, p)
        for claim, p in zip(claims, values, strict=True)
    ]
