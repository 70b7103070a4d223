"""Form the cross-products of a pattern in one pass over the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.constant.choose import choose_layout, choose_rest
from mixedmodels.factorization.constant.cross_products import CrossProducts, RightHandSide
from mixedmodels.factorization.constant.rest import Rest
from mixedmodels.factorization.pattern import Pairs, Pattern
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.level_sums import level_sums

with on_first_use():
    from mixedmodels.factorization.constant import sparse_tail_matrix, sparse_tail_rest

if TYPE_CHECKING:
    from mixedmodels.factorization.constant.sparse_tail_matrix import SparseLayout, SparseMatrix


def fill(
    pattern: Pattern,
    X: FloatArray | ColumnMatrix,
    combination: FloatArray | None = None,
    weights: FloatArray | None = None,
    layout: SparseLayout | None = None,
    XX: FloatArray | None = None,
) -> CrossProducts:
    """Form the cross-products for row weights w in one pass.

    Parameters
    ----------
    pattern : Pattern
        Sparsity, from :func:`build_pattern`.
    X : ndarray or ColumnMatrix, shape (n, p)
        Fixed-effects columns; p may be 0.
    combination : ndarray, shape (p, p), or None
        What X is multiplied with, after the sums over the rows; None leaves it as it is.
    weights : ndarray, shape (n,), or None
        Row weights; None means 1.
    layout : SparseLayout, optional
        Of a sparse tail; by default chosen here, if one is worth it.
    XX : ndarray, shape (p, p), optional
        Products of the fixed effects, where they are known.
    """
    X = ColumnMatrix.of(X)
    weighted = X if weights is None else X.scaled(weights)
    if XX is None:
        XX = X.gram if weights is None else X.scaled(np.sqrt(weights)).gram
        XX = XX if combination is None else combination.T.dot(XX).dot(combination)
    return assemble(pattern, RowSums(pattern.blocks, weighted, combination, weights), XX, layout)


class Sums(Protocol):
    """Sums over the rows of products of columns, by levels of blocks, which are given by their positions."""

    def fixed(self, block: int) -> FloatArray:
        """Return fixed effects against a block, a known covariance between its levels applied, (p, S, q)."""

    def faces(self, block: int) -> FloatArray:
        """Return the products of a block's own columns, (S, S, q)."""

    def link(self, outer: int, inner: int) -> FloatArray:
        """Return the products of two blocks by levels of the inner one, nested in the other, (S, S', q')."""

    def pair_sums(
        self, pairs: Pairs, first: int, second: int
    ) -> Iterator[tuple[tuple[int, int], FloatArray]]:
        """Yield each pair of coefficients of two blocks with its sums by pair of levels, (n_pairs,)."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RowSums:
    """The same, formed from the rows.

    Attributes
    ----------
    blocks : tuple of Block
        The blocks, with their rows.
    weighted : ColumnMatrix, shape (n, p)
        Fixed-effects columns times the weights of the rows.
    combination : ndarray, shape (p, p), or None
        What they are multiplied with after the sums.
    weights : ndarray, shape (n,), or None
        Row weights; None means 1.
    """

    blocks: tuple[Block, ...]
    weighted: ColumnMatrix
    combination: FloatArray | None
    weights: FloatArray | None

    def fixed(self, block: int) -> FloatArray:
        """Return fixed effects against a block, a known covariance between its levels applied, (p, S, q)."""
        rows = _fixed_rows(self.blocks[block], self.weighted)
        if self.combination is None:
            return rows
        flat = rows.reshape(len(rows), rows.shape[1] * rows.shape[2])
        return np.asarray(self.combination.T.dot(flat).reshape(rows.shape))

    def faces(self, block: int) -> FloatArray:
        """Return the products of a block's own columns, (S, S, q)."""
        return _faces(self.blocks[block], self.weights)

    def link(self, outer: int, inner: int) -> FloatArray:
        """Return the products of two blocks by levels of the inner one, nested in the other, (S, S', q')."""
        return _link(self.blocks[outer], self.blocks[inner], self.weights)

    def pair_sums(
        self, pairs: Pairs, first: int, second: int
    ) -> Iterator[tuple[tuple[int, int], FloatArray]]:
        """Yield each pair of coefficients of two blocks with its sums by pair of levels, (n_pairs,)."""
        return _pair_sums(pairs, self.blocks[first], self.blocks[second], self.weights)


