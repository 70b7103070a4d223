"""Sums over the rows of each level of the products of columns, and the basis of a few columns.

What NumPy does with one call for each product, the compiled twins do in passes over the rows; sums are in the
order of the rows in both.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.level_sums import level_sums

__all__ = [
    "COMPILED",
    "MAX_COLUMNS",
    "level_products",
    "level_products_numpy",
    "regular_pairs",
    "regular_pairs_numpy",
    "reversed_cholesky",
    "reversed_cholesky_numpy",
]

#: Most columns of Z.
MAX_COLUMNS = 8


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


try:
    from mixedmodels.kernels import _level_products as compiled
except ImportError:
    level_products, COMPILED = level_products_numpy, False
    regular_pairs = regular_pairs_numpy
    reversed_cholesky = reversed_cholesky_numpy
else:
    level_products, COMPILED = compiled.level_products, True
    regular_pairs = compiled.regular_pairs
    reversed_cholesky = compiled.reversed_cholesky
