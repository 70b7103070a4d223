"""Which rows each column of a sparse Cholesky factor holds."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from mixedmodels.arrays import CodeArray, IntArray


def column_structures_numpy(row_starts: CodeArray, columns: CodeArray) -> tuple[IntArray, CodeArray]:
    """Return the rows below the diagonal of each column of the Cholesky factor.

    A column takes over the rows of its own entries and those of its children, the columns whose first row
    below the diagonal it is (Gilbert, Ng and Peyton 1994, SIAM J. Matrix Anal. Appl. 15(4)).

    Parameters
    ----------
    row_starts : int32 ndarray, shape (n + 1,)
        Start of each row's entries in `columns`.
    columns : int32 ndarray
        Columns of the entries below the diagonal, row by row.

    Returns
    -------
    starts : ndarray, shape (n + 1,)
        Start of each column's rows.
    rows : int32 ndarray
        Rows, ascending within a column.
    """
    n = len(row_starts) - 1
    lower = csr_array((np.ones(len(columns), dtype=np.bool_), columns, row_starts), shape=(n, n)).tocsc()
    indptr, indices = lower.indptr.tolist(), lower.indices
    pending: list[list[CodeArray]] = [[] for _ in range(n)]
    structures: list[CodeArray] = []
    for j in range(n):
        parts = pending[j]
        pending[j] = []
        if indptr[j] < indptr[j + 1]:
            parts.append(indices[indptr[j] : indptr[j + 1]])
        structure = _union(parts)
        structures.append(structure)
        if len(structure) > 1:
            pending[int(structure[0])].append(structure[1:])
    starts = np.cumsum([0, *(len(structure) for structure in structures)])
    return starts, np.concatenate([np.zeros(0, dtype=np.int32), *structures])


def _union(parts: list[CodeArray]) -> CodeArray:
    """Return the distinct elements of ascending arrays, ascending; one of the arrays if it holds them all."""
    if not parts:
        return np.zeros(0, dtype=np.int32)
    if len(parts) == 1:
        return parts[0]
    merged = np.concatenate(parts)
    merged.sort()
    keep = np.empty(len(merged), dtype=np.bool_)
    keep[0] = True
    np.not_equal(merged[1:], merged[:-1], out=keep[1:])
    merged = merged[keep]
    return next((part for part in parts if len(part) == len(merged)), merged)


__all__ = ["column_structures", "column_structures_numpy"]

try:
    from mixedmodels.kernels._elimination import column_structures
except ImportError:
    column_structures = column_structures_numpy
