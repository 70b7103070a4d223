"""Products of the sparse coupling between an eliminated block and the dense tail.

With E the coupling of one eliminated block (tail rows by levels), two products decide the cost of a crossed
model: ``E E'`` for the Schur complement and ``G E`` on the pattern of E for the inverse. Both are formed
either through dense chunks of levels (BLAS) or through the list of pairs of entries that share a level; a
cost model chooses once for each pattern.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization.pattern import Coupling

# Doubles in one dense chunk: 8 MB.
CHUNK_DOUBLES = 1 << 20
# Seconds a pair of entries costs (gathers, product, count) over seconds of a multiply-add in BLAS.
PAIR_COST = 60.0
# Pairs beyond this number would need more memory than they save time.
MAX_PAIRS = 30_000_000


@dataclass(frozen=True, slots=True)
class TailCoupling:
    """Sparsity of the coupling of one eliminated block with the tail.

    Attributes
    ----------
    indptr : ndarray, shape (q + 1,)
        Start of each level's entries.
    rows, columns : ndarray, shape (nnz,)
        Tail row and level of each entry, sorted by level.
    n_tail : int
        Random effects in the tail.
    first, second : ndarray, shape (n_pairs,), or None
        Entries that share a level, ``rows[first] >= rows[second]``; None where dense chunks are cheaper.
    """

    indptr: IntArray
    rows: IntArray
    columns: IntArray
    n_tail: int
    first: IntArray | None
    second: IntArray | None

    @property
    def n_levels(self) -> int:
        """Levels of the eliminated block."""
        return len(self.indptr) - 1


def tail_coupling(coupling: Coupling, n_tail: int) -> TailCoupling:
    """Choose between dense chunks and pairs for one coupling."""
    counts = np.diff(coupling.indptr)
    n_pairs = int((counts * (counts + 1) // 2).sum())
    dense_cost = 0.5 * len(counts) * float(n_tail) ** 2
    first = second = None
    if n_pairs * PAIR_COST < dense_cost and n_pairs <= MAX_PAIRS:
        first, second = _entry_pairs(coupling.indptr, counts)
    return TailCoupling(coupling.indptr, coupling.rows, coupling.columns, n_tail, first, second)


def _entry_pairs(indptr: IntArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return all pairs of entries (first >= second) within a level."""
    position = np.arange(indptr[-1]) - np.repeat(indptr[:-1], counts)
    first = np.repeat(np.arange(indptr[-1]), position + 1)
    starts = np.cumsum(position + 1) - (position + 1)
    within = np.arange(len(first)) - starts[first]
    return first, np.repeat(indptr[:-1], counts)[first] + within


def subtract_schur(coupling: TailCoupling, entries: FloatArray, tail: FloatArray) -> None:
    """Subtract ``E E'`` from the lower triangle of the tail, in place; entries of shape (S, nnz)."""
    if coupling.first is None or coupling.second is None:
        for _, _, dense in _chunks(coupling, entries):
            tail -= dense.T @ dense
        return
    products = np.einsum("sk,sk->k", entries[:, coupling.first], entries[:, coupling.second])
    place = coupling.rows[coupling.first] * coupling.n_tail + coupling.rows[coupling.second]
    tail -= np.bincount(place, weights=products, minlength=tail.size).reshape(tail.shape)


def inverse_product(coupling: TailCoupling, inverse: FloatArray, entries: FloatArray) -> FloatArray:
    """Return ``(G E)`` on the pattern of E for a symmetric G, shape (S, nnz)."""
    out = np.empty_like(entries)
    if coupling.first is None or coupling.second is None:
        for levels, part, dense in _chunks(coupling, entries):
            product = (dense @ inverse).reshape(len(entries), -1, coupling.n_tail)
            out[:, part] = product[:, coupling.columns[part] - levels.start, coupling.rows[part]]
        return out
    first, second = coupling.first, coupling.second
    at = inverse[coupling.rows[first], coupling.rows[second]]
    off = np.where(first == second, 0.0, at)
    n = entries.shape[1]
    for s, row in enumerate(entries):
        out[s] = np.bincount(first, weights=at * row[second], minlength=n)
        out[s] += np.bincount(second, weights=off * row[first], minlength=n)
    return out


def _chunks(coupling: TailCoupling, entries: FloatArray) -> Iterator[tuple[slice, slice, FloatArray]]:
    """Yield levels, their entries, and E' as a dense array of shape (S * levels, n_tail)."""
    S, q = len(entries), coupling.n_levels
    step = max(1, CHUNK_DOUBLES // max(1, S * coupling.n_tail))
    for start in range(0, q, step):
        levels = slice(start, min(start + step, q))
        part = slice(int(coupling.indptr[levels.start]), int(coupling.indptr[levels.stop]))
        dense = np.zeros((S, levels.stop - levels.start, coupling.n_tail))
        dense[:, coupling.columns[part] - levels.start, coupling.rows[part]] = entries[:, part]
        yield levels, part, dense.reshape(-1, coupling.n_tail)
