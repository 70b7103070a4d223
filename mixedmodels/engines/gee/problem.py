"""What never changes while estimating equations are solved: rows in the order of their groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.families.family import Family

#: Pairs of rows of one group beyond which nothing looks at each of them: a gigabyte of indices.
MOST_PAIRS = 50_000_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Batch:
    """The groups of one size.

    Attributes
    ----------
    rows : int ndarray, shape (K, s)
        Rows of each group.
    patterns : int ndarray, shape (P, s)
        The different sets of positions that occur.
    code : int ndarray, shape (K,)
        Which of them each group has.
    """

    rows: IntArray
    patterns: IntArray
    code: IntArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pairs:
    """All pairs of rows of one group, the earlier first.

    Attributes
    ----------
    first, second : int ndarray, shape (n_pairs,)
        Rows.
    """

    first: IntArray
    second: IntArray


@dataclass(frozen=True)
class Grouping:
    """Which rows are a group, and where in it they are.

    Attributes
    ----------
    starts : int ndarray, shape (m,)
        First row of each group.
    positions : int ndarray, shape (n,)
        Place of each row among the times that occur.
    codes : int ndarray, shape (m,)
        What number the groups had before those without a row of positive weight were left out.
    """

    starts: IntArray
    positions: IntArray
    codes: IntArray

    @cached_property
    def sizes(self) -> IntArray:
        """Rows of each group, shape (m,)."""
        return np.diff(np.append(self.starts, len(self.positions)))

    @cached_property
    def group_of_row(self) -> IntArray:
        """Group of each row, shape (n,)."""
        return np.repeat(np.arange(len(self.starts)), self.sizes)

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """The groups by size."""
        found = []
        for size in np.unique(self.sizes).tolist():
            rows = self.starts[self.sizes == size][:, None] + np.arange(size)
            places = self.positions[rows]
            if (places == places[0]).all():
                patterns, code = places[:1], np.zeros(len(rows), dtype=np.intp)
            else:
                patterns, code = np.unique(places, axis=0, return_inverse=True)
            found.append(Batch(rows, patterns, code.ravel()))
        return tuple(found)

    @cached_property
    def pairs(self) -> Pairs:
        """All pairs of rows of one group."""
        rows = np.arange(len(self.positions))
        following = np.repeat(self.starts + self.sizes, self.sizes) - rows - 1
        first = np.repeat(rows, following)
        ends = np.cumsum(following)
        step = np.arange(len(first)) - np.repeat(ends - following, following)
        return Pairs(first, first + step + 1)

    def without(self, group: int) -> tuple[Grouping, BoolArray]:
        """Return the others without one group, and which rows they are."""
        begin, size = int(self.starts[group]), int(self.sizes[group])
        keep = np.ones(len(self.positions), dtype=bool)
        keep[begin : begin + size] = False
        starts = np.delete(self.starts, group)
        starts[group:] -= size
        return Grouping(starts, self.positions[keep], np.delete(self.codes, group)), keep


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GeeProblem:
    """Rows in the order of their groups, and of their positions within them; rows of zero weight left out.

    Attributes
    ----------
    y, weights, offset : ndarray, shape (n,)
        Response, prior weights and the known part of the linear predictor.
    X : ndarray, shape (n, p)
        Model matrix.
    family : Family
        Link and variance function.
    grouping : Grouping
        The groups.
    """

    y: FloatArray
    weights: FloatArray
    offset: FloatArray
    X: FloatArray
    family: Family
    grouping: Grouping

    @property
    def n_groups(self) -> int:
        """Number of groups, m."""
        return len(self.grouping.starts)

    @property
    def n_pairs(self) -> int:
        """Number of pairs of rows of one group."""
        return int((self.sizes * (self.sizes - 1) // 2).sum())

    @property
    def sizes(self) -> IntArray:
        """Rows of each group, shape (m,)."""
        return self.grouping.sizes

    @property
    def positions(self) -> IntArray:
        """Place of each row among the times that occur, shape (n,)."""
        return self.grouping.positions

    @property
    def pairs(self) -> Pairs:
        """All pairs of rows of one group."""
        return self.grouping.pairs

    def by_group(self, values: FloatArray) -> FloatArray:
        """Return sums over the rows of each group, shape (m, ...)."""
        return np.add.reduceat(values, self.grouping.starts, axis=0)

    def with_columns(self, columns: IntArray) -> GeeProblem:
        """Return the problem with some columns of X alone."""
        return replace(self, X=self.X[:, columns])

    def without_group(self, group: int) -> GeeProblem:
        """Return the problem without one group."""
        grouping, keep = self.grouping.without(group)
        rows = self.y[keep], self.weights[keep], self.offset[keep], self.X[keep]
        return GeeProblem(*rows, self.family, grouping)


def row_order(codes: IntArray, positions: IntArray, weights: FloatArray) -> IntArray:
    """Return the rows of positive weight in the order of a problem."""
    order = np.lexsort([positions, codes])
    return np.asarray(order[weights[order] > 0.0])


def gee_problem(
    y: FloatArray,
    weights: FloatArray,
    X: FloatArray,
    offset: FloatArray | None,
    family: Family,
    codes: IntArray,
    positions: IntArray,
) -> GeeProblem:
    """Return the problem of rows in any order.

    Parameters
    ----------
    y, weights : ndarray, shape (n,)
        Response and prior weights.
    X : ndarray, shape (n, p)
        Model matrix.
    offset : ndarray, shape (n,), or None
        Known part of the linear predictor.
    family : Family
        Link and variance function.
    codes, positions : int ndarray, shape (n,)
        Group of each row, and its place within the group.
    """
    order = row_order(codes, positions, weights)
    offset = np.zeros(len(y)) if offset is None else offset
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return GeeProblem(
        y[order],
        weights[order],
        offset[order],
        np.ascontiguousarray(X[order]),
        family,
        Grouping(starts, positions[order], codes[order[starts]]),
    )
