"""Sparse tails: which levels meet once the chain is eliminated, and matrices on that pattern.

Elements are kept by faces of pairs of levels, so that a factor T is applied to all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, hstack

from mixedmodels.arrays import CodeArray, FloatArray, IndexArray, IntArray
from mixedmodels.factorization.constant.penalty import (
    Penalty,
    entries_of_precision,
    log_det_precision,
    related_levels,
)
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.factorization.sparse.symbolic import Fronts
from mixedmodels.kernels.pairs import find_kept


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Meetings:
    """All pairs of levels that meet, the later one first; levels of all tail blocks are counted through.

    Attributes
    ----------
    level, coefficient : int32 ndarray, shape (n_tail,)
        Level of each row of the tail, and its coefficient within the level.
    sizes : int32 ndarray, shape (q,)
        Coefficients of each level.
    starts, columns : int32 ndarray
        The levels, not after it, that each level meets, ascending.
    begins, strides : int32 ndarray, shape (n_pairs,)
        Where in the flat array of values a face begins, and how far its elements are apart.
    """

    level: CodeArray
    coefficient: CodeArray
    sizes: CodeArray
    starts: CodeArray
    columns: CodeArray
    begins: CodeArray
    strides: CodeArray

    @property
    def arrays(self) -> tuple[CodeArray, ...]:
        """What the functions of :mod:`mixedmodels.kernels.pairs` take."""
        return (
            self.level,
            self.coefficient,
            self.sizes,
            self.starts,
            self.columns,
            self.begins,
            self.strides,
        )

    def find(self, rows: IndexArray, columns: IndexArray) -> CodeArray:
        """Return where in the flat array of values elements are kept; no row before its column."""
        return find_kept(rows, columns, *self.arrays)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
    penalty : Penalty or None
        Prior precision of related levels; None for the identity.
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
    penalty: Penalty | None = None

    @property
    def n_tail(self) -> int:
        """Random effects in the tail."""
        return len(self.meetings.level)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
    The second result has shape (q, q_outer), levels of all tail blocks being counted through. Pairs of levels
    that share rows outside the chain take the place of further levels of it.
    """
    blocks = [pattern.blocks[t] for t in pattern.tail]
    counts = [block.n_levels for block in blocks]
    starts = np.cumsum([0, *counts])
    rows: list[IndexArray] = []
    columns: list[IndexArray] = []
    width = 0
    if pattern.chain:
        pairs = pattern.couplings[-1].pairs
        rows += [start + pair.second for start, pair in zip(starts[:-1], pairs, strict=True)]
        columns += [pair.first for pair in pairs]
        width = pattern.blocks[pattern.chain[-1]].n_levels
    if not pattern.chain or any(block.present is not None for block in blocks):
        for (r, s), pair in pattern.tail_pairs.items():
            number = width + np.arange(len(pair.first))
            rows += [starts[r] + pair.first, starts[s] + pair.second]
            columns += [number, number]
            width += len(number)
    empty = np.empty(0, dtype=np.intp)
    entries = np.concatenate([empty, *rows]), np.concatenate([empty, *columns])
    met = csc_array((np.ones(len(entries[0]), dtype=np.bool_), entries), shape=(int(starts[-1]), width))
    return np.repeat([block.size for block in blocks], counts), met


def meetings_of(met: csc_array) -> csc_array:
    """Return which levels of the tail meet, every level with itself among them; sorted, shape (q, q)."""
    absent = np.flatnonzero(np.bincount(met.indices, minlength=met.shape[0]) == 0)
    if len(absent):
        ones, shape = np.ones(len(absent), dtype=np.bool_), (met.shape[0], len(absent))
        alone = csc_array((ones, (absent, np.arange(len(absent)))), shape=shape)
        met = hstack([met, alone], format="csc")
    # Converted to rows, the symmetric product comes out sorted.
    product = csc_array(met @ met.T).tocsr()
    return csc_array((product.data, product.indices, product.indptr), shape=product.shape)


