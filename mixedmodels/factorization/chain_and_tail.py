"""Choose the blocks that are eliminated, and number the pairs of levels that rows of data have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

import numpy as np
from scipy.sparse import csc_array

from mixedmodels.arrays import BoolArray, CodeArray, IntArray
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.pattern import Coupling, Pairs, Pattern

#: Pairs of levels are numbered through a table while it stays below this many cells per data row.
TABLE_CELLS_PER_ROW = 4


class Meetings(Protocol):
    """Which levels of two blocks, given by their positions, have rows in common."""

    def is_nested(self, inner: int, outer: int) -> bool:
        """Tell whether every level of `inner` occurs with one level of `outer` only."""

    def parents(self, inner: int, outer: int) -> IntArray:
        """Return the level of `outer` that each level of `inner`, which is nested in it, lies in, (q,)."""

    def pairs(self, first: int, second: int) -> Pairs:
        """Return the pairs of levels that occur."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RowMeetings:
    """The same, read off the codes of the rows.

    Attributes
    ----------
    blocks : sequence of Block
        The blocks.
    """

    blocks: Sequence[Block]

    def is_nested(self, inner: int, outer: int) -> bool:
        """Tell whether every level of `inner` occurs with one level of `outer` only."""
        return _is_nested(self.blocks[inner], self.blocks[outer])

    def parents(self, inner: int, outer: int) -> IntArray:
        """Return the level of `outer` that each level of `inner`, which is nested in it, lies in, (q,)."""
        return _parents(self.blocks[inner], self.blocks[outer])

    def pairs(self, first: int, second: int) -> Pairs:
        """Return the pairs of levels that occur, with the number of each row's."""
        return number_pairs(self.blocks[first], self.blocks[second])


def build_pattern(
    blocks: Sequence[Block], *, eliminate: bool = True, meetings: Meetings | None = None
) -> Pattern:
    """Choose the chain and number every pair of levels that occurs.

    Parameters
    ----------
    blocks : sequence of Block
        Largest first.
    eliminate : bool
        False puts every block in the tail: one dense matrix, the plain algorithm.
    meetings : Meetings, optional
        Which levels have rows in common; by default the codes of the blocks say so.
    """
    if len(blocks) == 1 and eliminate and _is_free(blocks[0]) and blocks[0].relationship is None:
        # One factor meets nothing.
        alone = _coupling(blocks[0], (), (), ())
        return Pattern(tuple(blocks), (0,), (), (), 0, {}, (alone,), {}, {})
    met: Meetings = RowMeetings(blocks) if meetings is None else meetings
    chain, tail = _split(blocks, met) if eliminate else ((), tuple(range(len(blocks))))
    *offsets, n_tail = accumulate((blocks[b].n_effects for b in tail), initial=0)
    parents = {(j, k): met.parents(chain[j], chain[k]) for k in range(len(chain)) for j in range(k)}
    couplings = tuple(
        _coupling(blocks[c], [blocks[t] for t in tail], offsets, tuple(met.pairs(c, t) for t in tail))
        for c in chain
    )
    return Pattern(
        blocks=tuple(blocks),
        chain=chain,
        tail=tail,
        offsets=tuple(offsets),
        n_tail=n_tail,
        parents=parents,
        couplings=couplings,
        lifts={(j, k): _lift(couplings[j], couplings[k], parents[j, k]) for j, k in parents},
        tail_pairs={(r, s): met.pairs(tail[r], tail[s]) for r in range(len(tail)) for s in range(r)},
    )


