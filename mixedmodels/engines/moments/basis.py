"""The basis in which products of columns are summed, so that squares cost no digits.

Sums of raw squares lose the digits by which a mean exceeds its spread. Columns U enter as ``V = (U - c) K``
instead, K upper triangular, which the first rows give such that the columns of V are about orthonormal: means
are taken off, collinear predictors made orthogonal, and of the response what the predictors leave. Any c and
K give the same model; that they fit the rows only roughly is put right, exactly, by the sums themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.linalg.lapack import dpotrf, dtrtri

from mixedmodels.arrays import BoolArray, FloatArray

#: A pivot of unit columns below this is rounding: the column depends on those before it.
DEPENDENT = 1e-8
#: A pivot of the columns of V below this, or a length as far from one, asks for a new basis: cross-products
#: of such columns would lose twice these digits.
PIVOT = 0.05


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Basis:
    """Where columns are measured from, and how they are combined.

    Attributes
    ----------
    centre : ndarray, shape (m,)
        c; zero for all columns where none of them is constant, and for that one, which comes first.
    K : ndarray, shape (m, m)
        Upper triangular, with a positive diagonal.
    """

    centre: FloatArray
    K: FloatArray

    def columns(self, U: FloatArray) -> FloatArray:
        """Return V of rows U, both with a column in each row of the array, (m, n)."""
        return np.asarray(self.K.T @ (U - self.centre[:, None]))

    def leading(self, size: int) -> Basis:
        """Return the basis of the first columns alone."""
        return Basis(self.centre[:size], self.K[:size, :size])

    def coordinates(self, has_ones: bool) -> FloatArray:
        """Return M with ``U = V M``, shape (m, m), upper triangular."""
        M = inverse(self.K)
        if has_ones:
            M[0] += self.centre / self.K[0, 0]
        return M

    def changed(self, T: FloatArray) -> Basis:
        """Return the basis of ``V T``."""
        return Basis(self.centre, self.K @ T)


def inverse(K: FloatArray) -> FloatArray:
    """Return the inverse of an upper triangular matrix."""
    return np.asarray(dtrtri(K, lower=0)[0]) if len(K) else K.copy()


def first_basis(U: FloatArray, has_ones: bool, weights: FloatArray | None = None) -> Basis:
    """Return the basis that some rows give.

    Parameters
    ----------
    U : ndarray, shape (m, n)
        Columns, one in each row of the array.
    has_ones : bool
        Whether the first column is constant one.
    weights : ndarray, shape (n,), optional
        Weights of the rows.
    """
    counted = U if weights is None else U[:, weights > 0.0]
    m, n = counted.shape
    centre = counted.mean(axis=1) if has_ones and n else np.zeros(m)
    if has_ones:
        centre[0] = 0.0
    D = counted - centre[:, None]
    size = np.sqrt(np.einsum("ij,ij->i", D, D) / max(n, 1))
    scale = np.where(size > 0.0, size, np.where(centre != 0.0, np.abs(centre), 1.0))
    R = np.zeros((m, m))
    if n:
        found = np.linalg.qr((D / scale[:, None]).T / np.sqrt(n), mode="r")
        R[: len(found)] = found
    K = _orthonormalizer(R) / scale[:, None]
    if has_ones:
        K[0] = 0.0
        K[0, 0] = 1.0
    return Basis(centre, K)


def _orthonormalizer(R: FloatArray) -> FloatArray:
    """Return K with ``R K`` orthonormal, dependent columns with the length they have."""
    R = np.triu(R)
    signs = np.where(np.diagonal(R) < 0.0, -1.0, 1.0)
    R = R * signs[:, None]
    weak = np.diagonal(R) < DEPENDENT
    R[weak] = 0.0
    R[weak, weak] = 1.0
    return inverse(R)


def improved(gram: FloatArray) -> FloatArray | None:
    """Return T that makes columns with these mean products about orthonormal; None if they are already.

    Parameters
    ----------
    gram : ndarray, shape (m, m)
        Products of the columns of V over the number of rows.
    """
    scale = np.sqrt(np.diagonal(gram))
    known = scale > DEPENDENT
    unit = gram / np.multiply.outer(np.where(known, scale, 1.0), np.where(known, scale, 1.0))
    L, weak = semidefinite_root(unit, DEPENDENT)
    pivots = np.diagonal(L)[known & ~weak]
    lengths = scale[known & ~weak]
    if pivots.min(initial=1.0) > PIVOT and lengths.min(initial=1.0) > PIVOT and lengths.max() < 1.0 / PIVOT:
        return None
    weak |= ~known
    R = np.where(weak[:, None], 0.0, L.T)
    R[weak, weak] = 1.0
    return np.asarray(inverse(R) / np.where(known, scale, 1.0)[:, None])


def semidefinite_root(gram: FloatArray, least: float) -> tuple[FloatArray, BoolArray]:
    """Return lower triangular L with ``L L' = gram``, and which columns have no pivot as long as `least`."""
    m = len(gram)
    L, failed = dpotrf(gram, lower=1, clean=1)
    if not failed and np.diagonal(L).min(initial=1.0) > least:
        return np.asarray(L), np.zeros(m, dtype=bool)
    L, weak = np.zeros((m, m)), np.zeros(m, dtype=bool)
    rest = gram.copy()
    for j in range(m):
        pivot = rest[j, j]
        if not pivot > least**2:
            weak[j] = True
            continue
        L[j:, j] = rest[j:, j] / np.sqrt(pivot)
        rest[j:, j:] -= np.outer(L[j:, j], L[j:, j])
    return L, weak


def change_between(first: Basis, second: Basis) -> FloatArray:
    """Return T with ``V_second = V_first T``, which shared columns of ones make possible."""
    S = np.eye(len(first.centre))
    if len(S):
        S[0] += first.centre - second.centre
    return np.asarray(scipy.linalg.solve_triangular(first.K, S @ second.K))
