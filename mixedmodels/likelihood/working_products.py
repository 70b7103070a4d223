"""Cross-products ``Z'WZ`` for weights W that change at every step, refilled on a fixed pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.pattern import Pattern


@dataclass(frozen=True, slots=True)
class WorkingProducts:
    """Blocks of ``Z'WZ``.

    Attributes
    ----------
    faces : tuple of ndarray, each (S, S, q)
        Diagonal blocks of the chain, in order.
    links : dict
        ``links[j, k]``, shape (S_k, S_j, q_j): chain block k against the levels of chain block j, j < k.
    entries : tuple of ndarray, each (S_j, nnz_j)
        The tail against each chain block, on the pattern of their coupling.
    tail : ndarray, shape (n_tail, n_tail)
        Symmetric, both halves filled; column-major.
    """

    faces: tuple[FloatArray, ...]
    links: dict[tuple[int, int], FloatArray]
    entries: tuple[FloatArray, ...]
    tail: FloatArray


def working_products(pattern: Pattern, codes: Sequence[IntArray], W: FloatArray) -> WorkingProducts:
    """Form ``Z'WZ`` on the pattern."""
    blocks, chain = pattern.blocks, pattern.chain
    return WorkingProducts(
        tuple(_face(blocks[c], codes[c], W) for c in chain),
        {
            (j, k): _sums(blocks[chain[k]], blocks[chain[j]], codes[chain[j]], blocks[chain[j]].n_levels, W)
            for j, k in pattern.parents
        },
        tuple(_entries(pattern, j, W) for j in range(len(chain))) if pattern.tail else (),
        _tail(pattern, codes, W),
    )


def _face(block: Block, codes: IntArray, W: FloatArray) -> FloatArray:
    """Return the diagonal faces of one block."""
    S, q = block.size, block.n_levels
    face = np.empty((S, S, q))
    for a, first in enumerate(block.columns):
        weighted = W if first is None else W * first
        for b, second in enumerate(block.columns[: a + 1]):
            product = weighted if second is None else weighted * second
            face[a, b] = np.bincount(codes, weights=product, minlength=q)
            face[b, a] = face[a, b]
    return face


def _sums(first: Block, second: Block, index: IntArray, n: int, W: FloatArray) -> FloatArray:
    """Return sums of products of columns over rows with equal index, shape (S_first, S_second, n)."""
    sums = np.empty((first.size, second.size, n))
    for a, z in enumerate(first.columns):
        weighted = W if z is None else W * z
        for b, v in enumerate(second.columns):
            product = weighted if v is None else weighted * v
            sums[a, b] = np.bincount(index, weights=product, minlength=n)
    return sums


def _entries(pattern: Pattern, j: int, W: FloatArray) -> FloatArray:
    """Return the entries of the tail against one chain block."""
    coupling, leading = pattern.couplings[j], pattern.blocks[pattern.chain[j]]
    entries = np.empty((leading.size, len(coupling.rows)))
    for t, pairs, slots in zip(pattern.tail, coupling.pairs, coupling.slots, strict=True):
        sums = _sums(pattern.blocks[t], leading, pairs.of_row, len(pairs.first), W)
        for b, slot in enumerate(slots):
            entries[:, slot] = sums[b]
    return entries


def _tail(pattern: Pattern, codes: Sequence[IntArray], W: FloatArray) -> FloatArray:
    """Return the dense tail, known covariances between levels applied."""
    tail = np.zeros((pattern.n_tail, pattern.n_tail), order="F")
    blocks = [pattern.blocks[t] for t in pattern.tail]
    for r, block in enumerate(blocks):
        levels = pattern.offsets[r] + np.arange(block.n_levels) * block.size
        _scatter(tail, levels, levels, _face(block, codes[pattern.tail[r]], W))
    for (r, s), pairs in pattern.tail_pairs.items():
        sums = _sums(blocks[r], blocks[s], pairs.of_row, len(pairs.first), W)
        rows = pattern.offsets[r] + pairs.first * blocks[r].size
        columns = pattern.offsets[s] + pairs.second * blocks[s].size
        _scatter(tail, rows, columns, sums)
        _scatter(tail, columns, rows, sums.transpose(1, 0, 2))
    for r, block in enumerate(blocks):
        if block.relationship is not None:
            _relate(tail, pattern.tail_slice(r), block.relationship.T)
    return tail


def _scatter(tail: FloatArray, rows: IntArray, columns: IntArray, values: FloatArray) -> None:
    """Put the faces of pairs of levels in their place."""
    for a in range(values.shape[0]):
        for b in range(values.shape[1]):
            tail[rows + a, columns + b] = values[a, b]


def _relate(tail: FloatArray, where: slice, M: FloatArray) -> None:
    """Replace rows and columns R of one block by ``(M (x) I) R``, in place."""
    size = (where.stop - where.start) // len(M)
    for view in (tail, tail.T):
        levels = view[where].reshape(len(M), size, -1)
        view[where] = np.tensordot(M, levels, axes=1).reshape(where.stop - where.start, -1)


def related(inverse: FloatArray, pattern: Pattern) -> FloatArray:
    """Return the inverse of the tail with known covariances between levels applied on both sides."""
    for r, t in enumerate(pattern.tail):
        L_K = pattern.blocks[t].relationship
        if L_K is not None:
            inverse = inverse.copy()
            _relate(inverse, pattern.tail_slice(r), L_K)
    return inverse
