"""Mixed models against a restricted likelihood written out in numpy, and what must be refused or must not matter."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from xltlib import mixed
from xltlib.errors import InputError
from xltlib.statistics import mixed_model

SYSTEMS = pd.DataFrame({
    "system": np.repeat(list("abcdefgh"), 5),
    "european": np.repeat([0.0, 1.0] * 4, 5),
    "value": [.510, .525, .510, .461, .527, .613, .584, .617, .611, .609, .501, .516, .478, .495, .486,
              .618, .601, .591, .577, .609, .498, .540, .481, .507, .539, .590, .599, .578, .588, .600,
              .512, .532, .478, .529, .501, .629, .573, .620, .594, .610],
})  # fmt: skip
"""No spread between systems, and the effect belongs to the system: a fit that stops too early is far off."""


def by_hand(frame: pd.DataFrame, outcome: str, terms: list[str], groups: list[str]):
    """(coefficients, standard errors, log-likelihood) by REML with dense matrices; ratios from a grid, then simplex."""
    y = frame[outcome].to_numpy(float)
    X = np.column_stack([np.ones(len(frame)), *(frame[term].to_numpy(float) for term in terms)])
    parts = [np.equal.outer(codes, codes).astype(float) for codes in (pd.factorize(frame[g])[0] for g in groups)]

    def fitted(ratios):
        V = np.eye(len(y)) + sum(abs(ratio) * part for ratio, part in zip(ratios, parts, strict=True))
        W = np.linalg.inv(V)
        A = X.T @ W @ X
        b = np.linalg.solve(A, X.T @ W @ y)
        s2 = (y - X @ b) @ W @ (y - X @ b) / (len(y) - X.shape[1])
        rest = np.linalg.slogdet(V)[1] + np.linalg.slogdet(A)[1]
        return -0.5 * ((len(y) - X.shape[1]) * math.log(s2) + rest), b, np.sqrt(np.diag(np.linalg.inv(A)) * s2)

    grid = itertools.product((0.0, 0.03, 0.3, 3.0, 30.0), repeat=len(groups))
    best = max(grid, key=lambda ratios: fitted(ratios)[0])
    exact = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 8000}
    end = optimize.minimize(lambda r: -fitted(r)[0], best, method="Nelder-Mead", options=exact).x
    options = [np.where(zero, 0.0, np.abs(end)) for zero in itertools.product((False, True), repeat=len(groups))]
    found = max(options, key=lambda ratios: fitted(ratios)[0] + 1e-9 * sum(r == 0 for r in ratios))
    return *fitted(found)[1:], found


def crossed(seed: int, spread: tuple[float, float], rows: int = 60) -> pd.DataFrame:
    """Unbalanced, two crossed groups with these standard deviations, residual 1."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, rows), rng.integers(0, 5, rows)
    x, z = rng.normal(size=rows), (a % 2).astype(float)
    noise = spread[0] * rng.normal(size=6)[a] + spread[1] * rng.normal(size=5)[b] + rng.normal(size=rows)
    return pd.DataFrame({"a": a, "b": b, "x": x, "z": z, "value": 0.5 * x + 0.2 * z + noise})


@pytest.mark.parametrize("spread", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.3, 3.0), (10.0, 10.0)])
@pytest.mark.parametrize("seed", range(3))
def test_two_crossed_intercepts_are_remls(seed, spread):
    frame = crossed(seed, spread)
    b, se, ratios = by_hand(frame, "value", ["x", "z"], ["a", "b"])
    for i, term in enumerate(["x", "z"], 1):
        found = mixed_model(frame, "value ~ x + z", groups=["a", "b"], term=term)
        assert not found.fallback
        assert (found.value, found.se) == (pytest.approx(b[i], abs=1e-6), pytest.approx(se[i], rel=1e-5))
        assert found.p == pytest.approx(2 * stats.norm.sf(abs(b[i] / se[i])), rel=1e-3)
        zero = [name for name, ratio in zip("ab", ratios, strict=True) if ratio < 1e-7]
        assert found.model == "MixedLM, random a, b" + (f" (variance of {', '.join(zero)}: 0)" if zero else "")


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_without_spread_between_groups_reml_is_ordinary_least_squares(scale):
    frame = SYSTEMS.assign(value=scale * SYSTEMS["value"])
    found = mixed_model(frame, "value ~ european", groups=["system"])
    sides = [frame.loc[frame["european"] == side, "value"] for side in (1, 0)]
    pooled = math.sqrt((sides[0].var() + sides[1].var()) / 2 * (1 / 20 + 1 / 20))
    assert found.value == pytest.approx(sides[0].mean() - sides[1].mean())
    assert found.se == pytest.approx(pooled) and not found.fallback
    assert found.model == "MixedLM, random system (variance of system: 0)"


