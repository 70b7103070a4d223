"""What never changes while a model is fitted: who shares rows with whom.

Blocks that are eliminated (the *chain*) keep block-diagonal factors: the leading block always does, and a
later block does if every level of each eliminated block lies within one of its levels (pupils in classes
in schools). All other blocks form the *tail*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array

from mixedmodels.arrays import CodeArray, IntArray
from mixedmodels.factorization.blocks import Block

#: Pairs of levels are numbered through a table while it stays below this many cells per data row.
TABLE_CELLS_PER_ROW = 4


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of levels of two factors that occur together in the data.

    Attributes
    ----------
    of_row : ndarray, shape (n,)
        Number of the pair each data row belongs to.
    first, second : ndarray, shape (n_pairs,)
        Levels of the two factors, sorted by `first`, then `second`.
    """

    of_row: IntArray
    first: IntArray
    second: IntArray


@dataclass(frozen=True, slots=True)
class Coupling:
    """Where the tail meets one chain block: a compressed-column pattern, one column for each level.

    Attributes
    ----------
    indptr : ndarray, shape (q + 1,)
        Start of each level's entries.
    rows : ndarray, shape (nnz,)
        Scalar tail rows, ascending within a level.
    pairs : tuple of Pairs
        For each tail block, the level pairs (chain level, tail level).
    slots : tuple of ndarray, each (S_tail, n_pairs)
        Entry of each coefficient of each pair.
    """

    indptr: IntArray
    rows: IntArray
    pairs: tuple[Pairs, ...]
    slots: tuple[IntArray, ...]

    @property
    def columns(self) -> IntArray:
        """Level of the chain block each entry belongs to, shape (nnz,)."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))


@dataclass(frozen=True, slots=True)
class Pattern:
    """Order of elimination and sparsity of ``Z'WZ``.

    Attributes
    ----------
    blocks : tuple of Block
        Largest number of random effects first.
    chain, tail : tuple of int
        Blocks eliminated level by level, and the others.
    offsets : tuple of int
        First scalar row of each tail block.
    n_tail : int
        Random effects in the tail.
    parents : dict
        ``parents[j, k]``, shape (q_j,): level of chain block k each level of chain block j lies in, j < k
        (positions in `chain`).
    couplings : tuple of Coupling
        One for each chain block.
    lifts : dict
        ``lifts[j, k]``, shape (nnz_j,): entry of coupling k that holds the same tail row for the parent.
    tail_pairs : dict
        ``tail_pairs[r, s]``, r > s (positions in `tail`): level pairs of two tail blocks.
    """

    blocks: tuple[Block, ...]
    chain: tuple[int, ...]
    tail: tuple[int, ...]
    offsets: tuple[int, ...]
    n_tail: int
    parents: dict[tuple[int, int], IntArray]
    couplings: tuple[Coupling, ...]
    lifts: dict[tuple[int, int], IntArray]
    tail_pairs: dict[tuple[int, int], Pairs]

    def tail_slice(self, r: int) -> slice:
        """Return the scalar rows of the r-th tail block."""
        return slice(self.offsets[r], self.offsets[r] + self.blocks[self.tail[r]].n_effects)


def build_pattern(blocks: Sequence[Block], *, eliminate: bool = True) -> Pattern:
    """Choose the chain and number every pair of levels that occurs.

    Parameters
    ----------
    blocks : sequence of Block
        Largest first.
    eliminate : bool
        False puts every block in the tail: one dense matrix, the plain algorithm.
    """
    chain, tail = _split(blocks) if eliminate else ((), tuple(range(len(blocks))))
    starts = np.cumsum([0, *(blocks[b].n_effects for b in tail)])
    offsets = tuple(int(start) for start in starts[:-1])
    parents = {
        (j, k): _parents(blocks[chain[j]], blocks[chain[k]]) for k in range(len(chain)) for j in range(k)
    }
    couplings = tuple(_coupling(blocks[c], [blocks[t] for t in tail], offsets) for c in chain)
    return Pattern(
        blocks=tuple(blocks),
        chain=chain,
        tail=tail,
        offsets=offsets,
        n_tail=int(starts[-1]),
        parents=parents,
        couplings=couplings,
        lifts={(j, k): _lift(couplings[j], couplings[k], parents[j, k]) for j, k in parents},
        tail_pairs={
            (r, s): number_pairs(blocks[tail[r]], blocks[tail[s]]) for r in range(len(tail)) for s in range(r)
        },
    )


def _split(blocks: Sequence[Block]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the chain and the tail; a known covariance between levels makes every block dense."""
    if any(block.relationship is not None for block in blocks):
        return (), tuple(range(len(blocks)))
    chain: list[int] = []
    for b, block in enumerate(blocks):
        if all(_is_nested(blocks[c].codes, blocks[c].n_levels, block.codes) for c in chain):
            chain.append(b)
    return tuple(chain), tuple(b for b in range(len(blocks)) if b not in chain)


