"""Exchangeable: one correlation between all rows of a group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.gee.correlation.structure import NotPositiveDefinite, Whitening
from mixedmodels.engines.gee.problem import GeeProblem


@dataclass(frozen=True, slots=True)
class Exchangeable:
    """One correlation alpha; a group costs as much as it has rows."""

    name: ClassVar[str] = "exchangeable"
    labels: ClassVar[tuple[str, ...]] = ("alpha",)

    def parameter_of(self, first: IntArray, second: IntArray) -> IntArray:
        """Return 0 for every pair."""
        return np.zeros(first.shape, dtype=np.intp)

    def correlation(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return alpha for every pair."""
        return np.full(first.shape, alpha[0])

    def slope(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return 1 for every pair."""
        return np.ones(first.shape)

    def estimate(self, problem: GeeProblem, r: FloatArray, phi: float, alpha: FloatArray) -> FloatArray:
        """Return the weighted mean of ``r_i r_j / phi``; twice a sum over pairs is square less squares."""
        w = problem.weights
        wr = w * r
        products = problem.by_group(wr) @ problem.by_group(wr) - wr @ wr
        return np.array([products / (phi * (problem.by_group(w) @ problem.by_group(w) - w @ w))])

    def whitening(self, problem: GeeProblem, alpha: FloatArray) -> Whitening:
        """Return ``(I - kappa 1 1') / sqrt(1 - alpha)``, kappa by the size of the group."""
        rho, sizes = float(alpha[0]), problem.sizes
        left = 1.0 + (sizes - 1.0) * rho
        if rho >= 1.0 or (left <= 0.0).any():
            raise NotPositiveDefinite(int(np.argmax(sizes)))
        root = np.sqrt(1.0 - rho)
        kappa = (1.0 - np.sqrt((1.0 - rho) / left)) / sizes

        def whiten(rows: FloatArray) -> FloatArray:
            shift = kappa[:, None] * problem.by_group(rows)
            return np.asarray((rows - np.repeat(shift, sizes, axis=0)) / root)

        return whiten
