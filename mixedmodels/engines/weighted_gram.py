"""Weighted products of the columns of a tall matrix, formed a stretch of rows or columns at a time.

``X'WX`` is what every step of scoring costs where columns are many. A scaled copy of X would cost as much
again in memory that is touched for the first time; a stretch of it stays in the cache.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg.blas import dsyrk

from mixedmodels.arrays import FloatArray, IntArray

#: Numbers of X scaled at a time: half a megabyte, what the second cache of a core holds.
STRETCH = 65_536
#: Columns scaled at a time, and from which their sums are faster formed for all of them, row by row.
COLUMNS = 32


def weighted_gram(X: FloatArray, W: FloatArray) -> FloatArray:
    """Return ``X'WX``, shape (p, p), half of its products formed where no weight is negative."""
    n, p = X.shape
    if not W.min(initial=0.0) >= 0.0:
        return np.asarray((X.T * W) @ X)
    gram, root = np.zeros((p, p), order="F"), np.sqrt(W)[:, None]
    stretch = max(STRETCH // max(p, 1), 1)
    for first in range(0, n if p else 0, stretch):
        rows = slice(first, first + stretch)
        half = X[rows] * root[rows]
        is_by_row = half.flags.c_contiguous
        gram = dsyrk(
            1.0, half.T if is_by_row else half, beta=1.0, c=gram, trans=not is_by_row, lower=1, overwrite_c=1
        )
    return symmetric(gram)


def by_columns(X: FloatArray, W: FloatArray, product: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Return a linear function of rows, (k, n) to (k, m), of the columns of ``WX``, shape (p, m)."""
    starts = range(0, max(X.shape[1], 1), COLUMNS)
    parts = [product(X[:, first : first + COLUMNS].T * W) for first in starts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def level_products(X: FloatArray, W: FloatArray, starts: IntArray) -> FloatArray:
    """Return the sums of the rows of ``WX`` from each start to the next, shape (p, q)."""
    n, p = X.shape
    sums, ends = np.empty((len(starts), p)), np.append(starts[1:], n)
    first = 0
    while first < len(starts):
        last = int(np.searchsorted(ends, starts[first] + STRETCH // p, side="right"))
        levels = slice(first, max(last, first + 1))
        rows = slice(int(starts[first]), int(ends[levels.stop - 1]))
        np.add.reduceat(X[rows] * W[rows, None], starts[levels] - starts[first], axis=0, out=sums[levels])
        first = levels.stop
    return sums.T


def symmetric(lower: FloatArray) -> FloatArray:
    """Return a matrix with both halves from one whose upper half is zero."""
    full = lower + lower.T
    np.einsum("ii->i", full)[...] *= 0.5
    return np.asarray(full)