def _is_nested(inner: CodeArray, n_inner: int, outer: CodeArray) -> bool:
    """Tell whether every level of `inner` occurs with one level of `outer` only."""
    owner = np.zeros(n_inner, dtype=outer.dtype)
    owner[inner] = outer
    return bool(np.array_equal(owner[inner], outer))


def _parents(inner: Block, outer: Block) -> IntArray:
    parents = np.zeros(inner.n_levels, dtype=np.intp)
    parents[inner.codes] = outer.codes
    return parents


def number_pairs(first: Block, second: Block) -> Pairs:
    """Give a number to every pair of levels of two blocks that occurs in the data."""
    width = second.n_levels
    key = first.codes.astype(np.intp) * width + second.codes
    if first.n_levels * width <= TABLE_CELLS_PER_ROW * len(key):
        distinct, of_row = _number_by_table(key, first.n_levels * width)
    else:
        order = counting_order(second.codes, width)
        order = order[counting_order(first.codes[order], first.n_levels)]
        distinct, of_row = _number_in_order(key, order)
    return Pairs(of_row, distinct // width, distinct % width)


def _number_by_table(key: IntArray, n_cells: int) -> tuple[IntArray, IntArray]:
    occurs = np.zeros(n_cells, dtype=bool)
    occurs[key] = True
    distinct = np.flatnonzero(occurs)
    number = np.empty(n_cells, dtype=np.intp)
    number[distinct] = np.arange(len(distinct))
    return distinct, number[key]


def counting_order(codes: CodeArray, n_levels: int) -> IntArray:
    """Return the stable order that sorts integer codes, in one pass over them."""
    n = len(codes)
    by_code = csc_array((np.ones(n, dtype=bool), codes, np.arange(n + 1)), shape=(n_levels, n)).tocsr()
    return np.asarray(by_code.indices, dtype=np.intp)


def _number_in_order(key: IntArray, order: IntArray) -> tuple[IntArray, IntArray]:
    ordered = key[order]
    is_new = np.empty(len(key), dtype=bool)
    is_new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    of_row = np.empty(len(key), dtype=np.intp)
    of_row[order] = np.cumsum(is_new) - 1
    return ordered[is_new], of_row


def _coupling(leading: Block, tail: Sequence[Block], offsets: Sequence[int]) -> Coupling:
    """Merge the level pairs of every tail block into one pattern, columns being levels of `leading`."""
    pairs = tuple(number_pairs(leading, block) for block in tail)
    columns, rows = [], []
    for block, start, pair in zip(tail, offsets, pairs, strict=True):
        first_row = start + pair.second * block.size
        rows.append(np.add.outer(np.arange(block.size), first_row).ravel())
        columns.append(np.tile(pair.first, block.size))
    if not tail:
        empty = np.zeros(0, dtype=np.intp)
        return Coupling(np.zeros(leading.n_levels + 1, dtype=np.intp), empty, (), ())
    all_columns, all_rows = np.concatenate(columns), np.concatenate(rows)
    # Pairs come sorted; only several tail blocks or coefficients have to be merged.
    merged = len(tail) > 1 or tail[0].size > 1
    order = np.lexsort((all_rows, all_columns)) if merged else np.arange(len(all_rows))
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    ends = np.cumsum([block.size * len(pair.first) for block, pair in zip(tail, pairs, strict=True)])
    slots = tuple(
        part.reshape(block.size, -1) for part, block in zip(np.split(position, ends[:-1]), tail, strict=True)
    )
    counts = np.bincount(all_columns, minlength=leading.n_levels)
    return Coupling(np.concatenate(([0], np.cumsum(counts))), all_rows[order], pairs, slots)


def _lift(inner: Coupling, outer: Coupling, parent: IntArray) -> IntArray:
    """Return, for each entry of `inner`, the entry of `outer` with the same row in the parent's column."""
    width = 1 + max(int(inner.rows.max(initial=0)), int(outer.rows.max(initial=0)))
    wanted = parent[inner.columns] * width + inner.rows
    return np.searchsorted(outer.columns * width + outer.rows, wanted)
