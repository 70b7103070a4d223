"""Sparse rows below an eliminated block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.sparse import csc_array

from mixedmodels.arrays import BoolArray, CodeArray, FloatArray, IntArray
from mixedmodels.factorization import dense
from mixedmodels.factorization.constant.rest import along_fixed, lifted_fixed
from mixedmodels.factorization.pattern import Coupling
from mixedmodels.kernels import faces
from mixedmodels.kernels.pairs import multiply_pairs
from mixedmodels.kernels.schur import add_sandwich, subtract_schur

#: Doubles in one dense chunk of E; 8 MB stays near the caches and feeds BLAS well.
CHUNK_DOUBLES = 1 << 20
#: Pairs of entries whose elements of V are gathered at once; 32 MB.
PAIRS_AT_ONCE = 1 << 22
#: Entries that a kernel goes through row by row before it takes further levels: 3 MB stay in the caches.
ENTRIES_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EntryPlaces:
    """Integers that say where the entries of E are; they do not change with theta.

    Attributes
    ----------
    light : int32 ndarray
        Levels whose entries are multiplied pair by pair.
    parts : tuple of int32 ndarray
        The same in parts that the caches hold.
    columns : int32 ndarray, shape (nnz,)
        Level of each entry.
    starts, rows : int32 ndarray
        Start of each level's entries, and the tail row of each entry.
    heavy : ndarray of int
        Levels with so many entries that they go through BLAS as dense chunks.
    """

    light: CodeArray
    parts: tuple[CodeArray, ...]
    columns: CodeArray
    starts: CodeArray
    rows: CodeArray
    heavy: IntArray

    def arrays(self) -> Iterator[tuple[CodeArray, CodeArray, CodeArray]]:
        """Yield what the kernels of :mod:`mixedmodels.kernels.schur` take, a part of the levels at a time."""
        for levels in self.parts:
            yield levels, self.starts, self.rows


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SparseRest:
    """Sparse E with fixed effects.

    Attributes
    ----------
    coupling : Coupling
        Compressed-column pattern of E.
    values : ndarray, shape (S, nnz)
        Entries of E for each coefficient of the eliminated block.
    matrices : tuple of csc_array, each (n_tail, q)
        The same as matrices.
    XZ : ndarray, shape (p, S, q)
        Fixed effects against the levels.
    places : EntryPlaces
        How the products of entries that share a level are formed for a dense tail.
    """

    coupling: Coupling
    values: FloatArray
    matrices: tuple[csc_array, ...]
    XZ: FloatArray
    places: EntryPlaces

    @property
    def n_tail(self) -> int:
        """Random effects in the tail."""
        return int(self.matrices[0].shape[0])

    def subtract_schur(self, tail: FloatArray, Y: FloatArray, P: FloatArray) -> None:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        n_tail = self.n_tail
        if len(self.XZ):
            fixed, across = self.fixed_schur(P)
            tail[n_tail:, n_tail:] -= fixed
            tail[n_tail:, :n_tail] -= across
        block = tail[:n_tail, :n_tail]
        for arrays in self.places.arrays():
            subtract_schur(block, *arrays, self.values, P)
        for levels, chunk in self._chunks(self.places.heavy):
            half = np.matmul(Y[:, :, levels].transpose(2, 0, 1), chunk).reshape(-1, n_tail)
            block -= half.T @ half

    def fixed_schur(self, P: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``X P X'``, shape (p, p), and ``X P E'``, shape (p, n_tail)."""
        XP, p = faces.right_product(self.XZ, P), len(self.XZ)
        across = sum(E @ XP[:, s].T for s, E in enumerate(self.matrices))
        return XP.reshape(p, -1) @ self.XZ.reshape(p, -1).T, np.asarray(across).T

    def sandwich(self, V: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        n_tail = self.n_tail
        N = self._sandwich(V[:n_tail, :n_tail])
        if len(V) > n_tail:
            N += self.fixed_sandwich(V[n_tail:, :n_tail], dense.mirror(V[n_tail:, n_tail:]))
        return N

    def fixed_sandwich(self, across: FloatArray, fixed: FloatArray) -> FloatArray:
        """Return what fixed effects add to the sandwich: ``X_l'V_XX X_l`` and twice ``E_l'V_EX X_l``."""
        half = self._transposed(across.T) + 0.5 * np.tensordot(fixed, self.XZ, axes=1)
        product = faces.cross_gram(half, self.XZ)
        return product + faces.transposed(product)

    def _sandwich(self, V: FloatArray) -> FloatArray:
        S, q = len(self.values), self.matrices[0].shape[1]
        N = np.zeros((S, S, q))
        for arrays in self.places.arrays():
            add_sandwich(N, *arrays, self.values, V)
        if not len(self.places.heavy):
            return N
        full = dense.mirror(V)
        for levels, chunk in self._chunks(self.places.heavy):
            product = (chunk.reshape(-1, len(V)) @ full).reshape(chunk.shape)
            N[:, :, levels] = np.matmul(product, chunk.transpose(0, 2, 1)).transpose(1, 2, 0)
        return N

    def _transposed(self, x: FloatArray) -> FloatArray:
        """Return ``E'x`` for several columns, shape (m, S, q), x of shape (n_tail, m)."""
        return np.stack([(E.T @ x).T for E in self.matrices], axis=1)

    def times(self, v: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        random = sum(E @ v[:, s].T for s, E in enumerate(self.matrices))
        fixed = self.XZ.reshape(len(self.XZ), v[0].size) @ v.reshape(len(v), -1).T
        return np.concatenate((random, fixed)).T

    def transposed_times(self, x: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        n_tail = self.n_tail
        return np.asarray(self._transposed(x[:, :n_tail].T) + np.tensordot(x[:, n_tail:], self.XZ, axes=1))

    def sampled_product(self, V: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``[E; X]'V`` at the entries of E, shape (S, nnz), and at X, shape (p, S, q)."""
        n_tail, places = self.n_tail, self.places
        block, across = V[:n_tail, :n_tail], V[n_tail:, :n_tail]
        at_X = np.zeros(self.XZ.shape)
        if len(across):
            at_X = self._transposed(across.T) + np.tensordot(
                dense.mirror(V[n_tail:, n_tail:]), self.XZ, axes=1
            )
        at_entries = self._sampled(block)
        for x, row in zip(self.XZ, across, strict=False):
            at_entries += x[:, places.columns] * row[places.rows]
        return at_entries, at_X

    def _sampled(self, V: FloatArray) -> FloatArray:
        """Return ``E'V`` at the entries of E, the fixed effects left out, shape (S, nnz)."""
        indptr, rows = self.coupling.indptr, self.coupling.rows
        at_entries = np.empty_like(self.values)
        for levels in batches_of_pairs(np.diff(indptr), self.places.light):
            inside, own = entries_of(indptr, levels)
            starts, second = pairs_of_levels(own)
            # Rows ascend within a level: each pair lies in the lower triangle.
            met = V[np.repeat(rows[inside], np.diff(starts)), rows[inside][second]]
            numbers = np.arange(len(met), dtype=np.int32)
            values = np.ascontiguousarray(self.values[:, inside])
            at_entries[:, inside] = multiply_pairs(starts, second, numbers, values, met)
        if len(self.places.heavy):
            full = dense.mirror(V)
            for levels, chunk in self._chunks(self.places.heavy):
                product = (chunk.reshape(-1, len(V)) @ full).reshape(chunk.shape)
                inside, own = entries_of(indptr, levels)
                at_entries[:, inside] = product[own, :, rows[inside]].T
        return at_entries

    def lifted(self, inner: Self, link_P: FloatArray, parent: IntArray, lift: IntArray) -> SparseRest:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        update = np.einsum("sak,ak->sk", link_P[:, :, inner.places.columns], inner.values)
        size = self.values.shape[1]
        lifted = np.stack([np.bincount(lift, weights=row, minlength=size) for row in update])
        XZ = lifted_fixed(self.XZ, inner.XZ, link_P, parent)
        return sparse_rest(self.coupling, self.places, self.values - lifted, XZ, self.n_tail)

    def along(self, at_entries: FloatArray, at_X: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        total = along_fixed(self.XZ, at_X)
        for a, row in enumerate(at_entries):
            for b, value in enumerate(self.values):
                total[a, b] += np.bincount(self.places.columns, weights=row * value, minlength=total.shape[2])
        return total

    def entry_values(self) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        return self.values

    def with_fixed(self, XZ: FloatArray) -> SparseRest:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        return replace(self, XZ=XZ)

    @property
    def kind(self) -> str:
        """How the rows are kept, for people."""
        heavy = len(self.places.heavy)
        return f"{heavy} levels as dense rows" if heavy else "sparse rows"

    def _chunks(self, levels: IntArray) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield the rows of E' that belong to `levels` as dense chunks, each (levels, S, n_tail)."""
        step = max(1, CHUNK_DOUBLES // (len(self.values) * self.n_tail))
        for start in range(0, len(levels), step):
            some = levels[start : start + step]
            yield some, dense_rows(self.coupling, self.values, self.n_tail, some)


def sparse_rest(
    coupling: Coupling, places: EntryPlaces, values: FloatArray, XZ: FloatArray, n_tail: int
) -> SparseRest:
    """Return the rows with E as matrices that share one pattern."""
    shape = (n_tail, len(coupling.indptr) - 1)
    matrices = tuple(csc_array((row, places.rows, places.starts), shape=shape) for row in values)
    return SparseRest(coupling, values, matrices, XZ, places)


def entry_places(coupling: Coupling, light: BoolArray) -> EntryPlaces:
    """Return where the entries are, levels divided into light and heavy ones."""
    levels = np.flatnonzero(light).astype(np.int32)
    return EntryPlaces(
        levels,
        _in_parts(levels, np.diff(coupling.indptr)),
        coupling.columns,
        coupling.indptr.astype(np.int32),
        coupling.rows,
        np.flatnonzero(~light),
    )


def _in_parts(levels: CodeArray, counts: IntArray) -> tuple[CodeArray, ...]:
    """Return levels in parts that have not too many entries."""
    if len(levels) < 2 or counts.sum() <= ENTRIES_AT_ONCE:
        return (levels,)
    part = np.cumsum(counts[levels]) // ENTRIES_AT_ONCE
    return tuple(np.split(levels, np.flatnonzero(np.diff(part)) + 1))


def dense_rows(coupling: Coupling, values: FloatArray, n_rows: int, levels: IntArray) -> FloatArray:
    """Return some levels of E' as a dense array, shape (levels, S, n_rows)."""
    chunk = np.zeros((len(levels), len(values), n_rows))
    inside, own = entries_of(coupling.indptr, levels)
    rows = coupling.rows[inside]
    for s, row in enumerate(values):
        chunk[own, s, rows] = row[inside]
    return chunk


def batches_of_pairs(counts: IntArray, levels: CodeArray) -> Iterator[IntArray]:
    """Yield levels, of `counts` entries each, some at a time, so that a batch has not too many pairs."""
    levels = levels[counts[levels] > 0]
    pairs = np.cumsum(counts[levels] * (counts[levels] + 1) // 2)
    batch = pairs // PAIRS_AT_ONCE
    yield from (part.astype(np.intp) for part in np.split(levels, np.flatnonzero(np.diff(batch)) + 1))


def pairs_of_levels(own: IntArray) -> tuple[CodeArray, CodeArray]:
    """Return the pairs of entries with those of their level that are not after them: starts and seconds.

    Parameters
    ----------
    own : ndarray, shape (nnz,)
        Level of each entry, those of a level one after the other.
    """
    entry = np.arange(len(own))
    first = np.append(0, np.flatnonzero(np.diff(own)) + 1) if len(own) else entry
    level_start = np.repeat(first, np.diff(np.append(first, len(own))))
    partners = entry - level_start + 1
    starts = np.concatenate(([0], np.cumsum(partners)))
    second = np.arange(starts[-1]) - np.repeat(starts[:-1] - level_start, partners)
    return starts.astype(np.int32), second.astype(np.int32)


def entries_of(indptr: IntArray, levels: IntArray) -> tuple[IntArray, IntArray]:
    """Return the entries that belong to `levels`, and for each of them its position in `levels`."""
    counts = indptr[levels + 1] - indptr[levels]
    own = np.repeat(np.arange(len(levels)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(own)) + (indptr[levels] - before)[own], own
