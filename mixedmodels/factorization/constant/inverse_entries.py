"""Any entry of ``V = Lambda Omega^-1 Lambda'``: from its pattern, and off the pattern from columns.

V bordered by the fixed effects is the joint covariance of random and fixed effects over sigma^2. A prediction
needs its entries between the levels that a row names: read where those levels met in the data, solved for
where they did not, a column for each distinct level of the side that has fewer of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, CodeArray, FloatArray, IndexArray, IntArray
from mixedmodels.factorization import dense
from mixedmodels.factorization.constant.blocked import Factor
from mixedmodels.factorization.constant.dense_tail import DenseTailInverse
from mixedmodels.factorization.constant.inverse import Inverse, invert_on_pattern, level_faces
from mixedmodels.factorization.constant.inverse_columns import inverse_columns
from mixedmodels.factorization.constant.sparse_tail import SparseTailInverse
from mixedmodels.factorization.pattern import Pattern

#: Elements of one batch of columns: 128 MB.
BATCH_ELEMENTS = 2**24


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class InverseEntries:
    """V, ready to be read anywhere.

    Attributes
    ----------
    factor : Factor
        Factorization.
    on_pattern : Inverse
        V on the pattern, fixed effects and all crossings included.
    tail : ndarray, shape (n_tail + p, n_tail + p), or None
        V of a dense tail in full, known covariances between levels applied; None for a sparse one.
    """

    factor: Factor
    on_pattern: Inverse
    tail: FloatArray | None

    @property
    def pattern(self) -> Pattern:
        """Blocks and the order of their elimination."""
        return self.factor.pattern

    @property
    def fixed(self) -> FloatArray:
        """The covariance of the fixed effects, shape (p, p)."""
        tail = self.on_pattern.tail
        if isinstance(tail, SparseTailInverse):
            return dense.mirror(tail.V.fixed)
        assert self.tail is not None
        return self.tail[self.pattern.n_tail :, self.pattern.n_tail :]

    def across(self, block: int) -> FloatArray:
        """Return V between the fixed effects and the levels of a block, shape (p, S, q)."""
        pattern, tail = self.pattern, self.on_pattern.tail
        if block in pattern.chain:
            XZ = self.on_pattern.chain[pattern.chain.index(block)].XZ
            assert XZ is not None
            root = pattern.blocks[block].relationship
            return XZ if root is None else XZ @ root.T
        where = pattern.tail_slice(pattern.tail.index(block))
        if isinstance(tail, SparseTailInverse):
            rows = tail.V.across[:, where]
        else:
            assert self.tail is not None
            rows = self.tail[pattern.n_tail :, where]
        return rows.reshape(len(rows), -1, pattern.blocks[block].size).transpose(0, 2, 1)

    def faces(self, block: int) -> FloatArray:
        """Return V of every level of a block, shape (S, S, q)."""
        pattern, tail = self.pattern, self.on_pattern.tail
        if block in pattern.chain:
            return level_faces(self.factor, self.on_pattern, pattern.chain.index(block), self.fixed)
        r = pattern.tail.index(block)
        if isinstance(tail, SparseTailInverse):
            return tail.V.diagonal_faces(r)
        assert self.tail is not None
        return dense.diagonal_faces(self.tail, pattern.blocks[block].size, pattern.tail_slice(r))

    def between(self, first: int, second: int, a: CodeArray, b: CodeArray) -> FloatArray:
        """Return V between levels `a` of one block and `b` of another, shape (S_first, S_second, m)."""
        if _order(self.pattern, first) > _order(self.pattern, second):
            return self.between(second, first, b, a).transpose(1, 0, 2)
        found, values = self._on_pattern(first, second, a, b)
        if not found.all():
            missed = np.flatnonzero(~found)
            values[:, :, missed] = self._off_pattern(first, second, a[missed], b[missed])
        return values

    def _on_pattern(
        self, first: int, second: int, a: CodeArray, b: CodeArray
    ) -> tuple[BoolArray, FloatArray]:
        """Return where V is on the pattern, and its entries there."""
        pattern = self.pattern
        if first in pattern.tail:
            return self._within_tail(first, second, a, b)
        j = pattern.chain.index(first)
        step = self.on_pattern.chain[j]
        if second in pattern.chain:
            k = pattern.chain.index(second)
            return pattern.parents[j, k][a] == b, step.links[k].transpose(1, 0, 2)[:, :, a]
        coupling, S = pattern.couplings[j], pattern.blocks[second].size
        assert step.entries is not None
        row = pattern.offsets[pattern.tail.index(second)] + b.astype(np.intp) * S
        keys = coupling.columns.astype(np.intp) * pattern.n_tail + coupling.rows
        place, found = _places(keys, a.astype(np.intp) * pattern.n_tail + row)
        # The coefficients of a level lie one after the other.
        last = len(keys) - 1
        entries = [step.entries[:, np.minimum(place + s, last)] for s in range(S)]
        return found, np.stack(entries, axis=1)

    def _within_tail(
        self, first: int, second: int, a: CodeArray, b: CodeArray
    ) -> tuple[BoolArray, FloatArray]:
        """Return the entries between two blocks of the tail, and where they are known."""
        pattern, tail = self.pattern, self.on_pattern.tail
        r, s = pattern.tail.index(first), pattern.tail.index(second)
        sizes = pattern.blocks[first].size, pattern.blocks[second].size
        if isinstance(tail, DenseTailInverse):
            assert self.tail is not None
            rows = pattern.offsets[r] + np.arange(sizes[0])[:, None, None] + a.astype(np.intp) * sizes[0]
            columns = pattern.offsets[s] + np.arange(sizes[1])[None, :, None] + b.astype(np.intp) * sizes[1]
            return np.ones(len(a), dtype=bool), self.tail[rows, columns]
        meetings = tail.V.layout.meetings
        level = meetings.level[pattern.offsets[s]] + b, meetings.level[pattern.offsets[r]] + a
        n = len(meetings.sizes)
        keys = np.repeat(np.arange(n), np.diff(meetings.starts)) * n + meetings.columns
        pair, found = _places(keys, level[0].astype(np.intp) * n + level[1])
        # Faces are kept with the later block first.
        within = np.arange(sizes[1])[None, :, None] * sizes[0] + np.arange(sizes[0])[:, None, None]
        slots = meetings.begins[pair] + within * meetings.strides[pair].astype(np.intp)
        return found, tail.V.values[np.where(found, slots, 0)]

    def _off_pattern(self, first: int, second: int, a: CodeArray, b: CodeArray) -> FloatArray:
        """Return the entries of pairs that never met, from the columns of one side."""
        if len(np.unique(a)) < len(np.unique(b)):
            return self._from_columns(second, first, b, a).transpose(1, 0, 2)
        return self._from_columns(first, second, a, b)

    def _from_columns(self, wanted: int, solved: int, at: CodeArray, columns: CodeArray) -> FloatArray:
        """Return V between `wanted` at levels `at` and `solved` at levels `columns`, by solving for these."""
        blocks = self.pattern.blocks
        values = np.empty((blocks[wanted].size, blocks[solved].size, len(at)))
        most = max([block.n_effects for block in blocks]) * blocks[solved].size
        for levels, members, number in _batches(columns, max(1, BATCH_ELEMENTS // most)):
            V = inverse_columns(self.factor, self.tail, solved, levels, wanted)
            values[:, :, members] = V[number, :, :, at[members]].transpose(2, 1, 0)
        return values


def inverse_entries(factor: Factor) -> InverseEntries:
    """Return V of a factorization."""
    inverse = invert_on_pattern(factor, fixed_effects=True, cross=True)
    dense_tail = inverse.tail if isinstance(inverse.tail, DenseTailInverse) else None
    return InverseEntries(factor, inverse, None if dense_tail is None else _related(dense_tail))


def _related(tail: DenseTailInverse) -> FloatArray:
    """Return a dense V in full, known covariances between levels applied to both sides."""
    pattern = tail.tail.pattern
    is_related = any(pattern.blocks[t].relationship is not None for t in pattern.tail)
    # The upper triangle of the tail's own array is free to be filled: only the lower one counts there.
    V = dense.mirror(tail.V) if is_related else dense.fill_upper(tail.V)
    for r, t in enumerate(pattern.tail):
        block, where = pattern.blocks[t], pattern.tail_slice(r)
        if block.relationship is not None:
            V[where] = _by_level(block.relationship, V[where])
            V[:, where] = _by_level(block.relationship, V[:, where].T).T
    return V


def _by_level(M: FloatArray, rows: FloatArray) -> FloatArray:
    """Return M, which mixes levels, times rows that hold the coefficients of each level together."""
    return np.asarray((M @ rows.reshape(len(M), -1)).reshape(rows.shape))


def _order(pattern: Pattern, block: int) -> int:
    """Return the place of a block in the order of elimination."""
    return (*pattern.chain, *pattern.tail).index(block)


def _places(keys: IndexArray, wanted: IndexArray) -> tuple[IntArray, BoolArray]:
    """Return where wanted keys stand among ascending ones, and which are there at all."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.intp), np.zeros(len(wanted), dtype=bool)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted


def _batches(columns: CodeArray, size: int) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Yield distinct levels, some at a time, the positions that name them and which level each one names."""
    levels, number = np.unique(columns, return_inverse=True)
    order = np.argsort(number, kind="stable")
    for start in range(0, len(levels), size):
        ends = np.searchsorted(number[order], [start, start + size])
        members = order[ends[0] : ends[1]]
        yield levels[start : start + size].astype(np.intp), members, number[members] - start
