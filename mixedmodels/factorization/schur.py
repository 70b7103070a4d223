"""Products of the sparse coupling between an eliminated block and the tail.

An evaluation needs ``[E; X] P [E; X]'`` to eliminate and ``[E; X]'V[E; X]`` to differentiate. Either they
are linear maps of the faces P and of V, stored once as a sparse matrix over the pairs of tail rows that
share a level (:class:`PairProducts`), or dense chunks of levels go through BLAS, whichever costs less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization import dense
from mixedmodels.factorization.pattern import Coupling

#: Doubles in one dense chunk of the coupling; 4 MB stays near the caches and feeds BLAS well.
CHUNK_DOUBLES = 1 << 19
#: Most stored products of pairs of entries: 12 bytes each.
MAX_STORED_PRODUCTS = 3e7
#: Seconds for one stored product (there and back) and for one dense multiplication, of this order anywhere.
PRODUCT_SECONDS, FLOP_SECONDS = 4e-9, 4e-11


@dataclass(frozen=True, slots=True)
class PairProducts:
    """``sum_l E_l P_l E_l'`` as a linear map of P, for the pairs of tail rows that share a level.

    Attributes
    ----------
    maps : dict
        ``maps[a, b]``, a >= b, shape (n_tail^2, q): row ``i n_tail + j``, i >= j, holds what element
        (a, b) of the symmetric face of each level contributes to element (i, j).
    """

    maps: dict[tuple[int, int], csc_array]

    def subtract_from(self, tail: FloatArray, P: FloatArray) -> None:
        """Subtract ``sum_l E_l P_l E_l'`` from the lower triangle, in place."""
        for (a, b), M in self.maps.items():
            tail -= (M @ P[a, b]).reshape(tail.shape)

    def sandwich(self, V: FloatArray) -> FloatArray:
        """Return ``E_l' V E_l`` for every level, shape (S, S, q), from the lower triangle of V."""
        doubled = 2.0 * V
        np.einsum("ii->i", doubled)[:] *= 0.5
        S = 1 + max(a for a, _ in self.maps)
        N = np.empty((S, S, next(iter(self.maps.values())).shape[1]))
        for (a, b), M in self.maps.items():
            product = M.T @ doubled.ravel()
            N[a, b] = N[b, a] = product if a == b else 0.5 * product
        return N


