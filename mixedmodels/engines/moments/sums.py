"""Sums over rows of products of columns: in all, by levels of every factor, and by pairs of levels of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.moments.basis import Basis, change_between, first_basis, improved
from mixedmodels.engines.moments.pair_sums import (
    PairSums,
    Run,
    counted_pairs,
    renumbered,
    summed_pairs,
)

#: Levels whose sums are changed together: their copies stay in a cache.
LEVELS_AT_ONCE = 16_384
#: By how much arrays of levels grow at least.
GROWTH = 1.5


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Columns:
    """What is summed, as positions only.

    Attributes
    ----------
    size : int
        Columns of U: the fixed effects in some order, the response last.
    has_ones : bool
        Whether the first column of U is constant one.
    groups : tuple of GroupColumns
        One for each grouping factor.
    """

    size: int
    has_ones: bool
    groups: tuple[GroupColumns, ...]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Every two grouping factors."""
        q = range(len(self.groups))
        return tuple((a, b) for b in q for a in range(b))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GroupColumns:
    """Columns whose effects vary over the levels of one grouping factor, each once.

    Attributes
    ----------
    size : int
        Their number, S.
    has_ones : bool
        Whether the first of them is constant one.
    is_shared : bool
        Whether they are the first S columns of U, with whose sums theirs are formed.
    """

    size: int
    has_ones: bool
    is_shared: bool


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rows:
    """A batch of rows.

    Attributes
    ----------
    U : ndarray, shape (m, n)
        Fixed effects and response, a column in each row of the array.
    Z : tuple of ndarray, each (S, n), or None
        Columns of each grouping factor, None where they are those of U.
    codes : tuple of ndarray of int, each (n,)
        Levels, numbered as they come.
    n_levels : tuple of int
        Levels so far.
    weights : ndarray, shape (n,), or None
        Prior weights.
    """

    U: FloatArray
    Z: tuple[FloatArray | None, ...]
    codes: tuple[IntArray, ...]
    n_levels: tuple[int, ...]
    weights: FloatArray | None


@dataclass(slots=True, eq=False, repr=False)
class GroupSums:
    """Sums by the levels of one grouping factor.

    Attributes
    ----------
    basis : Basis
        Of its columns; the first part of that of U where they are shared.
    n_levels : int
        Levels so far, q.
    against : ndarray, shape (S, m, capacity)
        Products of its columns with those of V. Where they are the first of V, only those with later ones.
    own : ndarray, shape (S, S, capacity), or None
        Products of its own columns, the upper half; None where `against` has them.
    """

    basis: Basis
    n_levels: int
    against: FloatArray
    own: FloatArray | None

    def grow(self, n_levels: int) -> None:
        """Make room for more levels."""
        if n_levels > self.against.shape[2]:
            capacity = max(n_levels, int(GROWTH * self.against.shape[2]))
            self.against = _widened(self.against, capacity)
            self.own = None if self.own is None else _widened(self.own, capacity)
        self.n_levels = max(self.n_levels, n_levels)

    def faces(self) -> FloatArray:
        """Return the products of its own columns, symmetric, (S, S, q)."""
        S = len(self.against)
        faces = (self.against[:, :S] if self.own is None else self.own)[:, :, : self.n_levels].copy()
        for i in range(S):
            for j in range(i):
                faces[i, j] = faces[j, i]
        return faces

    def products(self) -> FloatArray:
        """Return the products of its columns with all of V, (S, m, q)."""
        full = self.against[:, :, : self.n_levels].copy()
        if self.own is None:
            for i in range(len(full)):
                for j in range(i):
                    full[i, j] = full[j, i]
        return full


def _widened(values: FloatArray, capacity: int) -> FloatArray:
    wide = np.zeros((*values.shape[:2], capacity))
    wide[:, :, : values.shape[2]] = values
    return wide


