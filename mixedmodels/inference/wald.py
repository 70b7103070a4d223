"""Wald tests and intervals of the fixed effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special

from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError
from mixedmodels.inference.contrasts import FixedEffects, contrast_tests


def wald_table(
    beta: FloatArray, se: FloatArray, p_values: bool = True, df: float | None = None
) -> FloatArray:
    """Return estimates, standard errors and their ratios, with two-sided p-values on request.

    Parameters
    ----------
    beta, se : ndarray, shape (p,)
        Estimates and standard errors.
    p_values : bool
        Whether to append p-values.
    df : float, optional
        Degrees of freedom of the t distribution; None takes the standard normal.

    Returns
    -------
    ndarray, shape (p, 3 or 4)
    """
    ratio = beta / se
    columns = [beta, se, ratio]
    if p_values:
        tail = special.ndtr(-np.abs(ratio)) if df is None else special.stdtr(df, -np.abs(ratio))
        columns.append(np.asarray(2.0 * tail, dtype=np.float64))
    return np.column_stack(columns)


def wald_intervals(beta: FloatArray, se: FloatArray, level: float, df: float | None = None) -> FloatArray:
    """Return ``beta -+ z se`` with the quantile of `level`, of t with `df` or the normal, shape (p, 2)."""
    check_level(level)
    tail = (1.0 + level) / 2.0
    z = special.ndtri(tail) if df is None else special.stdtrit(df, tail)
    return np.column_stack([beta - z * se, beta + z * se])


def table_of_tests(fixed: FixedEffects) -> pd.DataFrame:
    """Return estimates, standard errors, degrees of freedom if finite, and tests of all effects."""
    at = contrast_tests(fixed, np.eye(len(fixed.beta)))
    z = bool(np.isinf(at.df).all())
    letter = "z" if z else "t"
    columns = {"Estimate": at.estimate, "Std. Error": at.se}
    columns |= {} if z else {"df": at.df}
    columns |= {f"{letter} value": at.statistic, f"Pr(>|{letter}|)": at.p_value}
    return pd.DataFrame(columns, index=list(fixed.names))


def check_level(level: float) -> None:
    """Raise ControlError unless `level` lies between 0 and 1."""
    if not isinstance(level, (int, float, np.number)) or not 0.0 < level < 1.0:
        raise ControlError(f"level must lie between 0 and 1, such as 0.95, not {shown(level)}.")