@dataclass(frozen=True, slots=True)
class CoupledEntries:
    """Entries E of the tail's random effects against the levels of one eliminated block.

    Attributes
    ----------
    coupling : Coupling
        Compressed-column pattern.
    columns : ndarray, shape (nnz,)
        Level each entry belongs to.
    values : ndarray, shape (S, nnz)
        Entries for each coefficient of the eliminated block.
    n_tail : int
        Random effects in the tail.
    products : PairProducts or None
        Stored products where that is cheaper than dense chunks.
    """

    coupling: Coupling
    columns: IntArray
    values: FloatArray
    n_tail: int
    products: PairProducts | None

    @property
    def n_levels(self) -> int:
        """Levels of the eliminated block."""
        return len(self.coupling.indptr) - 1

    def times(self, v: FloatArray) -> FloatArray:
        """Return ``E v``, shape (n_tail, m) or (n_tail,), for v of shape (S, q, m) or (S, q)."""
        if not self.n_tail:
            return np.zeros((0, *v.shape[2:]))
        total: FloatArray = self._matrix(0) @ v[0]
        for s in range(1, len(self.values)):
            total = total + self._matrix(s) @ v[s]
        return total

    def transposed_times(self, x: FloatArray) -> FloatArray:
        """Return ``E'x``, shape (S, q, ...), for x of shape (n_tail, ...)."""
        S, q = len(self.values), self.n_levels
        if not self.n_tail:
            return np.zeros((S, q, *x.shape[1:]))
        return np.stack([self._matrix(s).T @ x for s in range(S)])

    def _matrix(self, s: int) -> csc_array:
        pattern = (self.values[s], self.coupling.rows, self.coupling.indptr)
        return csc_array(pattern, shape=(self.n_tail, self.n_levels))

    def lifted(self, inner: CoupledEntries, link_P: FloatArray, lift: IntArray) -> CoupledEntries:
        """Return the entries after the elimination of a block nested in this one.

        Parameters
        ----------
        inner : CoupledEntries
            Entries of the eliminated block.
        link_P : ndarray, shape (S, S_inner, q_inner)
            Coupling of this block with the eliminated one times P.
        lift : ndarray, shape (nnz_inner,)
            Entry here of each entry there.
        """
        update = np.einsum("sak,ak->sk", link_P[:, :, inner.columns], inner.values)
        size = len(self.coupling.rows)
        lifted = np.stack([np.bincount(lift, weights=row, minlength=size) for row in update])
        return CoupledEntries(self.coupling, self.columns, self.values - lifted, self.n_tail, None)

    def subtract_schur(self, tail: FloatArray, Y: FloatArray, P: FloatArray, XZ: FloatArray) -> None:
        """Subtract ``[E; X] P [E; X]'``, ``P = Y'Y``, from the lower triangle of the tail, in place."""
        n_tail = self.n_tail
        XP = np.einsum("pal,abl->pbl", XZ, P)
        if len(XZ):
            tail[n_tail:, n_tail:] -= np.tensordot(XP, XZ, axes=([1, 2], [1, 2]))
        if not n_tail:
            return
        if len(XZ):
            tail[n_tail:, :n_tail] -= self.times(XP.transpose(1, 2, 0)).T
        if self.products is not None:
            self.products.subtract_from(tail[:n_tail, :n_tail], P)
            return
        for levels, chunk in self.chunks():
            half = np.einsum("abl,lbt->lat", Y[:, :, levels], chunk).reshape(-1, n_tail)
            tail[:n_tail, :n_tail] -= half.T @ half

    def sandwich(self, V: FloatArray, XZ: FloatArray) -> FloatArray:
        """Return ``[E; X]_l' V [E; X]_l`` for every level, shape (S, S, q), from the lower triangle of V."""
        n_tail = self.n_tail
        N = self._sandwich(V[:n_tail, :n_tail])
        if len(XZ):
            across = self.transposed_times(V[n_tail:, :n_tail].T).transpose(2, 0, 1)
            across += 0.5 * np.tensordot(dense.mirror(V[n_tail:, n_tail:]), XZ, axes=1)
            half = np.einsum("pal,pbl->abl", across, XZ)
            N += half + half.transpose(1, 0, 2)
        return N

    def _sandwich(self, V: FloatArray) -> FloatArray:
        S = len(self.values)
        if not self.n_tail:
            return np.zeros((S, S, self.n_levels))
        if self.products is not None:
            return self.products.sandwich(V)
        N = np.empty((S, S, self.n_levels))
        full = dense.mirror(V)
        for levels, chunk in self.chunks():
            product = (chunk.reshape(-1, self.n_tail) @ full).reshape(chunk.shape)
            N[:, :, levels] = np.einsum("lat,lbt->abl", product, chunk)
        return N

    def sampled_product(self, V: FloatArray, XZ: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``[E; X]'V`` at the entries of E, shape (S, nnz), and at X, shape (p, S, q)."""
        n_tail, indptr = self.n_tail, self.coupling.indptr
        full = dense.mirror(V[:n_tail, :n_tail])
        across = V[n_tail:, :n_tail]
        at_X = self.transposed_times(across.T).transpose(2, 0, 1)
        at_X = at_X + np.tensordot(dense.mirror(V[n_tail:, n_tail:]), XZ, axes=1)
        at_entries = np.empty_like(self.values)
        for levels, chunk in self.chunks():
            product = (chunk.reshape(-1, n_tail) @ full).reshape(chunk.shape)
            product += np.einsum("pal,pt->lat", XZ[:, :, levels], across)
            inside = slice(int(indptr[levels.start]), int(indptr[levels.stop]))
            rows, columns = self.coupling.rows[inside], self.columns[inside] - levels.start
            for s in range(len(self.values)):
                at_entries[s, inside] = product[columns, s, rows]
        return at_entries, at_X

    def chunks(self) -> list[tuple[slice, FloatArray]]:
        """Return E' as dense chunks of levels, each (levels, S, n_tail)."""
        step = max(1, CHUNK_DOUBLES // max(1, len(self.values) * self.n_tail))
        starts = range(0, self.n_levels, step) if self.n_tail else ()
        return [self._chunk(slice(i, min(i + step, self.n_levels))) for i in starts]

    def _chunk(self, levels: slice) -> tuple[slice, FloatArray]:
        S = len(self.values)
        chunk = np.zeros((levels.stop - levels.start, S, self.n_tail))
        entries = slice(int(self.coupling.indptr[levels.start]), int(self.coupling.indptr[levels.stop]))
        rows, columns = self.coupling.rows[entries], self.columns[entries] - levels.start
        for s in range(S):
            chunk[columns, s, rows] = self.values[s, entries]
        return levels, chunk


def couple(coupling: Coupling, values: FloatArray, n_tail: int, *, store: bool) -> CoupledEntries:
    """Return the coupling with its values.

    Parameters
    ----------
    coupling : Coupling
        Pattern.
    values : ndarray, shape (S, nnz)
        Entries.
    n_tail : int
        Random effects in the tail.
    store : bool
        Store the products of pairs of entries if that makes evaluations cheaper; worth it only when many
        evaluations use the same entries.
    """
    products = None
    if store and n_tail and _prefer_products(coupling, len(values), n_tail):
        products = _pair_products(coupling, values, n_tail)
    return CoupledEntries(coupling, coupling.columns, values, n_tail, products)


def _prefer_products(coupling: Coupling, S: int, n_tail: int) -> bool:
    counts = np.diff(coupling.indptr).astype(np.float64)
    n_products = float(counts @ (counts + 1.0)) / 2.0 * S * (S + 1) / 2.0
    flops = 3.0 * n_tail**2 * S * len(counts)
    return n_products <= MAX_STORED_PRODUCTS and n_products * PRODUCT_SECONDS < flops * FLOP_SECONDS


def _pair_products(coupling: Coupling, values: FloatArray, n_tail: int) -> PairProducts:
    counts = np.diff(coupling.indptr)
    # Entry k of a level meets the entries 0..k of the same level: rows ascend, so pairs are lower ones.
    within = np.arange(len(coupling.rows)) - np.repeat(coupling.indptr[:-1], counts)
    first = np.repeat(np.arange(len(coupling.rows), dtype=np.int32), within + 1)
    starts = np.cumsum(within + 1) - (within + 1)
    second = np.arange(len(first), dtype=np.int32) - np.repeat(
        (starts - np.repeat(coupling.indptr[:-1], counts)).astype(np.int32), within + 1
    )
    index_type = np.int32 if max(n_tail**2, len(first)) < np.iinfo(np.int32).max else np.int64
    rows = coupling.rows.astype(index_type)
    flat = rows[first] * index_type(n_tail) + rows[second]
    sizes = np.bincount(np.repeat(np.arange(len(counts)), counts), weights=within + 1, minlength=len(counts))
    indptr = np.concatenate(([0], np.cumsum(sizes))).astype(index_type)
    maps = {}
    for a in range(len(values)):
        for b in range(a + 1):
            product = values[a][first] * values[b][second]
            if a != b:
                product += values[b][first] * values[a][second]
            maps[a, b] = csc_array((product, flat, indptr), shape=(n_tail**2, len(counts)))
    return PairProducts(maps)
