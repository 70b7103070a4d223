"""The coupling between an eliminated block and the dense tail, and the products that crossed models cost.

With E the coupling of one eliminated block (tail rows by levels), ``E E'`` gives the Schur complement and
``G E`` on the pattern of E the inverse. Where most pairs of levels occur E is kept dense, a matrix of levels
by tail rows, and the products are BLAS; else its entries are listed and the products run over the pairs of
entries that share a level. A cost model chooses once for each pattern. Either way the entries of E are the
last axis of an array of shape (S, m).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.pattern import Coupling
from mixedmodels.factorization.weighted.row_sums import RowSums, count_rows, counted_rows, row_sums, sum_rows

# Cost of a pair of entries (gathers, product, count) in multiply-adds of BLAS, and in a compiled loop
# (measured).
PAIR_COST, COMPILED_PAIR_COST = 60.0, 4.0
# Cells of a dense coupling for each entry it has, beyond which memory is wasted.
MOST_CELLS = 40.0
# Pairs beyond this number would need more memory than they save time.
MOST_PAIRS = 30_000_000


@dataclass(frozen=True)
class TailCoupling:
    """Entries of the coupling of one eliminated block with the tail.

    Attributes
    ----------
    n_levels, n_tail : int
        Levels of the eliminated block, random effects in the tail.
    rows, columns : ndarray, shape (m,)
        Tail row and level of each entry, sorted by level; all ``n_levels * n_tail`` pairs where dense.
    by_column : RowSums
        Sums of entries by level.
    places : tuple of tuple of RowSums
        For each tail block and each of its coefficients, the entry that each data row adds to.
    is_dense : bool
        Whether all pairs of a level and a tail row have an entry.
    """

    n_levels: int
    n_tail: int
    rows: IntArray
    columns: IntArray
    by_column: RowSums
    places: tuple[tuple[RowSums, ...], ...]
    is_dense: bool

    @cached_property
    def pairs(self) -> tuple[IntArray, IntArray]:
        """Listed entries that share a level, first and second, ``rows[first] >= rows[second]``."""
        return _entry_pairs(np.bincount(self.columns, minlength=self.n_levels))


def tail_coupling(
    codes: IntArray,
    n_levels: int,
    tail: Sequence[tuple[Block, IntArray, int]],
    coupling: Coupling,
    n_tail: int,
    dense: bool = False,
    is_compiled: bool = False,
) -> TailCoupling:
    """Lay out the entries of the coupling, dense or listed, whichever is cheaper.

    Parameters
    ----------
    codes : ndarray, shape (n,)
        Level of each row in the eliminated block.
    n_levels : int
        Its number of levels.
    tail : sequence of (Block, codes, first tail row)
        Blocks of the tail.
    coupling : Coupling
        The entries there are.
    n_tail : int
        Random effects in the tail.
    dense : bool
        Keep it dense whatever the cost; needed outside a dense coupling.
    is_compiled : bool
        Whether compiled loops run over the pairs, which they do not list.
    """
    counts = np.diff(coupling.indptr)
    n_pairs = int((counts * (counts + 1) // 2).sum())
    n_cells = n_levels * n_tail
    cost = (COMPILED_PAIR_COST if is_compiled else PAIR_COST) * n_pairs
    is_many = n_pairs > MOST_PAIRS and not is_compiled
    is_dense = dense or is_many or _prefers_dense(cost, n_cells, n_tail, len(coupling.rows))
    if is_dense:
        rows, columns = np.tile(np.arange(n_tail), n_levels), np.repeat(np.arange(n_levels), n_tail)
        indices, size = _all_cells(codes, tail, n_tail), n_cells
    else:
        rows, columns = coupling.rows.astype(np.intp), coupling.columns.astype(np.intp)
        by_block = zip(coupling.pairs, coupling.slots, strict=True)
        indices = [slot.astype(np.intp)[pairs.of_row] for pairs, slots in by_block for slot in slots]
        size = len(rows)
    sums = iter([(counted_rows if is_compiled else row_sums)(index, size) for index in indices])
    places = tuple(tuple(next(sums) for _ in range(block.size)) for block, _, _ in tail)
    return TailCoupling(n_levels, n_tail, rows, columns, row_sums(columns, n_levels), places, is_dense)


def _all_cells(codes: IntArray, tail: Sequence[tuple[Block, IntArray, int]], n_tail: int) -> list[IntArray]:
    """Return, for each coefficient of the tail's blocks, the cell of a dense coupling each row adds to."""
    return [
        codes * n_tail + start + level * block.size + b
        for block, level, start in tail
        for b in range(block.size)
    ]


