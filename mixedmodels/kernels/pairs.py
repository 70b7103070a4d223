"""Multiply the entries of E that share a level pair by pair, where few elements of the tail are kept.

E holds the tail's random effects (rows) against the levels (columns) of one eliminated block. The arguments
kernels share, and :func:`number_pairs` makes:

starts : int32 ndarray, shape (nnz + 1,)
    Start of the pairs of each entry with those of its level that are not after it; the pair of an entry with
    itself is its last.
second : int32 ndarray, shape (n_pairs,)
    The other entry of each pair.
numbers : int32 ndarray, shape (n_pairs,)
    The kept element of the tail each pair belongs to.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from mixedmodels.arrays import CodeArray, FloatArray, IndexArray


def subtract_pairs_numpy(
    kept: FloatArray,
    starts: CodeArray,
    second: CodeArray,
    numbers: CodeArray,
    left: FloatArray,
    right: FloatArray,
) -> None:
    """Subtract ``sum_l left_l right_l'`` from the kept elements of the tail, in place.

    Parameters
    ----------
    kept : ndarray, shape (n_values,)
        Elements of the lower triangle.
    starts, second, numbers
        Pairs; see the module.
    left, right : ndarray, shape (S, nnz)
        Entries; the products are summed over S.
    """
    counts = np.diff(starts)
    product = np.zeros(len(second))
    for a, b in zip(left, right, strict=True):
        product += np.repeat(a, counts) * b[second]
    kept -= np.bincount(numbers, product, len(kept))


def multiply_pairs_numpy(
    starts: CodeArray,
    second: CodeArray,
    numbers: CodeArray,
    values: FloatArray,
    kept: FloatArray,
) -> FloatArray:
    """Return ``sum_m V_km values_m`` over the entries m of the level of each entry k, shape (S, nnz).

    Parameters
    ----------
    starts, second, numbers
        Pairs; see the module.
    values : ndarray, shape (S, nnz)
        Entries of E for each coefficient of the level.
    kept : ndarray, shape (n_values,)
        Elements of the symmetric V.
    """
    n = values.shape[1]
    lower = csr_array((kept[numbers], second, starts), shape=(n, n))
    own = kept[numbers[starts[1:] - 1]]
    return np.ascontiguousarray((lower @ values.T + lower.T @ values.T).T - own * values)


def number_pairs_numpy(
    level_starts: CodeArray,
    rows: CodeArray,
    group: CodeArray,
    coefficient: CodeArray,
    sizes: CodeArray,
    group_starts: CodeArray,
    group_columns: CodeArray,
    begins: CodeArray,
    strides: CodeArray,
) -> tuple[CodeArray, CodeArray, CodeArray]:
    """Return the pairs of entries that share a level: starts, second and numbers; see the module.

    Parameters
    ----------
    level_starts : int32 ndarray, shape (q + 1,)
        Start of each level's entries.
    rows : int32 ndarray, shape (nnz,)
        Tail row of each entry, ascending within a level.
    group, coefficient : int32 ndarray, shape (n_tail,)
        Group of coefficients each tail row belongs to, and its place in it.
    sizes : int32 ndarray, shape (n_groups,)
        Rows of each group.
    group_starts, group_columns : int32 ndarray
        The groups, not after it, that each group meets, ascending.
    begins, strides : int32 ndarray
        Where the kept elements of each such pair of groups begin, and how far they are apart.
    """
    counts = np.diff(level_starts)
    level_start = np.repeat(level_starts[:-1], counts)
    entry = np.arange(len(rows))
    partners = entry - level_start + 1
    starts = np.concatenate(([0], np.cumsum(partners)))
    first = rows[np.repeat(entry, partners)]
    second = np.arange(len(first)) - np.repeat(starts[:-1] - level_start, partners)
    numbers = find_kept(
        first, rows[second], group, coefficient, sizes, group_starts, group_columns, begins, strides
    )
    return starts.astype(np.int32), second.astype(np.int32), numbers


def find_kept(
    rows: IndexArray,
    columns: IndexArray,
    group: CodeArray,
    coefficient: CodeArray,
    sizes: CodeArray,
    group_starts: CodeArray,
    group_columns: CodeArray,
    begins: CodeArray,
    strides: CodeArray,
) -> CodeArray:
    """Return which kept elements of the tail have these rows and columns, no row's group before its column's.

    The other parameters are those of :func:`number_pairs_numpy`.
    """
    n = len(sizes)
    keys = np.repeat(np.arange(n), np.diff(group_starts)) * n + group_columns
    pair = np.searchsorted(keys, group[rows].astype(np.intp) * n + group[columns])
    within = coefficient[rows] * sizes[group[columns]] + coefficient[columns]
    return np.asarray(begins[pair] + within * strides[pair], dtype=np.int32)


__all__ = [
    "find_kept",
    "multiply_pairs",
    "multiply_pairs_numpy",
    "number_pairs",
    "number_pairs_numpy",
    "subtract_pairs",
    "subtract_pairs_numpy",
]

try:
    from mixedmodels.kernels._pairs import multiply_pairs, number_pairs, subtract_pairs
except ImportError:
    multiply_pairs, subtract_pairs = multiply_pairs_numpy, subtract_pairs_numpy
    number_pairs = number_pairs_numpy
