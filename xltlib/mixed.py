"""Linear mixed models with crossed random intercepts, fitted by REML and checked: behind `statistics.mixed_model`.

The likelihood and its gradient are statsmodels'; its own `fit` is not used, because it calls points "converged" that
are no optimum (most often where a variance is zero). Here two optimisers must agree, the gradient must vanish, and a
variance that the likelihood wants at zero is zero: what is left is then generalised least squares with the other
variances, or ordinary least squares with none.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.optimize import minimize
from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams, VCSpec

from xltlib.mixed_design import Design, left_of

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
class Optimum:
    """Each group's variance as a ratio to the residual's; `problem` says why it is none, "" when it is one."""

    ratios: dict[str, float]
    problem: str = ""


def reml(found: Design) -> Optimum:
    """The ratios of variances at which the restricted likelihood is highest."""
    together = np.hstack([found.fixed, *(found.indicators(group) for group in found.levels)])
    left = np.linalg.norm(left_of(found.outcome[:, None], together))
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
    basis = np.linalg.qr(found.fixed)[0]  # the likelihood does not depend on the units of the fixed effects
    model = MixedLM(found.outcome, basis, one, exog_vc=VCSpec(names, columns, [[part] for part in parts]))
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
