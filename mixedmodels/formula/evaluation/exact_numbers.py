"""Numbers held without loss: ids of any length, decimals, whole numbers with some missing.

float64 has 53 bits. An id of 17 digits, a hash, a decimal amount or an integer column in which one value is
missing must not pass through it, or different groups become one.
"""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mixedmodels.arrays import BoolArray
from mixedmodels.errors import DataWarning, warn
from mixedmodels.formula.language.number_format import LARGEST_EXACT, format_number, number_name

# Powers of ten beyond this leave float64, and longer whole numbers are text in all but name.
LARGEST_EXPONENT = 308
LARGEST_BITS = 1023
# Units in the last place by which an operation or two on decimals may miss its exact result.
ROUNDING = 2
_INTEGER_TYPES = (np.int64, np.uint64)


def loses_digits(values: npt.NDArray[Any]) -> bool:
    """Tell whether float64 would not hold every one of `values` exactly."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "O":
        return True
    if kind not in "iu" or size < 8 or len(values) == 0:
        return False
    return int(values.max()) > LARGEST_EXACT or int(values.min()) < -LARGEST_EXACT


def exact_numbers(given: npt.NDArray[np.object_]) -> tuple[npt.NDArray[Any], BoolArray | None]:
    """Return Python's numbers in the narrowest type that holds them exactly, and which are missing.

    Whole numbers become int64 or uint64, others float64 where that loses nothing; what is left stays an
    array of Python objects. A missing value is NaN in float64 and zero, with a mask, elsewhere.

    Raises
    ------
    ValueError
        For numbers beyond the range of float64.
    """
    absent: BoolArray = pd.isna(given)
    mask = absent if absent.any() else None
    values = np.where(absent, 0, given) if mask is not None else given
    _refuse_endless(values)
    if all(isinstance(value, (int, np.integer)) for value in values):
        return _whole(values), mask
    floats = values.astype(np.float64)
    if all(number == value for number, value in zip(floats.tolist(), values, strict=True)):
        return (floats if mask is None else np.where(absent, np.nan, floats)), None
    return values, mask


def _whole(values: npt.NDArray[np.object_]) -> npt.NDArray[Any]:
    """Return whole numbers as int64 or uint64 if one of them holds all, else as they are."""
    low, high = min(values, default=0), max(values, default=0)
    for dtype in _INTEGER_TYPES:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return values.astype(dtype)
    return np.array([int(value) for value in values], dtype=object)


def _refuse_endless(values: npt.NDArray[np.object_]) -> None:
    """Raise for whole numbers and decimals that are beyond the range of float64."""
    for value in values:
        if isinstance(value, Decimal):
            too_large = value.is_finite() and abs(value.adjusted()) > LARGEST_EXPONENT
        else:
            too_large = isinstance(value, int) and value.bit_length() > LARGEST_BITS
        if too_large:
            raise ValueError(
                f"numbers of more than {LARGEST_EXPONENT} digits are too long; make them strings"
            )


def float_names(values: npt.NDArray[np.floating[Any]]) -> tuple[str, ...]:
    """Return the names of the levels that distinct floats are, given in increasing order.

    Whole numbers, which ids are, keep all their digits. A fraction within rounding of a decimal of 15 digits
    is that decimal, as in R: 0.1 + 0.2 and 0.3 are one level.
    """
    if values.dtype.itemsize > 8:  # long double: its own digits where float64 has too few
        return tuple(number_name(float(v)) if np.longdouble(float(v)) == v else str(v) for v in values)
    numbers = values.tolist()
    names = tuple(map(_float_name, numbers))
    _warn_twins(numbers, names)
    return names


def _float_name(value: float) -> str:
    """Return the name of the level that a float is."""
    short = format_number(value)
    if not value.is_integer() and abs(float(short) - value) <= ROUNDING * math.ulp(value):
        return short
    return number_name(value)


def _warn_twins(numbers: list[float], names: tuple[str, ...]) -> None:
    """Warn about levels that rounding alone can have told apart, as 1/3 and 1 - 2/3."""
    for (low, first), (high, second) in pairwise(zip(numbers, names, strict=True)):
        twins = high - low <= 2 * ROUNDING * math.ulp(high) and not high.is_integer()
        if twins and first != second:
            warn(
                f"numbers that differ only after their 15th digit are different levels of a factor: "
                f"{first} and {second}; if rounding made them differ, use round() first",
                DataWarning,
            )
            return