@pytest.mark.parametrize(("unit", "shift"), [(1e-9, 0.0), (1e-6, 1.0), (1e3, -1e6), (1e8, 0.0), (1.0, 1e6)])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_units_do_not_matter(unit, shift, scale):
    frame = crossed(1, (1.0, 0.5))
    plain = mixed_model(frame, "value ~ x + z", groups=["a", "b"], term="x")
    other = frame.assign(x=unit * frame["x"] + shift, value=scale * frame["value"])
    found = mixed_model(other, "value ~ x + z", groups=["a", "b"], term="x")
    assert not found.fallback and found.model == plain.model
    assert (found.value * unit / scale, found.se * unit / scale) == pytest.approx((plain.value, plain.se), rel=1e-4)


@pytest.mark.parametrize("rows", range(8))
def test_an_effect_between_groups_has_the_standard_error_of_the_groups(rows):
    """Balanced: the standard error is that of the means of groups, where these spread more than the residual says."""
    rng = np.random.default_rng(rows)
    group = np.repeat(np.arange(10), 4)
    frame = pd.DataFrame({"group": group, "x": (group % 2).astype(float)})
    frame["value"] = 0.3 * frame["x"] + rng.normal(size=10)[group] + 0.5 * rng.normal(size=40)
    means = frame.groupby("group")["value"].mean()
    within = (frame["value"] - means.loc[group].to_numpy()).pow(2).sum() / 30 / 4
    between = np.sqrt((means[::2].var() + means[1::2].var()) / 2 * (1 / 5 + 1 / 5))
    assert between**2 / (2 / 5) > within  # else the variance would be 0
    assert mixed_model(frame, "value ~ x", groups=["group"]).se == pytest.approx(between, rel=1e-5)


