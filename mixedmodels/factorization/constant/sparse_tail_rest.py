"""The rows below an eliminated block whose tail is sparse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray, IntArray
from mixedmodels.factorization.constant.sparse_rest import SparseRest, entry_places, sparse_rest
from mixedmodels.factorization.constant.sparse_tail_matrix import SparseLayout, SparseMatrix
from mixedmodels.factorization.pattern import Coupling
from mixedmodels.kernels import faces
from mixedmodels.kernels.pairs import multiply_pairs, number_pairs, subtract_pairs


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EntryPairs:
    """Pairs of entries of E that share a level, by their first entry; the second is not after it.

    Attributes
    ----------
    starts : int32 ndarray, shape (nnz + 1,)
        Start of the pairs of each first entry; its pair with itself is its last.
    second : int32 ndarray, shape (n_pairs,)
        Second entry of each pair.
    numbers : int32 ndarray, shape (n_pairs,)
        Value of the sparse tail each pair belongs to.
    """

    starts: CodeArray
    second: CodeArray
    numbers: CodeArray

    @property
    def arrays(self) -> tuple[CodeArray, CodeArray, CodeArray]:
        """What the kernels of :mod:`mixedmodels.kernels.pairs` take."""
        return self.starts, self.second, self.numbers


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SparseTailRest:
    """Sparse E with fixed effects, for a sparse tail.

    Attributes
    ----------
    sparse : SparseRest
        The rows themselves.
    layout : SparseLayout
        Pattern of the tail.
    pairs : EntryPairs
        Pairs of entries that meet in the tail.
    """

    sparse: SparseRest
    layout: SparseLayout
    pairs: EntryPairs

    def subtract_schur(self, tail: SparseMatrix, Y: FloatArray, P: FloatArray) -> None:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        values = self.sparse.values
        weighted = np.ascontiguousarray(faces.apply(P[:, :, self.sparse.places.columns], values))
        subtract_pairs(tail.values, *self.pairs.arrays, values, weighted)
        if len(self.sparse.XZ):
            fixed, across = self.sparse.fixed_schur(P)
            tail.fixed[:] -= fixed
            tail.across[:] -= across

    def sandwich(self, V: SparseMatrix) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        values, columns = self.sparse.values, self.sparse.places.columns
        product = multiply_pairs(*self.pairs.arrays, values, V.values)
        N = faces.sum_by(values[:, None] * product, columns, len(self.sparse.places.starts) - 1)
        if len(self.sparse.XZ):
            N += self.sparse.fixed_sandwich(V.across, V.fixed)
        return N

    def sampled_product(self, V: SparseMatrix) -> tuple[FloatArray, FloatArray]:
        """Return ``[E; X]'V`` at the entries of E, shape (S, nnz), and at X, shape (p, S, q)."""
        sparse, places = self.sparse, self.sparse.places
        at_entries = multiply_pairs(*self.pairs.arrays, sparse.values, V.values)
        for x, across in zip(sparse.XZ, V.across, strict=True):
            at_entries += x[:, places.columns] * across[places.rows]
        random = np.stack([(E.T @ V.across.T).T for E in sparse.matrices], axis=1)
        return at_entries, random + np.tensordot(V.fixed, sparse.XZ, axes=1)

    def times(self, v: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        return self.sparse.times(v)

    def transposed_times(self, x: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        return self.sparse.transposed_times(x)

    def lifted(self, inner: Self, link_P: FloatArray, parent: IntArray, lift: IntArray) -> SparseTailRest:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        sparse = self.sparse.lifted(inner.sparse, link_P, parent, lift)
        return SparseTailRest(sparse, self.layout, self.pairs)

    def along(self, at_entries: FloatArray, at_X: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        return self.sparse.along(at_entries, at_X)

    def entry_values(self) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        return self.sparse.values

    def with_fixed(self, XZ: FloatArray) -> SparseTailRest:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        return replace(self, sparse=self.sparse.with_fixed(XZ))

    @property
    def kind(self) -> str:
        """How the rows are kept, for people."""
        return f"{len(self.pairs.numbers)} pairs"


def sparse_tail_rest(
    coupling: Coupling, values: FloatArray, XZ: FloatArray, layout: SparseLayout
) -> SparseTailRest:
    """Return the rows with every pair of entries of a level numbered into the tail."""
    none = np.zeros(len(coupling.indptr) - 1, dtype=bool)
    places = entry_places(coupling, none)
    sparse = sparse_rest(coupling, places, values, XZ, layout.n_tail)
    pairs = EntryPairs(*number_pairs(places.starts, places.rows, *layout.meetings.arrays))
    return SparseTailRest(sparse, layout, pairs)
