"""Columns of new data in the types and with the levels of the data a model was fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.formula.evaluation.columns import Column, Factor, Logical, Numeric, as_factor, numeric


def kind_of(column: Column) -> str:
    """Return what is remembered of a column's type, whole numbers apart from floats."""
    if isinstance(column, Numeric) and column.values.dtype.kind in "iu":
        return "Integer"
    return type(column).__name__


def converted(column: Column, kind: str) -> Column:
    """Return a column as one of another kind if every value has its like there, else as it is.

    A missing value makes pandas turn whole numbers into floats: they are turned back, so that 100000.0 of the
    new data is the id 100000 of the fit. A condition may be given as 0 and 1.
    """
    if isinstance(column, Logical) and kind in ("Integer", "Numeric"):
        column = Numeric(column.as_float())
    if not isinstance(column, Numeric):
        return column
    if kind == "Integer":
        return _whole(column)
    if kind == "Numeric" and column.values.dtype.kind != "f" and not column.loses_digits:
        return Numeric(column.as_float())
    if kind == "Logical":
        numbers = column.as_float()
        missing = np.isnan(numbers)
        if np.all(missing | (numbers == 0.0) | (numbers == 1.0)):
            return Logical(numbers == 1.0, missing if missing.any() else None)
    return column


def _whole(column: Numeric) -> Numeric:
    """Return floats as whole numbers wherever they are."""
    if column.values.dtype.kind != "f":
        return column
    floats = column.values.tolist()
    return numeric(np.array([int(v) if v.is_integer() else v for v in floats] + [None], dtype=object)[:-1])


def factor_among(column: Numeric | Logical, levels: tuple[str, ...]) -> Factor:
    """Return numbers as a factor, in the notation in which `levels` has most of them (1e+05 or 100000)."""
    given = as_factor(column)
    known = set(levels)
    if known.issuperset(given.levels) or isinstance(column, Logical):
        return given
    written_out = as_factor(_whole(column))
    return max(given, written_out, key=lambda factor: len(known.intersection(factor.levels)))


def with_levels(factor: Factor, levels: tuple[str, ...]) -> Factor:
    """Return `factor` recoded to `levels`, those it has beyond them put at the end."""
    if factor.levels == levels:
        return factor
    known = {level: position for position, level in enumerate(levels)}
    extended = levels + tuple(level for level in factor.levels if level not in known)
    position = {level: i for i, level in enumerate(extended)}
    table = np.array([position[level] for level in factor.levels] + [-1], dtype=np.int32)
    return replace(factor, codes=table[factor.codes], levels=extended)