def assemble(
    pattern: Pattern, sums: Sums, XX: FloatArray, layout: SparseLayout | None = None
) -> CrossProducts:
    """Put sums over the rows in their places.

    Parameters
    ----------
    pattern : Pattern
        Sparsity, with its pairs of levels.
    sums : Sums
        Sums by levels.
    XX : ndarray, shape (p, p)
        Fixed effects.
    layout : SparseLayout, optional
        Of a sparse tail; by default chosen here, if one is worth it.
    """
    chain, p = pattern.chain, len(XX)
    XZ = tuple(sums.fixed(b) for b in range(len(pattern.blocks)))
    if layout is None:
        layout = choose_layout(pattern, p)
    return CrossProducts(
        faces=tuple(sums.faces(b) for b in range(len(pattern.blocks))),
        links={(j, k): sums.link(chain[k], chain[j]) for j, k in pattern.parents},
        rests=tuple(_rest(pattern, j, XZ[c], sums, layout) for j, c in enumerate(chain)),
        tail=_tail(pattern, sums) if layout is None else _sparse_tail(pattern, layout, sums, XZ, XX),
        XZ=XZ,
        XX=XX,
    )


def _fixed_rows(block: Block, X: ColumnMatrix) -> FloatArray:
    """Return ``X'Z_b`` by level, shape (p, S, q)."""
    rows = np.empty((X.shape[1], block.size, block.n_levels))
    for i, z in enumerate(block.columns):
        rows[:, i] = X.sums_by(block.codes, block.n_levels, z)
    return relate(block, rows)


def right_hand_side(pattern: Pattern, column: FloatArray, fixed: FloatArray) -> RightHandSide:
    """Form ``Z'c`` for one column c, weights already in it, beside ``X'c``."""
    return RightHandSide(tuple(relate(block, against(block, column)) for block in pattern.blocks), fixed)


def against(block: Block, column: FloatArray) -> FloatArray:
    """Return ``Z_b' column`` by level, shape (S, q)."""
    sums = np.empty((block.size, block.n_levels))
    for i, z in enumerate(block.columns):
        sums[i] = level_sums(block.codes, column if z is None else column * z, block.n_levels)
    return sums


def relate(block: Block, values: FloatArray) -> FloatArray:
    """Apply the factor of a known covariance between levels: ``values L_K`` over the last axis."""
    return values if block.relationship is None else values @ block.relationship


def _weighted_product(
    first: FloatArray | None, second: FloatArray | None, weights: FloatArray | None
) -> FloatArray | None:
    """Return the product of the columns that are not all ones; None if all are."""
    factors = [column for column in (first, second, weights) if column is not None]
    if not factors:
        return None
    product = factors[0]
    for column in factors[1:]:
        product = product * column
    return product


def _faces(block: Block, weights: FloatArray | None) -> FloatArray:
    S, q = block.size, block.n_levels
    faces = np.empty((S, S, q))
    for i in range(S):
        for j in range(i + 1):
            product = _weighted_product(block.columns[i], block.columns[j], weights)
            sums = level_sums(block.codes, product, q)
            if block.rotation is not None:
                assert block.relationship is not None
                sums = np.einsum("kl,k,kl->l", block.relationship, sums, block.relationship)
            faces[i, j] = faces[j, i] = sums
    return faces


def _link(outer: Block, inner: Block, weights: FloatArray | None) -> FloatArray:
    link = np.empty((outer.size, inner.size, inner.n_levels))
    for i, z in enumerate(outer.columns):
        for j, v in enumerate(inner.columns):
            product = _weighted_product(z, v, weights)
            link[i, j] = level_sums(inner.codes, product, inner.n_levels)
    return link


def _pair_sums(
    pairs: Pairs, first: Block, second: Block, weights: FloatArray | None
) -> Iterator[tuple[tuple[int, int], FloatArray]]:
    """Yield each pair of coefficients with its sums over the rows of each pair of levels, (n_pairs,)."""
    for i, z in enumerate(first.columns):
        for k, v in enumerate(second.columns):
            product = _weighted_product(z, v, weights)
            yield (i, k), level_sums(pairs.of_row, product, len(pairs.first))


