"""What never changes while a model is fitted: who shares rows with whom.

Blocks that are eliminated (the *chain*) keep block-diagonal factors: the leading block always does, and a
later block does if every level of each eliminated block lies within one of its levels (pupils in classes
in schools). All other blocks form the *tail*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import CodeArray, IntArray
from mixedmodels.factorization.blocks import Block


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pairs:
    """The pairs of levels of two factors that occur together in the data.

    Attributes
    ----------
    of_row : int32 ndarray, shape (n,)
        Number of the pair each data row belongs to.
    first, second : int32 ndarray, shape (n_pairs,)
        Levels of the two factors, sorted by `first`, then `second`.
    """

    of_row: CodeArray
    first: CodeArray
    second: CodeArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Coupling:
    """Where the tail meets one chain block: a compressed-column pattern, one column for each level.

    Attributes
    ----------
    indptr : ndarray, shape (q + 1,)
        Start of each level's entries.
    rows : int32 ndarray, shape (nnz,)
        Scalar tail rows, ascending within a level.
    pairs : tuple of Pairs
        For each tail block, the level pairs (chain level, tail level).
    merged : tuple of int32 ndarray, each (S_tail, n_pairs)
        `slots`, where the entries are not the pairs as they come.
    """

    indptr: IntArray
    rows: CodeArray
    pairs: tuple[Pairs, ...]
    merged: tuple[CodeArray, ...]

    @property
    def slots(self) -> tuple[CodeArray, ...]:
        """Entry of each coefficient of each pair, for each tail block, shape (S_tail, n_pairs)."""
        return (np.arange(len(self.rows), dtype=np.int32)[None],) if self.is_in_order else self.merged

    @property
    def columns(self) -> CodeArray:
        """Level of the chain block each entry belongs to, shape (nnz,)."""
        if self.is_in_order:
            return self.pairs[0].first
        return np.repeat(np.arange(len(self.indptr) - 1, dtype=np.int32), np.diff(self.indptr))

    @property
    def is_in_order(self) -> bool:
        """Whether there is one tail block with one coefficient, of which the entries are the pairs."""
        return len(self.pairs) == 1 and self.rows is self.pairs[0].second

    def without_rows(self) -> Coupling:
        """Return the coupling without the numbers of the data rows, which only sums over the rows need."""
        if not self.pairs:
            return self
        return replace(self, pairs=(), merged=())


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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

    def without_rows(self) -> Pattern:
        """Return the pattern without the numbers of the data rows, which only sums over the rows need."""
        if not self.tail:
            return self
        couplings = tuple(coupling.without_rows() for coupling in self.couplings)
        return replace(self, couplings=couplings, tail_pairs={})