@dataclass(slots=True, eq=False, repr=False)
class Sums:
    """All sums of a model, growing batch by batch.

    Attributes
    ----------
    columns : Columns
        What is summed.
    basis : Basis
        Of U.
    gram : ndarray, shape (m, m)
        Products of the columns of V over all rows.
    carry : ndarray, shape (m, m)
        What rounding left out of them.
    groups : list of GroupSums
        By levels.
    pairs : dict
        ``pairs[a, b]``, a < b: by pairs of levels of two grouping factors.
    n : int
        Rows of positive weight.
    n_rows : int
        Rows.
    sum_log_weights : float
        Sum of the logarithms of the positive weights.
    sum_weights : float
        Sum of the weights.
    looked_at : int
        Rows when the basis was last looked at.
    """

    columns: Columns
    basis: Basis
    gram: FloatArray
    carry: FloatArray
    groups: list[GroupSums]
    pairs: dict[tuple[int, int], PairSums]
    n: int = 0
    n_rows: int = 0
    sum_log_weights: float = 0.0
    sum_weights: float = 0.0
    looked_at: int = field(default=0)

    def add(self, rows: Rows) -> None:
        """Add a batch of rows.

        The basis is looked at whenever the rows have doubled: a stream may begin with rows unlike the others.
        """
        V, weighted = _based(self.basis, rows.U, rows.weights)
        self._add_gram(V @ weighted.T)
        bases = []
        for columns, group, Z, codes, q in zip(
            self.columns.groups, self.groups, rows.Z, rows.codes, rows.n_levels, strict=True
        ):
            group.grow(q)
            own, own_weighted = V[: columns.size], weighted[: columns.size]
            if Z is not None:
                own, own_weighted = _based(group.basis, Z, rows.weights)
            _add_levels(group, codes, own, own_weighted, V, rows.weights is None and columns.has_ones)
            bases.append((own, own_weighted))
        for a, b in self.columns.pairs:
            first, second = rows.codes[a], rows.codes[b]
            if rows.weights is None and self._has_only_ones(a) and self._has_only_ones(b):
                self.pairs[a, b].add(counted_pairs(first, second))
            else:
                self.pairs[a, b].add(summed_pairs(first, second, bases[a][1], bases[b][0]))
        self._count(rows)
        if self.n_rows >= 2 * self.looked_at:
            self.improve()

    def _has_only_ones(self, k: int) -> bool:
        """Tell whether a grouping factor has the column of ones alone, as it is."""
        columns = self.columns.groups[k]
        return columns.has_ones and columns.size == 1 and bool(self.groups[k].basis.K[0, 0] == 1.0)

    def _count(self, rows: Rows) -> None:
        self.n_rows += rows.U.shape[1]
        if rows.weights is None:
            self.n += rows.U.shape[1]
            self.sum_weights += rows.U.shape[1]
            return
        positive = rows.weights[rows.weights > 0.0]
        self.n += len(positive)
        self.sum_weights += float(positive.sum())
        self.sum_log_weights += float(np.log(positive).sum())

    def _add_gram(self, gram: FloatArray) -> None:
        """Add to the products over all rows, by Kahan's sum."""
        added = gram + self.carry
        total = self.gram + added
        self.carry = added - (total - self.gram)
        self.gram = total

    def improve(self) -> None:
        """Take a basis that fits the rows so far if the present one does not."""
        self.looked_at = self.n_rows
        if not self.n:
            return
        T = improved(self.gram / self.n)
        if T is not None:
            self._change(T, self.basis.changed(T))
        for k, (columns, group) in enumerate(zip(self.columns.groups, self.groups, strict=True)):
            own = None if columns.is_shared else improved(_totals(group.faces()) / self.n)
            if own is not None:
                self._change_group(k, own, group.basis.changed(own))

    def _change(self, T: FloatArray, basis: Basis) -> None:
        """Go to the basis ``V T`` of U."""
        self.basis = basis
        self.gram = T.T @ (self.gram + self.carry) @ T
        self.carry = np.zeros_like(self.gram)
        for k, (columns, group) in enumerate(zip(self.columns.groups, self.groups, strict=True)):
            S = columns.size
            own = T[:S, :S] if columns.is_shared else np.eye(S)
            full = group.products() if columns.is_shared else group.against[:, :, : group.n_levels]
            group.against = _congruent(own, full, T)
            if columns.is_shared:
                group.basis = basis.leading(S)
                self._change_pairs(k, own)

    def _change_group(self, k: int, T: FloatArray, basis: Basis) -> None:
        """Go to the basis ``Q T`` of the columns of one grouping factor that has its own."""
        group = self.groups[k]
        group.against = _congruent(T, group.against[:, :, : group.n_levels], np.eye(self.columns.size))
        group.own = _congruent(T, group.faces(), T)
        group.basis = basis
        self._change_pairs(k, T)

    def _change_pairs(self, k: int, T: FloatArray) -> None:
        if np.array_equal(T, np.eye(len(T))):
            return
        for (a, b), pairs in self.pairs.items():
            if k not in (a, b):
                continue
            shape = (-1, self.columns.groups[a].size, self.columns.groups[b].size)
            side = "nij,ik->nkj" if k == a else "nij,jk->nik"
            pairs.runs = [
                replace(run, sums=np.einsum(side, run.sums.reshape(shape), T).reshape(len(run.keys), -1))
                for run in pairs.runs
            ]

    def to_basis_of(self, other: Sums) -> None:
        """Go to the basis of other sums of the same columns."""
        T = change_between(self.basis, other.basis)
        self._change(T, other.basis)
        for k, columns in enumerate(self.columns.groups):
            if not columns.is_shared:
                theirs = other.groups[k].basis
                self._change_group(k, change_between(self.groups[k].basis, theirs), theirs)

    def absorb(self, other: Sums, places: Sequence[IntArray], n_levels: Sequence[int]) -> None:
        """Add other sums on the same basis.

        Parameters
        ----------
        other : Sums
            What to add.
        places : sequence of ndarray of int, each (q,)
            Number here of each level there, one array a grouping factor.
        n_levels : sequence of int
            Levels after that.
        """
        self._add_gram(other.gram + other.carry)
        for group, added, place, q in zip(self.groups, other.groups, places, n_levels, strict=True):
            group.grow(q)
            group.against[:, :, place] += added.against[:, :, : added.n_levels]
            if group.own is not None and added.own is not None:
                group.own[:, :, place] += added.own[:, :, : added.n_levels]
        for (a, b), pairs in self.pairs.items():
            run = other.pairs[a, b].total(self.columns.groups[a].size * self.columns.groups[b].size)
            pairs.add(renumbered(run, places[a], places[b]))
        self.n += other.n
        self.n_rows += other.n_rows
        self.sum_log_weights += other.sum_log_weights
        self.sum_weights += other.sum_weights
        self.improve()

    def total_pairs(self, a: int, b: int) -> Run:
        """Return the sums by pairs of levels of two grouping factors, a < b."""
        return self.pairs[a, b].total(self.columns.groups[a].size * self.columns.groups[b].size)

    @property
    def nbytes(self) -> int:
        """Bytes of the sums."""
        own = [array for g in self.groups for array in (g.against, g.own) if array is not None]
        runs = [array for p in self.pairs.values() for run in p.runs for array in (run.keys, run.sums)]
        return int(sum(array.nbytes for array in [self.gram, self.carry, *own, *runs]))


