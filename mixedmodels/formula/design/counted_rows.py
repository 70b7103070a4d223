"""The different rows of a stream of tables, each with the number of times that it occurs.

A likelihood needs no more: what many rows have in common is worked out once. Rows are compared by the
columns that a model reads, exactly; where hardly two are equal they are held as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mixedmodels.arrays import IntArray
from mixedmodels.errors import DataError
from mixedmodels.formula.design.value_codes import LabelCodes, NumberCodes, ValueCodes, labels_of, numbers_of

#: Bytes of different rows that are held: what a fit makes of them takes several times as much.
MOST_BYTES = 2**31
#: Rows that wait to be compared with those before, at the least: comparing sorts all of them.
ROWS_THAT_WAIT = 4_000_000
#: Different numbers in a column, and their share of the rows, beyond which it is held as it is.
MOST_NUMBERS, LARGEST_SHARE = 20_000, 0.5
#: Combinations of values up to which the rows of every batch are counted by themselves.
MOST_CELLS = 2**20
#: Cells of a table of counts, for each row: with more, rows are sorted.
CELLS_PER_ROW = 8
#: Combinations beyond this do not go into one whole number.
MOST_COMBINATIONS = 2**62

Arrays = tuple[npt.NDArray[Any], ...]


class TooManyRows(DataError):
    """Different rows that take more memory than they may."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pile:
    """Some rows.

    Attributes
    ----------
    columns : tuple of ndarray, each (m,)
        Codes of the values; the values of a column that is held as it is.
    counts : ndarray of int, shape (m,), or None
        How often each row occurs; None for once.
    """

    columns: Arrays
    counts: IntArray | None

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(c.nbytes for c in self.columns) + (0 if self.counts is None else self.counts.nbytes)