def changed(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The same rows in other clothes."""
    order = np.random.default_rng(1).permutation(len(frame))
    names = {i: name for i, name in enumerate(["ä b", "C(x)", "1", "~", "", "x"])}
    half = len(frame) // 2
    return {
        "concatenated": pd.concat([frame[:half].reset_index(drop=True), frame[half:].reset_index(drop=True)]),
        "one label": frame.set_axis([7] * len(frame)),
        "two levels of index": frame.set_index(["a", "b"], drop=False),
        "index named as a column": frame.rename_axis("x"),
        "shuffled": frame.iloc[order],
        "unused categories": frame.assign(**{k: pd.Categorical(frame[k], range(9)) for k in "ab"}),
        "other labels": frame.assign(a=frame["a"].map(names), b=-1.5 * frame["b"]),
        "other dtypes": frame.astype({"a": "int8", "b": "string", "z": "Int64", "x": object, "value": object}),
        "truth values": frame.astype({"z": bool}),
        "nullable truth values": frame.astype({"z": "boolean", "value": "Float64"}),
        "numbers as categories": frame.assign(z=pd.Categorical(frame["z"], [1.0, 0.0, 2.0])),
        "columns with blanks": frame.rename(columns={"a": "the first", "b": "C"}),
        "more columns": frame.assign(note=None),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(changed(crossed(0, (1.0, 0.5)))))
def test_what_must_not_matter(name):
    frame = crossed(0, (1.0, 0.5))
    other = changed(frame)[name]
    groups = ["the first", "C"] if "the first" in other else ["a", "b"]
    for term in ("x", "z"):
        plain = mixed_model(frame, "value ~ x + z", groups=["a", "b"], term=term)
        found = mixed_model(other, "value ~ x + z", groups=groups, term=term)
        assert (found.value, found.se, found.p) == pytest.approx((plain.value, plain.se, plain.p), rel=1e-6)
        assert found.fallback == plain.fallback and found.n == plain.n


def test_unused_categories_of_a_fixed_effect_do_not_matter():
    frame = crossed(2, (1.0, 1.0)).assign(kind=lambda f: np.array(["p", "q", "r"])[np.arange(len(f)) % 3])
    wide = frame.assign(kind=pd.Categorical(frame["kind"], ["p", "o", "q", "r", "s"]))
    ours = [mixed_model(f, "value ~ x + C(kind)", groups=["a", "b"], term="C(kind)[T.r]") for f in (frame, wide)]
    assert ours[0] == ours[1]


BASE = crossed(3, (1.0, 1.0))
REFUSED = {
    "constant": (BASE.assign(x=1.0), "value ~ x", ["a"], "'x' is the same in every row"),
    "constant truth value": (BASE.assign(x=True), "value ~ x", ["a"], "'x' is the same in every row"),
    "one category": (BASE.assign(x="only"), "value ~ x", ["a"], "which term|does not fit|same in every row"),
    "zero": (BASE.assign(x=0.0), "value ~ 0 + x", ["a"], "'x' follows from"),
    "twice": (BASE.assign(w=BASE["x"]), "value ~ x + w", ["a"], "'w' follows from the others"),
    "a sum": (BASE.assign(w=BASE["x"] - 3 * BASE["z"]), "value ~ x + z + w", ["a"], "'w' follows from the others"),
    "almost twice": (BASE.assign(w=BASE["x"] * (1 + 1e-13)), "value ~ x + w", ["a"], "'w' follows from the others"),
    "a shifted copy": (BASE.assign(w=1e6 - BASE["z"]), "value ~ x + z + w", ["a"], "'w' follows from the others"),
    "no such term": (BASE, "value ~ x", ["a"], "which term"),
    "no such column": (BASE, "value ~ nothing", ["a"], "the formula 'value ~ nothing' does not fit"),
    "broken formula": (BASE, "value ~ x +* z", ["a"], "the formula 'value ~ x \\+\\* z' does not fit"),
    "one level": (BASE.assign(a="same"), "value ~ x", ["a", "b"], "'a' has one level only"),
    "one used category": (BASE.assign(a=pd.Categorical(["s"] * 60, ["s", "t"])), "value ~ x", ["a"], "one level only"),
    "a level a row": (BASE.assign(a=range(60)), "value ~ x", ["a", "b"], "every row has its own level of 'a'"),
    "two names": (BASE.assign(c=BASE["a"] + 10), "value ~ x", ["a", "c"], "'a', 'c'.*cannot be told apart"),
    "one group twice": (BASE, "value ~ x", ["a", "a"], "cannot be told apart"),
    "cells as rows": (BASE.assign(c=BASE["x"].rank()), "value ~ x", ["c"], "every row has its own level of 'c'"),
    "determined by two levels": (BASE.assign(a=BASE["z"]), "value ~ z", ["a"], "say all about the levels of 'a'"),
    "a fixed effect that is the group": (BASE, "value ~ x + C(a)", ["a", "b"], "say all about the levels of 'a'"),
    "too few rows": (BASE[:3], "value ~ x", ["a"], "3 rows are fewer than 2 fixed effects and 2 variances"),
    "no rows": (BASE[:0], "value ~ x", ["a"], "no rows"),
    "no group": (BASE, "value ~ x", [], "name one column"),
    "infinite": (BASE.assign(value=[*BASE["value"][1:], math.inf]), "value ~ x", ["a"], "row 59 of column 'value'"),
    "infinite effect": (BASE.assign(x=[-math.inf, *BASE["x"][1:]]), "value ~ x", ["a"], "row 0 of column 'x' is -inf"),
    "missing": (BASE.assign(x=[None, *BASE["x"][1:]]), "value ~ x", ["a"], "empty cells in column 'x'"),
    "logarithm of 0": (BASE.assign(x=range(60)), "value ~ np.log(x)", ["a"], "does not fit|not finite"),
    "text": (BASE.assign(value="high"), "value ~ x", ["a"], "'value' holds no numbers, such as 'high'"),
    "no spread": (BASE.assign(value=0.5), "value ~ x", ["a"], "no spread"),
    "two columns of a name": (pd.concat([BASE, BASE[["x"]]], axis=1), "value ~ x", ["a"], "two columns are called 'x'"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_estimated_is_refused_in_one_line(name):
    frame, formula, groups, words = REFUSED[name]
    term = "y" if name == "no such term" else None if "+" not in formula else "x"
    with pytest.raises(InputError, match=words) as error:
        mixed_model(frame, formula, groups=groups, term=term)
    assert "\n" not in str(error.value) and str(error.value).startswith("mixed_model: ")


def test_a_wrong_optimum_is_not_taken(monkeypatch):
    """Where an optimiser stops early, the fit is flagged: it is never taken for converged."""
    real = mixed.minimize

    def stopped(goal, first, **options):
        end = real(goal, first, **options)
        if options["method"] == "Nelder-Mead":
            end.x, end.fun = np.asarray(first), goal(np.asarray(first))
        return end

    monkeypatch.setattr(mixed, "minimize", stopped)
    found = mixed_model(crossed(0, (0.3, 3.0)), "value ~ x", groups=["a", "b"])
    assert found.fallback and found.reason == "mixed model did not converge: two optimisers disagree"

    def both_stopped(goal, first, **options):
        end = real(goal, np.asarray(first), **options)
        end.x = np.zeros(len(first))
        end.fun = goal(end.x)
        return end

    monkeypatch.setattr(mixed, "minimize", both_stopped)
    found = mixed_model(crossed(0, (0.3, 3.0)), "value ~ x", groups=["a", "b"])
    assert found.fallback and found.reason == "mixed model did not converge: the gradient is not zero"
    assert mixed_model(SYSTEMS, "value ~ european", groups=["system"]).fallback
