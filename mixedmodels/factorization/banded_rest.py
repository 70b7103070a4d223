"""Sparse rows below an eliminated block whose tail is block-tridiagonal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization.banded import BandedLayout, BandedMatrix
from mixedmodels.factorization.pair_products import PairProducts, pair_products, pairs_within
from mixedmodels.factorization.pattern import Coupling
from mixedmodels.factorization.sparse_rest import SparseRest, entry_order, sparse_rest


@dataclass(frozen=True, slots=True)
class BandedRest:
    """Sparse E with fixed effects above a block-tridiagonal tail.

    Attributes
    ----------
    sparse : SparseRest
        The rows themselves.
    layout : BandedLayout
        Order and blocks of the tail.
    products : PairProducts
        Stored products of all levels, into the buffer of the tail.
    diagonal_slots : ndarray, shape (n_tail,)
        Where the diagonal of the tail is in that buffer.
    """

    sparse: SparseRest
    layout: BandedLayout
    products: PairProducts
    diagonal_slots: IntArray

    def subtract_schur(self, tail: BandedMatrix, Y: FloatArray, P: FloatArray) -> None:
        """See :class:`~mixedmodels.factorization.rest.Rest`."""
        tail.buffer[:] -= self.products.schur(P)
        if len(self.sparse.XZ):
            fixed, across = self.sparse.fixed_schur(P)
            tail.fixed[:] -= fixed
            tail.across[:] -= across[:, self.layout.order]

    def sandwich(self, V: BandedMatrix) -> FloatArray:
        """See :class:`~mixedmodels.factorization.rest.Rest`."""
        doubled = 2.0 * V.buffer
        doubled[self.diagonal_slots] *= 0.5
        N = self.products.sandwich(doubled)
        if len(self.sparse.XZ):
            N += self.sparse.fixed_sandwich(V.across[:, self.layout.position], V.fixed)
        return N

    def times(self, v: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.rest.Rest`."""
        return self.sparse.times(v)

    def transposed_times(self, x: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.rest.Rest`."""
        return self.sparse.transposed_times(x)


def banded_rest(coupling: Coupling, values: FloatArray, XZ: FloatArray, layout: BandedLayout) -> BandedRest:
    """Return the rows with the products of all pairs of entries, numbered into the tail's buffer."""
    n_tail, none = len(layout.order), np.zeros(len(coupling.indptr) - 1, dtype=bool)
    sparse = sparse_rest(coupling, entry_order(coupling, none), values, XZ, n_tail)
    first, second, sizes = pairs_within(coupling.indptr)
    slots = layout.slots(coupling.rows[first], coupling.rows[second])
    products = pair_products(values, first, second, sizes, slots, layout.size)
    rows = np.arange(n_tail)
    return BandedRest(sparse, layout, products, layout.slots(rows, rows))
