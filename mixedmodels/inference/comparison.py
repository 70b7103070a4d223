"""Comparison of fitted models: likelihood-ratio tests, sums of squares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.fits.criteria import akaike, schwarz

LIKELIHOOD_RATIO_COLUMNS = ("npar", "AIC", "BIC", "logLik", "-2*log(L)", "Chisq", "Df", "Pr(>Chisq)")
SEQUENTIAL_COLUMNS = ("npar", "Sum Sq", "Mean Sq", "F value")
F_TEST_COLUMNS = ("Res.Df", "RSS", "Df", "Sum of Sq", "F", "Pr(>F)")
TERM_COLUMNS = ("Df", "Sum Sq", "Mean Sq", "F value", "Pr(>F)")
DEVIANCE_COLUMNS = ("Resid. Df", "Resid. Dev", "Df", "Deviance", "F", "Pr(>F)")


def chi_square_tail(statistic: FloatArray, df: FloatArray) -> FloatArray:
    """Return P(chi-square with `df` degrees of freedom > `statistic`), NaN where `df` is not positive."""
    valid = np.nan_to_num(df, nan=0.0) > 0
    return np.where(valid, special.chdtrc(np.where(valid, df, 1.0), statistic), np.nan)


def likelihood_ratio_table(npar: Sequence[int], loglik: Sequence[float], nobs: int) -> FloatArray:
    """Return the columns of a comparison of models that are already ordered by `npar`.

    Each model is compared with the one above it; the statistic is twice the gain in log-likelihood, no
    less than zero. No correction is made for variances on the boundary.

    Returns
    -------
    ndarray, shape (models, 8)
        Columns as in ``LIKELIHOOD_RATIO_COLUMNS``.
    """
    parameters = np.asarray(npar, dtype=np.float64)
    logl = np.asarray(loglik, dtype=np.float64)
    chisq = np.concatenate([[np.nan], 2.0 * np.maximum(np.diff(logl), 0.0)])
    df = np.concatenate([[np.nan], np.diff(parameters)])
    aic = [akaike(value, k) for value, k in zip(loglik, npar, strict=True)]
    bic = [schwarz(value, k, nobs) for value, k in zip(loglik, npar, strict=True)]
    return np.column_stack([parameters, aic, bic, logl, -2.0 * logl, chisq, df, chi_square_tail(chisq, df)])


def deviance_table(df_residual: Sequence[int], deviance: Sequence[float], dispersion: float) -> FloatArray:
    """Return the columns of an analysis of deviance with F tests, models by decreasing `df_residual`.

    The F statistic divides the drop in deviance per degree of freedom by the dispersion of the largest
    model (McCullagh & Nelder 1989, section 4.5).

    Returns
    -------
    ndarray, shape (models, 6)
        Columns as in ``DEVIANCE_COLUMNS``.
    """
    residual_df = np.asarray(df_residual, dtype=np.float64)
    deviances = np.asarray(deviance, dtype=np.float64)
    df = np.concatenate([[np.nan], -np.diff(residual_df)])
    drop = np.concatenate([[np.nan], -np.diff(deviances)])
    valid = np.nan_to_num(df, nan=0.0) > 0
    F = np.where(valid, drop / np.where(valid, df, 1.0) / dispersion, np.nan)
    p = np.where(valid, special.fdtrc(np.where(valid, df, 1.0), residual_df[-1], np.maximum(F, 0.0)), np.nan)
    return np.column_stack([residual_df, deviances, df, drop, F, p])


def sequential_table(
    beta: FloatArray, unscaled_vcov: FloatArray, assign: IntArray, sigma: float
) -> FloatArray:
    """Return sequential sums of squares of the terms, and their F statistics.

    Row by row of ``R_X beta``, whose squares add up over the columns of a term (Bates et al. 2015, eq. 68).

    Parameters
    ----------
    beta : ndarray, shape (p,)
        Fixed effects.
    unscaled_vcov : ndarray, shape (p, p)
        ``(R_X' R_X)^-1``.
    assign : ndarray of int, shape (p,)
        Term of each column, 0 for the intercept.
    sigma : float
        Residual standard deviation.

    Returns
    -------
    ndarray, shape (terms, 4)
        Columns as in ``SEQUENTIAL_COLUMNS``, one row for each term except the intercept.
    """
    R = np.linalg.cholesky(np.linalg.inv(unscaled_vcov)).T
    squares = (R @ beta) ** 2
    terms = [k for k in np.unique(assign) if k != 0]
    df = np.array([np.count_nonzero(assign == k) for k in terms], dtype=np.float64)
    sums = np.array([squares[assign == k].sum() for k in terms])
    mean_squares = sums / df
    return np.column_stack([df, sums, mean_squares, mean_squares / sigma**2])


def f_test_table(df_residual: Sequence[int], rss: Sequence[float]) -> FloatArray:
    """Return the columns of F tests between least-squares fits, in the order given.

    Each is compared with the one above; the error mean square is that of the fit with fewest residual degrees
    of freedom, as in R's ``anova`` of several linear models.

    Returns
    -------
    ndarray, shape (models, 6)
        Columns as in ``F_TEST_COLUMNS``.
    """
    left, sums = np.asarray(df_residual, dtype=np.float64), np.asarray(rss, dtype=np.float64)
    df = np.concatenate([[np.nan], -np.diff(left)])
    gain = np.concatenate([[np.nan], -np.diff(sums)])
    largest = int(np.argmin(left))
    F, p = _f_test(gain, df, sums[largest], left[largest])
    return np.column_stack([left, sums, df, gain, F, p])


def term_table(effects: FloatArray, assign: IntArray, rss: float, df_residual: int) -> FloatArray:
    """Return sequential sums of squares of the terms of a least-squares fit, and of the residuals.

    Parameters
    ----------
    effects : ndarray, shape (p,)
        ``Q'y``: the square of an element is what its column adds to the columns before it.
    assign : ndarray of int, shape (p,)
        Term of each column, 0 for the intercept.
    rss, df_residual
        Residual sum of squares and its degrees of freedom.

    Returns
    -------
    ndarray, shape (terms + 1, 5)
        Columns as in ``TERM_COLUMNS``; the last row is that of the residuals.
    """
    terms = [k for k in np.unique(assign) if k != 0]
    df = np.array([np.count_nonzero(assign == k) for k in terms], dtype=np.float64)
    sums = np.array([np.sum(effects[assign == k] ** 2) for k in terms])
    F, p = _f_test(sums, df, rss, float(df_residual))
    residual = [df_residual, rss, rss / df_residual if df_residual else np.nan, np.nan, np.nan]
    return np.vstack([np.column_stack([df, sums, sums / df, F, p]), residual])


def _f_test(
    sums: FloatArray, df: FloatArray, rss: float, df_residual: float
) -> tuple[FloatArray, FloatArray]:
    """Return F statistics of sums of squares and their p-values, NaN where they are not defined."""
    valid = (np.nan_to_num(df) != 0.0) & (np.nan_to_num(sums / np.where(df == 0.0, 1.0, df)) > 0.0)
    if df_residual <= 0 or rss <= 0.0:
        valid[:] = False
    df = np.where(valid, df, 1.0)
    F = np.where(valid, sums / df / (rss / df_residual if df_residual else 1.0), np.nan)
    p = special.fdtrc(np.abs(df), max(df_residual, 1.0), np.where(valid, F, 1.0))
    return F, np.where(valid, p, np.nan)
