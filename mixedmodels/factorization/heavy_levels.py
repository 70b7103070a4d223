"""Levels of the leading block that meet too many others to be eliminated first.

Eliminating a level makes all levels that it meets meet one another. Where a few levels have most of the rows
(films and words are as frequent as the inverse of their rank), they alone fill the tail: kept for the tail
themselves, they leave it sparse. The leading block becomes two, light and heavy levels, with one factor T.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.pattern import Pattern

#: Effects in the tail from which a split is thought about.
LEAST_TAIL = 2000
#: Share of the pairs of the tail that light levels may make meet: with many more it is dense in any case.
#: At 0.03 the factor of levels as frequent as the inverse of their rank costs a quarter of a dense one, and
#: about the same at a tenth of it.
LIGHT_PAIRS = 0.03
#: Heavy levels are worth it up to this share of the tail, and of all levels of their factor.
MOST_HEAVY = 0.5


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Split:
    """How the leading block of a pattern was split; its heavy levels are the last block.

    Attributes
    ----------
    whole : tuple of Block
        The blocks before, in the same order.
    light, heavy : ndarray of int
        Levels of the leading block in either part.
    """

    whole: tuple[Block, ...]
    light: IntArray
    heavy: IntArray

    def joined(self, by_block: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
        """Return values by level, the levels last, of the whole blocks from those of the split ones."""
        first, *others, last = by_block
        whole = np.empty((*first.shape[:-1], first.shape[-1] + last.shape[-1]))
        whole[..., self.light], whole[..., self.heavy] = first, last
        return (whole, *others)

    def parted(self, by_block: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
        """Return values of the split blocks from those of the whole ones."""
        first, *others = by_block
        return (first[..., self.light], *others, first[..., self.heavy])


def split_heavy(pattern: Pattern) -> tuple[tuple[Block, ...], Split] | None:
    """Return the blocks with heavy levels apart, None where that promises nothing.

    Parameters
    ----------
    pattern : Pattern
        With the numbers of the rows.
    """
    heavy = _heavy(pattern)
    if heavy is None:
        return None
    lead, *others = pattern.blocks
    levels = np.flatnonzero(~heavy), np.flatnonzero(heavy)
    parts = [_part(lead, own) for own in levels]
    is_heavy = replace(parts[1], is_kept=True)
    return (parts[0], *others, is_heavy), Split(pattern.blocks, *levels)


def _heavy(pattern: Pattern) -> BoolArray | None:
    """Return which levels of the leading block to keep for the tail, None for none."""
    related = any(b.relationship is not None or b.precision is not None for b in pattern.blocks)
    if related or not pattern.chain or pattern.chain[0] != 0 or pattern.n_tail < LEAST_TAIL:
        return None
    meets = np.diff(pattern.couplings[0].indptr)
    order = np.argsort(meets, kind="stable")
    pairs = np.cumsum(meets[order].astype(np.float64) ** 2)
    n_light = int(np.searchsorted(pairs, LIGHT_PAIRS * float(pattern.n_tail) ** 2))
    n_heavy = (len(meets) - n_light) * pattern.blocks[0].size
    if not 0 < n_heavy < MOST_HEAVY * min(pattern.n_tail, pattern.blocks[0].n_effects):
        return None
    heavy = np.zeros(len(meets), dtype=np.bool_)
    heavy[order[n_light:]] = True
    return heavy


def _part(block: Block, levels: IntArray) -> Block:
    """Return a block with some of its levels; rows at others have columns of zeros."""
    number = np.full(block.n_levels, -1, dtype=np.int32)
    number[levels] = np.arange(len(levels), dtype=np.int32)
    codes = number[block.codes]
    present = codes >= 0
    indicator = present.astype(np.float64)
    return replace(
        block,
        codes=np.where(present, codes, 0).astype(np.int32),
        n_levels=len(levels),
        columns=tuple(indicator if z is None else z * indicator for z in block.columns),
        levels=levels,
        present=present,
    )
