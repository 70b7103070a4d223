"""Sums over the rows of each level, a stretch of rows at a time."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray, IndexArray

#: Rows that are summed together: NumPy makes wide integers of the codes it counts by, and those of so many
#: rows stay in the processor's cache. There are always this many rows for each level, so that adding up the
#: stretches costs nothing beside them.
STRETCH, ROWS_PER_LEVEL = 65_536, 8


def level_sums(codes: IndexArray, values: FloatArray | None, n_levels: int) -> FloatArray:
    """Return the sums of `values` over the rows of each level, shape (q,); None counts rows.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        Level of each row.
    values : ndarray, shape (n,), or None
        What is summed.
    n_levels : int
        Number of levels, q.
    """
    stretch = max(STRETCH, ROWS_PER_LEVEL * n_levels)
    if len(codes) <= stretch:
        return np.bincount(codes, values, n_levels).astype(np.float64, copy=False)
    sums = np.zeros(n_levels)
    for first in range(0, len(codes), stretch):
        rows = slice(first, first + stretch)
        sums += np.bincount(codes[rows], None if values is None else values[rows], n_levels)
    return sums
