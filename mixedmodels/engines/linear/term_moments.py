"""What the levels say about the covariance of a term, in sums over the levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray

#: Share of the prior counted as information; bounds the first steps where the data hold hardly any.
LEAST_SHARE = 0.005


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TermMoments:
    """What the levels say about the covariance of one term, in units of its factor.

    ``B_l`` is the share of the information on level l that the data hold, ``I - Var(u_l | y) / sigma^2``, but
    never less than ``LEAST_SHARE``; ``S_ll = Var(u_l | y) / sigma^2 + u_l u_l' / sigma^2``.

    Attributes
    ----------
    information : ndarray, shape (S^2, S^2)
        ``sum_l B_l (x) B_l``.
    shrinkage_gap : ndarray, shape (S, S)
        ``sum_l (I - S_ll)``.
    """

    information: FloatArray
    shrinkage_gap: FloatArray

    def along(self, changes: FloatArray) -> FloatArray:
        """Return ``sum_l tr(B_l C_i B_l C_j)`` for symmetric changes C, shape (k, S^2)."""
        return np.asarray(changes.dot(self.information).dot(changes.T))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OneFactorMoments:
    """What the levels of one block say about its covariance factor, in sums over the levels.

    Attributes
    ----------
    gradient : ndarray, shape (S, S)
        Derivative of the objective in T.
    shrinkage_gap, pairs : ndarray
        As in :func:`mixedmodels.kernels.one_factor.one_factor_numpy`.
    """

    gradient: FloatArray
    shrinkage_gap: FloatArray
    pairs: FloatArray

    def of_term(self, rows: slice) -> TermMoments:
        """Return the moments of one term of the block."""
        places = _places(len(self.shrinkage_gap), rows.start, rows.stop)
        return TermMoments(self.pairs.take(places), self.shrinkage_gap[rows, rows])


@cache
def _places(size: int, start: int, stop: int) -> IntArray:
    """Return where the elements of ``B (x) B`` stand among the products of the lower triangle of B."""
    number = np.zeros((size, size), dtype=np.intp)
    rows, columns = np.tril_indices(size)
    number[rows, columns] = number[columns, rows] = np.arange(len(rows))
    own = number[start:stop, start:stop]
    places = np.add.outer(own * len(rows), own)
    return places.transpose(0, 2, 1, 3).reshape(own.size, own.size)
