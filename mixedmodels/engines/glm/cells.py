"""Rows in the words of the data: the cells of factors and the values of variables that single them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mixedmodels.arrays import BoolArray, FloatArray, IntArray

# Factors that are crossed at most to name a cell.
LARGEST_CROSSING = 3
# Cells that are named at most.
LARGEST_LIST = 8

TextArray: TypeAlias = npt.NDArray[np.str_]
Lacks: TypeAlias = Callable[[BoolArray], str]
"""What is missing among rows, in words; empty if nothing is."""


def describe(
    chosen: BoolArray,
    lacks: Lacks,
    labels: Mapping[str, TextArray],
    columns: Mapping[str, FloatArray],
    neutral: BoolArray | None = None,
) -> list[str]:
    """Return phrases that single out the chosen rows and say what they lack, an empty list if none do.

    Parameters
    ----------
    chosen : ndarray, shape (n,)
        The rows.
    lacks : callable
        What is missing among rows.
    labels : mapping of str to ndarray of str, shape (n,)
        Categorical variables.
    columns : mapping of str to ndarray, shape (n,)
        Columns of the model matrix that may tell the rows apart.
    neutral : ndarray, shape (n,), optional
        Rows that may lie on either side.

    Examples
    --------
    >>> rows = np.array([False, False, True, True])
    >>> describe(rows, lambda some: "there is none", {"a": np.array(["x", "x", "y", "y"])}, {})
    ['there is none in a = y']
    """
    inside = chosen if neutral is None else chosen | neutral
    phrases, left = _cells(inside, chosen, lacks, labels, "in")
    if left.any():
        more, left = _cells(inside, left, lacks, _two_valued(columns), "where")
        phrases += more
    if left.any():
        phrases += _range(left, inside, lacks, columns)
    if len(phrases) > LARGEST_LIST:
        phrases = [*phrases[:LARGEST_LIST], f"and so on in {len(phrases) - LARGEST_LIST} more cells"]
    return phrases


def _cells(
    chosen: BoolArray, unnamed: BoolArray, lacks: Lacks, labels: Mapping[str, TextArray], word: str
) -> tuple[list[str], BoolArray]:
    """Return phrases for the cells that are wholly chosen, smallest crossings first, and the rows left."""
    phrases: list[str] = []
    left = unnamed.copy()
    for size in range(1, LARGEST_CROSSING + 1):
        for names in combinations(labels, size):
            if not left.any():
                return phrases, left
            levels, codes = _crossed([labels[name] for name in names])
            for k in _whole_cells(codes, len(levels), chosen, left):
                what = lacks(codes == k)
                if what:
                    place = ", ".join(f"{n} = {v}" for n, v in zip(names, levels[k], strict=True))
                    phrases.append(f"{what} {word} {place}")
                    left &= codes != k
    return phrases, left


def _two_valued(columns: Mapping[str, FloatArray]) -> dict[str, TextArray]:
    """Return the columns that hold two values, as labels."""
    values = {name: np.unique(column) for name, column in columns.items()}
    return {
        name: np.array([f"{v:g}" for v in values[name]])[(column == values[name][1]).astype(np.intp)]
        for name, column in columns.items()
        if len(values[name]) == 2
    }


def _crossed(labels: Sequence[TextArray]) -> tuple[TextArray, IntArray]:
    """Return the cells of factors, one a row, and the cell of each row of the data."""
    levels, codes = np.unique(np.column_stack(labels), axis=0, return_inverse=True)
    return levels, codes.ravel()


def _whole_cells(codes: IntArray, n_cells: int, chosen: BoolArray, left: BoolArray) -> IntArray:
    """Return the cells whose rows are all chosen and of which some are left to name."""
    total = np.bincount(codes, minlength=n_cells)
    inside = np.bincount(codes, weights=chosen, minlength=n_cells)
    unnamed = np.bincount(codes, weights=left, minlength=n_cells)
    return np.flatnonzero((inside == total) & (unnamed > 0.0))


def _range(left: BoolArray, chosen: BoolArray, lacks: Lacks, columns: Mapping[str, FloatArray]) -> list[str]:
    """Return a phrase for the end of the range of a column at which the rows left lie, if they do."""
    what = lacks(left)
    for name, column in columns.items():
        others = column[~chosen]
        if not what or not len(others):
            break
        place = _place(column[left], others)
        if place:
            return [f"{what} where {name} {place}"]
    return []


def _place(inside: FloatArray, outside: FloatArray) -> str:
    """Return how values differ from others: above all of them, below all of them, from their only one."""
    if inside.min() > outside.max():
        return f">= {inside.min():g}"
    if inside.max() < outside.min():
        return f"<= {inside.max():g}"
    return f"is not {outside[0]:g}" if np.ptp(outside) == 0.0 and not np.any(inside == outside[0]) else ""
