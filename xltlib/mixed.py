"""Linear mixed models with crossed random intercepts, fitted by REML and checked: behind `statistics.mixed_model`.

The likelihood and its gradient are statsmodels'; its own `fit` is not used, because it calls points "converged" that
are no optimum (most often where a variance is zero). Here two optimisers must agree, the gradient must vanish, and a
variance that the likelihood wants at zero is zero: what is left is then generalised least squares with the other
variances, or ordinary least squares with none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import patsy
import statsmodels.api as sm
from scipy.optimize import minimize
from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams, VCSpec

from xltlib.errors import InputError

BOUND = 20.0
"""Ratios of variances are sought between exp(-BOUND) and exp(BOUND)."""
ZERO = 1e-7
"""A ratio of a group's variance to the residual's below this is tried as zero."""
STARTS = (0.01, 1.0, 100.0)
"""Ratios that the optimisers start from: a single start may lie where the likelihood is flat."""
STEEP = 1e-3
"""Largest slope of the log-likelihood, by the logarithm of a ratio, that counts as an optimum."""
APART = 1e-5
"""Largest difference of the two optimisers' log-likelihoods."""
OPTIMISERS = {
    "L-BFGS-B": {"ftol": 1e-15, "gtol": 1e-9},
    "Nelder-Mead": {"xatol": 1e-6, "fatol": 1e-10, "maxfev": 2000},
}
"""One follows the gradient, the other never looks at it; scipy's options."""
SINGULAR = "mixed model is singular: the groups leave no residual"


@dataclass(frozen=True)
class Design:
    """Outcome (n,), fixed effects (n, p) with their names, and for each random intercept its name and the level of each
    row (n,), 0, 1, 2, ..."""

    outcome: np.ndarray
    fixed: np.ndarray
    names: list[str]
    levels: dict[str, np.ndarray]

    def indicators(self, group: str) -> np.ndarray:
        """(n, levels) with a 1 where a row belongs to a level."""
        return np.eye(self.levels[group].max() + 1)[self.levels[group]]


# The design -----------------------------------------------------------------------------------------------------------


def design(frame: pd.DataFrame, formula: str, groups: Sequence[str]) -> Design:
    """What a formula and the columns of `groups` make of a frame; its index, dtypes and unused categories mean nothing.

    InputError, one line: a column that is missing, empty or not finite, a formula that cannot be read, a fixed effect
    that is constant or follows from others, a variance that the rows cannot tell.
    """
    if frame.empty or not groups:
        raise InputError(
            f"mixed_model: {'the frame has no rows' if frame.empty else 'name one column or more in groups'}"
        )
    outcome = formula.partition("~")[0].strip()
    used = [column for column in frame.columns if _occurs(column, formula) or column in groups]
    for column in [outcome, *groups]:
        if column not in frame:
            raise InputError(f"mixed_model: no column {column!r}; there are: {', '.join(map(str, frame.columns))}")
    if repeated := [column for column in used if used.count(column) > 1]:
        raise InputError(f"mixed_model: two columns are called {repeated[0]!r}; rename one")
    if empty := sorted(str(column) for column in used if frame[column].isna().any()):
        raise InputError(f"mixed_model: empty cells in column {empty[0]!r}; drop those rows first")
    plain = pd.DataFrame({column: _plain(frame[column]) for column in used})
    _check_numbers(plain, outcome)
    try:
        _, fixed = patsy.dmatrices(formula, plain, NA_action="raise", return_type="dataframe")
    except (patsy.PatsyError, ArithmeticError, LookupError, NameError, TypeError, ValueError, SyntaxError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"mixed_model: the formula {formula!r} does not fit the columns: {why}") from None
    levels = {group: pd.factorize(plain[group])[0] for group in groups}
    found = Design(plain[outcome].to_numpy(float), fixed.to_numpy(float), list(fixed.columns), levels)
    _check_fixed(found)
    _check_rest(found)
    _check_groups(found, groups)
    return found


def _occurs(column: object, formula: str) -> bool:
    """Whether a formula names a column: as a word, or in quotes (patsy's Q)."""
    name = str(column)
    if not name.isidentifier():
        return name in formula
    return name in "".join(c if c.isidentifier() or c.isdigit() else " " for c in formula).split()


