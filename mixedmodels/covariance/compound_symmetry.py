"""Compound symmetry: one correlation between all coefficients, ``cs(x | g)``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.correlation import OneCorrelation


@dataclass(frozen=True, slots=True)
class CompoundSymmetry(OneCorrelation):
    """All pairs of coefficients have the same correlation rho, between -1/(S - 1) and 1.

    Column j of the Cholesky factor follows from the Schur complement of the first j - 1 variables, which
    is again compound symmetric. With c_j = 1 + (j - 2) rho, for j > 1 (counted from 1):
    R_jj^2 = (1 - rho) c_{j+1} / c_j and R_ij = rho sqrt((1 - rho) / (c_j c_{j+1})) below the diagonal.

    Examples
    --------
    >>> T = CompoundSymmetry(2, homogeneous=False).factor(np.array([2.0, 1.0, 0.5]))
    >>> (T @ T.T).round(10)
    array([[4., 1.],
           [1., 1.]])
    """

    size: int
    homogeneous: bool = False

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "cs"

    def rho_bounds(self) -> tuple[float, float]:
        """Return -1/(S - 1) and 1."""
        return -1.0 / max(self.size - 1, 1), 1.0

    def correlation_factor(self, rho: float) -> FloatArray:
        """Return R from its closed form."""
        S = self.size
        c = 1.0 + rho * np.arange(-1, S)  # c[j - 1] = c_j
        R = np.zeros((S, S))
        R[:, 0] = rho
        R[0, 0] = 1.0
        for j in range(1, S):
            R[j, j] = np.sqrt(max((1.0 - rho) * c[j + 1] / c[j], 0.0))
            R[j + 1 :, j] = rho * np.sqrt((1.0 - rho) / (c[j] * c[j + 1]))
        return R

    def correlation_derivative(self, rho: float) -> FloatArray:
        """Return dR/drho, by logarithmic differentiation of the closed form."""
        S = self.size
        slope = np.arange(-1.0, S)
        log_c = slope / (1.0 + rho * slope)  # (log c_j)'
        log_rest = -1.0 / (1.0 - rho)  # (log (1 - rho))'
        R = self.correlation_factor(rho)
        dR = np.zeros((S, S))
        dR[1:, 0] = 1.0
        for j in range(1, S):
            dR[j, j] = R[j, j] * 0.5 * (log_rest + log_c[j + 1] - log_c[j])
            below = R[j + 1 :, j]
            root = np.sqrt((1.0 - rho) / ((1.0 + rho * slope[j]) * (1.0 + rho * slope[j + 1])))
            dR[j + 1 :, j] = root + below * 0.5 * (log_rest - log_c[j] - log_c[j + 1])
        return dR
