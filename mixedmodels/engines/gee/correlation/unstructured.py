"""Unstructured: a correlation of its own for every two times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.gee.correlation.structure import Whitening, mean_products, whitening_by_batch
from mixedmodels.engines.gee.problem import GeeProblem


@dataclass(frozen=True, slots=True)
class Unstructured:
    """One parameter for each two times that some group has both of.

    Attributes
    ----------
    labels : tuple of str
        ``"alpha.1:2"``, by the names of the times.
    table : int ndarray, shape (T, T)
        Parameter of each two times; -1 where no group has both.
    """

    labels: tuple[str, ...]
    table: IntArray

    @property
    def name(self) -> str:
        """Name as written."""
        return "unstructured"

    def parameter_of(self, first: IntArray, second: IntArray) -> IntArray:
        """Return the parameter of two times."""
        return self.table[first, second]

    def correlation(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return the correlations of two times; NaN where no group has both."""
        of = self.table[first, second]
        return np.where(of >= 0, alpha[of], np.nan)

    def slope(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return 1 for every pair."""
        return np.ones(first.shape)

    def estimate(self, problem: GeeProblem, r: FloatArray, phi: float, alpha: FloatArray) -> FloatArray:
        """Return the mean of ``r_i r_j / phi`` by pair of times."""
        return mean_products(self, problem, r, phi)

    def whitening(self, problem: GeeProblem, alpha: FloatArray) -> Whitening:
        """Return inverse Cholesky factors, group by group."""
        return whitening_by_batch(self, problem, alpha)


def unstructured(problem: GeeProblem, times: tuple[str, ...]) -> Unstructured:
    """Return the structure with the pairs of times that occur."""
    table = np.full((len(times), len(times)), -1, dtype=np.intp)
    pairs = problem.pairs
    together = np.zeros(table.shape, dtype=bool)
    together[problem.positions[pairs.first], problem.positions[pairs.second]] = True
    s, t = np.nonzero(together)
    table[s, t] = np.arange(len(s))
    table[t, s] = table[s, t]
    return Unstructured(tuple(f"alpha.{times[a]}:{times[b]}" for a, b in zip(s, t, strict=True)), table)
