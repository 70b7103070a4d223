"""Where the rows of a residual group are: levels, steps or coordinates, by values of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.errors import DataError, DataWarning, warn
from mixedmodels.formula.evaluation.columns import Column, Factor, Matrix, Numeric, as_factor
from mixedmodels.formula.evaluation.evaluate import as_numbers

# Times are multiples of a step if they are so to this share of it, which rounding of decimals stays below.
_STEP_TOLERANCE = 1e-4
# A step so many times smaller than the shortest time between two rows is one that only rounding makes.
_FINEST_STEP = 60
# Numbers of steps are whole to this; and times apart by less than this share of the longest are one.
_MOST_OFF, _ROUNDING = 0.01, 1e-9
#: Whole numbers below this are exact.
LARGEST_WHOLE = 2.0**53


def level_positions(column: Column, name: str, ordered: bool) -> tuple[IntArray, tuple[str, ...]]:
    """Return codes (n,) and names of the levels of time that occur, in the order of the factor.

    Raises
    ------
    DataError
        When the variable is a matrix.
    """
    if isinstance(column, Matrix):
        raise DataError(f"{name} is a matrix; time within groups must be a single variable")
    factor = as_factor(column)
    if ordered and isinstance(column, Factor) and not factor.ordered:
        _warn_alphabetical(factor, name)
    return factor.codes.astype(np.intp), factor.levels


def _warn_alphabetical(factor: Factor, name: str) -> None:
    """Warn where the alphabetical order of strings is not that of the numbers that they are or end in."""
    numbers = _numbers_of(factor.levels)
    if numbers != sorted(numbers) and (factor.is_text or list(factor.levels) == sorted(factor.levels)):
        warn(
            f"the levels of {name} are strings in alphabetical order ({', '.join(factor.levels[:3])}, ...), "
            "in which they follow each other in time; make the column an ordered pandas Categorical",
            DataWarning,
        )


def _numbers_of(levels: Sequence[str]) -> list[float]:
    """Return the numbers that levels spell, ``-1.5``, or end in, ``week 10``; none where some have none."""
    with suppress(ValueError):
        return [float(level) for level in levels]
    ends = [re.search(r"(\d+)\D*\Z", level) for level in levels]
    return [float(end.group(1)) for end in ends if end is not None] if all(ends) else []


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Steps:
    """Whole numbers of steps.

    Attributes
    ----------
    positions : int ndarray, shape (n,)
        Steps since the first row of the group.
    origins : ndarray, shape (n_groups,)
        Time of that row.
    step : float
        How long a step is.
    """

    positions: IntArray
    origins: FloatArray
    step: float


def step_positions(times: FloatArray, codes: IntArray, name: str) -> Steps:
    """Return times as whole numbers of the largest step of which all times within groups are multiples.

    0, 7, 21 are 0, 1 and 3 weeks; which rows are how many steps apart within a group is all that counts.

    Raises
    ------
    DataError
        When they are no multiples of a step.
    """
    origins = np.full(int(codes.max()) + 1, np.inf)
    np.minimum.at(origins, codes, times)
    since = times - origins[codes]
    step = _common_step(since)
    if step == 0.0:
        raise DataError(
            f"{name} has times at unequal distances, without a common step; a structure in continuous time "
            f"takes them: car1({name} | group)"
        )
    return Steps(np.rint(since / step).astype(np.intp), origins, step)


def _common_step(since: FloatArray) -> float:
    """Return the largest step of which all times since the first are multiples; 0 where there is none."""
    distinct = np.unique(since)
    distinct = distinct[distinct > 0.0]
    if len(distinct) == 0:
        return 1.0
    if np.array_equal(distinct, np.rint(distinct)) and distinct[-1] < LARGEST_WHOLE:
        return float(np.gcd.reduce(distinct.astype(np.int64)))
    shortest = float(np.min(np.diff(distinct, prepend=0.0), where=_apart(distinct), initial=distinct[0]))
    for divisor in range(1, _FINEST_STEP + 1):
        steps = distinct * (divisor / shortest)
        off = np.abs(steps - np.rint(steps))
        if np.all(off < _STEP_TOLERANCE * np.maximum(steps, 1.0)) and np.all(off < _MOST_OFF):
            whole = np.rint(steps)
            return float(distinct @ whole / (whole @ whole))
    return 0.0


def _apart(distinct: FloatArray) -> BoolArray:
    """Tell which times are later than the one before by more than rounding."""
    return np.asarray(np.diff(distinct, prepend=0.0) > _ROUNDING * distinct[-1])


def as_times(column: Column) -> FloatArray | None:
    """Return a variable of time as numbers, dates as days; None where it goes by levels."""
    if isinstance(column, Numeric):
        return column.as_float()
    if isinstance(column, Factor) and column.is_date:
        return _days(column)
    return None


def _days(column: Factor) -> FloatArray | None:
    """Return dates as days since 1970; None where their names do not say which days they are."""
    try:
        moments = pd.to_datetime(pd.Series(column.levels, dtype=object), utc=True)
    except (ValueError, TypeError):
        return None
    days = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(1, "D")
    return np.append(days.to_numpy(dtype=np.float64), np.nan)[column.codes]


def coordinate_positions(columns: Sequence[Column], names: Sequence[str], structure: str) -> FloatArray:
    """Return coordinates, shape (n, d).

    Raises
    ------
    DataError
        When a variable is not numeric.
    """
    parts: list[FloatArray] = []
    for column, name in zip(columns, names, strict=True):
        times = as_times(column)
        if times is None and isinstance(column, Factor):
            raise DataError(
                f"{name} is categorical, and {structure}() goes by distances between numbers; make {name} "
                "numeric, or take a structure over levels such as ar1() or toep()"
            )
        if times is not None:
            parts.append(times[:, None])
        else:
            parts.append(column.values if isinstance(column, Matrix) else as_numbers(column, name)[:, None])
    return np.column_stack(parts)


def row_positions(codes: IntArray) -> IntArray:
    """Return the place of each row among those of its group, in the order of the data, as for ``1``."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    places = np.empty(len(codes), dtype=np.intp)
    places[order] = np.arange(len(codes)) - starts
    return places
