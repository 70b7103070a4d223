"""Sparse tails: which levels meet once the chain is eliminated, and matrices on that pattern.

Elements are kept by faces of pairs of levels, so that a factor T is applied to all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array

from mixedmodels.arrays import FloatArray, IndexArray, IntArray
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.factorization.sparse_symbolic import Fronts


@dataclass(frozen=True, slots=True)
class Piece:
    """Pairs of levels of two tail blocks that meet.

    Attributes
    ----------
    blocks : tuple of int
        Positions (r, s) of the two blocks in the tail, r >= s.
    is_diagonal : bool
        Whether the pairs are the levels of one block with themselves.
    shape : tuple of int
        ``(S_r, S_s, m)`` for m pairs.
    where : slice
        Its elements in the flat array of values.
    """

    blocks: tuple[int, int]
    is_diagonal: bool
    shape: tuple[int, int, int]
    where: slice


@dataclass(frozen=True, slots=True)
class Meetings:
    """All pairs of levels that meet, the later one first; levels of all tail blocks are counted through.

    Attributes
    ----------
    level, coefficient : ndarray, shape (n_tail,)
        Level of each row of the tail, and its coefficient within the level.
    sizes : ndarray, shape (q,)
        Coefficients of each level.
    keys : ndarray, shape (n_pairs,)
        ``first * q + second``, ascending.
    begins, strides : ndarray, shape (n_pairs,)
        Where in the flat array of values a face begins, and how far its elements are apart.
    """

    level: IntArray
    coefficient: IntArray
    sizes: IntArray
    keys: IntArray
    begins: IntArray
    strides: IntArray

    def find(self, rows: IndexArray, columns: IndexArray) -> IntArray:
        """Return where in the flat array of values elements are kept; no row before its column."""
        first, second = self.level[rows], self.level[columns]
        pair = np.searchsorted(self.keys, first * len(self.sizes) + second)
        within = self.coefficient[rows] * self.sizes[second] + self.coefficient[columns]
        return np.asarray(self.begins[pair] + within * self.strides[pair])


@dataclass(frozen=True, slots=True)
class SparseLayout:
    """Pattern of a sparse tail and where its Cholesky factor keeps each element.

    Attributes
    ----------
    fronts : Fronts
        Symbolic factorization, the fixed effects as its last rows.
    meetings : Meetings
        Pairs of levels.
    pieces : tuple of Piece
        Lower triangle of the tail by pairs of blocks; first the diagonal of each block, in order.
    n_diagonal : int
        Values that belong to diagonals of blocks.
    slots : ndarray, shape (n_values,)
        Where the fronts keep each value.
    across_slots, fixed_slots : ndarray, shapes (p, n_tail) and (p, p)
        The same for the fixed effects.
    diagonal_slots : ndarray, shape (n_tail + p,)
        The same for the diagonal, fixed effects last.
    rows, columns : ndarray, shape (n_values,)
        Row and column of each value.
    """

    fronts: Fronts
    meetings: Meetings
    pieces: tuple[Piece, ...]
    n_diagonal: int
    slots: IntArray
    across_slots: IntArray
    fixed_slots: IntArray
    diagonal_slots: IntArray
    rows: IntArray
    columns: IntArray

    @property
    def n_tail(self) -> int:
        """Random effects in the tail."""
        return len(self.meetings.level)


@dataclass(frozen=True, slots=True)
class SparseMatrix:
    """Symmetric matrix on the pattern of a sparse tail, bordered by fixed effects.

    Attributes
    ----------
    layout : SparseLayout
        Pattern.
    values : ndarray, shape (n_values,)
        Elements of the lower triangle piece by piece; faces on the diagonal in full.
    across : ndarray, shape (p, n_tail)
        Fixed effects against the rows.
    fixed : ndarray, shape (p, p)
        Fixed effects.
    """

    layout: SparseLayout
    values: FloatArray
    across: FloatArray
    fixed: FloatArray

    def copy(self) -> SparseMatrix:
        """Return a copy that shares nothing but the layout."""
        return SparseMatrix(self.layout, self.values.copy(), self.across.copy(), self.fixed.copy())

    def faces(self, piece: Piece) -> FloatArray:
        """Return the elements of one piece, a view of shape (S_r, S_s, m)."""
        return self.values[piece.where].reshape(piece.shape)

    def diagonal_faces(self, r: int) -> FloatArray:
        """Return the faces on the diagonal of one tail block, a view of shape (S, S, q)."""
        return self.faces(self.layout.pieces[r])

    def mirror_faces(self) -> None:
        """Fill the upper triangles of the faces on the diagonal from the lower ones, in place."""
        for piece in self.layout.pieces:
            if piece.is_diagonal:
                A = self.faces(piece)
                for i in range(1, len(A)):
                    A[:i, i] = A[i, :i]

    def multiply(self, x: FloatArray) -> FloatArray:
        """Return the product with x, the fixed effects last."""
        layout, n = self.layout, self.layout.n_tail
        z, fixed = x[:n], x[n:]
        lower = np.bincount(layout.rows, self.values * z[layout.columns], n)
        off = slice(layout.n_diagonal, None)
        upper = np.bincount(layout.columns[off], self.values[off] * z[layout.rows[off]], n)
        return np.concatenate((lower + upper + fixed @ self.across, self.across @ z + self.fixed @ fixed))

    def scaled(self, factors: Sequence[FloatArray]) -> SparseMatrix:
        """Return ``Lambda' A Lambda`` for the factor T of each tail block; fixed effects stay as they are."""
        out = SparseMatrix(self.layout, np.empty_like(self.values), np.empty_like(self.across), self.fixed)
        start = 0
        for piece in self.layout.pieces:
            r, s = piece.blocks
            out.faces(piece)[:] = _between(self.faces(piece), factors[r], factors[s])
            if piece.is_diagonal:
                where = slice(start, start + piece.shape[0] * piece.shape[2])
                out.across[:, where] = _scaled_columns(self.across[:, where], factors[r])
                start = where.stop
        return out


