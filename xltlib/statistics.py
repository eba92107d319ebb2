"""Seeds' summaries, bootstrap, paired tests, Welch, mixed models, power.

Two-sided throughout. An effect is written a - b; its confidence interval is 95 % unless said otherwise. Sample standard
deviations (ddof=1) unless said otherwise. Every function raises InputError on empty, short or non-finite input.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from xltlib import mixed
from xltlib.errors import InputError
from xltlib.mixed_design import design


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation, confidence interval and number of values (sd and bounds are nan for n = 1)."""

    mean: float
    sd: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.n}"


@dataclass(frozen=True)
class Test:
    """An effect with its interval, and the test behind its p-value (`df`: nan where the test has none)."""

    __test__ = False  # pytest: not a test class

    effect: Summary
    statistic: float
    p: float
    df: float
    name: str

    def __str__(self) -> str:
        return f"{self.effect}, p = {self.p:.3f} ({self.name})"


@dataclass(frozen=True)
class SignTest:
    """How many differences are positive, negative, zero; p of the exact binomial test without the zeros."""

    positive: int
    negative: int
    ties: int
    p: float


@dataclass(frozen=True)
class Coefficient:
    """A fixed effect. `fallback`: the mixed model could not be fitted and `model` is the OLS that took its place, for
    `reason`; `messages` are the warnings of the fit."""

    term: str
    value: float
    se: float
    low: float
    high: float
    p: float
    n: int
    model: str
    fallback: bool = False
    reason: str = ""
    messages: tuple[str, ...] = field(default=())

    def interval(self) -> str:
        """Its 95 % CI, p-value and number of rows, as a sentence has them; p below 0.001 is not printed as zero."""
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
        return f"95 % CI {self.low:+.3f} to {self.high:+.3f}, {p}, {self.n} rows"

    @property
    def summary(self) -> Summary:
        """The same as a Summary (sd is nan: a coefficient has a standard error), for `published.verdict`."""
        return Summary(self.value, math.nan, self.low, self.high, self.n)


def summary(values: Iterable[float], confidence: float = 0.95) -> Summary:
    """Mean, sd and t interval over runs; `values`: one number a seed."""
    values = _numbers(values, "values")
    n, mean = len(values), float(values.mean())
    if n == 1:
        return Summary(mean, math.nan, math.nan, math.nan, 1)
    sd = float(values.std(ddof=1))
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * sd / math.sqrt(n)
    return Summary(mean, sd, float(mean - half), float(mean + half), n)


def spread(part: pd.DataFrame, rows: str | Sequence[str], columns: str, runs: Sequence[str] = ()) -> pd.DataFrame:
    """A table of mean [95 % CI], n of the column `value`, by `rows` and `columns`. `runs` names a run (its seed, say):
    values of one run are averaged first, so that n counts runs. A key that a method lacks (None, nan) is a key like any
    other, shown as "none". InputError: no rows, or a column that is not there."""
    keys = [*([rows] if isinstance(rows, str) else rows), columns]
    part = keyed(part, [*keys, *runs])
    if runs:
        part = part.groupby([*keys, *runs], sort=False)["value"].mean().reset_index()
    cells = part.groupby(keys, sort=False)["value"]
    return cells.apply(lambda values: str(summary(values))).unstack().reset_index()


NONE = "none"
"""How tables and figures show a key that a row lacks."""


def keyed(part: pd.DataFrame, keys: Sequence[str], values: str = "value") -> pd.DataFrame:
    """The columns `keys` and `values`, with NONE for keys that a row lacks: pandas drops such rows without a word.

    Other keys stay as they are. InputError: no rows, a column that is not there, or an empty value.
    """
    if missing := [column for column in (*keys, values) if column not in part]:
        raise InputError(f"no column {missing[0]!r}; there are: {', '.join(map(str, part.columns))}")
    if part.empty:
        raise InputError(f"no rows to group by {', '.join(keys)}")
    found = part[list(dict.fromkeys([*keys, values]))].reset_index(drop=True)
    if found[values].isna().any():
        where = found[list(keys)][found[values].isna()].iloc[0].to_dict()
        raise InputError(f"{where}: column {values!r} is empty; drop or rerun that run")
    return found.assign(**{key: _with_none(found[key]) for key in keys})


