"""Products of the sparse coupling between an eliminated block and the tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization.pattern import Coupling

#: Doubles in one dense chunk of the coupling; 4 MB stays near the caches and feeds BLAS well.
CHUNK_DOUBLES = 1 << 19


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
    """

    coupling: Coupling
    columns: IntArray
    values: FloatArray
    n_tail: int

    @property
    def n_levels(self) -> int:
        """Levels of the eliminated block."""
        return len(self.coupling.indptr) - 1

    def times(self, v: FloatArray) -> FloatArray:
        """Return ``E v``, shape (n_tail,), for v of shape (S, q)."""
        if not self.n_tail:
            return np.zeros(0)
        weights = np.einsum("sk,sk->k", self.values, v[:, self.columns])
        return np.bincount(self.coupling.rows, weights=weights, minlength=self.n_tail)

    def transposed_times(self, x: FloatArray) -> FloatArray:
        """Return ``E'x``, shape (S, q), for x of shape (n_tail,)."""
        S, q = len(self.values), self.n_levels
        if not self.n_tail:
            return np.zeros((S, q))
        at = x[self.coupling.rows]
        return np.stack([np.bincount(self.columns, weights=row * at, minlength=q) for row in self.values])

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
        return CoupledEntries(self.coupling, self.columns, self.values - lifted, self.n_tail)

    def chunks(self, XZ: FloatArray) -> list[tuple[slice, FloatArray]]:
        """Return the rows [E; XZ]' as dense chunks of levels, each (levels, S, n_tail + p)."""
        S, width = len(self.values), self.n_tail + len(XZ)
        step = max(1, CHUNK_DOUBLES // max(1, S * width))
        starts = range(0, self.n_levels, step)
        return [self._chunk(slice(i, min(i + step, self.n_levels)), XZ) for i in starts]

    def _chunk(self, levels: slice, XZ: FloatArray) -> tuple[slice, FloatArray]:
        S, n = len(self.values), levels.stop - levels.start
        dense = np.zeros((n, S, self.n_tail + len(XZ)))
        entries = slice(int(self.coupling.indptr[levels.start]), int(self.coupling.indptr[levels.stop]))
        rows, columns = self.coupling.rows[entries], self.columns[entries] - levels.start
        for s in range(S):
            dense[columns, s, rows] = self.values[s, entries]
        dense[:, :, self.n_tail :] = XZ[:, :, levels].transpose(2, 1, 0)
        return levels, dense

    def subtract_schur(self, tail: FloatArray, Y: FloatArray, XZ: FloatArray) -> None:
        """Subtract ``[E; X] P [E; X]'`` with ``P = Y'Y`` from the bordered tail, in place."""
        if not len(tail):
            return
        for levels, dense in self.chunks(XZ):
            half = np.einsum("abl,lbt->lat", Y[:, :, levels], dense).reshape(-1, len(tail))
            tail -= half.T @ half

    def sandwich(self, V: FloatArray, XZ: FloatArray) -> FloatArray:
        """Return ``[E; X]_l' V [E; X]_l`` for every level, shape (S, S, q), V symmetric."""
        S = len(self.values)
        N = np.zeros((S, S, self.n_levels))
        for levels, dense in self.chunks(XZ):
            product = (dense.reshape(-1, len(V)) @ V).reshape(dense.shape)
            N[:, :, levels] = np.einsum("lat,lbt->abl", product, dense)
        return N


def couple(coupling: Coupling, values: FloatArray, n_tail: int) -> CoupledEntries:
    """Return the coupling with its values."""
    return CoupledEntries(coupling, coupling.columns, values, n_tail)


def sampled_product(entries: CoupledEntries, V: FloatArray, XZ: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``[E; X]'V`` at the entries of E, shape (S, nnz), and at X, shape (p, S, q)."""
    S, n_tail = len(entries.values), entries.n_tail
    at_entries = np.empty_like(entries.values)
    at_X = np.empty_like(XZ)
    indptr = entries.coupling.indptr
    for levels, dense in entries.chunks(XZ):
        product = (dense.reshape(-1, len(V)) @ V).reshape(dense.shape)
        inside = slice(int(indptr[levels.start]), int(indptr[levels.stop]))
        rows, columns = entries.coupling.rows[inside], entries.columns[inside] - levels.start
        for s in range(S):
            at_entries[s, inside] = product[columns, s, rows]
        at_X[:, :, levels] = product[:, :, n_tail:].transpose(2, 1, 0)
    return at_entries, at_X
