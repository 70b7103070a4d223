"""Sums over the rows of each level of the products of columns, and the basis of a few columns.

What NumPy does with one call for each product, the compiled twins do in passes over the rows; sums are in the
order of the rows in both.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri

from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.level_sums import level_sums

__all__ = [
    "COMPILED",
    "MAX_COLUMNS",
    "MAX_FIXED",
    "PlainRows",
    "count_present",
    "count_present_numpy",
    "level_products",
    "level_products_numpy",
    "plain_rows",
    "plain_rows_numpy",
    "regular_pairs",
    "regular_pairs_numpy",
    "reversed_cholesky",
    "reversed_cholesky_numpy",
    "unit_cholesky",
    "unit_cholesky_numpy",
]

#: Most columns of Z, and of X.
MAX_COLUMNS, MAX_FIXED = 8, 16

#: What `plain_rows_numpy` returns.
PlainRows: TypeAlias = tuple[
    FloatArray,
    float,
    FloatArray,
    FloatArray,
    FloatArray,
    FloatArray,
    FloatArray,
    FloatArray,
    FloatArray,
    FloatArray,
    FloatArray,
    float,
    float,
]


def level_products_numpy(
    codes: CodeArray, q: int, Z: FloatArray, X: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return ``Z'Z`` and ``X'Z`` by level.

    Parameters
    ----------
    codes : int32 ndarray, shape (n,)
        Level of each row.
    q : int
        Number of levels.
    Z : ndarray, shape (n, S)
        Columns.
    X : ndarray, shape (n, p)
        Other columns.

    Returns
    -------
    faces : ndarray, shape (S, S, q)
        Symmetric.
    cross : ndarray, shape (p, S, q)
    """
    S, p = Z.shape[1], X.shape[1]
    faces, cross = np.empty((S, S, q)), np.empty((p, S, q))
    for i in range(S):
        for j in range(i + 1):
            faces[i, j] = faces[j, i] = level_sums(codes, Z[:, i] * Z[:, j], q)
        for k in range(p):
            cross[k, i] = level_sums(codes, X[:, k] * Z[:, i], q)
    return faces, cross


def count_present_numpy(codes: CodeArray, q: int) -> int:
    """Return how many of q levels some row has; negative codes are missing values."""
    present = np.zeros(q + 1, dtype=bool)
    present[codes] = True  # the last place collects the missing
    return int(np.count_nonzero(present[:-1]))