def _prefers_dense(cost: float, n_cells: int, n_tail: int, n_entries: int) -> bool:
    """Compare the multiply-adds of the dense product with the cost of the pairs."""
    return 0.5 * n_cells * n_tail < cost and n_cells < MOST_CELLS * n_entries


def _entry_pairs(counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return all pairs of entries (first >= second) within a level, entries sorted by level."""
    n = int(counts.sum())
    start = np.repeat(np.cumsum(counts) - counts, counts)
    n_partners = np.arange(n) - start + 1
    first = np.repeat(np.arange(n), n_partners)
    within = np.arange(len(first)) - np.repeat(np.cumsum(n_partners) - n_partners, n_partners)
    return first, start[first] + within


def by_levels(coupling: TailCoupling, entries: FloatArray) -> FloatArray:
    """Return a dense coupling as an array of shape (S, levels, n_tail)."""
    return entries.reshape(len(entries), coupling.n_levels, coupling.n_tail)


def apply_by_level(coupling: TailCoupling, M: FloatArray, entries: FloatArray) -> FloatArray:
    """Return ``M_l E`` for every entry of level l; shapes (a, S, q) and (S, m) to (a, m)."""
    if coupling.is_dense:
        cells = by_levels(coupling, entries)
        if M.shape[:2] == (1, 1):
            return np.asarray((M[0, 0][:, None] * cells[0]).reshape(1, -1))
        return np.asarray(np.einsum("abl,blt->alt", M, cells).reshape(len(M), -1))
    if M.shape[:2] == (1, 1):
        return np.asarray(M[0, 0].take(coupling.columns) * entries)
    return np.asarray(np.einsum("abk,bk->ak", M[:, :, coupling.columns], entries))


def tail_times(coupling: TailCoupling, entries: FloatArray, y: FloatArray) -> FloatArray:
    """Return ``E y``, shapes (S, m) and (..., S, q) to (..., n_tail)."""
    if coupling.is_dense:
        return np.asarray(y.reshape(*y.shape[:-2], -1) @ entries.reshape(-1, coupling.n_tail))
    if y.ndim > 2:
        return np.stack([tail_times(coupling, entries, part) for part in y])
    weights = np.einsum("sk,sk->k", entries, y[:, coupling.columns])
    return count_rows(coupling.rows, weights, coupling.n_tail)


def transposed_times(coupling: TailCoupling, entries: FloatArray, x: FloatArray) -> FloatArray:
    """Return ``E'x``, shapes (S, m) and (..., n_tail) to (..., S, q)."""
    if coupling.is_dense:
        product = x @ entries.reshape(-1, coupling.n_tail).T
        return np.asarray(product.reshape(*x.shape[:-1], len(entries), -1))
    if x.ndim > 1:
        return np.stack([transposed_times(coupling, entries, part) for part in x])
    return sum_rows(coupling.by_column, entries * x[coupling.rows])


def subtract_schur(coupling: TailCoupling, entries: FloatArray, tail: FloatArray) -> None:
    """Subtract ``E E'`` from the lower triangle of the tail, in place."""
    if coupling.is_dense:
        dense = entries.reshape(-1, coupling.n_tail)
        tail -= dense.T @ dense
        return
    first, second = coupling.pairs
    products = np.einsum("sk,sk->k", entries[:, first], entries[:, second])
    place = coupling.rows[first] * coupling.n_tail + coupling.rows[second]
    tail -= np.bincount(place, weights=products, minlength=tail.size).reshape(tail.shape)


def inverse_product(coupling: TailCoupling, inverse: FloatArray, entries: FloatArray) -> FloatArray:
    """Return ``(G E)`` on the pattern of E for a symmetric G, shape (S, m)."""
    if coupling.is_dense:
        dense = entries.reshape(-1, coupling.n_tail)
        return (dense @ inverse).reshape(entries.shape)
    first, second = coupling.pairs
    at = inverse[coupling.rows[first], coupling.rows[second]]
    off = np.where(first == second, 0.0, at)
    out = np.empty_like(entries)
    for s, row in enumerate(entries):
        out[s] = np.bincount(first, weights=at * row[second], minlength=len(row))
        out[s] += np.bincount(second, weights=off * row[first], minlength=len(row))
    return out


def products_by_level(coupling: TailCoupling, first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the sums over the entries of each level of products, shape (S_first, S_second, q)."""
    if coupling.is_dense:
        return np.asarray(np.einsum("alt,blt->abl", by_levels(coupling, first), by_levels(coupling, second)))
    return sum_rows(coupling.by_column, first[:, None] * second[None])
