"""The levels of a grouping factor, numbered as a stream of rows brings them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from mixedmodels.arrays import IntArray
from mixedmodels.errors import DataError
from mixedmodels.formula.evaluation.columns import Column, Factor, Numeric, as_factor
from mixedmodels.formula.evaluation.exact_numbers import float_names

#: Whole numbers are found through a table of all between the least and the largest while it has no more
#: places than this for a level, and beside them.
PLACES_PER_LEVEL, SPARE_PLACES = 16, 1 << 20
#: Whole numbers beyond this are not held exactly by floats.
LARGEST_EXACT = 2.0**53
#: Bits of the key of a combination of levels that number the second.
SECOND_BITS = 32


@dataclass(slots=True, eq=False, repr=False)
class NumberLevels:
    """Levels that are numbers.

    Attributes
    ----------
    keys : ndarray, shape (q,)
        The numbers, int64 while all are whole, else float64.
    low : int
        The number that the table begins with.
    table : ndarray, or None
        Number of the level of each whole number from `low` on, -1 of none; None where they are too far apart.
    """

    keys: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    low: int = 0
    table: npt.NDArray[np.int32] | None = field(default_factory=lambda: np.empty(0, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.keys)

    def codes(self, values: npt.NDArray[Any]) -> IntArray:
        """Return the number of the level of each value, new ones added."""
        if not len(values):
            return np.empty(0, dtype=np.intp)
        numbers = self._alike(values)
        if self.table is not None:
            low, high = int(numbers.min()), int(numbers.max())
            if self._covers(low, high, len(numbers)):
                return self._from_table(numbers)
        return self._from_index(numbers)

    def _alike(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values as whole numbers while all so far are."""
        if values.dtype.kind in "iu":
            return values.astype(self.keys.dtype, copy=False)
        floats = values.astype(np.float64, copy=False)
        if self.keys.dtype.kind == "i":
            if (floats == np.rint(floats)).all() and np.abs(floats).max() < LARGEST_EXACT:
                return floats.astype(np.int64)
            self.keys, self.table = self.keys.astype(np.float64), None
        return floats

    def _covers(self, low: int, high: int, n: int) -> bool:
        """Make the table reach from one number to another, or give it up; tell whether it does."""
        assert self.table is not None
        if len(self.table):
            low, high = min(low, self.low), max(high, self.low + len(self.table) - 1)
        width = high - low + 1
        if width == len(self.table):
            return True
        if width > PLACES_PER_LEVEL * (len(self.keys) + n) + SPARE_PLACES:
            self.table = None
            return False
        table = np.full(width, -1, dtype=np.int32)
        if len(self.table):
            table[self.low - low : self.low - low + len(self.table)] = self.table
        self.low, self.table = low, table
        return True

    def _from_table(self, numbers: npt.NDArray[Any]) -> IntArray:
        assert self.table is not None
        places = numbers - self.low if self.low else numbers
        codes = self.table[places]
        if codes.min() < 0:
            is_new = np.zeros(len(self.table), dtype=bool)
            is_new[places[codes < 0]] = True
            new = np.flatnonzero(is_new)
            self.table[new] = np.arange(len(self.keys), len(self.keys) + len(new), dtype=np.int32)
            self.keys = np.concatenate([self.keys, new + self.low])
            codes = self.table[places]
        return np.asarray(codes)

    def _from_index(self, numbers: npt.NDArray[Any]) -> IntArray:
        distinct, inverse = np.unique(numbers, return_inverse=True)
        known = pd.Index(self.keys).get_indexer(distinct)
        new = known < 0
        known[new] = np.arange(len(self.keys), len(self.keys) + int(new.sum()))
        self.keys = np.concatenate([self.keys, distinct[new]])
        return np.asarray(known[inverse], dtype=np.intp)

    def names(self) -> tuple[str, ...]:
        """Return the names of the levels."""
        if self.keys.dtype.kind == "i":
            return tuple(map(str, self.keys.tolist()))
        return tuple(float_names(self.keys))

    def order(self) -> IntArray:
        """Return the levels in increasing order."""
        return np.argsort(self.keys, kind="stable")

    def renew(self) -> None:
        """Make the table of the keys."""
        keys, self.keys = self.keys, self.keys[:0]
        if self.table is not None and len(keys) and self._covers(int(keys.min()), int(keys.max()), len(keys)):
            self.table[keys - self.low] = np.arange(len(keys), dtype=np.int32)
        self.keys = keys

    def truncate(self, count: int) -> None:
        """Forget the levels after the first ones."""
        self.keys = self.keys[:count]
        if self.table is not None:
            self.table[self.table >= count] = -1

    def absorb(self, other: NumberLevels) -> IntArray:
        """Add the levels of another table and return the number here of each."""
        return self.codes(other.keys)


