"""Satterthwaite's degrees of freedom of contrasts of the fixed effects of a linear mixed model.

The variance of a contrast is estimated. Its degrees of freedom are those of the multiple of a chi-square
variable that has its mean and variance,

    df = 2 (l'Vl)^2 / (g' A g),

g the derivative of ``l'Vl`` in the variance parameters and A their covariance (Giesbrecht & Burns 1985,
Biometrics 41, 477-486; Fai & Cornelius 1996, J. Stat. Comput. Simul. 54, 363-378, for hypotheses of several
contrasts; Kuznetsova, Brockhoff & Christensen 2017, J. Stat. Softw. 82(13)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.parameter_covariance import ParameterCovariance

#: Degrees of freedom of the rows of a hypothesis that differ by less than this share are equal: they come
#: from differences good to seven digits.
EQUAL = 1e-6
#: Degrees of freedom of a hypothesis with a row that has no more than two: its F has no mean to be matched.
FEWEST = 2.0


@dataclass(frozen=True, slots=True)
class Satterthwaite:
    """Satterthwaite's degrees of freedom; those of contrasts.DegreesOfFreedom.

    Attributes
    ----------
    parameters : ParameterCovariance
        Covariance of the variance parameters and derivatives of the covariance of the fixed effects.
    """

    parameters: ParameterCovariance

    @property
    def method(self) -> str:
        """Name of the method."""
        return "Satterthwaite's method"

    def of_rows(self, L: FloatArray) -> FloatArray:
        """Return the degrees of freedom of every row of L, shape (m,); NaN for a row of zeros."""
        at = self.parameters
        return moment_df(L @ at.root.T, at.changes, at.covariance)

    def of_hypothesis(self, L: FloatArray) -> tuple[float, float]:
        """Return the denominator degrees of freedom of the F test of ``L beta``, and 1.

        Those of independent contrasts, the principal axes of the covariance of ``L beta``, are combined so
        that F has its mean. As in lmerTest the axes, and with them the degrees of freedom, are those of the
        rows as they are: rows in other units have others.
        """
        if len(L) == 1:
            return float(self.of_rows(L)[0]), 1.0
        rows = L @ self.parameters.root.T
        _, axes = np.linalg.eigh(rows @ rows.T)
        return combined(self.of_rows(axes.T @ L)), 1.0


def moment_df(rows: FloatArray, changes: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the degrees of freedom of contrasts from the mean and variance of their estimated variances.

    Parameters
    ----------
    rows : ndarray, shape (m, p)
        Contrasts of fixed effects with unit covariance.
    changes : ndarray, shape (k, p, p)
        Derivatives of that covariance in k variance parameters.
    covariance : ndarray, shape (k, k)
        Of these parameters.

    Returns
    -------
    ndarray, shape (m,)
        NaN for a row of zeros.
    """
    variance = np.einsum("ip,ip->i", rows, rows)
    gradient = np.einsum("ip,kpq,iq->ik", rows, changes, rows)
    spread = np.einsum("ik,kl,il->i", gradient, covariance, gradient)
    zero = variance == 0.0
    return np.where(zero, np.nan, 2.0 * variance**2 / np.where(zero, 1.0, spread))


def combined(df: FloatArray) -> float:
    """Return the denominator degrees of freedom of the mean of squared t statistics of independent contrasts.

    ``E = sum df / (df - 2)`` is the mean of the sum of squares; F with the degrees of freedom returned, times
    their number, has the same.

    Examples
    --------
    >>> round(combined(np.array([10.0, 20.0])), 3)
    13.077
    """
    if np.ptp(df) <= EQUAL * float(df.max()):
        return float(df.mean())
    if df.min() <= FEWEST:
        return FEWEST
    E = float((df / (df - 2.0)).sum())
    return 2.0 * E / (E - len(df))