def _between(A: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """Return ``left' A_l right`` for every face."""
    if A.shape[:2] == (1, 1):
        return np.asarray(A * (left[0, 0] * right[0, 0]))
    half = (left.T @ A.reshape(len(A), -1)).reshape(A.shape)
    return np.asarray(np.matmul(right.T, half))


def _scaled_columns(rows: FloatArray, T: FloatArray) -> FloatArray:
    """Multiply each group of S columns by T; rows of shape (p, q S)."""
    return np.asarray((rows.reshape(-1, len(T)) @ T).reshape(rows.shape))


def meeting_levels(pattern: Pattern) -> tuple[IntArray, csc_array]:
    """Return the coefficients of each level of the tail, and the chain levels each of them meets.

    The outermost block of the chain decides: whoever meets within a level of an inner one meets there too.
    The second result has shape (q, q_outer), levels of all tail blocks being counted through.
    """
    blocks = [pattern.blocks[t] for t in pattern.tail]
    counts = [block.n_levels for block in blocks]
    starts = np.cumsum([0, *counts])
    pairs = pattern.couplings[-1].pairs
    rows = np.concatenate([start + pair.second for start, pair in zip(starts[:-1], pairs, strict=True)])
    columns = np.concatenate([pair.first for pair in pairs])
    shape = (int(starts[-1]), pattern.blocks[pattern.chain[-1]].n_levels)
    met = csc_array((np.ones(len(rows), dtype=np.bool_), (rows, columns)), shape=shape)
    return np.repeat([block.size for block in blocks], counts), met


def sparse_layout(
    pattern: Pattern, adjacency: csc_array, sizes: IntArray, fronts: Fronts, p: int
) -> SparseLayout:
    """Lay out a tail.

    Parameters
    ----------
    pattern : Pattern
        Order of elimination.
    adjacency : csc_array, shape (q, q)
        Nonzero where two levels of the tail meet.
    sizes : ndarray, shape (q,)
        Coefficients of each level.
    fronts : Fronts
        Symbolic factorization.
    p : int
        Number of fixed effects.
    """
    blocks = [pattern.blocks[t] for t in pattern.tail]
    q, n_tail = len(sizes), pattern.n_tail
    entries = adjacency.tocoo()
    lower = entries.row >= entries.col
    keys = np.sort(entries.row[lower].astype(np.intp) * q + entries.col[lower])
    first, second = keys // q, keys % q
    owner = np.repeat(np.arange(len(blocks)), [block.n_levels for block in blocks])
    first_row = np.cumsum(sizes) - sizes
    pieces, rows, columns = [], [], []
    begins, strides = np.empty(len(keys), dtype=np.intp), np.empty(len(keys), dtype=np.intp)
    diagonals = [(r, r, True) for r in range(len(blocks))]
    others = [(r, s, False) for r in range(len(blocks)) for s in range(r + 1)]
    begin = n_diagonal = 0
    for r, s, is_diagonal in [*diagonals, *others]:
        chosen = (owner[first] == r) & (owner[second] == s) & ((first == second) == is_diagonal)
        pairs = np.flatnonzero(chosen)
        shape = (blocks[r].size, blocks[s].size, len(pairs))
        pieces.append(Piece((r, s), is_diagonal, shape, slice(begin, begin + shape[0] * shape[1] * shape[2])))
        begins[pairs], strides[pairs] = begin + np.arange(len(pairs)), len(pairs)
        for i in range(shape[0]):
            for j in range(shape[1]):
                rows.append(first_row[first[pairs]] + i)
                columns.append(first_row[second[pairs]] + j)
        begin = pieces[-1].where.stop
        n_diagonal = begin if is_diagonal else n_diagonal
    all_rows, all_columns = np.concatenate(rows), np.concatenate(columns)
    level = np.repeat(np.arange(q), sizes)
    fixed = n_tail + np.arange(p)
    return SparseLayout(
        fronts=fronts,
        meetings=Meetings(level, np.arange(n_tail) - first_row[level], sizes, keys, begins, strides),
        pieces=tuple(pieces),
        n_diagonal=n_diagonal,
        slots=fronts.slots(all_rows, all_columns),
        across_slots=fronts.slots(*np.broadcast_arrays(fixed[:, None], np.arange(n_tail))),
        fixed_slots=fronts.slots(*np.broadcast_arrays(fixed[:, None], fixed)),
        diagonal_slots=fronts.slots(np.arange(n_tail + p), np.arange(n_tail + p)),
        rows=all_rows,
        columns=all_columns,
    )
