"""Independence: no correlation within groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.gee.correlation.structure import Whitening
from mixedmodels.engines.gee.problem import GeeProblem


@dataclass(frozen=True, slots=True)
class Independence:
    """Every correlation is zero."""

    name: ClassVar[str] = "independence"
    labels: ClassVar[tuple[str, ...]] = ()

    def parameter_of(self, first: IntArray, second: IntArray) -> IntArray:
        """Return -1: no pair has a parameter."""
        return np.full(first.shape, -1, dtype=np.intp)

    def correlation(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return zeros."""
        return np.zeros(first.shape)

    def slope(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return zeros."""
        return np.zeros(first.shape)

    def estimate(self, problem: GeeProblem, r: FloatArray, phi: float, alpha: FloatArray) -> FloatArray:
        """Return no parameters."""
        return alpha

    def whitening(self, problem: GeeProblem, alpha: FloatArray) -> Whitening:
        """Return the identity."""
        return lambda rows: rows
