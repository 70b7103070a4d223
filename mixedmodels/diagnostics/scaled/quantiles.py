"""Whether quantiles of scaled residuals depend on a predictor: score tests and curves.

Under the right model a residual is below tau with probability tau, whatever the predictor. The score of a
quantile regression on a basis B at the constant tau is ``B'(tau - 1[u < tau])``, so that with orthonormal B

    |B'(tau - 1[u < tau])|^2 / (tau (1 - tau))

is chi-squared with as many degrees of freedom as B has columns: the rank score test of Gutenbrunner,
Jureckova, Koenker & Portnoy (1993, Nonparametric Stat. 2) with its hypothesis known: nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.scaled.record import ResidualTest
from mixedmodels.formula.evaluation.splines import natural_spline, spline_knots

#: Degrees of freedom of a trend, the constant left out.
TREND_DF = 4
#: Fewest residuals for each degree of freedom.
RESIDUALS_PER_DF = 5
#: Columns of a basis count up to this share of the largest singular value.
RANK_TOLERANCE = 1e-8
#: Below this distance from a curve, the check function is rounded off: residuals are in (0, 1).
ROUNDED = 1e-4
#: Most rounds of reweighted least squares, and the change of a curve that ends them.
ROUNDS, SMALL_CHANGE = 200, 1e-5


@dataclass(frozen=True, slots=True, repr=False)
class QuantileTest(ResidualTest):
    """A test of the quantiles of scaled residuals along a predictor.

    Attributes
    ----------
    p_values : Series
        By quantile, its p-value, adjusted for their number (Benjamini & Hochberg 1995).
    predictor : ndarray, shape (m,)
        Values or, of numbers, ranks from 0 to 1.
    residuals, basis : ndarray, shape (m,) and (m, d)
        Scaled residuals and the orthonormal functions of the predictor.
    """

    p_values: pd.Series
    predictor: np.ndarray[tuple[int, ...], np.dtype[np.object_ | np.float64]]
    residuals: FloatArray
    basis: FloatArray

    def curves(self) -> pd.DataFrame:
        """Return the quantiles of the residuals at each value of the predictor, one column each."""
        fitted = {tau: quantile_curve(self.residuals, self.basis, float(tau)) for tau in self.p_values.index}
        table = pd.DataFrame({"predictor": self.predictor, **fitted})
        ordered = table.sort_values("predictor", kind="stable")
        return ordered.drop_duplicates("predictor", ignore_index=True)


def trend_basis(x: FloatArray) -> FloatArray:
    """Return orthonormal functions of numbers: natural splines, or one for each value if these are few."""
    values, codes = np.unique(x, return_inverse=True)
    df = min(TREND_DF, len(x) // RESIDUALS_PER_DF, len(values) - 1)
    if df < 1:
        return _orthonormal(np.ones((len(x), 1)))
    if len(values) <= TREND_DF + 1 and df == len(values) - 1:
        return group_basis(codes)
    columns = x[:, None] if df == 1 else natural_spline(x, spline_knots(x, None, df - 1, None), False)
    return _orthonormal(np.column_stack([np.ones(len(x)), columns]))


def group_basis(codes: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> FloatArray:
    """Return orthonormal functions of groups: one for each."""
    indicators = np.equal.outer(codes, np.unique(codes)).astype(np.float64)
    return np.asarray(indicators / np.sqrt(indicators.sum(axis=0)))


def _orthonormal(columns: FloatArray) -> FloatArray:
    scaled = columns / np.linalg.norm(columns, axis=0)
    left, values, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray(left[:, values > RANK_TOLERANCE * values[0]])


def score_p_values(U: FloatArray, basis: FloatArray, quantiles: Sequence[float]) -> FloatArray:
    """Return the p-values of the score tests, one row a quantile, one column a column of U.

    Parameters
    ----------
    U : ndarray, shape (m, R)
        Scaled residuals.
    basis : ndarray, shape (m, d)
        Orthonormal functions of the predictor.
    quantiles : sequence of float
        Which.
    """
    found = []
    for tau in quantiles:
        scores = basis.T @ (tau - (tau > U))
        found.append(chdtrc(basis.shape[1], (scores**2).sum(axis=0) / (tau * (1.0 - tau))))
    return np.array(found)


def adjusted(p_values: FloatArray) -> FloatArray:
    """Return p-values adjusted by Benjamini and Hochberg's method along the first axis.

    Examples
    --------
    >>> adjusted(np.array([0.01, 0.02, 0.9])).round(3).tolist()
    [0.03, 0.03, 0.9]
    """
    k = len(p_values)
    order = np.argsort(-p_values, axis=0)
    factors = k / np.arange(k, 0, -1).reshape([-1] + [1] * (p_values.ndim - 1))
    falling = np.minimum.accumulate(np.take_along_axis(p_values, order, axis=0) * factors, axis=0)
    result = np.empty_like(p_values)
    np.put_along_axis(result, order, np.minimum(falling, 1.0), axis=0)
    return result


def quantile_curve(u: FloatArray, basis: FloatArray, tau: float) -> FloatArray:
    """Return the tau-quantile of u as a combination of the basis, at every row.

    Minimises the check function, rounded off at its corner, by reweighted least squares (Hunter & Lange
    2000, J. Comput. Graph. Stat. 9).
    """
    curve = np.full(len(u), np.quantile(u, tau))
    for _ in range(ROUNDS):
        weights = 1.0 / (ROUNDED + np.abs(u - curve))
        weighted = basis * weights[:, None]
        target = weighted.T @ u + (2.0 * tau - 1.0) * basis.sum(axis=0)
        following = basis @ np.linalg.solve(weighted.T @ basis, target)
        if np.abs(following - curve).max() < SMALL_CHANGE:
            return np.asarray(following)
        curve = following
    return curve