@dataclass(slots=True, eq=False, repr=False)
class NameLevels:
    """Levels that have names.

    Attributes
    ----------
    numbers : dict
        Number of each name.
    categories : tuple of str, or None
        Levels in their order where the column is categorical, the same in every batch; None elsewhere.
    last : tuple
        The levels of the last batch, and their numbers, -1 of those that it had no row of.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    categories: tuple[str, ...] | None = None
    last: tuple[tuple[str, ...], IntArray] = ((), np.empty(0, dtype=np.intp))

    def __len__(self) -> int:
        return len(self.numbers)

    def codes(self, factor: Factor, *, is_text: bool = False) -> IntArray:
        """Return the number of the level of each row, new ones added; those of text have no order."""
        self._note(None if is_text or factor.is_text or factor.is_date else factor.levels)
        places = self.last[1] if factor.levels is self.last[0] else np.full(len(factor.levels), -1)
        present = np.zeros(len(factor.levels), dtype=bool)
        present[factor.codes] = True
        for k in np.flatnonzero(present & (places < 0)).tolist():
            places[k] = self.numbers.setdefault(factor.levels[k], len(self.numbers))
        self.last = factor.levels, places
        return places[factor.codes]

    def _note(self, levels: tuple[str, ...] | None) -> None:
        """Remember the order of categories while all batches agree on it."""
        if not self.numbers:
            self.categories = levels
        elif self.categories is not None and levels != self.categories:
            self.categories = None

    def names(self) -> tuple[str, ...]:
        """Return the names of the levels."""
        return tuple(self.numbers)

    def order(self) -> IntArray:
        """Return the levels in the order of the categories, or of the alphabet."""
        names = self.names()
        if self.categories is None:
            return np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.intp)
        position = {level: k for k, level in enumerate(self.categories)}
        return np.argsort([position[name] for name in names], kind="stable")

    def truncate(self, count: int) -> None:
        """Forget the levels after the first ones."""
        self.numbers = dict(list(self.numbers.items())[:count])
        self.last = ((), np.empty(0, dtype=np.intp))

    def absorb(self, other: NameLevels) -> IntArray:
        """Add the levels of another table and return the number here of each."""
        self._note(other.categories)
        places = [self.numbers.setdefault(name, len(self.numbers)) for name in other.numbers]
        return np.array(places, dtype=np.intp)


@dataclass(slots=True, eq=False, repr=False)
class ColumnLevels:
    """Levels of one column, numbers or names as its first rows show.

    Attributes
    ----------
    name : str
        Of the column, for messages.
    table : NumberLevels, NameLevels or None
        The levels; None before the first row.
    is_text : bool
        Whether the column is text, which may come as categories in the order in which they occur.
    """

    name: str
    table: NumberLevels | NameLevels | None = None
    is_text: bool = False

    def __len__(self) -> int:
        return 0 if self.table is None else len(self.table)

    def codes(self, column: Column) -> IntArray:
        """Return the number of the level of each row.

        Raises
        ------
        DataError
            If numbers come after names, or names after numbers.
        """
        is_number = isinstance(column, Numeric) and column.values.dtype.kind in "iuf"
        if self.table is None:
            self.table = NumberLevels() if is_number else NameLevels()
        if isinstance(self.table, NumberLevels) and is_number:
            assert isinstance(column, Numeric)
            return self.table.codes(column.values)
        if isinstance(self.table, NameLevels) and not is_number:
            factor = column if isinstance(column, Factor) else as_factor(column)
            return self.table.codes(factor, is_text=self.is_text)
        found, was = ("numbers", "names") if is_number else ("names", "numbers")
        raise DataError(
            f"the grouping factor {self.name} holds {found} here and {was} before; make it one type"
        )

    def names(self) -> tuple[str, ...]:
        """Return the names of the levels."""
        return () if self.table is None else self.table.names()

    def order(self) -> IntArray:
        """Return the levels in their order."""
        return np.empty(0, dtype=np.intp) if self.table is None else self.table.order()

    def truncate(self, count: int) -> None:
        """Forget the levels after the first ones."""
        if self.table is not None:
            self.table.truncate(count)

    def absorb(self, other: ColumnLevels) -> IntArray:
        """Add the levels of another table and return the number here of each."""
        if other.table is None:
            return np.empty(0, dtype=np.intp)
        if self.table is None:
            self.table = NumberLevels() if isinstance(other.table, NumberLevels) else NameLevels()
        if isinstance(self.table, NumberLevels) and isinstance(other.table, NumberLevels):
            return self.table.absorb(other.table)
        if isinstance(self.table, NameLevels) and isinstance(other.table, NameLevels):
            return self.table.absorb(other.table)
        raise DataError(f"the grouping factor {self.name} holds numbers in one and names in the other.")


@dataclass(slots=True, eq=False, repr=False)
class CombinedLevels:
    """Levels of an interaction ``a:b``: the combinations that occur.

    Attributes
    ----------
    left, right : ColumnLevels or CombinedLevels
        Levels of its sides.
    table : NumberLevels
        The combinations, as one whole number each.
    """

    left: LevelTable
    right: LevelTable
    table: NumberLevels = field(default_factory=NumberLevels)

    def __len__(self) -> int:
        return len(self.table)

    def codes_of(self, left: IntArray, right: IntArray) -> IntArray:
        """Return the number of each combination of levels of the sides."""
        return self.table.codes((left.astype(np.int64) << SECOND_BITS) | right.astype(np.int64))

    def _sides(self) -> tuple[IntArray, IntArray]:
        keys = self.table.keys
        return keys >> SECOND_BITS, keys & ((1 << SECOND_BITS) - 1)

    def names(self) -> tuple[str, ...]:
        """Return the names of the levels."""
        first, second = self.left.names(), self.right.names()
        return tuple(
            f"{first[a]}:{second[b]}" for a, b in zip(*map(np.ndarray.tolist, self._sides()), strict=True)
        )

    def order(self) -> IntArray:
        """Return the levels in their order, the right side varying fastest."""
        first, second = self._sides()
        ranks = []
        for side in (self.left, self.right):
            rank = np.empty(len(side), dtype=np.intp)
            rank[side.order()] = np.arange(len(side))
            ranks.append(rank)
        return np.lexsort((ranks[1][second], ranks[0][first]))

    def truncate(self, count: int) -> None:
        """Forget the combinations after the first ones; levels of the sides that none has do no harm."""
        self.table.truncate(count)

    def absorb(self, other: CombinedLevels) -> IntArray:
        """Add the levels of another table and return the number here of each."""
        lefts, rights = absorb(self.left, other.left), absorb(self.right, other.right)
        first, second = other._sides()
        return self.codes_of(lefts[first], rights[second])


LevelTable: TypeAlias = ColumnLevels | CombinedLevels


def absorb(here: LevelTable, other: LevelTable) -> IntArray:
    """Add the levels of a table of the same factor and return the number here of each."""
    if isinstance(here, CombinedLevels) and isinstance(other, CombinedLevels):
        return here.absorb(other)
    assert isinstance(here, ColumnLevels) and isinstance(other, ColumnLevels)
    return here.absorb(other)
