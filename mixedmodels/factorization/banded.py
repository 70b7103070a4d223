"""Block-tridiagonal matrices with a dense border, for tails whose levels meet only their neighbours.

Rows are put in reverse Cuthill-McKee order and cut into blocks at least as long as the band is wide, so that
a block meets only the block before and the one after it. All blocks lie in one flat buffer, in which the
stored products of :class:`~mixedmodels.factorization.pair_products.PairProducts` find their place by number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from mixedmodels.arrays import FloatArray, IntArray

#: Blocks shorter than this are merged: LAPACK needs some length to be worth its call.
LEAST_BLOCK = 64


@dataclass(frozen=True, slots=True)
class BandedLayout:
    """Order and blocks of a block-tridiagonal matrix.

    Attributes
    ----------
    order, position : ndarray, shape (n,)
        Row at each position, and position of each row.
    starts : ndarray, shape (k + 1,)
        First position of each block.
    block_of : ndarray, shape (n,)
        Block of each position.
    diagonal_at, below_at : ndarray, shape (k,) and (k,)
        Where each diagonal block, and the block below it, begin in the buffer.
    size : int
        Length of the buffer.
    """

    order: IntArray
    position: IntArray
    starts: IntArray
    block_of: IntArray
    diagonal_at: IntArray
    below_at: IntArray
    size: int

    @property
    def n_blocks(self) -> int:
        """Number of diagonal blocks."""
        return len(self.starts) - 1

    @property
    def multiplications(self) -> float:
        """Order of magnitude of the multiplications of one factorization and inversion."""
        return float((np.diff(self.starts).astype(np.float64) ** 3).sum()) * 6.0

    def slots(self, first: IntArray, second: IntArray) -> IntArray:
        """Return where in the buffer the pairs of rows are kept, the later position leading."""
        a, b = self.position[first], self.position[second]
        row, col = np.maximum(a, b), np.minimum(a, b)
        row_block, col_block = self.block_of[row], self.block_of[col]
        begin = np.where(row_block == col_block, self.diagonal_at[col_block], self.below_at[col_block])
        width = self.starts[col_block + 1] - self.starts[col_block]
        return np.asarray(begin + (row - self.starts[row_block]) * width + col - self.starts[col_block])

    def diagonal(self, buffer: FloatArray, k: int) -> FloatArray:
        """Return diagonal block k, a view of shape (b, b); its lower triangle counts."""
        b = int(self.starts[k + 1] - self.starts[k])
        begin = int(self.diagonal_at[k])
        return buffer[begin : begin + b * b].reshape(b, b)

    def below(self, buffer: FloatArray, k: int) -> FloatArray:
        """Return the block below diagonal block k, a view of shape (b_next, b)."""
        b, after = int(self.starts[k + 1] - self.starts[k]), int(self.starts[k + 2] - self.starts[k + 1])
        begin = int(self.below_at[k])
        return buffer[begin : begin + b * after].reshape(after, b)


@dataclass(frozen=True, slots=True)
class BandedMatrix:
    """Block-tridiagonal matrix bordered by fixed effects; everything in the layout's order.

    Attributes
    ----------
    layout : BandedLayout
        Order and blocks.
    buffer : ndarray, shape (layout.size,)
        Blocks of the lower triangle.
    across : ndarray, shape (p, n)
        Fixed effects against the rows, by position.
    fixed : ndarray, shape (p, p)
        Fixed effects.
    """

    layout: BandedLayout
    buffer: FloatArray
    across: FloatArray
    fixed: FloatArray

    def copy(self) -> BandedMatrix:
        """Return a copy that shares nothing but the layout."""
        return BandedMatrix(self.layout, self.buffer.copy(), self.across.copy(), self.fixed.copy())

    def diagonal(self) -> FloatArray:
        """Return the diagonal, by position."""
        blocks = range(self.layout.n_blocks)
        return np.concatenate([np.diagonal(self.layout.diagonal(self.buffer, k)) for k in blocks])

    def multiply(self, x: FloatArray) -> FloatArray:
        """Return the product with x, both by position, the fixed effects last."""
        layout, n = self.layout, self.across.shape[1]
        out = np.concatenate((self.across.T @ x[n:], self.across @ x[:n] + self.fixed @ x[n:]))
        for k in range(layout.n_blocks):
            here = slice(int(layout.starts[k]), int(layout.starts[k + 1]))
            D = layout.diagonal(self.buffer, k)
            out[here] += np.tril(D) @ x[here] + np.tril(D, -1).T @ x[here]
            if k + 1 < layout.n_blocks:
                after, C = slice(here.stop, int(layout.starts[k + 2])), layout.below(self.buffer, k)
                out[after] += C @ x[here]
                out[here] += C.T @ x[after]
        return out


def banded_layout(adjacency: csr_array) -> BandedLayout:
    """Return a narrow order of a symmetric pattern and its blocks.

    Parameters
    ----------
    adjacency : csr_array, shape (n, n)
        Nonzero where two rows share an entry.
    """
    n = adjacency.shape[0]
    order = np.asarray(reverse_cuthill_mckee(adjacency, symmetric_mode=True), dtype=np.intp)
    position = np.empty(n, dtype=np.intp)
    position[order] = np.arange(n)
    entries = adjacency.tocoo()
    farthest = np.arange(n)
    np.maximum.at(farthest, position[entries.row], position[entries.col])
    reach = np.maximum.accumulate(farthest)
    starts = [0, min(n, LEAST_BLOCK)]
    while starts[-1] < n:
        # A block must hold every row that the one before it meets.
        starts.append(min(n, max(int(reach[starts[-1] - 1]) + 1, starts[-1] + LEAST_BLOCK)))
    return _with_buffer(order, position, np.array(starts, dtype=np.intp))


def _with_buffer(order: IntArray, position: IntArray, starts: IntArray) -> BandedLayout:
    b = np.diff(starts)
    sizes = np.stack([b * b, np.append(b[1:] * b[:-1], 0)], axis=1).ravel()
    begins = (np.cumsum(sizes) - sizes).reshape(-1, 2)
    block_of = np.repeat(np.arange(len(b)), b)
    return BandedLayout(order, position, starts, block_of, begins[:, 0], begins[:, 1], int(sizes.sum()))
