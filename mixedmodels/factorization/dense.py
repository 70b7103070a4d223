"""Dense symmetric matrices of which only the lower triangle is computed, read and kept.

Arrays are C-ordered, so their transposes are LAPACK's column-major matrices with the upper triangle in use;
every routine works in place on such a transpose and nothing is copied.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dsymv, dtrsv
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs, dtrtri

from mixedmodels.arrays import FloatArray

#: Rows and columns of a matrix that are transposed together; 128 kB.
TILE = 128


def cholesky(A: FloatArray) -> FloatArray:
    """Overwrite the lower triangle of A with its Cholesky factor and return A; the rest is untouched.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A is not positive definite.
    """
    if not len(A):
        return A
    U, info = dpotrf(A.T, lower=0, overwrite_a=1, clean=0)
    if info != 0:
        raise np.linalg.LinAlgError("the penalized least-squares system is not positive definite")
    return np.asarray(U.T)


def solve(L: FloatArray, z: FloatArray) -> FloatArray:
    """Return ``(L L')^-1 z`` for a vector or the columns of a matrix."""
    if not len(L):
        return z.copy()
    if z.ndim == 1:
        return np.asarray(dtrsv(L.T, dtrsv(L.T, z, lower=0, trans=1), lower=0))
    x, _ = dpotrs(L.T, z, lower=0)
    return np.asarray(x)


def inverse(L: FloatArray, order: int) -> FloatArray:
    """Return the lower triangle of the inverse of the leading ``order`` rows of ``L L'``."""
    leading = np.array(L[:order, :order], order="C")
    if not order:
        return leading
    upper, _ = dpotri(leading.T, lower=0, overwrite_c=1)
    return np.asarray(upper.T)


def lower_inverse(L: FloatArray) -> FloatArray:
    """Return the inverse of a lower triangular matrix; its upper triangle must be zero.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a diagonal element is zero.
    """
    if not len(L):
        return L
    upper, info = dtrtri(L.T, lower=0)
    if info != 0:
        raise np.linalg.LinAlgError("a triangular matrix is singular")
    return np.asarray(upper.T)


def multiply(A: FloatArray, x: FloatArray) -> FloatArray:
    """Return ``A x``."""
    return np.asarray(dsymv(1.0, A.T, x, lower=0)) if len(A) else np.zeros(0)


def mirror(A: FloatArray) -> FloatArray:
    """Return A with its upper triangle filled from the lower one."""
    return _tile(A) if len(A) <= TILE else fill_upper(A.copy())


def _tile(A: FloatArray) -> FloatArray:
    """Return a small matrix with its upper triangle filled from the lower one."""
    lower = np.tril(A)
    full = lower + lower.T
    np.einsum("ii->i", full)[:] *= 0.5
    return full


def fill_upper(A: FloatArray) -> FloatArray:
    """Fill the upper triangle of A from the lower one, in place, and return A.

    Tile by tile: a transpose of all of A at once misses the caches at every element.
    """
    n = len(A)
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        A[start:stop, start:stop] = _tile(A[start:stop, start:stop])
        for below in range(stop, n, TILE):
            A[start:stop, below : below + TILE] = A[below : below + TILE, start:stop].T
    return A


def diagonal_faces(A: FloatArray, size: int, where: slice) -> FloatArray:
    """Return the S x S faces on the diagonal of a symmetric block, shape (S, S, q)."""
    q = (where.stop - where.start) // size
    first = where.start + size * np.arange(q)
    out = np.empty((size, size, q))
    for i in range(size):
        for j in range(i + 1):
            out[i, j] = out[j, i] = A[first + i, first + j]
    return out