class CountedRows:
    """Different rows of a stream, counted.

    Parameters
    ----------
    kinds : mapping of str to str
        Kinds of the columns that are read, in their order.

    Raises
    ------
    TooManyRows
        Where they take more memory than `MOST_BYTES`.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = dict(kinds)
        self._codes: list[ValueCodes] = [_codes_of(kind) for kind in self._kinds.values()]
        self._plain = np.zeros(len(self._kinds), dtype=bool)
        self._merged: list[Pile] = []
        self._waiting: list[Pile] = []
        self.n_rows = 0

    def __len__(self) -> int:
        return sum(map(len, [*self._merged, *self._waiting]))

    @property
    def nbytes(self) -> int:
        """Bytes of the rows held."""
        return sum(pile.nbytes for pile in [*self._merged, *self._waiting])

    def add(self, frame: pd.DataFrame) -> None:
        """Count the rows of a table that has these columns."""
        if not len(frame):
            return
        columns = [self._coded(k, frame[name].values) for k, name in enumerate(self._kinds)]
        self.n_rows += len(frame)
        if not self._plain.any() and self._combinations() <= MOST_CELLS:
            self._waiting.append(self._distinct(columns, None))
        else:
            self._waiting.append(Pile(tuple(map(self._compact, range(len(columns)), columns)), None))
        self._hold_plain_columns()
        if sum(map(len, self._waiting)) > max(ROWS_THAT_WAIT, sum(map(len, self._merged))):
            self._merge()
        self._refuse_too_many()

    def _coded(self, k: int, array: Any) -> npt.NDArray[Any]:
        """Return a column as codes, or as it is."""
        numbers, codes = numbers_of(array), self._codes[k]
        if isinstance(codes, NumberCodes) != (numbers is not None) and len(codes) == 1:
            # No value so far: any kind of column begins.
            name = list(self._kinds)[k]
            codes = self._codes[k] = (
                LabelCodes(self._kinds[name]) if numbers is None else NumberCodes(np.int8)
            )
        if isinstance(codes, LabelCodes):
            return codes.codes(labels_of(array))
        if numbers is None:
            raise DataError(f"column {list(self._kinds)[k]!r} holds numbers in some rows and none in others")
        values, missing = numbers
        if self._plain[k]:
            return np.where(missing, np.nan, values) if missing is not None else values.astype(np.float64)
        return codes.codes(values, missing)

    def _compact(self, k: int, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return codes in the least type that has all so far; values as they are."""
        if self._plain[k]:
            return column
        return column.astype(np.min_scalar_type(len(self._codes[k]) - 1), copy=False)

    def _combinations(self) -> int:
        return prod(len(codes) for codes in self._codes)

    def _distinct(self, columns: Sequence[npt.NDArray[Any]], counts: IntArray | None) -> Pile:
        sizes = [len(codes) for codes in self._codes]
        found, times = distinct_codes(columns, sizes, counts)
        return Pile(tuple(map(self._compact, range(len(found)), found)), times)

    def _hold_plain_columns(self) -> None:
        """Give up numbering the values of columns of which hardly two are equal."""
        for k, codes in enumerate(self._codes):
            if self._plain[k] or not isinstance(codes, NumberCodes) or np.dtype(codes.dtype).kind != "f":
                continue
            if len(codes) > max(MOST_NUMBERS, LARGEST_SHARE * self.n_rows):
                self._hold_plain(k)

    def _hold_plain(self, k: int) -> None:
        codes = self._codes[k]
        assert isinstance(codes, NumberCodes)

        def held(pile: Pile) -> Pile:
            values = np.asarray(codes.values(pile.columns[k]), dtype=np.float64)
            return Pile((*pile.columns[:k], values, *pile.columns[k + 1 :]), pile.counts)

        self._merged, self._waiting = [held(p) for p in self._merged], [held(p) for p in self._waiting]
        self._plain[k] = True
        self._codes[k] = NumberCodes(np.float64)

    def _merge(self) -> None:
        """Make one pile of all, with every row once if the rows can be told apart by codes."""
        piles = [*self._merged, *self._waiting]
        if self._plain.any() or (len(piles) == 1 and piles[0].counts is not None):
            self._merged, self._waiting = piles, []
            return
        columns = [np.concatenate([pile.columns[k] for pile in piles]) for k in range(len(self._kinds))]
        is_counted = any(pile.counts is not None for pile in piles)
        counts = np.concatenate([_counts(pile) for pile in piles]) if is_counted else None
        self._merged, self._waiting = [], []
        del piles
        self._merged = [self._distinct(columns, counts)]

    def _refuse_too_many(self) -> None:
        if self.nbytes <= MOST_BYTES:
            return
        plain = [name for name, is_plain in zip(self._kinds, self._plain, strict=True) if is_plain]
        most = max(self._kinds, key=lambda name: len(self._codes[list(self._kinds).index(name)]))
        why = f"of {', '.join(plain)} hardly two values are equal" if plain else f"{most} has most values"
        raise TooManyRows(
            f"{self.n_rows:,} rows have {len(self):,} different combinations of the columns that the model "
            f"reads, which take more than {MOST_BYTES / 2**30:.0f} GB: {why}. Round such columns, as in "
            "I(round(x, 1)), in the source, count the rows there (weights, or cbind(successes, failures)), "
            "or fit a sample of the levels."
        )

    def absorb(self, other: CountedRows) -> None:
        """Add the counts of other rows with the same columns, whose own are used up."""
        for k in range(len(self._kinds)):
            if self._plain[k] != other._plain[k]:
                (other if self._plain[k] else self)._hold_plain(k)
        places = [self._absorbed(k, other) for k in range(len(self._kinds))]
        self.n_rows += other.n_rows
        for pile in [*other._merged, *other._waiting]:
            columns = [c if at is None else at[c] for c, at in zip(pile.columns, places, strict=True)]
            self._waiting.append(Pile(tuple(map(self._compact, range(len(columns)), columns)), pile.counts))
        other._merged, other._waiting = [], []
        if sum(map(len, self._waiting)) > max(ROWS_THAT_WAIT, sum(map(len, self._merged))):
            self._merge()
        self._refuse_too_many()

    def _absorbed(self, k: int, other: CountedRows) -> IntArray | None:
        """Return the code here of each code there; None where a column is held as it is."""
        if self._plain[k]:
            return None
        own, theirs = self._codes[k], other._codes[k]
        if len(theirs) == 1:
            return np.zeros(1, dtype=np.intp)
        if len(own) == 1:
            self._codes[k] = theirs
            return np.arange(len(theirs))
        if isinstance(own, NumberCodes) and isinstance(theirs, NumberCodes):
            return own.absorb(theirs)
        if isinstance(own, LabelCodes) and isinstance(theirs, LabelCodes):
            return own.absorb(theirs)
        raise DataError(f"column {list(self._kinds)[k]!r} holds numbers in some rows and none in others")

    def table(self) -> tuple[pd.DataFrame, IntArray]:
        """Return the different rows as a table, numbered from 0, and how often each occurs."""
        self._merge()
        if not self._merged:
            raise DataError("0 (non-NA) cases: the source has no rows")
        piles = self._merged
        columns = {}
        for k, name in enumerate(self._kinds):
            held = np.concatenate([pile.columns[k] for pile in piles])
            columns[name] = held if self._plain[k] else self._codes[k].values(held)
        return pd.DataFrame(columns), np.concatenate([_counts(pile) for pile in piles])