def _rest(
    pattern: Pattern,
    j: int,
    XZ: FloatArray,
    sums: Sums,
    layout: SparseLayout | None,
) -> Rest:
    """Return the rows below the j-th chain block."""
    coupling, entries = pattern.couplings[j], _entries(pattern, j, sums)
    if layout is not None:
        return sparse_tail_rest.sparse_tail_rest(coupling.without_rows(), entries, XZ, layout)
    liftable = len(pattern.chain) > 1
    return choose_rest(coupling, entries, XZ, pattern.n_tail, liftable=liftable)


def _entries(pattern: Pattern, j: int, sums: Sums) -> FloatArray:
    """Return the entries of the coupling of the j-th chain block, shape (S, nnz)."""
    coupling, leading = pattern.couplings[j], pattern.blocks[pattern.chain[j]]
    if coupling.is_in_order and leading.size == 1:
        # They are the sums, which may be too many to hold them twice.
        _, products = next(iter(sums.pair_sums(coupling.pairs[0], pattern.chain[j], pattern.tail[0])))
        return np.ascontiguousarray(products)[None]
    entries = np.empty((leading.size, len(coupling.rows)))
    for t, pairs, slots in zip(pattern.tail, coupling.pairs, coupling.slots, strict=True):
        for (i, k), products in sums.pair_sums(pairs, pattern.chain[j], t):
            entries[i, slots[k]] = products
    return entries


def _tail(pattern: Pattern, sums: Sums) -> FloatArray:
    tail = np.zeros((pattern.n_tail, pattern.n_tail))
    blocks = [pattern.blocks[t] for t in pattern.tail]
    for r, block in enumerate(blocks):
        first = pattern.offsets[r] + np.arange(block.n_levels) * block.size
        faces = sums.faces(pattern.tail[r])
        for i, k in np.ndindex(faces.shape[:2]):
            tail[first + i, first + k] = faces[i, k]
    for (r, s), pairs in pattern.tail_pairs.items():
        rows = pattern.offsets[r] + pairs.first * blocks[r].size
        columns = pattern.offsets[s] + pairs.second * blocks[s].size
        for (i, k), products in sums.pair_sums(pairs, pattern.tail[r], pattern.tail[s]):
            tail[rows + i, columns + k] = tail[columns + k, rows + i] = products
    for r, block in enumerate(blocks):
        if block.relationship is not None:
            _relate_tail(tail, pattern.tail_slice(r), block)
    return tail


def _sparse_tail(
    pattern: Pattern,
    layout: SparseLayout,
    sums: Sums,
    XZ: tuple[FloatArray, ...],
    XX: FloatArray,
) -> SparseMatrix:
    """Return the tail on its pattern, with its border."""
    blocks = [pattern.blocks[t] for t in pattern.tail]
    p, size = len(XX), layout.pieces[-1].where.stop
    across = np.concatenate([XZ[t].transpose(0, 2, 1).reshape(p, -1) for t in pattern.tail], axis=1)
    tail = sparse_tail_matrix.SparseMatrix(layout, np.zeros(size), across, XX)
    for r, t in enumerate(pattern.tail):
        tail.diagonal_faces(r)[:] = sums.faces(t)
    for (r, s), pairs in pattern.tail_pairs.items():
        rows = pattern.offsets[r] + pairs.first * blocks[r].size
        columns = pattern.offsets[s] + pairs.second * blocks[s].size
        for (i, k), products in sums.pair_sums(pairs, pattern.tail[r], pattern.tail[s]):
            tail.values[layout.meetings.find(rows + i, columns + k)] = products
    return tail


def _relate_tail(tail: FloatArray, where: slice, block: Block) -> None:
    """Replace Z of a block by ``Z (L_K (x) I)`` in the rows and columns of the tail."""
    assert block.relationship is not None
    q, S, n = block.n_levels, block.size, tail.shape[0]
    columns = tail[:, where].reshape(n, q, S)
    half = np.matmul(columns.transpose(0, 2, 1), block.relationship)
    tail[:, where] = half.transpose(0, 2, 1).reshape(n, q * S)
    rows = tail[where].reshape(q, S * n)
    tail[where] = (block.relationship.T @ rows).reshape(q * S, n)
