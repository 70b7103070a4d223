"""Numbers too large or too small for the algebra of a model, whose squares and products are needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg.blas import ddot

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataError

#: Fourth powers, which Hessians are made of, stay within float64 (1e308) up to here, and above zero as well.
LARGEST = 1e75
#: Columns up to which each is asked for its sum of squares, which settles it for nearly all.
FEW_COLUMNS = 8


def sum_of_squares(values: FloatArray) -> float:
    """Return the sum of squares of numbers, infinite where it overflows, without NumPy's warning of it."""
    return float(ddot(values, values)) if len(values) else 0.0


def any_extreme(sizes: FloatArray) -> bool:
    """Tell whether columns of these largest values have one that is too large or too small."""
    return any(map(_is_extreme, sizes.tolist()))


def _is_extreme(size: float) -> bool:
    """Tell whether a largest value is too large or too small."""
    return size > LARGEST or 0.0 < size < 1.0 / LARGEST


def _is_moderate(column: FloatArray) -> bool:
    """Tell whether the sum of squares shows that the largest value of a column is not extreme."""
    # A column of ones may be one number that is read again and again.
    own = column[:1] if column.strides[0] == 0 else column
    return len(own) / LARGEST**2 <= sum_of_squares(own) <= LARGEST**2


def is_moderate_length(length: float, n: int) -> bool:
    """Tell the same from the root of the sum of squares of n numbers."""
    return math.sqrt(n) / LARGEST <= length <= LARGEST


def refuse_extreme(values: FloatArray, names: Sequence[str], what: str = "") -> None:
    """Raise for a column whose largest value is so large, or so small, that its powers leave float64.

    Parameters
    ----------
    values : ndarray, shape (n,) or (n, k)
        The columns; NaN is skipped.
    names : sequence of str
        Their names.
    what : str
        What follows the name in the message.

    Raises
    ------
    DataError
        Naming the column and the factor that would bring it near 1.
    """
    if values.size == 0 or (values.ndim == 1 and _is_moderate(values)):
        return
    table = values.reshape(len(values), -1)
    if table.shape[1] <= FEW_COLUMNS and all(map(_is_moderate, table.T)):
        return
    sizes = np.maximum(np.fmax.reduce(table, axis=0), -np.fmin.reduce(table, axis=0))
    if not any_extreme(sizes):
        return
    column, size = next((k, size) for k, size in enumerate(sizes.tolist()) if _is_extreme(size))
    side = "large" if size > 1.0 else "small"
    raise DataError(
        f"{names[column]}{what} has values up to {size:.3g}, too {side} for the squares and products of a "
        f"model; divide it by {10.0 ** np.floor(np.log10(size)):.0e}"
    )
