"""Scale rows and columns of a symmetric matrix by the factor of a term, group by group."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray


def congruence_numpy(A: FloatArray, T: FloatArray, start: int, stop: int) -> None:
    """Replace rows and columns from start to stop by ``(I (x) T)' A (I (x) T)``, in place.

    Parameters
    ----------
    A : ndarray, shape (n, n)
        Symmetric; the lower triangle goes in and comes out, the upper one is left undefined.
    T : ndarray, shape (S, S)
        Factor.
    start, stop : int
        Rows of the term; their number is a multiple of S.
    """
    S, where = len(T), slice(start, stop)
    if S == 1:
        A[where, :stop] *= T[0, 0]
        A[start:, where] *= T[0, 0]
        return
    for i in range(S):
        for j in range(i):
            # T mixes both halves of the faces on the diagonal.
            upper, lower = range(start + j, stop, S), range(start + i, stop, S)
            A[upper, lower] = A[lower, upper]
    rows = A[where, :stop].reshape(-1, S, stop)
    A[where, :stop] = np.matmul(T.T, rows).reshape(-1, stop)
    columns = A[start:, where].reshape(len(A) - start, -1, S)
    A[start:, where] = np.matmul(columns, T).reshape(len(A) - start, -1)


__all__ = ["congruence", "congruence_numpy"]

try:
    from mixedmodels.kernels._congruence import congruence
except ImportError:
    congruence = congruence_numpy
