"""Wald tests and intervals of the fixed effects."""

from __future__ import annotations

import numpy as np
from scipy import special

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError


def wald_table(beta: FloatArray, se: FloatArray, p_values: bool) -> FloatArray:
    """Return estimates, standard errors and their ratios, with normal p-values on request.

    Parameters
    ----------
    beta, se : ndarray, shape (p,)
        Estimates and standard errors.
    p_values : bool
        Whether to append the two-sided p-value of a standard normal.

    Returns
    -------
    ndarray, shape (p, 3 or 4)
    """
    ratio = beta / se
    columns = [beta, se, ratio]
    if p_values:
        columns.append(2.0 * special.ndtr(-np.abs(ratio)))
    return np.column_stack(columns)


def wald_intervals(beta: FloatArray, se: FloatArray, level: float) -> FloatArray:
    """Return ``beta -+ z se`` with the normal quantile of `level`, shape (p, 2)."""
    check_level(level)
    z = special.ndtri((1.0 + level) / 2.0)
    return np.column_stack([beta - z * se, beta + z * se])


def check_level(level: float) -> None:
    """Raise ControlError unless `level` lies between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise ControlError(f"level must lie between 0 and 1, such as 0.95, not {level!r}.")
