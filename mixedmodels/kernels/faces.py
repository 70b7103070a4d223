"""Small matrices, one for each level, stored levels-last.

A stack of q matrices of order S is an array of shape (S, S, q): every operation is a loop over S whose
body works on whole vectors of length q, so nothing here loops over levels. Where the matrices are large and
the levels few, LAPACK and BLAS take them one by one.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dtrtri

from mixedmodels.arrays import CodeArray, FloatArray, IntArray

#: Matrices of this order and more go to LAPACK if there are at most this many levels for each row of them:
#: a loop over S makes S^3 / 6 calls, and each costs a microsecond however short its vectors.
LARGE_ORDER, LEVELS_PER_ROW = 6, 2


def _is_few(A: FloatArray) -> bool:
    """Tell whether levels are few beside the order of their matrices."""
    return bool(A.shape[1] >= LARGE_ORDER and A.shape[2] <= LEVELS_PER_ROW * A.shape[1])


def _one_by_one(A: FloatArray) -> FloatArray:
    """Return faces levels-first, as LAPACK takes them."""
    return np.ascontiguousarray(A.transpose(2, 0, 1))


def _levels_last(A: FloatArray) -> FloatArray:
    return np.ascontiguousarray(A.transpose(1, 2, 0))


def congruence(A: FloatArray, T: FloatArray) -> FloatArray:
    """Return ``T' A_l T`` for every level; A of shape (S, S, q), T of shape (S, S)."""
    if T.shape[0] == 1:
        return np.asarray(A * T[0, 0] ** 2)
    S, _, q = A.shape
    right = T.T @ A.reshape(S, S * q)
    half = right.reshape(S, S, q)
    return np.asarray(np.matmul(T.T, half))


def add_identity(A: FloatArray) -> None:
    """Add the identity to every level, in place."""
    for i in range(A.shape[0]):
        A[i, i] += 1.0


def cholesky(A: FloatArray) -> FloatArray:
    """Return the lower Cholesky factors of symmetric positive definite faces, shape (S, S, q).

    Raises
    ------
    numpy.linalg.LinAlgError
        If a face is not positive definite.
    """
    S = A.shape[0]
    if _is_few(A):
        return _levels_last(np.asarray(np.linalg.cholesky(_one_by_one(A)), dtype=np.float64))
    L = np.zeros(A.shape)
    for j in range(S):
        pivot = A[j, j]
        for k in range(j):
            pivot = pivot - L[j, k] ** 2
        if not pivot.min(initial=np.inf) > 0.0:
            raise np.linalg.LinAlgError("a face is not positive definite")
        np.sqrt(pivot, out=L[j, j])
        for i in range(j + 1, S):
            rest = A[i, j]
            for k in range(j):
                rest = rest - L[i, k] * L[j, k]
            np.divide(rest, L[j, j], out=L[i, j])
    return L


def log_det(L: FloatArray) -> float:
    """Return ``sum_l log|L_l L_l'|`` of Cholesky factors."""
    return 2.0 * float(np.log(np.einsum("iil->il", L)).sum())


def lower_inverse(L: FloatArray) -> FloatArray:
    """Return the inverses of lower triangular faces."""
    S = L.shape[0]
    inverse = np.zeros(L.shape)
    if _is_few(L):
        for level in range(L.shape[2]):
            inverse[:, :, level] = dtrtri(L[:, :, level], lower=1)[0]
        return inverse
    for j in range(S):
        np.divide(1.0, L[j, j], out=inverse[j, j])
        for i in range(j + 1, S):
            dot = L[i, j] * inverse[j, j]
            for k in range(j + 1, i):
                dot += L[i, k] * inverse[k, j]
            np.divide(-dot, L[i, i], out=inverse[i, j])
    return inverse


def gram(Y: FloatArray) -> FloatArray:
    """Return ``Y_l' Y_l`` for every level."""
    if Y.shape[0] == 1:
        return Y * Y
    if _is_few(Y):
        return cross_gram(Y, Y)
    return np.asarray(np.einsum("kil,kjl->ijl", Y, Y))


def product(A: FloatArray, B: FloatArray) -> FloatArray:
    """Return ``A_l B_l`` for every level; shapes (a, k, q) and (k, b, q)."""
    if A.shape[1] == 1:
        return A * B
    if _is_few(A):
        return _levels_last(_one_by_one(A) @ _one_by_one(B))
    return np.asarray(np.einsum("ikl,kjl->ijl", A, B))


def right_product(rows: FloatArray, M: FloatArray) -> FloatArray:
    """Return ``rows_l M_l`` for every level; shapes (p, a, q) and (a, b, q)."""
    if M.shape[0] == 1:
        return rows * M
    return np.asarray(np.einsum("pal,abl->pbl", rows, M))


def cross_gram(A: FloatArray, B: FloatArray) -> FloatArray:
    """Return ``A_l' B_l`` for every level; shapes (p, a, q) and (p, b, q)."""
    if _is_few(A):
        return _levels_last(np.ascontiguousarray(A.transpose(2, 1, 0)) @ _one_by_one(B))
    return np.asarray(np.einsum("pal,pbl->abl", A, B))


def apply(A: FloatArray, v: FloatArray) -> FloatArray:
    """Return ``A_l v_l`` for every level; shapes (a, k, q) and (..., k, q) give (..., a, q)."""
    if A.shape[:2] == (1, 1):
        return np.asarray(A[0] * v)
    return np.asarray(np.einsum("ikl,...kl->...il", A, v))


def transposed(A: FloatArray) -> FloatArray:
    """Return the transposes of the faces, a view."""
    return A.transpose(1, 0, 2)


def sum_by(values: FloatArray, owner: IntArray | CodeArray, n_owners: int) -> FloatArray:
    """Sum faces over the levels that belong to each owner; shapes (a, b, q), (q,) -> (a, b, n_owners)."""
    a, b, _ = values.shape
    out = np.empty((a, b, n_owners))
    for i in range(a):
        for j in range(b):
            out[i, j] = np.bincount(owner, weights=values[i, j], minlength=n_owners)
    return out
