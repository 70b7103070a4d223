"""Sparse rows below an eliminated block, and the stored products of their entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.factorization import dense, faces
from mixedmodels.factorization.pattern import Coupling
from mixedmodels.factorization.rest import lifted_fixed

#: Positions are 32 bits wide where that suffices: sparse products are bound by memory.
AnyIntArray: TypeAlias = npt.NDArray[np.integer[Any]]
#: Doubles in one dense chunk of E; 8 MB stays near the caches and feeds BLAS well.
CHUNK_DOUBLES = 1 << 20


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


@dataclass(frozen=True, slots=True)
class SparseRest:
    """Sparse E with fixed effects.

    Attributes
    ----------
    coupling : Coupling
        Compressed-column pattern of E.
    columns : ndarray, shape (nnz,)
        Level each entry belongs to.
    values : ndarray, shape (S, nnz)
        Entries of E for each coefficient of the eliminated block.
    matrices : tuple of csc_array, each (n_tail, q)
        The same as matrices.
    XZ : ndarray, shape (p, S, q)
        Fixed effects against the levels.
    products : PairProducts or None
        Stored products of the light levels.
    heavy : ndarray of int
        Levels with so many entries that they go through BLAS as dense chunks.
    """

    coupling: Coupling
    columns: IntArray
    values: FloatArray
    matrices: tuple[csc_array, ...]
    XZ: FloatArray
    products: PairProducts | None
    heavy: IntArray

    @property
    def n_tail(self) -> int:
        """Random effects in the tail."""
        return int(self.matrices[0].shape[0])

    def subtract_schur(self, tail: FloatArray, Y: FloatArray, P: FloatArray) -> None:
        """See :class:`~mixedmodels.factorization.rest.Rest`."""
        n_tail = self.n_tail
        if len(self.XZ):
            fixed, across = self.fixed_schur(P)
            tail[n_tail:, n_tail:] -= fixed
            tail[n_tail:, :n_tail] -= across
        block = tail[:n_tail, :n_tail]
        if self.products is not None:
            block -= self.products.schur(P).reshape(block.shape)
        for levels, chunk in self._chunks(self.heavy):
            half = np.matmul(Y[:, :, levels].transpose(2, 0, 1), chunk).reshape(-1, n_tail)
            block -= half.T @ half

    def fixed_schur(self, P: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``X P X'``, shape (p, p), and ``X P E'``, shape (p, n_tail)."""
        XP, p = faces.right_product(self.XZ, P), len(self.XZ)
        across = sum(E @ XP[:, s].T for s, E in enumerate(self.matrices))
        return XP.reshape(p, -1) @ self.XZ.reshape(p, -1).T, np.asarray(across).T

    def sandwich(self, V: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.rest.Rest`."""
        n_tail = self.n_tail
        N = self._sandwich(V[:n_tail, :n_tail])
        if len(self.XZ):
            N += self.fixed_sandwich(V[n_tail:, :n_tail], dense.mirror(V[n_tail:, n_tail:]))
        return N

    def fixed_sandwich(self, across: FloatArray, fixed: FloatArray) -> FloatArray:
        """Return what fixed effects add to the sandwich: ``X_l'V_XX X_l`` and twice ``E_l'V_EX X_l``."""
        half = self._transposed(across.T) + 0.5 * np.tensordot(fixed, self.XZ, axes=1)
        product = faces.cross_gram(half, self.XZ)
        return product + faces.transposed(product)

    def _sandwich(self, V: FloatArray) -> FloatArray:
        S, q = len(self.values), self.matrices[0].shape[1]
        N = np.zeros((S, S, q)) if self.products is None else self.products.sandwich(_doubled(V).ravel())
        if not len(self.heavy):
            return N
        full = dense.mirror(V)
        for levels, chunk in self._chunks(self.heavy):
            product = (chunk.reshape(-1, len(V)) @ full).reshape(chunk.shape)
            N[:, :, levels] = np.matmul(product, chunk.transpose(0, 2, 1)).transpose(1, 2, 0)
        return N

    def _transposed(self, x: FloatArray) -> FloatArray:
        """Return ``E'x`` for several columns, shape (m, S, q), x of shape (n_tail, m)."""
        return np.stack([(E.T @ x).T for E in self.matrices], axis=1)

    def times(self, v: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.rest.Rest`."""
        random = sum(E @ v[:, s].T for s, E in enumerate(self.matrices))
        fixed = self.XZ.reshape(len(self.XZ), v[0].size) @ v.reshape(len(v), -1).T
        return np.concatenate((random, fixed)).T

    def transposed_times(self, x: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.rest.Rest`."""
        n_tail = self.n_tail
        return np.asarray(self._transposed(x[:, :n_tail].T) + np.tensordot(x[:, n_tail:], self.XZ, axes=1))

    def sampled_product(self, V: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``[E; X]'V`` at the entries of E, shape (S, nnz), and at X, shape (p, S, q)."""
        n_tail, indptr = self.n_tail, self.coupling.indptr
        full, across = dense.mirror(V[:n_tail, :n_tail]), V[n_tail:, :n_tail]
        at_X = self._transposed(across.T) if len(across) else np.empty_like(self.XZ)
        at_X = at_X + np.tensordot(dense.mirror(V[n_tail:, n_tail:]), self.XZ, axes=1)
        at_entries = np.empty_like(self.values)
        for levels, chunk in self._chunks(np.arange(len(indptr) - 1)):
            product = (chunk.reshape(-1, n_tail) @ full).reshape(chunk.shape)
            product += np.einsum("pal,pt->lat", self.XZ[:, :, levels], across)
            inside, own = entries_of(indptr, levels)
            at_entries[:, inside] = product[own, :, self.coupling.rows[inside]].T
        return at_entries, at_X

    def lifted(self, inner: Self, link_P: FloatArray, parent: IntArray, lift: IntArray) -> SparseRest:
        """Return the rows after the elimination of a block nested in this one.

        Parameters
        ----------
        inner : SparseRest
            Rows below the eliminated block.
        link_P : ndarray, shape (S, S_inner, q_inner)
            This block against the eliminated one, times P.
        parent : ndarray, shape (q_inner,)
            Level of this block each level of the eliminated one lies in.
        lift : ndarray, shape (nnz_inner,)
            Entry here of each entry there.
        """
        update = np.einsum("sak,ak->sk", link_P[:, :, inner.columns], inner.values)
        size = len(self.columns)
        lifted = np.stack([np.bincount(lift, weights=row, minlength=size) for row in update])
        XZ = lifted_fixed(self.XZ, inner.XZ, link_P, parent)
        return sparse_rest(self.coupling, self.columns, self.values - lifted, XZ, self.n_tail)

    def _chunks(self, levels: IntArray) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield the rows of E' that belong to `levels` as dense chunks, each (levels, S, n_tail)."""
        step = max(1, CHUNK_DOUBLES // (len(self.values) * self.n_tail))
        for start in range(0, len(levels), step):
            some = levels[start : start + step]
            yield some, dense_rows(self.coupling, self.values, self.n_tail, some)


def sparse_rest(
    coupling: Coupling,
    columns: IntArray,
    values: FloatArray,
    XZ: FloatArray,
    n_tail: int,
    light: BoolArray | None = None,
) -> SparseRest:
    """Return the rows with E as matrices that share one pattern; `light` levels get stored products."""
    q = len(coupling.indptr) - 1
    matrices = tuple(csc_array((row, coupling.rows, coupling.indptr), shape=(n_tail, q)) for row in values)
    products = None if light is None else _dense_products(coupling, values, n_tail, light)
    heavy = np.arange(q) if light is None else np.flatnonzero(~light)
    return SparseRest(coupling, columns, values, matrices, XZ, products, heavy)


def dense_rows(coupling: Coupling, values: FloatArray, n_rows: int, levels: IntArray) -> FloatArray:
    """Return some levels of E' as a dense array, shape (levels, S, n_rows)."""
    chunk = np.zeros((len(levels), len(values), n_rows))
    inside, own = entries_of(coupling.indptr, levels)
    rows = coupling.rows[inside]
    for s, row in enumerate(values):
        chunk[own, s, rows] = row[inside]
    return chunk


def entries_of(indptr: IntArray, levels: IntArray) -> tuple[IntArray, IntArray]:
    """Return the entries that belong to `levels`, and for each of them its position in `levels`."""
    counts = indptr[levels + 1] - indptr[levels]
    own = np.repeat(np.arange(len(levels)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(own)) + (indptr[levels] - before)[own], own


def _doubled(V: FloatArray) -> FloatArray:
    """Return V with its off-diagonal doubled."""
    doubled = 2.0 * V
    np.einsum("ii->i", doubled)[:] *= 0.5
    return doubled


def _dense_products(coupling: Coupling, values: FloatArray, n_tail: int, light: BoolArray) -> PairProducts:
    """Multiply every pair of entries that share a light level, for a dense tail."""
    first, second, sizes = pairs_within(coupling.indptr, light)
    wide = max(n_tail**2, len(first)) > np.iinfo(np.int32).max
    rows = coupling.rows if wide else coupling.rows.astype(np.int32)
    return pair_products(values, first, second, sizes, rows[first] * n_tail + rows[second], n_tail**2)


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


def pairs_within(indptr: IntArray, light: BoolArray) -> tuple[AnyIntArray, AnyIntArray, IntArray]:
    """Return both entries of every pair k >= m within a light column, and each column's number of pairs."""
    counts = np.diff(indptr)
    starts = np.repeat(indptr[:-1], counts)
    entry = np.arange(len(starts))
    partners = np.where(np.repeat(light, counts), entry - starts + 1, 0)
    first = np.repeat(entry.astype(np.int32), partners)
    before = np.cumsum(partners) - partners
    second = np.arange(len(first), dtype=np.int32) - np.repeat((before - starts).astype(np.int32), partners)
    return first, second, np.where(light, counts * (counts + 1) // 2, 0)