def _codes_of(kind: str) -> ValueCodes:
    if kind in ("integer", "float", "boolean"):
        return NumberCodes(np.bool_ if kind == "boolean" else np.int8)
    return LabelCodes(kind)


def _counts(pile: Pile) -> IntArray:
    return np.ones(len(pile), dtype=np.intp) if pile.counts is None else pile.counts


def distinct_codes(
    columns: Sequence[npt.NDArray[Any]], sizes: Sequence[int], counts: IntArray | None
) -> tuple[list[npt.NDArray[Any]], IntArray]:
    """Return the different rows of a table of codes, in their order, and how often each occurs.

    Parameters
    ----------
    columns : sequence of ndarray of int, each (n,)
        Codes, those of column k in ``range(sizes[k])``.
    sizes : sequence of int
        Number of codes of each column.
    counts : ndarray of int, shape (n,), or None
        What each row counts; None for once.

    Examples
    --------
    >>> import numpy as np
    >>> rows, times = distinct_codes([np.array([1, 0, 1]), np.array([2, 2, 2])], [2, 3], None)
    >>> [row.tolist() for row in rows], times.tolist()
    ([[0, 1], [2, 2]], [1, 2])
    """
    combinations = prod(sizes)
    if combinations >= MOST_COMBINATIONS:
        return _by_lexsort(columns, counts)
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column, size in zip(columns, sizes, strict=True):
        if size > 1:
            key *= size
            key += column
    if combinations <= CELLS_PER_ROW * len(key):
        table = np.bincount(key, counts, minlength=combinations).astype(np.intp)
        distinct = np.flatnonzero(table)
        times = table[distinct]
    else:
        distinct, times = _by_sorting(key, counts)
    found = []
    for size in reversed(sizes):
        distinct, code = np.divmod(distinct, size)
        found.append(code)
    return found[::-1], times


def _by_sorting(key: npt.NDArray[np.int64], counts: IntArray | None) -> tuple[npt.NDArray[Any], IntArray]:
    if counts is None:
        key.sort()
    else:
        order = np.argsort(key)
        key, counts = key[order], counts[order]
    first = np.concatenate([[0], np.flatnonzero(key[1:] != key[:-1]) + 1])
    return key[first], _sums_from(first, counts, len(key))


def _by_lexsort(
    columns: Sequence[npt.NDArray[Any]], counts: IntArray | None
) -> tuple[list[npt.NDArray[Any]], IntArray]:
    order = np.lexsort(columns[::-1])
    is_new = np.zeros(len(order), dtype=bool)
    is_new[0] = True
    for column in columns:
        rows = column[order]
        is_new[1:] |= rows[1:] != rows[:-1]
    first = np.flatnonzero(is_new)
    times = _sums_from(first, None if counts is None else counts[order], len(order))
    return [column[order[first]] for column in columns], times


def _sums_from(first: IntArray, counts: IntArray | None, n: int) -> IntArray:
    """Return the sums of counts over the runs that begin at `first`."""
    if counts is None:
        return np.diff(first, append=n)
    return np.add.reduceat(counts, first)