def _with_none(column: pd.Series) -> pd.Series:
    """A column of keys as it is when none is missing (a category without unused ones); else as objects."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
    if not column.isna().any():
        return column
    if (column == NONE).any():
        raise InputError(f"column {column.name!r} has empty cells beside the key {NONE!r}: name one of them otherwise")
    return column.astype(object).where(column.notna(), NONE)


def pivot(part: pd.DataFrame, rows: str | Sequence[str], columns: str | Sequence[str], values: str) -> pd.DataFrame:
    """A table with a row for each combination of `rows` and a column for each of `columns`, one value a cell (nan where
    there is none); keys that a row lacks are "none".

    Unlike pandas' pivot_table it averages nothing: a cell of two rows holds two conditions, or a run that was counted
    twice. InputError names the first such cell and what tells its rows apart.
    """
    rows, columns = ([keys] if isinstance(keys, str) else list(keys) for keys in (rows, columns))
    found = keyed(part, [*rows, *columns], values)
    double = found.duplicated([*rows, *columns], keep=False)
    if double.any():
        cell = found.loc[double, [*rows, *columns]].iloc[0]
        same = (found[[*rows, *columns]] == cell).all(axis=1).to_numpy()
        apart = [c for c in part if c not in (*rows, *columns, values) and part[c][same].astype(str).nunique() > 1]
        remedy = f"they differ in {', '.join(map(str, apart))}" if apart else "they differ in nothing else"
        raise InputError(f"{same.sum()} rows of one cell, {cell.to_dict()}: {remedy}; select one kind of row")
    return found.pivot(index=rows, columns=columns, values=values)


def bootstrap(
    values: Iterable[float],
    statistic: Callable[..., np.ndarray] = np.mean,
    *,
    n: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Summary:
    """Percentile bootstrap (Efron & Tibshirani 1993, ch. 13); `mean` is the statistic, `sd` its bootstrap error.

    `statistic` takes an array and `axis`, as np.mean and np.median do.
    """
    values = _numbers(values, "values", least=2)
    draws = np.random.default_rng(seed).integers(len(values), size=(n, len(values)))
    estimates = statistic(values[draws], axis=1)
    low, high = _percentiles(estimates, confidence)
    return Summary(float(statistic(values, axis=0)), float(estimates.std(ddof=1)), low, high, len(values))


def paired_difference(a: Iterable[float], b: Iterable[float]) -> Test:
    """a - b over pairs (same seed, same language, ...): mean, t interval, paired t-test."""
    differences = _pairs(a, b)
    effect = summary(differences)
    return _t_test(effect, effect.sd / math.sqrt(effect.n), effect.n - 1, "paired t")


def paired_bootstrap(
    correct_a: Sequence[float], correct_b: Sequence[float], *, n: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Test:
    """a - b over test items scored by two systems (0/1, or a score; several seeds: each item's mean over seeds).

    Percentile interval; p is the share of resamples whose effect, centred on the observed one, is at least as far from
    zero (Berg-Kirkpatrick et al. 2012; Koehn 2004). It speaks of other items, not of other seeds.
    """
    differences = _pairs(correct_a, correct_b)
    levels, counts = np.unique(differences, return_counts=True)
    rng, items = np.random.default_rng(seed), len(differences)
    chunks = [min(500, n - start) for start in range(0, n, 500)]  # drawing items = drawing counts of their values
    draws = np.concatenate([rng.multinomial(items, counts / items, size=size) @ levels for size in chunks]) / items
    mean = float(differences.mean())
    p = (1 + np.sum(np.abs(draws - mean) >= abs(mean) - 1e-12)) / (n + 1)
    effect = Summary(mean, float(differences.std(ddof=1)), *_percentiles(draws, confidence), items)
    return Test(effect, mean, float(p), math.nan, f"paired bootstrap over {items} items")


def welch(mean1: float, sd1: float, n1: int, mean2: float, sd2: float, n2: int, ddof: int = 1) -> Test:
    """mean1 - mean2 from printed means and standard deviations, unequal variances (Welch 1947).

    ddof=0 when the printed sds are population sds. The effect's `n` is n1 + n2, its `sd` the root mean square of both.
    """
    if min(n1, n2) < 2 or min(sd1, sd2) < 0 or not all(map(math.isfinite, (mean1, sd1, mean2, sd2))):
        raise InputError(f"welch needs two runs or more a side and finite sds >= 0, got n {n1}, {n2}, sd {sd1}, {sd2}")
    variance1, variance2 = (sd**2 * (n / (n - 1) if ddof == 0 else 1) for sd, n in ((sd1, n1), (sd2, n2)))
    part1, part2 = variance1 / n1, variance2 / n2
    se = math.sqrt(part1 + part2)
    df = (part1 + part2) ** 2 / (part1**2 / (n1 - 1) + part2**2 / (n2 - 1)) if se else n1 + n2 - 2
    half, difference = stats.t.ppf(0.975, df) * se, mean1 - mean2
    sd = math.sqrt((variance1 + variance2) / 2)
    return _t_test(
        Summary(difference, sd, float(difference - half), float(difference + half), n1 + n2), se, df, "Welch"
    )


def sign_test(differences: Iterable[float]) -> SignTest:
    """Exact two-sided sign test; zeros are dropped and counted."""
    differences = _numbers(differences, "differences")
    positive, negative = int((differences > 0).sum()), int((differences < 0).sum())
    p = stats.binomtest(positive, positive + negative).pvalue if positive + negative else 1.0
    return SignTest(positive, negative, len(differences) - positive - negative, float(p))


def mixed_model(frame: pd.DataFrame, formula: str, *, groups: Sequence[str], term: str | None = None) -> Coefficient:
    """A fixed effect with a random intercept for each column in `groups`, crossed (REML, Wald interval and p).

    Two optimisers must agree and the gradient must vanish (see `mixed`); `model` names the groups whose variance is
    estimated as 0. Falls back to OLS with errors clustered on the first of `groups` (t with clusters - 1 degrees of
    freedom), flagged, when the model is singular or does not converge. `term`: which coefficient; may be left out when
    the formula has one. Index, order of rows, dtypes, unused categories and names of levels change nothing. InputError,
    one line, for what cannot be estimated: a term that is constant or follows from others, a group of one level, groups
    that cannot be told apart, too few rows, values that are missing or not finite.
    Example: mixed_model(frame, "f1 ~ otc", groups=["seed", "train", "test"]).
    """
    groups = [groups] if isinstance(groups, str) else list(groups)
    rows = design(frame, formula, groups)
    term = _term(rows.names, term)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimum = mixed.reml(rows)
        if optimum.problem:
            fit, model = mixed.clustered(rows, groups[0]), f"OLS, errors clustered by {groups[0]}"
        else:
            fit, model = mixed.least_squares(rows, optimum.ratios), f"MixedLM, random {', '.join(groups)}"
            zero = [group for group, ratio in optimum.ratios.items() if not ratio]
            model += f" (variance of {', '.join(zero)}: 0)" if zero else ""
    messages = tuple(dict.fromkeys(str(warning.message).splitlines()[0] for warning in caught))
    numbers = (fit.params[term], fit.bse[term], *fit.conf_int().loc[term], fit.pvalues[term])
    if not np.isfinite(numbers).all() or not fit.bse[term] > 0:
        raise InputError(
            f"mixed_model: the standard error of {term!r} is {fit.bse[term]}: the rows have no spread to test by"
        )
    return Coefficient(term, *map(float, numbers), len(frame), model, bool(optimum.problem), optimum.problem, messages)


def _term(names: Sequence[str], term: str | None) -> str:
    """The term that is meant; InputError when the design has it not, or several and none is named."""
    terms = [name for name in names if name != "Intercept"]
    if term is None and len(terms) == 1:
        return terms[0]
    if term not in names:
        raise InputError(f"mixed_model: which term? {term!r} is not one of {', '.join(terms)}")
    return term


def paired_power(effect: float, sd: float, n: int, alpha: float = 0.05) -> float:
    """Probability that a paired t-test over n pairs is significant; `sd`: of the differences."""
    shift, critical = effect / sd * math.sqrt(n), stats.t.ppf(1 - alpha / 2, n - 1)
    return float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))


def seeds_needed(effect: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Smallest number of paired runs (at least 2) whose paired t-test sees `effect` with probability `power`.

    `effect` and `sd` in the same unit; `sd`: of the paired differences over seeds.
    """
    if effect == 0 or not sd > 0 or not 0 < alpha < power < 1:
        given = f"effect {effect}, sd {sd}, power {power}, alpha {alpha}"
        raise InputError(f"seeds_needed ({given}): give a non-zero effect, a positive sd and 0 < alpha < power < 1")
    quantiles = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)
    n = max(2, math.floor((quantiles * sd / effect) ** 2))  # the normal approximation is a lower bound
    if n > 100_000:
        return n + 3  # there the t distribution adds three at most
    while paired_power(effect, sd, n, alpha) < power:
        n += 1
    return n


