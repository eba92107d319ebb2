"""What a formula and groups make of a frame for `mixed`'s models, and what of it cannot be estimated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

from xltlib.errors import InputError


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
        fixed = smf.ols(formula, plain, missing="raise")
    except Exception as error:  # a formula is code: what it raises is the caller's
        why = " ".join(str(error).split())
        raise InputError(f"mixed_model: the formula {formula!r} does not fit the columns: {why}") from None
    levels = {group: pd.factorize(plain[group])[0] for group in groups}
    found = Design(plain[outcome].to_numpy(float), fixed.exog, list(fixed.exog_names), levels)
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
        if i and size and np.linalg.norm(column - column.mean()) <= 1e-12 * size and "Intercept" in found.names[:i]:
            raise InputError(f"mixed_model: the term {name!r} is the same in every row; its effect cannot be estimated")
        if np.linalg.norm(left_of(column[:, None], found.fixed[:, :i])) <= 1e-12 * size:
            others = ", ".join(found.names[:i]) or "nothing else"
            raise InputError(
                f"mixed_model: the term {name!r} follows from the others ({others}); leave one of them out"
            )


def _check_rest(found: Design) -> None:
    """What the fixed effects leave of the outcome is what their standard errors come from."""
    rest = np.linalg.norm(left_of(found.outcome[:, None], found.fixed))
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
    left = [left_of(found.indicators(group), found.fixed) for group in found.levels]
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


def left_of(part: np.ndarray, fixed: np.ndarray) -> np.ndarray:
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
