"""Where the rows of a residual group are: levels, steps or coordinates, by values of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import DataError, DataWarning, warn
from mixedmodels.formula.evaluation.columns import Column, Factor, Logical, Matrix, Numeric, as_factor

# Times are multiples of a step if they are so to this share of it, which rounding of decimals stays below.
_STEP_TOLERANCE = 1e-4
# A step so many times smaller than the shortest time between two rows is one that only rounding makes.
_FINEST_STEP = 60


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
    if ordered and factor.is_text:
        _warn_alphabetical(factor, name)
    return factor.codes.astype(np.intp), factor.levels


def _warn_alphabetical(factor: Factor, name: str) -> None:
    """Warn where the alphabetical order of strings is not that of the numbers at their ends."""
    ends = [re.search(r"(\d+)\D*\Z", level) for level in factor.levels]
    numbers = [int(end.group(1)) for end in ends if end is not None]
    if len(numbers) == len(ends) and numbers != sorted(numbers):
        warn(
            f"the levels of {name} are strings in alphabetical order ({', '.join(factor.levels[:3])}, ...), "
            "in which they follow each other in time; make the column an ordered pandas Categorical",
            DataWarning,
        )


@dataclass(frozen=True, slots=True)
class Steps:
    """Whole numbers of steps.

    Attributes
    ----------
    positions : int ndarray, shape (n,)
        Steps since the origin.
    origin, step : float
        The first time, and how long a step is.
    """

    positions: IntArray
    origin: float
    step: float


def step_positions(column: Numeric, name: str) -> Steps:
    """Return times as whole numbers of the largest step of which all of them are multiples.

    0, 7, 21 are 0, 1 and 3 weeks.

    Raises
    ------
    DataError
        When they are no multiples of a step.
    """
    times = column.as_float()
    distinct = np.unique(times)
    step = _common_step(distinct) if len(distinct) > 1 else 1.0
    if step == 0.0:
        raise DataError(
            f"{name} has times at unequal distances, without a common step; a structure in continuous time "
            f"takes them: car1({name} | group)"
        )
    origin = float(distinct[0])
    return Steps(np.rint((times - origin) / step).astype(np.intp), origin, step)


def _common_step(distinct: FloatArray) -> float:
    """Return the largest step of which all distances are multiples; 0 where there is none worth the name."""
    gaps = np.diff(distinct)
    if np.array_equal(distinct, np.rint(distinct)) and np.abs(distinct).max() < 2**53:
        return float(np.gcd.reduce(gaps.astype(np.int64)))
    shortest = float(gaps.min())
    for divisor in range(1, _FINEST_STEP + 1):
        multiples = gaps * (divisor / shortest)
        if np.all(np.abs(multiples - np.rint(multiples)) < _STEP_TOLERANCE * np.maximum(multiples, 1.0)):
            step = float((distinct[-1] - distinct[0]) / np.rint(multiples).sum())
            steps = (distinct - distinct[0]) / step
            return step if np.all(np.abs(steps - np.rint(steps)) < 0.01) else 0.0
    return 0.0


def coordinate_positions(columns: Sequence[Column], names: Sequence[str], structure: str) -> FloatArray:
    """Return coordinates, shape (n, d).

    Raises
    ------
    DataError
        When a variable is not numeric.
    """
    parts: list[FloatArray] = []
    for column, name in zip(columns, names, strict=True):
        if isinstance(column, Factor):
            kind = "holds dates" if column.is_date else "is categorical"
            raise DataError(
                f"{name} {kind}, and {structure}() goes by distances between numbers; make {name} numeric "
                "(days since the start, say), or take a structure over levels such as ar1() or toep()"
            )
        parts.append(column.values if isinstance(column, Matrix) else _numbers(column)[:, None])
    return np.column_stack(parts)


def _numbers(column: Numeric | Logical) -> FloatArray:
    return column.as_float()


def row_positions(codes: IntArray) -> IntArray:
    """Return the place of each row among those of its group, in the order of the data, as for ``1``."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    places = np.empty(len(codes), dtype=np.intp)
    places[order] = np.arange(len(codes)) - starts
    return places
