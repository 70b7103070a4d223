"""Values of variables: numbers, matrices of numbers, truth values, factors.

Every column knows which of its rows are missing and can be cut to a set of rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mixedmodels.arrays import BoolArray, CodeArray, FloatArray, IntArray
from mixedmodels.errors import DataError
from mixedmodels.formula.language.number_format import format_number

if TYPE_CHECKING:
    from mixedmodels.formula.evaluation.contrasts import Contrast


@dataclass(frozen=True, slots=True)
class Numeric:
    """Numbers, shape (n,): float64, or integers as they were given."""

    values: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    def missing(self) -> BoolArray | None:
        """Return which rows are NaN; None when no row is."""
        if self.values.dtype.kind != "f" or np.isfinite(self.values).all():
            return None
        missing = np.isnan(self.values)
        return missing if missing.any() else None

    def take(self, rows: IntArray | BoolArray) -> Numeric:
        """Return the values of `rows`."""
        return Numeric(self.values[rows])

    def as_float(self) -> FloatArray:
        """Return the values as float64."""
        return self.values.astype(np.float64, copy=False)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Several numeric columns, shape (n, k), with their names."""

    values: FloatArray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def missing(self) -> BoolArray | None:
        """Return which rows hold a NaN; None when no row does."""
        missing: BoolArray = np.any(np.isnan(self.values), axis=1)
        return missing if missing.any() else None

    def take(self, rows: IntArray | BoolArray) -> Matrix:
        """Return the values of `rows`."""
        return Matrix(self.values[rows], self.names)


@dataclass(frozen=True, slots=True)
class Logical:
    """Truth values, shape (n,), with a mask of the missing ones when there are any."""

    values: BoolArray
    absent: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def missing(self) -> BoolArray | None:
        """Return which rows are missing; None when no row is."""
        return self.absent if self.absent is not None and self.absent.any() else None

    def take(self, rows: IntArray | BoolArray) -> Logical:
        """Return the values of `rows`."""
        return Logical(self.values[rows], None if self.absent is None else self.absent[rows])

    def as_float(self) -> FloatArray:
        """Return 0 and 1, NaN where missing."""
        numbers = self.values.astype(np.float64)
        if self.absent is not None:
            numbers[self.absent] = np.nan
        return numbers


@dataclass(frozen=True, slots=True)
class Factor:
    """A categorical variable.

    Attributes
    ----------
    codes : int32 ndarray, shape (n,)
        Position of each row's level; -1 where missing.
    levels : tuple of str
        Names of the levels.
    ordered : bool
        Whether the levels are ordered (polynomial contrasts by default).
    contrast : Contrast or None
        Coding attached by ``C(f, ...)``.
    is_text : bool
        Whether the values came as strings (a response made of strings is refused).
    """

    codes: CodeArray
    levels: tuple[str, ...]
    ordered: bool = False
    contrast: Contrast | None = None
    is_text: bool = False

    def __len__(self) -> int:
        return len(self.codes)

    def missing(self) -> BoolArray | None:
        """Return which rows are missing; None when no row is."""
        if len(self.codes) == 0 or self.codes.min() >= 0:
            return None
        return self.codes < 0

    def take(self, rows: IntArray | BoolArray) -> Factor:
        """Return the values of `rows`, all levels kept."""
        return replace(self, codes=self.codes[rows])

    def drop_unused(self) -> Factor:
        """Return the factor without levels that no row has."""
        present = np.zeros(len(self.levels) + 1, dtype=bool)
        present[self.codes] = True  # the last place collects the missing code -1
        present = present[:-1]
        if present.all():
            return self
        renumber = np.append(np.cumsum(present) - 1, -1).astype(np.int32)
        levels = tuple(level for level, kept in zip(self.levels, present, strict=True) if kept)
        return replace(self, codes=renumber[self.codes], levels=levels)


Column: TypeAlias = Numeric | Matrix | Logical | Factor
Scalar: TypeAlias = float | bool | str | None
Value: TypeAlias = Column | Scalar | tuple[Scalar, ...]


def as_factor(column: Column) -> Factor:
    """Return `column` as a factor, the levels in increasing order, as R's ``factor()``."""
    if isinstance(column, Factor):
        return column.drop_unused()
    if isinstance(column, Logical):
        codes = column.values.astype(np.int32)
        if column.absent is not None:
            codes[column.absent] = -1
        return Factor(codes, ("FALSE", "TRUE")).drop_unused()
    if isinstance(column, Matrix):
        raise DataError("a matrix cannot be made a factor")
    if column.values.dtype.kind in "iu":
        codes, found = dense_codes(column.values)
        return Factor(codes, tuple(map(str, found.tolist())))
    return _factor_of_floats(column.values)


def dense_codes(values: npt.NDArray[np.integer[Any]]) -> tuple[CodeArray, IntArray]:
    """Return int32 codes of integers and the distinct values in increasing order.

    Small ranges are coded through a table in O(n); otherwise by sorting.
    """
    if len(values) == 0:
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.intp)
    low, high = int(values.min()), int(values.max())
    if high - low > 4 * len(values) + 1000:
        found, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int32), found
    if low < 0 and values.dtype.itemsize < 8:
        values = values.astype(np.int64)  # 127 - (-128) does not fit into int8
    shifted = values if low == 0 else values - low
    present = np.zeros(high - low + 1, dtype=bool)
    present[shifted] = True
    found = np.flatnonzero(present)
    if len(found) == len(present):
        return shifted.astype(np.int32), found + low
    table = np.cumsum(present, dtype=np.int32) - np.int32(1)
    return table[shifted], found + low


def _factor_of_floats(values: FloatArray) -> Factor:
    """Return the factor of floating-point numbers, levels named with 15 significant digits."""
    present = ~np.isnan(values)
    found, inverse = np.unique(values[present], return_inverse=True)
    codes = np.full(len(values), -1, dtype=np.int32)
    names = list(map(format_number, found.tolist()))
    levels = tuple(dict.fromkeys(names))
    if len(levels) < len(names):  # numbers that differ beyond the 15th digit share a level
        position = {name: i for i, name in enumerate(levels)}
        inverse = np.array([position[name] for name in names])[inverse]
    codes[present] = inverse
    return Factor(codes, levels)


def interaction(first: Factor, second: Factor, separator: str = ":", first_fastest: bool = False) -> Factor:
    """Return the factor of the combinations that occur, as R's ``first:second``.

    The levels are ordered with the second factor varying fastest, or the first on request.
    """
    slow, fast = (second, first) if first_fastest else (first, second)
    combined = slow.codes.astype(np.int64) * len(fast.levels) + fast.codes
    absent = (first.codes < 0) | (second.codes < 0)
    if absent.any():
        codes = np.full(len(combined), -1, dtype=np.int32)
        codes[~absent], found = dense_codes(combined[~absent])
    else:
        codes, found = dense_codes(combined)
    pairs = zip(*(part.tolist() for part in np.divmod(found, max(len(fast.levels), 1))), strict=True)
    if first_fastest:
        levels = tuple(f"{fast.levels[j]}{separator}{slow.levels[i]}" for i, j in pairs)
    else:
        levels = tuple(f"{slow.levels[i]}{separator}{fast.levels[j]}" for i, j in pairs)
    return Factor(codes, levels)