def empty_sums(columns: Columns, sample: Rows) -> Sums:
    """Return sums of no rows, in the basis that some rows give."""
    basis = first_basis(sample.U, columns.has_ones, sample.weights)
    m, groups = columns.size, []
    for group, Z in zip(columns.groups, sample.Z, strict=True):
        S = group.size
        own_basis = basis.leading(S) if Z is None else first_basis(Z, group.has_ones, sample.weights)
        own = None if group.is_shared else np.zeros((S, S, 0))
        groups.append(GroupSums(own_basis, 0, np.zeros((S, m, 0)), own))
    zero = np.zeros((m, m))
    return Sums(columns, basis, zero, zero.copy(), groups, {pair: PairSums() for pair in columns.pairs})


def _based(basis: Basis, U: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Return columns in a basis, and the same times the weights."""
    V = basis.columns(U)
    return V, V if weights is None else V * weights


def _add_levels(
    group: GroupSums,
    codes: IntArray,
    own: FloatArray,
    weighted: FloatArray,
    V: FloatArray,
    has_ones: bool,
) -> None:
    """Add the products of columns of a factor, by its levels."""
    q = group.n_levels
    is_one = has_ones and group.basis.K[0, 0] == 1.0
    for i, z in enumerate(weighted):
        factor = None if is_one and i == 0 else z
        for j in range(i if group.own is None else 0, len(V)):
            group.against[i, j, :q] += _by_level(codes, factor, V[j], q)
        if group.own is not None:
            for j in range(i, len(own)):
                group.own[i, j, :q] += _by_level(codes, factor, own[j], q)


def _by_level(codes: IntArray, z: FloatArray | None, v: FloatArray, q: int) -> FloatArray:
    """Return the sums of ``z v`` by level; None stands for a column of ones."""
    return np.asarray(np.bincount(codes, v if z is None else z * v, q), dtype=np.float64)


def _totals(faces: FloatArray) -> FloatArray:
    return np.asarray(faces.sum(axis=2))


def _congruent(left: FloatArray, values: FloatArray, right: FloatArray) -> FloatArray:
    """Return ``left' F right`` for the face F of each level, some levels at a time."""
    changed = np.empty((left.shape[1], right.shape[1], values.shape[2]))
    for start in range(0, values.shape[2], LEVELS_AT_ONCE):
        some = values[:, :, start : start + LEVELS_AT_ONCE]
        half = np.tensordot(right, some, axes=(0, 1)).transpose(1, 0, 2)
        changed[:, :, start : start + LEVELS_AT_ONCE] = np.tensordot(left, half, axes=(0, 0))
    return changed