def unit_cholesky_numpy(X: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """Return the lengths of columns, and upper triangular R, ``R'R`` the products of columns of length one.

    R is None where the columns depend on each other, or one is zero.
    """
    gram = X.T.dot(X)
    lengths = np.sqrt(gram.diagonal())
    if not lengths.all():
        return lengths, None
    # Lengths of columns that are refused later may be infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        unit = gram / np.multiply.outer(lengths, lengths)
    R, info = dpotrf(unit, lower=0, clean=1)
    return lengths, R if info == 0 else None


def regular_pairs_numpy(codes: CodeArray, q: int, Z: FloatArray, least: float) -> int:
    """Return in how many levels two columns differ in direction: ``aa bb - ab ab > least aa bb``.

    Parameters
    ----------
    codes : int32 ndarray, shape (n,)
        Level of each row.
    q : int
        Number of levels.
    Z : ndarray, shape (n, 2)
        Columns a and b.
    least : float
        Squared sine of the angle between them.
    """
    (aa, _), (ab, bb) = level_products_numpy(codes, q, Z, Z[:, :0])[0]
    # Fourth powers of the largest numbers allowed overflow: such a level does not count.
    with np.errstate(over="ignore", invalid="ignore"):
        squares = aa * bb
        return int(np.count_nonzero(squares - ab * ab > least * squares))


def reversed_cholesky_numpy(gram: FloatArray, least: float) -> tuple[FloatArray, FloatArray] | None:
    """Return C, lower triangular with ``C'C = gram``, and its inverse.

    Parameters
    ----------
    gram : ndarray, shape (S, S)
        Products of columns.
    least : float
        Pivot of the columns scaled to unit length; None is returned where one is no larger.
    """
    lengths = np.sqrt(gram.diagonal())
    if not lengths.all():
        return None
    unit = gram / np.multiply.outer(lengths, lengths)
    try:
        lower = np.linalg.cholesky(unit[::-1, ::-1])
    except np.linalg.LinAlgError:
        return None
    if not lower.diagonal().min() > least:
        return None
    C = np.ascontiguousarray(lower[::-1, ::-1].T * lengths)
    return C, np.asarray(np.linalg.inv(C))


def plain_rows_numpy(
    y: FloatArray,
    X: FloatArray,
    Z: FloatArray,
    codes: CodeArray,
    q: int,
    least_fixed: float,
    least_own: float,
) -> PlainRows | None:
    """Return the cross-products of a response, orthonormal fixed effects and orthogonal columns of one term.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Response.
    X : ndarray, shape (n, p)
        Fixed effects.
    Z : ndarray, shape (n, S)
        Columns of the term.
    codes : int32 ndarray, shape (n,)
        Level of each row.
    q : int
        Number of levels.
    least_fixed, least_own : float
        Pivots of the columns of X and Z scaled to unit length; None is returned where one is no larger.

    Returns
    -------
    R_inverse, log_det : ndarray, shape (p, p); float
        Upper triangular, ``X R^-1`` having orthonormal columns; ``log|R|^2``.
    XX : ndarray, shape (p, p)
        Products of these columns: the identity but for rounding.
    C, C_inverse, scales : ndarray, shape (S, S) and (S,)
        Lower triangular, ``Z = Q C`` with orthogonal columns of mean square 1; 1 / RMS of the columns of Z.
    Q : ndarray, shape (S, n)
        These columns.
    faces, XZ, Ze : ndarray, shape (S, S, q), (p, S, q) and (S, q)
        Products by level of Q, of the orthonormal fixed effects with Q, and of Q with the residual e of least
        squares.
    fixed : ndarray, shape (2, p)
        Products of the orthonormal fixed effects with y and with e.
    rss, total : float
        Sums of squares of e and y.
    """
    gram, own = X.T.dot(X), Z.T.dot(Z) / len(Z)
    (lengths, R), basis = unit_cholesky_numpy(X), reversed_cholesky_numpy(own, least_own)
    if basis is None or R is None or not R.diagonal().min() > least_fixed:
        return None
    R_inverse = dtrtri(R, lower=0)[0] / lengths[:, None]
    Q = basis[1].T.dot(Z.T)
    faces, cross = level_products_numpy(codes, q, Q.T, X)
    e, projections = y, []
    # A second pass removes what rounding left of the fixed effects in the residual of a large mean.
    for _ in range(2):
        projections.append(R_inverse.T.dot(X.T.dot(e)))
        e = e - X.dot(R_inverse.dot(projections[-1]))
    return (
        R_inverse,
        2.0 * float(np.log(R.diagonal() * lengths).sum()),
        R_inverse.T.dot(gram).dot(R_inverse),
        *basis,
        1.0 / np.sqrt(own.diagonal()),
        Q,
        faces,
        np.tensordot(R_inverse, cross, axes=(0, 0)),
        np.array([level_sums(codes, column * e, q) for column in Q]),
        np.array([sum(projections), R_inverse.T.dot(X.T.dot(e))]),
        float(e.dot(e)),
        float(y.dot(y)),
    )


try:
    from mixedmodels.kernels import _level_products as compiled
except ImportError:
    level_products, COMPILED = level_products_numpy, False
    plain_rows = plain_rows_numpy
    count_present, unit_cholesky = count_present_numpy, unit_cholesky_numpy
    regular_pairs = regular_pairs_numpy
    reversed_cholesky = reversed_cholesky_numpy
else:
    level_products, COMPILED = compiled.level_products, True
    plain_rows = compiled.plain_rows
    count_present, unit_cholesky = compiled.count_present, compiled.unit_cholesky
    regular_pairs = compiled.regular_pairs
    reversed_cholesky = compiled.reversed_cholesky
