"""First-order autoregression: correlation alpha to the power of the steps between two rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.gee.correlation.structure import NotPositiveDefinite, Whitening
from mixedmodels.engines.gee.problem import GeeProblem

# Steps of Gauss and Newton's method for alpha within one step for beta; it ends at rounding long before.
MAX_STEPS = 100
ALPHA_TOLERANCE = 1e-14
# Correlation to begin from where no two rows are one step apart, and the slope at zero says nothing.
WITHOUT_NEIGHBOURS = 0.5


@dataclass(frozen=True, slots=True)
class Autoregressive:
    """One correlation alpha between rows one step apart."""

    name: ClassVar[str] = "ar1"
    labels: ClassVar[tuple[str, ...]] = ("alpha",)

    def parameter_of(self, first: IntArray, second: IntArray) -> IntArray:
        """Return 0 for every pair."""
        return np.zeros(first.shape, dtype=np.intp)

    def correlation(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return alpha to the power of the steps between."""
        return np.asarray(alpha[0] ** np.abs(second - first))

    def slope(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return ``d alpha^(d - 1)``."""
        steps = np.abs(second - first)
        return np.asarray(steps * alpha[0] ** (steps - 1))

    def estimate(self, problem: GeeProblem, r: FloatArray, phi: float, alpha: FloatArray) -> FloatArray:
        """Return the root in alpha of ``sum_d d alpha^(d - 1) (S_d - N_d alpha^d)`` nearest to the last one.

        S_d is the sum of ``r_i r_j / phi`` over the pairs that are d steps apart, N_d their number, weighted.
        """
        i, j = problem.pairs.first, problem.pairs.second
        steps = problem.positions[j] - problem.positions[i]
        weight = problem.weights[i] * problem.weights[j]
        N = np.bincount(steps, weight).astype(np.float64)
        S = np.bincount(steps, weight * r[i] * r[j]) / phi
        d = np.flatnonzero(N)
        return np.array([_root(d, S[d], N[d], float(alpha[0]))])

    def whitening(self, problem: GeeProblem, alpha: FloatArray) -> Whitening:
        """Return innovations: each row less its prediction from the one before it."""
        rho = float(alpha[0])
        if not abs(rho) < 1.0:
            raise NotPositiveDefinite(int(np.argmax(problem.sizes)))
        steps = np.diff(problem.positions, prepend=0)
        steps[problem.grouping.starts] = 1
        back = rho ** steps.astype(np.float64)
        back[problem.grouping.starts] = 0.0
        scale = np.sqrt(1.0 - back**2)[:, None]

        def whiten(rows: FloatArray) -> FloatArray:
            white = rows.copy()
            white[1:] -= back[1:, None] * rows[:-1]
            return np.asarray(white / scale)

        return whiten


def _root(d: IntArray, S: FloatArray, N: FloatArray, alpha: float) -> float:
    """Return where the estimating equation of alpha is zero, by Gauss and Newton's steps from alpha."""
    if alpha == 0.0 and d[0] > 1:
        alpha = WITHOUT_NEIGHBOURS
    for _ in range(MAX_STEPS):
        slope = d * alpha ** (d - 1.0)
        step = float(slope @ (S - N * alpha**d) / (N @ slope**2))
        alpha = float(np.clip(alpha + step, -1.0, 1.0))
        if abs(step) <= ALPHA_TOLERANCE:
            break
    return alpha