def _plain(column: pd.Series) -> np.ndarray:
    """A column's values as an array: numbers as numbers and the rest as it is, whatever the dtype."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories().cat
        if not all(isinstance(value, int | float | np.number | np.bool_) for value in used.categories):
            return pd.Categorical.from_codes(used.codes, used.categories.astype(object))
        column = pd.Series(used.categories.to_numpy()[used.codes])
    values = column.to_numpy(dtype=object)
    if not all(isinstance(value, int | float | np.number | np.bool_) for value in values):
        return values
    whole = all(isinstance(value, int | np.integer) and not isinstance(value, bool) for value in values)
    return values.astype(np.int64 if whole else np.float64)


def _check_numbers(plain: pd.DataFrame, outcome: str) -> None:
    for column in plain:
        numeric = plain[column].dtype.kind in "iuf"
        if column == outcome and not numeric:
            raise InputError(f"mixed_model: column {column!r} holds no numbers, such as {plain[column].iloc[0]!r}")
        if numeric and (bad := np.flatnonzero(~np.isfinite(plain[column].to_numpy(float)))).size:
            value = plain[column].iloc[bad[0]]
            raise InputError(f"mixed_model: row {bad[0]} of column {column!r} is {value}; drop or rerun that run")


def _check_fixed(found: Design) -> None:
    """Every fixed effect must add something to those before it, and rows must be left for the variances."""
    n, p = found.fixed.shape
    if n < p + len(found.levels) + 1:
        counts = f"{p} fixed effects and {len(found.levels) + 1} variances"
        raise InputError(f"mixed_model: {n} rows are fewer than {counts}; give more rows or a shorter formula")
    if not np.isfinite(found.fixed).all():
        bad = found.names[int(np.flatnonzero(~np.isfinite(found.fixed).all(axis=0))[0])]
        raise InputError(f"mixed_model: the term {bad!r} is not finite in every row; drop those rows first")
    for i, name in enumerate(found.names):
        column = found.fixed[:, i]
        size = np.linalg.norm(column)
        if i and size and np.linalg.norm(column - column.mean()) <= 1e-10 * size and "Intercept" in found.names[:i]:
            raise InputError(f"mixed_model: the term {name!r} is the same in every row; its effect cannot be estimated")
        if np.linalg.norm(_left(column[:, None], found.fixed[:, :i])) <= 1e-10 * size:
            others = ", ".join(found.names[:i]) or "nothing else"
            raise InputError(
                f"mixed_model: the term {name!r} follows from the others ({others}); leave one of them out"
            )


def _check_rest(found: Design) -> None:
    """What the fixed effects leave of the outcome is what their standard errors come from."""
    rest = np.linalg.norm(_left(found.outcome[:, None], found.fixed))
    if rest <= 1e-10 * np.linalg.norm(found.outcome):
        raise InputError("mixed_model: the fixed effects give every value exactly: there is no spread to test them by")


def _check_groups(found: Design, groups: Sequence[str]) -> None:
    """Each variance must show in the rows once the fixed effects are taken out, and differ from the others."""
    n, p = found.fixed.shape
    for group, codes in found.levels.items():
        if codes.max() < 1:
            raise InputError(f"mixed_model: column {group!r} has one level only; two are needed, or leave it out")
        if codes.max() + 1 == n:
            raise InputError(
                f"mixed_model: every row has its own level of {group!r}, as the residual has; leave it out"
            )
    left = [_left(found.indicators(group), found.fixed) for group in found.levels]
    for group, part in zip(found.levels, left, strict=True):
        if np.linalg.norm(part) <= 1e-8 * np.sqrt(n):
            raise InputError(
                f"mixed_model: the fixed effects say all about the levels of {group!r}, so that its variance and their "
                "standard errors cannot be estimated; give more levels or leave one of them out"
            )
    if len(found.levels) < len(groups) or _alike(left, n - p):
        raise InputError(
            f"mixed_model: the variances of {', '.join(map(repr, groups))} and the residual's cannot be told apart "
            "(levels that are the same under two names, or as many as rows); leave one out"
        )


def _left(part: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """What is left of columns when the fixed effects are taken out."""
    if not fixed.shape[1]:
        return part
    size = np.linalg.norm(fixed, axis=0)
    size[size == 0] = 1.0
    scaled = fixed / size
    once = part - scaled @ np.linalg.lstsq(scaled, part, rcond=1e-12)[0]
    return once - scaled @ np.linalg.lstsq(scaled, once, rcond=1e-12)[0]  # twice: the first leaves rounding errors


def _alike(left: Sequence[np.ndarray], rows: int) -> bool:
    """Whether the parts of the outcome's covariance, one a group and the residual's, depend on each other linearly."""
    gram = np.array([[np.linalg.norm(a.T @ b) ** 2 for b in left] for a in left])
    with_residual = np.array([np.linalg.norm(a) ** 2 for a in left])
    gram = np.block([[gram, with_residual[:, None]], [with_residual[None, :], np.array([[float(rows)]])]])
    scale = np.sqrt(np.diag(gram))
    return bool(np.linalg.eigvalsh(gram / scale / scale[:, None])[0] < 1e-8)


# The fit --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Optimum:
    """Each group's variance as a ratio to the residual's; `problem` says why it is none, "" when it is one."""

    ratios: dict[str, float]
    problem: str = ""


def reml(found: Design) -> Optimum:
    """The ratios of variances at which the restricted likelihood is highest."""
    together = np.hstack([found.fixed, *(found.indicators(group) for group in found.levels)])
    left = np.linalg.norm(_left(found.outcome[:, None], together))
    if np.linalg.matrix_rank(together) < len(together) and left <= 1e-9 * np.linalg.norm(found.outcome):
        return Optimum({}, SINGULAR)
    kept = list(found.levels)
    while True:
        ratios, problem = _climbed(found, kept)
        small = [group for group in kept if ratios[group] < ZERO]
        if problem or not small:
            break
        kept = [group for group in kept if group not in small]
    every = dict.fromkeys(found.levels, 0.0) | ratios
    return Optimum(every, problem or _rising(found, every))


def _climbed(found: Design, groups: list[str]) -> tuple[dict[str, float], str]:
    """The best ratios of some groups, the others' being zero, by two optimisers; and what speaks against them."""
    if not groups:
        return {}, ""
    model = _model(found, groups)

    def loss(logs: np.ndarray) -> float:
        return -model.loglike(_parameters(model, np.exp(logs)))

    def gradient(logs: np.ndarray) -> np.ndarray:
        return -_slopes(model, np.exp(logs)) * np.exp(logs)

    best = []
    for method, options in OPTIMISERS.items():
        more = {"jac": gradient} if method == "L-BFGS-B" else {}
        more |= {"method": method, "bounds": [(-BOUND, BOUND)] * len(groups), "options": options}
        ends = [minimize(loss, np.full(len(groups), np.log(start)), **more) for start in STARTS]
        best.append(min(ends, key=lambda end: end.fun if np.isfinite(end.fun) else np.inf))
    end = min(best, key=lambda end: end.fun)
    ratios = dict(zip(groups, np.exp(end.x), strict=True))
    if not abs(best[0].fun - best[1].fun) <= APART:  # nor when one of them is no number
        return ratios, "mixed model did not converge: two optimisers disagree"
    return ratios, SINGULAR if (end.x > BOUND - 1).any() else ""


