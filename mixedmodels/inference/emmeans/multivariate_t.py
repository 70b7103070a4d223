"""The largest of correlated t statistics, by integration over directions.

A vector of correlated t statistics is ``a_j'u r / s`` with u uniform on the sphere, r the length of k normal
deviates and s the scale of the error: given u, the largest exceeds x when an F statistic of k and df degrees
of freedom exceeds ``(x / max_j a_j'u)^2 / k``. What remains is a smooth integral over the sphere, done at
points of a scrambled net (Somerville 1998, J. Statist. Software 3). A singular matrix is no special case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from scipy import special

from mixedmodels.arrays import FloatArray

# The net is the same in every call, so that the same table has the same p-values.
SEED = 20100
# Two to this power of directions: p-values are then good to about four places.
LOG2_DIRECTIONS = 14
# Directions of the correlation matrix with less than this of its trace are left out.
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True)
class LargestT:
    """The distribution of the largest of correlated t statistics.

    Attributes
    ----------
    reach : ndarray, shape (directions,)
        ``max_j |a_j'u|`` of each direction, or ``max_j a_j'u`` for one-sided statistics.
    rank : int
        Rank of the correlation matrix, k.
    """

    reach: FloatArray
    rank: int

    def upper_tail(self, x: FloatArray, df: float) -> FloatArray:
        """Return the probability that the largest exceeds x, shape (m,)."""
        x = np.asarray(x, dtype=np.float64)
        forward, backward = self.reach[self.reach > 0.0], -self.reach[self.reach < 0.0]
        n = len(self.reach)
        beyond = np.array([self._tail(abs(v), forward if v >= 0.0 else backward, df) for v in x]) / n
        return np.where(x >= 0.0, beyond, 1.0 - beyond)

    def _tail(self, x: float, reach: FloatArray, df: float) -> float:
        """Return the sum over directions of the probability of a length beyond x."""
        squared = (x / reach) ** 2
        k = self.rank
        tail = special.chdtrc(k, squared) if np.isinf(df) else special.fdtrc(k, df, squared / k)
        return float(np.sum(tail))

    def quantile(self, probability: float, df: float) -> float:
        """Return x that the largest does not exceed with `probability`."""

        def excess(x: float) -> float:
            return float(self.upper_tail(np.array([x]), df)[0]) - (1.0 - probability)

        high = 4.0
        while excess(high) > 0.0:
            high *= 2.0
        return float(scipy.optimize.brentq(excess, 0.0, high, xtol=1e-10))


def largest_t(correlation: FloatArray, two_sided: bool = True) -> LargestT:
    """Return the distribution of the largest of t statistics with a correlation matrix.

    Parameters
    ----------
    correlation : ndarray, shape (m, m)
        Their correlations; of any rank.
    two_sided : bool
        Whether sizes count, or values with their sign.
    """
    values, vectors = np.linalg.eigh(correlation)
    kept = values > RANK_TOLERANCE * np.trace(correlation)
    a = vectors[:, kept] * np.sqrt(values[kept])
    k = int(kept.sum())
    net = scipy.stats.qmc.Sobol(k, scramble=True, seed=SEED).random_base2(LOG2_DIRECTIONS)
    normal = special.ndtri(np.clip(net, 1e-16, 1.0 - 1e-16))
    directions = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    projected = directions @ a.T
    reach = np.abs(projected).max(axis=1) if two_sided else projected.max(axis=1)
    return LargestT(np.asarray(reach), k)
