"""Stored products of the entries of E that share a level, for a tail of which few elements are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array

from mixedmodels.arrays import FloatArray, IntArray

#: Positions are 32 bits wide where that suffices: sparse products are bound by memory.
AnyIntArray: TypeAlias = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class PairProducts:
    """``sum_l E_l P_l E_l'`` as a linear map of P, for the pairs of tail rows that share a level.

    Attributes
    ----------
    maps : dict
        ``maps[a, b]``, a >= b, shape (n_slots, q): what element (a, b) of the symmetric face of each level
        contributes to each kept element of the lower triangle of the tail.
    """

    maps: dict[tuple[int, int], csc_array]

    def schur(self, P: FloatArray) -> FloatArray:
        """Return the kept elements of ``sum_l E_l P_l E_l'``, shape (n_slots,)."""
        total: FloatArray | None = None
        for (a, b), M in self.maps.items():
            part = M @ P[a, b]
            total = part if total is None else total + part
        assert total is not None
        return total

    def sandwich(self, doubled: FloatArray) -> FloatArray:
        """Return ``E_l' V E_l`` for every level, shape (S, S, q), from V with its off-diagonal doubled."""
        S = 1 + max(a for a, _ in self.maps)
        N = np.empty((S, S, next(iter(self.maps.values())).shape[1]))
        for (a, b), M in self.maps.items():
            product = M.T @ doubled
            N[a, b] = N[b, a] = product if a == b else 0.5 * product
        return N


def pair_products(
    values: FloatArray,
    first: AnyIntArray,
    second: AnyIntArray,
    sizes: IntArray,
    slots: AnyIntArray,
    n_slots: int,
) -> PairProducts:
    """Multiply pairs of entries.

    Parameters
    ----------
    values : ndarray, shape (S, nnz)
        Entries.
    first, second : ndarray, shape (n_pairs,)
        The two entries of each pair, pairs of one level together.
    sizes : ndarray, shape (q,)
        Pairs of each level.
    slots : ndarray, shape (n_pairs,)
        Element of the tail each pair contributes to.
    n_slots : int
        Elements of the tail that are kept.
    """
    indptr = np.concatenate(([0], np.cumsum(sizes))).astype(slots.dtype)
    shape = (n_slots, len(sizes))
    maps = {}
    for a in range(len(values)):
        for b in range(a + 1):
            product = values[a][first] * values[b][second]
            if a != b:
                product += values[b][first] * values[a][second]
            maps[a, b] = csc_array((product, slots, indptr), shape=shape)
    return PairProducts(maps)


def pairs_within(indptr: IntArray) -> tuple[AnyIntArray, AnyIntArray, IntArray]:
    """Return both entries of every pair k >= m within a column, and each column's number of pairs."""
    counts = np.diff(indptr)
    starts = np.repeat(indptr[:-1], counts)
    entry = np.arange(len(starts))
    partners = entry - starts + 1
    first = np.repeat(entry.astype(np.int32), partners)
    before = np.cumsum(partners) - partners
    second = np.arange(len(first), dtype=np.int32) - np.repeat((before - starts).astype(np.int32), partners)
    return first, second, counts * (counts + 1) // 2
