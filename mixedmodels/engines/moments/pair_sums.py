"""Sums by pairs of levels of two crossed factors, as sorted runs that are merged as they grow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from mixedmodels.arrays import CodeArray, FloatArray, IndexArray, IntArray

#: Bits of a key that number the level of the second factor.
SECOND_BITS = 32
#: Pairs of the levels met in a batch are numbered through a table while it has no more cells than this for a
#: row, and beside them.
CELLS_PER_ROW, SPARE_CELLS = 4, 1 << 16
#: Pairs that are merged or put in order at once.
KEYS_AT_ONCE = 1 << 22
#: Largest number of rows that int32 holds, and that uint8 holds.
MOST_ROWS, FEW_ROWS = 2**31 - 1, 2**8 - 1
_SECOND = (1 << SECOND_BITS) - 1

Keys = npt.NDArray[np.int64]
PairArray = npt.NDArray[np.float64] | npt.NDArray[np.int32] | npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Run:
    """Sums of pairs of levels.

    Attributes
    ----------
    keys : int64 ndarray, shape (n_pairs,)
        Ascending; the level of the first factor and, in the last 32 bits, that of the second.
    sums : ndarray, shape (n_pairs, width)
        Products of the columns of the first factor with those of the second; numbers of rows, in the shortest
        integers that hold them, where both have the column of ones alone.
    """

    keys: Keys
    sums: PairArray


@dataclass(slots=True, eq=False, repr=False)
class PairSums:
    """Sums by pairs of levels of two factors, growing.

    Attributes
    ----------
    runs : list of Run
        Runs, each more than twice as long as the next, so that a pair is moved as often as the logarithm of
        their number.
    """

    runs: list[Run] = field(default_factory=list)

    @property
    def n_pairs(self) -> int:
        """Number of pairs in all runs, those in several counted in each."""
        return sum(len(run.keys) for run in self.runs)

    @property
    def nbytes(self) -> int:
        """Bytes of all runs."""
        return sum(run.keys.nbytes + run.sums.nbytes for run in self.runs)

    def add(self, run: Run) -> None:
        """Add sums."""
        self.runs.append(run)
        while len(self.runs) > 1 and len(self.runs[-2].keys) < 2 * len(self.runs[-1].keys):
            last = self.runs.pop()
            self.runs[-1] = merged(self.runs[-1], last)

    def shorten(self) -> None:
        """Put all sums into one run, each pair once."""
        while len(self.runs) > 1:
            last = self.runs.pop()
            self.runs[-1] = merged(self.runs[-1], last)

    def total(self, width: int) -> Run:
        """Return all sums as one run."""
        self.shorten()
        return self.runs[0] if self.runs else Run(np.empty(0, dtype=np.int64), np.empty((0, width)))


def merged(one: Run, other: Run) -> Run:
    """Return the sums of two runs, the first of which is the longer."""
    dtype = _type_of_sums(one.sums, other.sums)
    if not (len(one.keys) and len(other.keys)):
        return one if len(one.keys) else other
    if len(one.keys) == len(other.keys) and np.array_equal(one.keys, other.keys):
        return Run(one.keys, np.add(one.sums, other.sums, dtype=dtype))
    size = len(one.keys) + len(other.keys)
    keys, sums = np.empty(size, dtype=np.int64), np.empty((size, one.sums.shape[1]), dtype)
    end = 0
    # Some at a time: what a merge needs beside its result stays small.
    for a, b in _cuts(one.keys, other.keys):
        piece = _merged_piece(Run(one.keys[a], one.sums[a]), Run(other.keys[b], other.sums[b]), dtype)
        where = slice(end, end + len(piece.keys))
        keys[where], sums[where], end = piece.keys, piece.sums, where.stop
    # Shortened in place: a copy would be held beside the whole.
    keys.resize(end, refcheck=False)
    sums.resize((end, sums.shape[1]), refcheck=False)
    return Run(keys, sums)


def _type_of_sums(one: PairArray, other: PairArray) -> npt.DTypeLike:
    """Return the type of the sums of two runs: integers while both are numbers of rows and fit."""
    if one.dtype == np.float64 or other.dtype == np.float64:
        return np.float64
    return _type_of_counts(int(one.max(initial=0)) + int(other.max(initial=0)))


def _type_of_counts(largest: int) -> npt.DTypeLike:
    return np.uint8 if largest <= FEW_ROWS else np.int32 if largest <= MOST_ROWS else np.float64


def _cuts(one: Keys, other: Keys) -> Iterator[tuple[slice, slice]]:
    """Yield the parts of two arrays of keys that lie in the same ranges."""
    mine = np.append(np.arange(0, len(one), KEYS_AT_ONCE), len(one))
    theirs = np.append(np.searchsorted(other, one[::KEYS_AT_ONCE]), len(other))
    theirs[0] = 0
    for k in range(len(mine) - 1):
        yield slice(mine[k], mine[k + 1]), slice(theirs[k], theirs[k + 1])


def _merged_piece(one: Run, other: Run, dtype: npt.DTypeLike) -> Run:
    """Return the sums of two runs of moderate length."""
    where = np.searchsorted(one.keys, other.keys)
    known = np.zeros(len(other.keys), dtype=bool)
    inside = where < len(one.keys)
    known[inside] = one.keys[where[inside]] == other.keys[inside]
    new = ~known
    keys = np.insert(one.keys, where[new], other.keys[new])
    sums = np.insert(one.sums.astype(dtype, copy=False), where[new], other.sums[new], axis=0)
    at = where + np.cumsum(new) - new
    sums[at[known]] += other.sums[known].astype(dtype, copy=False)
    return Run(keys, sums)


def renumbered(run: Run, first: IntArray, second: IntArray) -> Run:
    """Return sums with their levels at other places, one array for each factor."""
    if _are_in_place(first) and _are_in_place(second):
        return run
    order = in_order(run, first, second)
    return Run(joined_keys(order.first, order.second), run.sums[order.place])


def _are_in_place(places: IntArray) -> bool:
    return bool(np.array_equal(places, np.arange(len(places))))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PairOrder:
    """Pairs of levels in the order of other numbers of the levels.

    Attributes
    ----------
    first, second : int32 ndarray, shape (n_pairs,)
        Levels of the two factors, sorted by `first`, then `second`.
    place : ndarray of int, shape (n_pairs,)
        Where in the run each pair is.
    """

    first: CodeArray
    second: CodeArray
    place: IndexArray


def in_order(run: Run, first: IntArray, second: IntArray, *, turned: bool = False) -> PairOrder:
    """Return the pairs in the order that other numbers of their levels give, by counting.

    Parameters
    ----------
    run : Run
        Sums.
    first, second : ndarray of int, shape (q,) and (q',)
        New number of each level, all of one factor different.
    turned : bool
        Whether the second factor becomes the first.
    """
    n, shape = len(run.keys), (len(first), int(second.max(initial=-1)) + 1)
    starts = np.searchsorted(run.keys, np.arange(shape[0] + 1, dtype=np.int64) << SECOND_BITS)
    columns = np.empty(n, dtype=np.int32)
    for start in range(0, n, KEYS_AT_ONCE):
        part = slice(start, start + KEYS_AT_ONCE)
        columns[part] = second[run.keys[part] & _SECOND]
    place: Any = np.arange(n, dtype=np.int32 if n <= MOST_ROWS else np.int64)
    pairs: Any = csr_array((place, columns, starts.astype(place.dtype)), shape=shape)
    del columns, place
    if turned:
        pairs = csr_array(pairs.T.tocsr())
        pairs.indices = first[pairs.indices].astype(np.int32)
        numbers = np.arange(shape[1], dtype=np.int32)
    else:
        order = np.argsort(first)
        pairs, numbers = pairs[order], first[order].astype(np.int32)
    pairs.sort_indices()
    levels = np.repeat(numbers, np.diff(pairs.indptr))
    return PairOrder(levels, pairs.indices.astype(np.int32, copy=False), pairs.data)


def sorted_run(keys: Keys, sums: FloatArray) -> Run:
    """Return sums of pairs in any order, none of which occurs twice, as a run."""
    order = np.argsort(keys, kind="stable")
    return Run(keys[order], sums[order])


def summed_pairs(first: IntArray, second: IntArray, rows: FloatArray, columns: FloatArray) -> Run:
    """Return the products of columns of two factors, summed by pair of levels.

    Parameters
    ----------
    first, second : ndarray of int, shape (n,)
        Levels.
    rows, columns : ndarray, shape (S, n) and (S', n)
        Columns of the factors, weights in one of them.
    """
    keys, of_row = _numbered(first, second)
    count, m = len(keys), len(columns)
    sums = np.empty((count, len(rows) * m))
    for i, z in enumerate(rows):
        for j, v in enumerate(columns):
            sums[:, i * m + j] = np.bincount(of_row, z * v, count)
    return Run(keys, sums)


def counted_pairs(first: IntArray, second: IntArray) -> Run:
    """Return the number of rows of each pair of levels.

    Parameters
    ----------
    first, second : ndarray of int, shape (n,)
        Levels.
    """
    cells = _cells(first, second)
    if cells is not None:
        table = np.bincount(cells.of_row)
        found = np.flatnonzero(table)
        counts = table[found]
        return Run(cells.keys(found), counts.astype(_type_of_counts(int(counts.max())))[:, None])
    keys = joined_keys(first, second)
    keys.sort()
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    counts = np.diff(starts, append=len(keys))
    return Run(keys[starts], counts.astype(_type_of_counts(int(counts.max(initial=0))))[:, None])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Cells:
    """A table of the levels met in a batch.

    Attributes
    ----------
    of_row : ndarray of int, shape (n,)
        Cell of each row.
    low : tuple of int
        Levels of the first cell.
    width : int
        Levels of the second factor.
    """

    of_row: IntArray
    low: tuple[int, int]
    width: int

    def keys(self, cells: IntArray) -> Keys:
        """Return the keys of some cells."""
        a, b = np.divmod(cells, self.width)
        return joined_keys(a + self.low[0], b + self.low[1])


def _cells(first: IntArray, second: IntArray) -> _Cells | None:
    """Return the table of the levels met; None where it would be large beside the rows."""
    if not len(first):
        return None
    low, high = (int(first.min()), int(second.min())), (int(first.max()), int(second.max()))
    heights, width = high[0] - low[0] + 1, high[1] - low[1] + 1
    if heights * width > CELLS_PER_ROW * len(first) + SPARE_CELLS:
        return None
    return _Cells((first - low[0]).astype(np.intp) * width + (second - low[1]), low, width)


def _numbered(first: IntArray, second: IntArray) -> tuple[Keys, IntArray]:
    """Return the keys of the pairs that occur, ascending, and the number of each row's."""
    cells = _cells(first, second)
    if cells is None:
        distinct, of_row = np.unique(joined_keys(first, second), return_inverse=True)
        return distinct, of_row
    occurs = np.bincount(cells.of_row)
    found = np.flatnonzero(occurs)
    number = np.empty(len(occurs), dtype=np.intp)
    number[found] = np.arange(len(found))
    return cells.keys(found), number[cells.of_row]


def joined_keys(first: IndexArray, second: IndexArray) -> Keys:
    """Return the keys of pairs of levels."""
    return (first.astype(np.int64) << SECOND_BITS) | second.astype(np.int64)


def split_keys(keys: Keys) -> tuple[IntArray, IntArray]:
    """Return the levels of the first and of the second factor."""
    return (keys >> SECOND_BITS).astype(np.intp), (keys & _SECOND).astype(np.intp)
