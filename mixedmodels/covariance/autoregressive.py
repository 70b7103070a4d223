"""First-order autoregression over the order of the coefficients, ``ar1(0 + time | g)``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.correlation import OneCorrelation


@dataclass(frozen=True, slots=True)
class Autoregressive(OneCorrelation):
    """Coefficients i and j have correlation rho^|i - j|, rho between -1 and 1.

    The order is that of the columns (the levels of a factor), at equal distances. The Cholesky factor
    has rho^(i - 1) in its first column and rho^(i - j) sqrt(1 - rho^2) in the others.

    Examples
    --------
    >>> T = Autoregressive(3).factor(np.array([1.0, 0.5]))
    >>> (T @ T.T).round(10)
    array([[1.  , 0.5 , 0.25],
           [0.5 , 1.  , 0.5 ],
           [0.25, 0.5 , 1.  ]])
    """

    size: int
    homogeneous: bool = True

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "ar1"

    def rho_bounds(self) -> tuple[float, float]:
        """Return -1 and 1."""
        return -1.0, 1.0

    def correlation_factor(self, rho: float) -> FloatArray:
        """Return R from its closed form."""
        R = _of_lag(np.float64(rho) ** np.arange(self.size))
        R[:, 1:] *= np.sqrt(1.0 - rho**2)
        return R

    def correlation_derivative(self, rho: float) -> FloatArray:
        """Return dR/drho."""
        lag = np.arange(self.size)
        power = np.float64(rho) ** lag
        slope = lag * np.append(0.0, power[:-1])
        root = np.sqrt(1.0 - rho**2)
        dR = _of_lag(slope * root - power * rho / root)
        dR[:, 0] = slope
        return dR


@cache
def _places_by_lag(size: int) -> IntArray:
    """Return i - j for every place of a matrix, ``size`` above the diagonal."""
    lag = np.subtract.outer(np.arange(size), np.arange(size))
    return np.where(lag < 0, size, lag)


def _of_lag(values: FloatArray) -> FloatArray:
    """Return the lower triangular matrix with a value for each i - j."""
    return np.append(values, 0.0)[_places_by_lag(len(values))]