def sparse_layout(
    pattern: Pattern, adjacency: csc_array, sizes: IntArray, fronts: Fronts, p: int
) -> SparseLayout:
    """Lay out a tail.

    Parameters
    ----------
    pattern : Pattern
        Order of elimination.
    adjacency : csc_array, shape (q, q)
        Nonzero where two levels of the tail meet, sorted.
    sizes : ndarray, shape (q,)
        Coefficients of each level.
    fronts : Fronts
        Symbolic factorization.
    p : int
        Number of fixed effects.
    """
    n_tail = pattern.n_tail
    first, second = _lower(adjacency)
    pieces, members = _pieces(pattern, first, second)
    first_row = np.cumsum(sizes) - sizes
    held = list(zip(pieces, members, strict=True))
    rows = np.concatenate([_every(piece, first_row[first[pairs]], 0) for piece, pairs in held])
    columns = np.concatenate([_every(piece, first_row[second[pairs]], 1) for piece, pairs in held])
    fixed = n_tail + np.arange(p)
    meetings = _meetings(first, second, sizes, pieces, members)
    return SparseLayout(
        fronts=fronts,
        meetings=meetings,
        pieces=pieces,
        n_diagonal=max(piece.where.stop for piece in pieces if piece.is_diagonal),
        slots=fronts.slots(rows, columns),
        across_slots=fronts.slots(*np.broadcast_arrays(fixed[:, None], np.arange(n_tail))),
        fixed_slots=fronts.slots(*np.broadcast_arrays(fixed[:, None], fixed)),
        diagonal_slots=fronts.slots(np.arange(n_tail + p), np.arange(n_tail + p)),
        rows=rows,
        columns=columns,
        penalty=_penalty(pattern, meetings, len(rows)),
    )


def _penalty(pattern: Pattern, meetings: Meetings, n_values: int) -> Penalty | None:
    """Return the prior precision of the tail on its pattern, None for the identity."""
    if related_levels(pattern) is None:
        return None
    values = np.zeros(n_values)
    for r in range(len(pattern.tail)):
        rows, columns, elements = entries_of_precision(pattern, r)
        values[meetings.find(rows, columns)] = elements
    precisions = (pattern.blocks[t].precision for t in pattern.tail)
    return Penalty(
        values,
        log_det_precision(pattern),
        tuple(None if root is None else root.precision for root in precisions),
    )


def _lower(adjacency: csc_array) -> tuple[IntArray, IntArray]:
    """Return the pairs of levels that meet, no first one before its second, ascending."""
    first = np.repeat(np.arange(adjacency.shape[0]), np.diff(adjacency.indptr))
    second = adjacency.indices.astype(np.intp)
    lower = second <= first
    return first[lower], second[lower]


def _pieces(
    pattern: Pattern, first: IntArray, second: IntArray
) -> tuple[tuple[Piece, ...], tuple[IntArray, ...]]:
    """Return the pieces of the lower triangle and the pairs that belong to each."""
    blocks = [pattern.blocks[t] for t in pattern.tail]
    owner = np.repeat(np.arange(len(blocks)), [block.n_levels for block in blocks])
    row_block, column_block, is_own = owner[first], owner[second], first == second
    diagonals = [(r, r, True) for r in range(len(blocks))]
    others = [(r, s, False) for r in range(len(blocks)) for s in range(r + 1)]
    pieces: list[Piece] = []
    members = []
    begin = 0
    for r, s, is_diagonal in [*diagonals, *others]:
        chosen = np.flatnonzero((row_block == r) & (column_block == s) & (is_own == is_diagonal))
        shape = (blocks[r].size, blocks[s].size, len(chosen))
        end = begin + shape[0] * shape[1] * shape[2]
        pieces.append(Piece((r, s), is_diagonal, shape, slice(begin, end)))
        members.append(chosen)
        begin = end
    return tuple(pieces), tuple(members)


def _every(piece: Piece, first_rows: IntArray, axis: int) -> IntArray:
    """Return the row (axis 0) or column (axis 1) of every value of a piece."""
    coefficient = np.arange(piece.shape[axis])
    offsets = coefficient[:, None, None] if axis == 0 else coefficient[None, :, None]
    return np.broadcast_to(first_rows + offsets, piece.shape).ravel()


def _meetings(
    first: IntArray,
    second: IntArray,
    sizes: IntArray,
    pieces: Sequence[Piece],
    members: Sequence[IntArray],
) -> Meetings:
    """Return the pairs of levels by number, in the 32 bits kernels read."""
    begins, strides = np.empty(len(first), dtype=np.int32), np.empty(len(first), dtype=np.int32)
    for piece, pairs in zip(pieces, members, strict=True):
        begins[pairs] = piece.where.start + np.arange(len(pairs))
        strides[pairs] = len(pairs)
    level = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    first_row = np.cumsum(sizes) - sizes
    return Meetings(
        level=level,
        coefficient=(np.arange(len(level)) - first_row[level]).astype(np.int32),
        sizes=sizes.astype(np.int32),
        starts=np.concatenate(([0], np.cumsum(np.bincount(first, minlength=len(sizes))))).astype(np.int32),
        columns=second.astype(np.int32),
        begins=begins,
        strides=strides,
    )