def _rising(found: Design, ratios: dict[str, float]) -> str:
    """What speaks against an optimum: the likelihood rises from there ("" when it does not)."""
    at = np.array([max(ratio, np.exp(-BOUND)) for ratio in ratios.values()])
    model = _model(found, list(ratios))
    slopes = _slopes(model, at)
    for ratio, slope, part in zip(ratios.values(), slopes, model.exog_vc.mats, strict=True):
        # at zero only upwards counts, in units of the ratio that makes the group's variance as large as the residual's
        steep = abs(slope * ratio) if ratio else slope / np.linalg.norm(part[0]) ** 2
        if not steep <= STEEP:
            return "mixed model did not converge: the gradient is not zero"
    return ""


def _model(found: Design, groups: list[str]) -> MixedLM:
    """statsmodels' model: all rows are one group, which has a variance component for each random intercept."""
    parts = [found.indicators(group) for group in groups]
    names = [f"group {i}" for i in range(len(groups))]
    columns = [[[f"{name}, level {k}" for k in range(part.shape[1])]] for name, part in zip(names, parts, strict=True)]
    one = np.ones(len(found.outcome))
    model = MixedLM(found.outcome, found.fixed, one, exog_vc=VCSpec(names, columns, [[part] for part in parts]))
    model.reml, model.cov_pen, model.fe_pen, model._cov_sing = True, None, None, 0  # what `fit` would set
    return model


def _parameters(model: MixedLM, ratios: np.ndarray) -> MixedLMParams:
    parameters = MixedLMParams(model.k_fe, 0, model.k_vc)
    parameters.vcomp, parameters.cov_re = ratios, np.zeros((0, 0))
    parameters.fe_params = model.get_fe_params(parameters.cov_re, ratios)[0]
    return parameters


def _slopes(model: MixedLM, ratios: np.ndarray) -> np.ndarray:
    """Gradient of the profile likelihood by the ratios."""
    return model.score_full(_parameters(model, ratios), calc_fe=False)[2]


def least_squares(found: Design, ratios: dict[str, float]):
    """Generalised least squares with these ratios, as statsmodels' result (normal distribution, as Wald's tests have
    it): ordinary least squares of rows that are made independent. With V = 1 + A A' and A = U S W', V to the power -1/2
    is 1 + U (1 / sqrt(1 + S^2) - 1) U'."""
    roots = np.hstack([np.sqrt(ratio) * found.indicators(group) for group, ratio in ratios.items()])
    left, size, _ = np.linalg.svd(roots, full_matrices=False)
    shrunk = (left * (1 / np.sqrt(1 + size**2) - 1)) @ left.T
    fixed = pd.DataFrame(found.fixed + shrunk @ found.fixed, columns=found.names)
    return sm.OLS(found.outcome + shrunk @ found.outcome, fixed).fit(use_t=False)


def clustered(found: Design, group: str):
    """Ordinary least squares with errors clustered on one group (t with levels - 1 degrees of freedom)."""
    fixed = pd.DataFrame(found.fixed, columns=found.names)
    return sm.OLS(found.outcome, fixed).fit(cov_type="cluster", cov_kwds={"groups": found.levels[group]}, use_t=True)
