"""Which columns of a fixed-effects matrix are independent, by R's rule."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.formula.design.column_matrix import ColumnMatrix

# R's qr(): a column is dependent when less than this share of its length is new to the columns before it.
DEPENDENCE_TOLERANCE = 1e-7
# A column's new share squared is a pivot of the Cholesky factor of the Gram matrix of unit columns. While
# all pivots stay above this, rounding (1e-15, amplified by at most their inverse) cannot hide a
# dependent column, and no share comes near the tolerance.
_SAFE_PIVOT = 1e-6
# A dependent column of unit length has less than this of an independent one by rounding alone (1e-16,
# amplified by at most 1 / DEPENDENCE_TOLERANCE): none, or a row would seem to break a dependence it obeys.
_NOISE = 1e-9
# A new row obeys the dependence of the fit when it breaks it by less than this share of its size: R's
# tolerance in predict.lm for rows that are estimable.
ESTIMABLE_TOLERANCE = 1e-6


def independent_columns(X: FloatArray | ColumnMatrix) -> IntArray:
    """Return the positions of the columns that do not depend linearly on earlier ones.

    The rule is that of LINPACK's ``dqrdc2`` as R uses it, which keeps the first columns; it does not
    depend on the scale of the columns.

    Parameters
    ----------
    X : ndarray or ColumnMatrix, shape (n, p)
        Model matrix, finite.
    """
    X = ColumnMatrix.of(X)
    n, p = X.shape
    if p == 0:
        return np.arange(p)
    lengths, R = X.unit_cholesky
    if (p == 1 and lengths[0] > 0) or (R is not None and n >= p and R.diagonal().min() ** 2 > _SAFE_PIVOT):
        return np.arange(p)
    return _by_orthogonalization(X.dense, lengths)


def _by_orthogonalization(X: FloatArray, lengths: FloatArray) -> IntArray:
    """Return the independent columns by orthogonalizing them one after the other."""
    scaled = X / np.where(lengths > 0, lengths, 1.0)
    # An orthogonal reduction to p rows changes no length and makes the rest cheap for any n.
    reduced = scipy.linalg.qr(scaled, mode="r")[0][: X.shape[1]] if X.shape[0] > X.shape[1] else scaled
    basis = np.empty((reduced.shape[0], min(reduced.shape)), order="F")
    kept: list[int] = []
    for j in range(X.shape[1]):
        found, column = basis[:, : len(kept)], reduced[:, j]
        for _ in range(2):  # twice is enough for orthogonality to rounding
            column = column - found @ (found.T @ column)
        length = float(np.linalg.norm(column))
        if length >= DEPENDENCE_TOLERANCE and lengths[j] > 0 and len(kept) < basis.shape[1]:
            basis[:, len(kept)] = column / length
            kept.append(j)
    return np.array(kept, dtype=np.intp)


def dependence(X: FloatArray | ColumnMatrix, kept: IntArray) -> FloatArray | None:
    """Return C with ``X[:, dropped] = X[:, kept] C``, shape (p, dropped); None where all are kept."""
    if len(kept) == X.shape[1]:
        return None
    X = ColumnMatrix.of(X).dense
    lengths = np.sqrt(np.einsum("ij,ij->j", X, X))
    lengths[lengths == 0.0] = 1.0
    dropped = np.setdiff1d(np.arange(X.shape[1]), kept)
    unit = X / lengths
    C = np.linalg.lstsq(unit[:, kept], unit[:, dropped], rcond=None)[0]
    C[np.abs(C) < _NOISE] = 0.0
    return np.asarray(C * lengths[dropped] / lengths[kept][:, None])


def not_estimable(X: FloatArray, kept: IntArray, C: FloatArray) -> BoolArray:
    """Return the rows whose mean the data of the fit do not determine, shape (m,).

    A row of the full model matrix has an estimable mean when it lies in the row space of the fit, that is,
    obeys the dependence of its columns (Searle 1971, Linear Models, section 5.4). NaN counts as obeying.

    Parameters
    ----------
    X : ndarray, shape (m, all columns)
        New rows, dropped columns included.
    kept : ndarray of int, shape (p,)
        Columns of the fit.
    C : ndarray, shape (p, dropped)
        What `dependence` returned for the fit.
    """
    dropped = np.setdiff1d(np.arange(X.shape[1]), kept)
    excess = np.abs(X[:, dropped] - X[:, kept] @ C)
    size = np.abs(X[:, dropped]) + np.abs(X[:, kept]) @ np.abs(C)
    return np.asarray((excess > ESTIMABLE_TOLERANCE * size).any(axis=1))
