"""Sums by pairs of levels of two crossed factors, as sorted runs that are merged as they grow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mixedmodels.arrays import FloatArray, IntArray

#: Bits of a key that number the level of the second factor.
SECOND_BITS = 32
#: Pairs of the levels met in a batch are numbered through a table while it has no more cells than this for a
#: row, and beside them.
CELLS_PER_ROW, SPARE_CELLS = 4, 1 << 16

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Run:
    """Sums of pairs of levels.

    Attributes
    ----------
    keys : int64 ndarray, shape (n_pairs,)
        Ascending; the level of the first factor and, in the last 32 bits, that of the second.
    sums : ndarray, shape (n_pairs, width)
        Products of the columns of the first factor with those of the second.
    """

    keys: Keys
    sums: FloatArray


@dataclass(slots=True)
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

    def total(self, width: int) -> Run:
        """Return all sums as one run."""
        while len(self.runs) > 1:
            last = self.runs.pop()
            self.runs[-1] = merged(self.runs[-1], last)
        return self.runs[0] if self.runs else Run(np.empty(0, dtype=np.int64), np.empty((0, width)))


def merged(one: Run, other: Run) -> Run:
    """Return the sums of two runs."""
    if len(one.keys) == len(other.keys) and np.array_equal(one.keys, other.keys):
        return Run(one.keys, one.sums + other.sums)
    where = np.searchsorted(one.keys, other.keys)
    known = np.zeros(len(other.keys), dtype=bool)
    inside = where < len(one.keys)
    known[inside] = one.keys[where[inside]] == other.keys[inside]
    if known.all():
        sums = one.sums.copy()
        sums[where] += other.sums
        return Run(one.keys, sums)
    new = ~known
    keys = np.insert(one.keys, where[new], other.keys[new])
    sums = np.insert(one.sums, where[new], other.sums[new], axis=0)
    sums[np.searchsorted(keys, other.keys[known])] += other.sums[known]
    return Run(keys, sums)


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


def _numbered(first: IntArray, second: IntArray) -> tuple[Keys, IntArray]:
    """Return the keys of the pairs that occur, ascending, and the number of each row's."""
    if not len(first):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.intp)
    low, high = (int(first.min()), int(second.min())), (int(first.max()), int(second.max()))
    heights, width = high[0] - low[0] + 1, high[1] - low[1] + 1
    if heights * width > CELLS_PER_ROW * len(first) + SPARE_CELLS:
        distinct, of_row = np.unique(joined_keys(first, second), return_inverse=True)
        return distinct, of_row
    cell = (first - low[0]).astype(np.intp) * width + (second - low[1])
    occurs = np.zeros(heights * width, dtype=bool)
    occurs[cell] = True
    found = np.flatnonzero(occurs)
    number = np.empty(len(occurs), dtype=np.intp)
    number[found] = np.arange(len(found))
    a, b = np.divmod(found, width)
    return joined_keys(a + low[0], b + low[1]), number[cell]


def joined_keys(first: IntArray, second: IntArray) -> Keys:
    """Return the keys of pairs of levels."""
    return (first.astype(np.int64) << SECOND_BITS) | second.astype(np.int64)


def split_keys(keys: Keys) -> tuple[IntArray, IntArray]:
    """Return the levels of the first and of the second factor."""
    return (keys >> SECOND_BITS).astype(np.intp), (keys & ((1 << SECOND_BITS) - 1)).astype(np.intp)
