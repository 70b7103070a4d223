"""Multiply the entries of E that share a level pair by pair, where few elements of the tail are kept.

E holds the tail's random effects (rows) against the levels (columns) of one eliminated block. The arguments
all kernels share:

starts : int32 ndarray, shape (nnz + 1,)
    Start of the pairs of each entry with those of its level that are not after it; the pair of an entry with
    itself is its last.
second : int32 ndarray, shape (n_pairs,)
    The other entry of each pair.
numbers : int32 ndarray, shape (n_pairs,)
    The kept element of the tail each pair belongs to.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from mixedmodels.arrays import FloatArray

Int32Array: TypeAlias = npt.NDArray[np.int32]


def subtract_pairs_numpy(
    kept: FloatArray,
    starts: Int32Array,
    second: Int32Array,
    numbers: Int32Array,
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
    starts: Int32Array,
    second: Int32Array,
    numbers: Int32Array,
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


__all__ = [
    "Int32Array",
    "multiply_pairs",
    "multiply_pairs_numpy",
    "subtract_pairs",
    "subtract_pairs_numpy",
]

try:
    from mixedmodels.kernels._pairs import multiply_pairs, subtract_pairs
except ImportError:
    multiply_pairs, subtract_pairs = multiply_pairs_numpy, subtract_pairs_numpy
