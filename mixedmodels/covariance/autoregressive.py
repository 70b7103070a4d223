"""First-order autoregression over the order of the coefficients, ``ar1(0 + time | g)``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
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

    def _lags(self) -> tuple[FloatArray, FloatArray]:
        """Return i - j and a mask of the lower triangle."""
        position = np.arange(self.size, dtype=np.float64)
        lag = position[:, None] - position
        return np.maximum(lag, 0.0), np.tril(np.ones((self.size, self.size)))

    def correlation_factor(self, rho: float) -> FloatArray:
        """Return R from its closed form."""
        lag, lower = self._lags()
        R: FloatArray = lower * np.float64(rho) ** lag
        R[:, 1:] *= np.sqrt(1.0 - rho**2)
        return R

    def correlation_derivative(self, rho: float) -> FloatArray:
        """Return dR/drho."""
        lag, lower = self._lags()
        power = lower * np.float64(rho) ** lag
        slope = lower * lag * np.float64(rho) ** np.maximum(lag - 1.0, 0.0)
        root = np.sqrt(1.0 - rho**2)
        dR: FloatArray = slope * root - power * rho / root
        dR[:, 0] = slope[:, 0]
        return dR
