"""Responses outside all simulated ones: how many there are, and how many there should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, xlog1py, xlogy

from mixedmodels.arrays import BoolArray, FloatArray, IntArray

#: Probabilities are equal up to this factor, as in R's binom.test.
SAME_PROBABILITY = 1.0 + 1e-7


@dataclass(slots=True)
class Extremes:
    """The least and the largest of the values of each row so far, and how often each occurs.

    Attributes
    ----------
    low, high : ndarray, shape (m,)
        Least and largest.
    n_low, n_high : ndarray of int, shape (m,)
        How often.
    """

    low: FloatArray
    high: FloatArray
    n_low: IntArray
    n_high: IntArray

    def take_in(self, other: Extremes) -> None:
        """Take in the extremes of further values."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        self.n_low = self.n_low * (self.low == low) + other.n_low * (other.low == low)
        self.n_high = self.n_high * (self.high == high) + other.n_high * (other.high == high)
        self.low, self.high = low, high

    def lone(self, Y: FloatArray) -> tuple[IntArray, IntArray]:
        """Return how many rows of each column are below, and above, all other values of their row."""
        below = (self.low[:, None] == Y) & (self.n_low == 1)[:, None]
        above = (self.high[:, None] == Y) & (self.n_high == 1)[:, None]
        return np.count_nonzero(below, axis=0), np.count_nonzero(above, axis=0)


def extremes(Y: FloatArray) -> Extremes:
    """Return the extremes of the rows of Y, shape (m, count)."""
    low, high = Y.min(axis=1), Y.max(axis=1)
    n_low, n_high = ((end[:, None] == Y).sum(axis=1) for end in (low, high))
    return Extremes(low, high, n_low, n_high)


def outlying(below: FloatArray, equal: FloatArray, nsim: int) -> tuple[BoolArray, BoolArray]:
    """Return which rows lie below, and above, all simulated values."""
    return np.asarray((below == 0) & (equal == 0)), np.asarray(below == nsim)


def binomial_p_values(k: int, n: int, p: float) -> tuple[float, float, float]:
    """Return the p-values of k of n at probability p: two-sided as R's binom.test, greater, less.

    Examples
    --------
    >>> [round(value, 4) for value in binomial_p_values(2, 200, 2 / 251)]
    [0.6757, 0.4738, 0.7854]
    """
    counts = np.arange(n + 1)
    log_choose = gammaln(n + 1.0) - gammaln(counts + 1.0) - gammaln(n - counts + 1.0)
    probability = np.exp(log_choose + xlogy(counts, p) + xlog1py(n - counts, -p))
    two_sided = probability[probability <= probability[k] * SAME_PROBABILITY].sum()
    sums = (two_sided, probability[k:].sum(), probability[: k + 1].sum())
    first, second, third = (min(1.0, float(value)) for value in sums)
    return first, second, third