def _split(blocks: Sequence[Block], meetings: Meetings) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the chain and the tail.

    A known covariance between levels makes every block dense, unless the one block there is was made diagonal
    or the covariance has a sparse inverse, which goes into a sparse tail.
    """
    if len(blocks) == 1 and blocks[0].rotation is not None:
        return (0,), ()
    if any(block.relationship is not None for block in blocks):
        return (), tuple(range(len(blocks)))
    chain: list[int] = []
    for b, block in enumerate(blocks):
        if _is_free(block) and all(meetings.is_nested(c, b) for c in chain):
            chain.append(b)
    return tuple(chain), tuple(b for b in range(len(blocks)) if b not in chain)


def _is_free(block: Block) -> bool:
    """Tell whether the levels of a block may be eliminated one by one."""
    return block.precision is None and not block.is_kept


def _is_nested(inner: Block, outer: Block) -> bool:
    """Tell whether every level of `inner` occurs with one level of `outer` only."""
    inner_codes, outer_codes = _together(inner, outer)
    owner = np.zeros(inner.n_levels, dtype=outer_codes.dtype)
    owner[inner_codes] = outer_codes
    return bool(np.array_equal(owner[inner_codes], outer_codes))


def _together(first: Block, second: Block) -> tuple[CodeArray, CodeArray]:
    """Return the levels of two blocks at the rows where both have one."""
    shared = _shared(first, second)
    return (first.codes, second.codes) if shared is None else (first.codes[shared], second.codes[shared])


def _shared(first: Block, second: Block) -> BoolArray | None:
    """Return the rows where two blocks both have a level, None for all."""
    if first.present is None or second.present is None:
        return first.present if second.present is None else second.present
    return first.present & second.present


def _parents(inner: Block, outer: Block) -> IntArray:
    parents = np.zeros(inner.n_levels, dtype=np.intp)
    inner_codes, outer_codes = _together(inner, outer)
    parents[inner_codes] = outer_codes
    return parents


def number_pairs(first: Block, second: Block) -> Pairs:
    """Give a number to every pair of levels of two blocks that occurs in the data.

    Rows where one of them has no level get the number 0, and add zeros to it.
    """
    shared = _shared(first, second)
    if shared is not None:
        first, second = (replace(block, codes=block.codes[shared], present=None) for block in (first, second))
        pairs = number_pairs(first, second)
        of_row = np.zeros(len(shared), dtype=np.int32)
        of_row[shared] = pairs.of_row
        return replace(pairs, of_row=of_row)
    n_cells = first.n_levels * second.n_levels
    number = _number_by_table if n_cells <= TABLE_CELLS_PER_ROW * len(first.codes) else _number_by_sorting
    return number(first, second)


def _number_by_table(first: Block, second: Block) -> Pairs:
    width = second.n_levels
    key = first.codes.astype(np.intp) * width + second.codes
    occurs = np.zeros(first.n_levels * width, dtype=bool)
    occurs[key] = True
    distinct = np.flatnonzero(occurs)
    number = np.empty(len(occurs), dtype=np.int32)
    number[distinct] = np.arange(len(distinct), dtype=np.int32)
    return Pairs(number[key], *(part.astype(np.int32) for part in np.divmod(distinct, width)))


def _number_by_sorting(first: Block, second: Block) -> Pairs:
    order = _counting_order(second.codes, second.n_levels)
    order = order[_counting_order(first.codes[order], first.n_levels)]
    levels = first.codes[order], second.codes[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (levels[0][1:] != levels[0][:-1]) | (levels[1][1:] != levels[1][:-1])
    of_row = np.empty(len(order), dtype=np.int32)
    of_row[order] = np.cumsum(is_new, dtype=np.int32) - 1
    return Pairs(of_row, levels[0][is_new], levels[1][is_new])


def _counting_order(codes: CodeArray, n_levels: int) -> CodeArray:
    """Return the stable order that sorts integer codes, in one pass over them."""
    n = len(codes)
    pointers = np.arange(n + 1, dtype=np.int32)
    by_code = csc_array((np.ones(n, dtype=bool), codes, pointers), shape=(n_levels, n)).tocsr()
    return np.asarray(by_code.indices)


def _coupling(
    leading: Block, tail: Sequence[Block], offsets: Sequence[int], pairs: tuple[Pairs, ...]
) -> Coupling:
    """Merge the level pairs of every tail block into one pattern, columns being levels of `leading`."""
    if not tail:
        return Coupling(np.zeros(leading.n_levels + 1, dtype=np.intp), np.zeros(0, np.int32), (), ())
    if len(tail) == 1 and tail[0].size == 1:
        # Pairs come sorted: they are the entries.
        return Coupling(_pointers(pairs[0].first, leading.n_levels), pairs[0].second, pairs, ())
    columns, rows = [], []
    for block, start, pair in zip(tail, offsets, pairs, strict=True):
        first_row = start + pair.second * block.size
        rows.append(np.add.outer(np.arange(block.size, dtype=np.int32), first_row).ravel())
        columns.append(np.tile(pair.first, block.size))
    all_columns, all_rows = (np.concatenate([*parts, np.zeros(0, np.int32)]) for parts in (columns, rows))
    order = np.lexsort((all_rows, all_columns))
    position = np.empty(len(order), dtype=np.int32)
    position[order] = np.arange(len(order), dtype=np.int32)
    ends = np.cumsum([0, *(block.size * len(pair.first) for block, pair in zip(tail, pairs, strict=True))])
    slots_of = tuple(
        position[start:end].reshape(block.size, -1)
        for block, start, end in zip(tail, ends[:-1], ends[1:], strict=True)
    )
    return Coupling(_pointers(all_columns, leading.n_levels), all_rows[order], pairs, slots_of)


def _pointers(columns: CodeArray, n_levels: int) -> IntArray:
    """Return where the entries of each column start."""
    return np.concatenate(([0], np.cumsum(np.bincount(columns, minlength=n_levels))))


def _lift(inner: Coupling, outer: Coupling, parent: IntArray) -> IntArray:
    """Return, for each entry of `inner`, the entry of `outer` with the same row in the parent's column."""
    width = 1 + max(int(inner.rows.max(initial=0)), int(outer.rows.max(initial=0)))
    wanted = parent[inner.columns] * width + inner.rows
    return np.searchsorted(outer.columns.astype(np.intp) * width + outer.rows, wanted)
