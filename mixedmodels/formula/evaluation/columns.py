"""Values of variables: numbers, matrices of numbers, truth values, factors.

Every column knows which of its rows are missing and can be cut to a set of rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mixedmodels.arrays import BoolArray, CodeArray, FloatArray, IntArray
from mixedmodels.errors import DataError
from mixedmodels.formula.evaluation.exact_numbers import exact_numbers, float_names, loses_digits
from mixedmodels.formula.language.number_format import number_name
from mixedmodels.kernels.level_products import count_present

if TYPE_CHECKING:
    from mixedmodels.formula.evaluation.contrasts import Contrast

LARGEST_INTP = int(np.iinfo(np.intp).max) // 2


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Numeric:
    """Numbers, exactly as they were given: ids among them are told apart by their last digit.

    Attributes
    ----------
    values : ndarray, shape (n,)
        float64; integers; or Python's own numbers where neither holds them (see `exact_numbers`).
    absent : bool ndarray, shape (n,), or None
        Which values are missing, where their type has no NaN.
    """

    values: npt.NDArray[Any]
    absent: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def missing(self) -> BoolArray | None:
        """Return which rows are missing; None when no row is."""
        if self.absent is not None:
            return self.absent if self.absent.any() else None
        if self.values.dtype.kind != "f" or np.isfinite(self.values).all():
            return None
        missing = np.isnan(self.values)
        return missing if missing.any() else None

    def take(self, rows: IntArray | BoolArray) -> Numeric:
        """Return the values of `rows`."""
        return Numeric(self.values[rows], None if self.absent is None else self.absent[rows])

    def as_float(self) -> FloatArray:
        """Return the values as float64, NaN where missing."""
        numbers = self.values.astype(np.float64, copy=False)
        if self.absent is not None and self.absent.any():
            return np.where(self.absent, np.nan, numbers)
        return numbers

    @property
    def loses_digits(self) -> bool:
        """Whether float64 would not hold every value exactly."""
        return loses_digits(self.values)

    def as_objects(self) -> npt.NDArray[np.object_]:
        """Return the values as Python's numbers, whose arithmetic is exact; NaN where missing."""
        numbers = self.values.astype(object)
        if self.absent is not None:
            numbers[self.absent] = np.nan
        return numbers


def numeric(given: npt.NDArray[np.object_]) -> Numeric:
    """Return the column of an array of Python's numbers, NaN or None where missing."""
    return Numeric(*exact_numbers(given))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Matrix:
    """Several numeric columns, shape (n, k), with their names."""

    values: FloatArray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def missing(self) -> BoolArray | None:
        """Return which rows hold a NaN; None when no row does."""
        if np.isfinite(self.values).all():
            return None
        missing: BoolArray = np.any(np.isnan(self.values), axis=1)
        return missing if missing.any() else None

    def take(self, rows: IntArray | BoolArray) -> Matrix:
        """Return the values of `rows`."""
        return Matrix(self.values[rows], self.names)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
    is_date : bool
        Whether the values came as dates or times, which group rows but are no predictor as they stand.
    """

    codes: CodeArray
    levels: tuple[str, ...]
    ordered: bool = False
    contrast: Contrast | None = None
    is_text: bool = False
    is_date: bool = False

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
        if count_present(self.codes, len(self.levels)) == len(self.levels):
            return self
        present = np.zeros(len(self.levels) + 1, dtype=bool)
        present[self.codes] = True  # the last place collects the missing code -1
        present = present[:-1]
        renumber = np.append(np.cumsum(present) - 1, -1).astype(np.int32)
        levels = tuple(level for level, kept in zip(self.levels, present, strict=True) if kept)
        return replace(self, codes=renumber[self.codes], levels=levels)


Column: TypeAlias = Numeric | Matrix | Logical | Factor
# A whole number typed in a formula is an int where float64 would not hold it.
Scalar: TypeAlias = float | int | bool | str | None
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
    missing = column.missing()
    if missing is None:
        return _factor_of_numbers(column.values)
    known = _factor_of_numbers(column.values[~missing])
    codes = np.full(len(column), -1, dtype=np.int32)
    codes[~missing] = known.codes
    return Factor(codes, known.levels)


def _factor_of_numbers(values: npt.NDArray[Any]) -> Factor:
    """Return the factor of numbers, none of them missing, each distinct number a level."""
    kind = values.dtype.kind
    if kind in "iu":
        codes, found = dense_codes(values)
        return Factor(codes, tuple(map(str, found.tolist())))
    if kind == "f":
        distinct, inverse = np.unique(values, return_inverse=True)
        names = float_names(distinct)
        levels = tuple(dict.fromkeys(names))
        if len(levels) < len(names):
            position = {level: i for i, level in enumerate(levels)}
            inverse = np.array([position[name] for name in names])[inverse]
        return Factor(inverse.astype(np.int32), levels)
    ordered = sorted(set(values.tolist()))
    place = {value: i for i, value in enumerate(ordered)}
    codes = np.fromiter((place[value] for value in values.tolist()), dtype=np.int32, count=len(values))
    return Factor(codes, tuple(map(number_name, ordered)))


def dense_codes(
    values: npt.NDArray[np.integer[Any]],
) -> tuple[CodeArray, npt.NDArray[np.integer[Any]]]:
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
    steps = np.flatnonzero(present)
    found = steps.astype(np.uint64) + np.uint64(low) if low > LARGEST_INTP else steps + low
    if len(steps) == len(present):
        return shifted.astype(np.int32), found
    table = np.cumsum(present, dtype=np.int32) - np.int32(1)
    return table[shifted], found


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
    if len(set(levels)) < len(levels):
        twice, _ = Counter(levels).most_common(1)[0]
        raise DataError(
            f"two combinations of levels have the same name {twice!r}, because levels contain {separator!r}; "
            "rename levels of one factor"
        )
    return Factor(codes, levels)