def majority_baseline(labels: Iterable[Hashable]) -> float:
    """Accuracy (= micro-F1) of always answering the most frequent label."""
    counts = Counter(labels)
    if not counts:
        raise InputError("majority_baseline: no labels given")
    return max(counts.values()) / counts.total()


# Shared pieces --------------------------------------------------------------------------------------------------------


def _numbers(values: Iterable[float], name: str, least: int = 1) -> np.ndarray:
    array = np.asarray(list(values), dtype=float)
    if array.ndim != 1 or len(array) < least:
        raise InputError(f"{name}: {least} or more numbers in one dimension are needed, got shape {array.shape}")
    if not np.isfinite(array).all():
        where = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InputError(f"{name}: number {where} is {array[where]}; drop or rerun that run")
    return array


def _pairs(a: Iterable[float], b: Iterable[float]) -> np.ndarray:
    a, b = _numbers(a, "first values", 2), _numbers(b, "second values", 2)
    if len(a) != len(b):
        raise InputError(f"paired values differ in number: {len(a)} and {len(b)}; pair them by seed or by item")
    return a - b


def _percentiles(estimates: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(estimates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _t_test(effect: Summary, se: float, df: float, name: str) -> Test:
    """Without any spread t is 0 or infinite, and p 1 or 0."""
    t = effect.mean / se if se else math.copysign(math.inf, effect.mean) if effect.mean else 0.0
    return Test(effect, t, float(2 * stats.t.sf(abs(t), df)), float(df), name)
