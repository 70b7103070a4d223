"""Responses that do not vary within the levels of a grouping factor."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.formula.design.design import Design, RandomTerm

#: Largest residual, in rounding errors of the largest value, that is none.
ROUNDING_UNITS = 1e3
#: Share of its length that is left of a column which depends on others.
DEPENDENT = 1e-9


def constant_within(design: Design, values: FloatArray) -> str | None:
    """Return the grouping factor within whose levels values do not vary, but for fixed effects; or None.

    Random intercepts of such a factor reproduce the values whatever the rest of the model, and the likelihood
    of a family with a dispersion has no upper bound.

    Parameters
    ----------
    design : Design
        The design.
    values : ndarray, shape (n,)
        The response on the scale of the linear predictor, offset taken off.
    """
    rows = slice(None) if design.weights is None else design.weights > 0.0
    values, X = values[rows], design.X[rows]
    if not np.isfinite(values).all():
        return None
    rounding = ROUNDING_UNITS * np.finfo(np.float64).eps * float(np.abs(values).max())
    for term in design.random:
        if (term.Z == 1.0).all(axis=0).any() and _is_reproduced(values, X, term, term.codes[rows], rounding):
            return term.group
    return None


def _is_reproduced(
    values: FloatArray, X: FloatArray, term: RandomTerm, codes: CodeArray, rounding: float
) -> bool:
    """Tell whether level means and fixed effects leave nothing of the values in rows that could differ."""
    size = np.maximum(np.bincount(codes, minlength=term.n_levels), 1)
    both = np.column_stack([X, values])
    for k in range(both.shape[1]):
        both[:, k] -= (np.bincount(codes, both[:, k], term.n_levels) / size)[codes]
    within, rest = both[:, :-1], both[:, -1]
    length = np.sqrt(np.einsum("ij,ij->j", X, X))
    U, s, _ = np.linalg.svd(within / np.where(length > 0.0, length, 1.0), full_matrices=False)
    U = U[:, s > DEPENDENT]
    df = len(values) - len(np.unique(codes)) - U.shape[1]
    return df > 0 and float(np.abs(rest - U @ (U.T @ rest)).max()) <= rounding
