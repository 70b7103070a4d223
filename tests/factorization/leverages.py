"""Leverages of the random effects from the inverse on the pattern: they touch every entry of it."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray, IndexArray, IntArray
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.constant.inverse import Inverse
from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix
from mixedmodels.factorization.pattern import Pattern


def leverages(pattern: Pattern, inverse: Inverse) -> FloatArray:
    """Return ``z_i' V z_i`` of every row, shape (n,).

    Parameters
    ----------
    pattern : Pattern
        Order of elimination.
    inverse : Inverse
        From :func:`~mixedmodels.factorization.constant.inverse.invert_on_pattern` with ``cross=True`` (and
        ``fixed_effects=False`` for the leverages given beta).
    """
    blocks = pattern.blocks
    total = np.zeros(len(blocks[0].codes))
    for j, b in enumerate(pattern.chain):
        block, V = blocks[b], inverse.chain[j]
        total += _quadratic(block, block, V.faces, block.codes)
        for k, link in V.links.items():
            total += 2.0 * _quadratic(blocks[pattern.chain[k]], block, link, block.codes)
        coupling = pattern.couplings[j]
        for t, slots, pairs in zip(pattern.tail, coupling.slots, coupling.pairs, strict=True):
            assert V.entries is not None
            total += 2.0 * _quadratic(block, blocks[t], V.entries[:, slots], pairs.of_row)
    return total + _tail_leverages(pattern, inverse)


def _tail_leverages(pattern: Pattern, inverse: Inverse) -> FloatArray | float:
    total: FloatArray | float = 0.0
    for r, t in enumerate(pattern.tail):
        block = pattern.blocks[t]
        levels = np.arange(block.n_levels)
        V = _tail_faces(pattern, inverse, (r, r), levels, levels)
        total = total + _quadratic(block, block, V, block.codes)
    for (r, s), pairs in pattern.tail_pairs.items():
        V = _tail_faces(pattern, inverse, (r, s), pairs.first, pairs.second)
        first, second = pattern.blocks[pattern.tail[r]], pattern.blocks[pattern.tail[s]]
        total = total + 2.0 * _quadratic(first, second, V, pairs.of_row)
    return total


def _tail_faces(
    pattern: Pattern, inverse: Inverse, blocks: tuple[int, int], first: IndexArray, second: IndexArray
) -> FloatArray:
    """Return the faces of V for pairs of levels of two tail blocks, shape (S_r, S_s, n_pairs)."""
    r, s = blocks
    S_r, S_s = (pattern.blocks[pattern.tail[k]].size for k in blocks)
    rows = pattern.offsets[r] + first * S_r + np.arange(S_r)[:, None]
    cols = pattern.offsets[s] + second * S_s + np.arange(S_s)[:, None]
    later, earlier = np.maximum(rows[:, None], cols[None]), np.minimum(rows[:, None], cols[None])
    V = inverse.tail.V
    if isinstance(V, SparseMatrix):
        return np.asarray(V.values[V.layout.meetings.find(later, earlier)])
    return np.asarray(V[later, earlier])


def _quadratic(first: Block, second: Block, V: FloatArray, of_row: IntArray | CodeArray) -> FloatArray:
    """Return ``z_i' V z_i`` with V of shape (S_first, S_second, m), picked for row i by ``of_row[i]``."""
    total = np.zeros(len(of_row))
    for i, z in enumerate(first.columns):
        for k, v in enumerate(second.columns):
            term = V[i, k][of_row]
            for column in (z, v):
                if column is not None:
                    term = term * column
            total += term
    return total
