"""Stationary correlation: one parameter for each number of steps between two rows, zero beyond the last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.gee.correlation.structure import Whitening, mean_products, whitening_by_batch
from mixedmodels.engines.gee.problem import GeeProblem


@dataclass(frozen=True, slots=True)
class ByLag:
    """Correlations at 1, 2, ... steps.

    Attributes
    ----------
    name : str
        ``"m-dependent(2)"``, or ``"toeplitz"`` with a parameter for every number of steps that occurs.
    lags : int ndarray, shape (q,)
        Numbers of steps with a parameter, increasing.
    """

    name: str
    lags: IntArray

    @property
    def labels(self) -> tuple[str, ...]:
        """Names by number of steps."""
        return tuple(f"alpha.{lag}" for lag in self.lags.tolist())

    def parameter_of(self, first: IntArray, second: IntArray) -> IntArray:
        """Return the parameter of the number of steps between."""
        steps = np.abs(second - first)
        place = np.minimum(np.searchsorted(self.lags, steps), len(self.lags) - 1)
        return np.where(self.lags[place] == steps, place, -1)

    def correlation(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return the correlation at this number of steps, zero for those without a parameter."""
        of = self.parameter_of(first, second)
        return np.where(of >= 0, alpha[np.maximum(of, 0)], 0.0)

    def slope(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return 1 where there is a parameter."""
        return (self.parameter_of(first, second) >= 0).astype(np.float64)

    def estimate(self, problem: GeeProblem, r: FloatArray, phi: float, alpha: FloatArray) -> FloatArray:
        """Return the mean of ``r_i r_j / phi`` by number of steps."""
        return mean_products(self, problem, r, phi)

    def whitening(self, problem: GeeProblem, alpha: FloatArray) -> Whitening:
        """Return inverse Cholesky factors, group by group."""
        return whitening_by_batch(self, problem, alpha)
