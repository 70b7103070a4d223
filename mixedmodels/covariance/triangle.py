"""The places of a lower triangular matrix, column by column: lme4's order of theta."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mixedmodels.arrays import IntArray


@lru_cache(maxsize=64)
def lower_triangle(size: int) -> tuple[IntArray, IntArray]:
    """Return row and column indices of the lower triangle, column by column (lme4's order)."""
    cols, rows = np.triu_indices(size)
    return rows, cols


@lru_cache(maxsize=64)
def flat_triangle(size: int) -> IntArray:
    """Return the places of the lower triangle in a matrix read row by row: faster than pairs of indices."""
    rows, cols = lower_triangle(size)
    return rows * size + cols


@lru_cache(maxsize=64)
def on_diagonal(size: int) -> tuple[bool, ...]:
    """Tell which places of the lower triangle are on the diagonal."""
    rows, cols = lower_triangle(size)
    return tuple(bool(i == j) for i, j in zip(rows, cols, strict=True))
