"""Eliminate the levels of a sparse block from a dense tail, and sample a dense matrix back on its pattern.

E holds the tail's random effects (rows) against the levels (columns) of one eliminated block, with S values
at each entry. The arguments both kernels share:

levels : int32 ndarray, shape (m,)
    The levels to visit.
starts : int32 ndarray, shape (q + 1,)
    Start of each level's entries.
rows : int32 ndarray, shape (nnz,)
    Tail row of each entry, ascending within a level.
values : ndarray, shape (S, nnz)
    Entries of E for each coefficient of the level.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csc_array, csr_array

from mixedmodels.arrays import CodeArray, FloatArray

#: Doubles in one dense intermediate result of a twin: 16 MB.
CHUNK_DOUBLES = 1 << 21


def subtract_schur_numpy(
    tail: FloatArray,
    levels: CodeArray,
    starts: CodeArray,
    rows: CodeArray,
    values: FloatArray,
    P: FloatArray,
) -> None:
    """Subtract ``sum_l E_l P_l E_l'`` from the lower triangle of the tail, in place.

    Parameters
    ----------
    tail : ndarray, shape (n_tail, n_tail)
        Rows must be contiguous; the upper triangle is left undefined.
    levels, starts, rows, values
        E; see the module.
    P : ndarray, shape (S, S, q)
        One symmetric matrix for each level.
    """
    E = _matrices(levels, starts, rows, values, (len(tail), len(starts) - 1))
    for s in range(len(values)):
        weighted = sum(E[t].multiply(P[s, t]) for t in range(len(values)))
        for part in _row_chunks(len(tail), len(tail)):
            tail[part] -= (csr_array(weighted)[part] @ E[s].T).toarray()


def add_sandwich_numpy(
    N: FloatArray,
    levels: CodeArray,
    starts: CodeArray,
    rows: CodeArray,
    values: FloatArray,
    V: FloatArray,
) -> None:
    """Add ``E_l' V E_l`` for every level to N, in place.

    Parameters
    ----------
    N : ndarray, shape (S, S, q)
        Sums so far.
    levels, starts, rows, values
        E; see the module.
    V : ndarray, shape (n_tail, n_tail)
        Symmetric; only the lower triangle is read.
    """
    S, q = len(values), len(starts) - 1
    E = _matrices(levels, starts, rows, values, (len(V), q))
    for part in _row_chunks(len(V), q):
        # Half of the diagonal: each pair below it counts once in either order.
        lower = (
            np.tril(V[part], part.start) - 0.5 * np.eye(part.stop - part.start, len(V), part.start) * V[part]
        )
        for s in range(S):
            half = (E[s].T @ lower.T).T
            for t in range(S):
                sums = np.asarray(E[t][part].multiply(half).sum(axis=0)).ravel()
                N[s, t] += sums
                N[t, s] += sums


def _matrices(
    levels: CodeArray, starts: CodeArray, rows: CodeArray, values: FloatArray, shape: tuple[int, int]
) -> list[csr_array]:
    """Return E for each coefficient, with the entries of the visited levels only."""
    visited = np.zeros(shape[1])
    visited[levels] = 1.0
    return [(csc_array((row, rows, starts), shape=shape) * visited).tocsr() for row in values]


def _row_chunks(n_rows: int, width: int) -> Iterator[slice]:
    """Yield slices of rows that bound a dense result of that width to ``CHUNK_DOUBLES``."""
    step = max(1, CHUNK_DOUBLES // max(width, 1))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


__all__ = ["add_sandwich", "add_sandwich_numpy", "subtract_schur", "subtract_schur_numpy"]

try:
    from mixedmodels.kernels._schur import add_sandwich, subtract_schur
except ImportError:
    add_sandwich, subtract_schur = add_sandwich_numpy, subtract_schur_numpy
