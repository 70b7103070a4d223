"""The model frame: every variable of a model evaluated once, and the rows that are used.

The rows with a missing value in any variable, weight or offset drop together, as in R.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError, DataError, DataWarning, warn
from mixedmodels.formula.design.design import MissingRows, NaAction
from mixedmodels.formula.evaluation.columns import Column, Factor, Logical, Matrix, Numeric
from mixedmodels.formula.evaluation.evaluate import Evaluator, as_numbers
from mixedmodels.formula.evaluation.input_frames import InputFrame, in_row_order
from mixedmodels.formula.evaluation.magnitude import sum_of_squares
from mixedmodels.formula.evaluation.read_column import column_of
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import Name, Node, names_in

_ACTIONS = ("omit", "exclude", "fail", "pass")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelFrame:
    """The variables of a model on the rows used.

    Attributes
    ----------
    columns : dict
        Printed expression -> its values, each with one entry a row used.
    weights, offset : ndarray, shape (n,), or None
        The arguments of these names.
    n_rows : int
        Number of rows used, n.
    index : pandas.Index
        Labels of the rows used.
    missing : MissingRows
        Which rows were dropped.
    """

    columns: dict[str, Column]
    weights: FloatArray | None
    offset: FloatArray | None
    n_rows: int
    index: pd.Index
    missing: MissingRows


def build_model_frame(
    evaluator: Evaluator,
    variables: Mapping[str, Node],
    *,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: NaAction = "omit",
    may_be_empty: bool = False,
) -> ModelFrame:
    """Evaluate `variables` on all rows, take the subset, and deal with missing values.

    Parameters
    ----------
    evaluator : Evaluator
        The data and what goes with them.
    variables : mapping
        Printed expression -> expression.
    weights, offset, subset : str, array_like or None
        A column name, an expression or an array with one entry a row. A pandas Series is matched to
        the rows of a DataFrame by label.
    na_action : {"omit", "exclude", "fail", "pass"}
        What to do about missing values.
    may_be_empty : bool
        Whether no row need be left: of a table that is one of many.

    Raises
    ------
    DataError
        When variables are missing from the data, lengths differ, values are infinite, or no row is left.
    """
    one_of("na_action", na_action, _ACTIONS)
    frame = evaluator.frame
    _require_names(evaluator, variables.values(), (weights, offset, subset))
    columns = {text: evaluator.column(node) for text, node in variables.items()}
    w = row_argument(weights, "weights", evaluator)
    o = row_argument(offset, "offset", evaluator)
    rows = _subset_rows(subset, evaluator, may_be_empty)
    n_input = frame.n_rows if rows is None else len(rows)
    input_index = frame.index if rows is None else frame.index[rows]
    if rows is not None:
        columns = {text: column.take(rows) for text, column in columns.items()}
        w, o = (None if a is None else a[rows] for a in (w, o))
    checked: dict[str, Column] = dict(columns)
    checked.update({f"({k})": Numeric(v) for k, v in (("weights", w), ("offset", o)) if v is not None})
    _warn_undefined(evaluator, variables, columns, rows)
    checked = {text: column for text, column in checked.items() if not _is_finite(column)}
    kept = _complete_rows(checked, n_input, na_action, may_be_empty)
    if kept is not None:
        columns = {text: column.take(kept) for text, column in columns.items()}
        checked = {text: column.take(kept) for text, column in checked.items()}
        w, o = (None if a is None else a[kept] for a in (w, o))
        rows = kept if rows is None else rows[kept]
    index = frame.index if rows is None else frame.index[rows]
    _refuse_infinite(checked, index)
    _check_weights(w, index, may_be_empty)
    missing = MissingRows(na_action, n_input, kept, input_index)
    return ModelFrame(columns, w, o, len(index), index, missing)


def _require_names(evaluator: Evaluator, variables: Iterable[Node], arguments: Iterable[Any]) -> None:
    """Raise one error that names every variable absent from the data."""
    expressions = list(variables)
    for argument in arguments:
        if isinstance(argument, str) and argument not in evaluator.frame:
            expressions.append(parse_expression(argument))
    evaluator.require(expressions)


def row_argument(given: Any, role: str, evaluator: Evaluator) -> FloatArray | None:
    """Return the `weights` or `offset` argument as one number a row.

    Raises
    ------
    ControlError
        When it is one number for all rows.
    DataError
        When it is not numeric or its length is not that of the data.
    """
    if given is None:
        return None
    frame = evaluator.frame
    _refuse_one_value(given, role, evaluator)
    if isinstance(given, str):
        column = _expression_column(given, evaluator)
    else:
        column = _column_by_row(given, role, frame)
    if len(column) != frame.n_rows:
        raise DataError(
            f"{role} has length {len(column)}, data has {frame.n_rows} rows (variable lengths differ)"
        )
    return np.array(as_numbers(column, role))


_ALIKE = {"weights": "equal weights change nothing", "offset": "an equal offset is part of the intercept"}


def _refuse_one_value(given: Any, role: str, evaluator: Evaluator) -> None:
    """Raise ControlError for an argument that is one value, or an expression without a variable."""
    if isinstance(given, str):
        if given in evaluator.frame or any(True for _ in names_in(parse_expression(given))):
            return
    elif np.ndim(given) > 0:
        return
    why = f" ({_ALIKE[role]}: leave it out)" if role in _ALIKE else ""
    raise ControlError(
        f"{role} must be the name of a column, an expression of columns or one value a row, not the single "
        f"{given!r}{why}."
    )


def _column_by_row(given: Any, role: str, frame: InputFrame) -> Column:
    """Return an argument with one value a row as a column, a Series matched to labelled rows."""
    return column_of(in_row_order(given, role, frame.index) if frame.is_labelled else given, role)


def _expression_column(text: str, evaluator: Evaluator) -> Column:
    """Return a column by its name, or the value of an expression."""
    if text in evaluator.frame:
        return evaluator.frame.column(text)
    node = parse_expression(text)
    return replace(evaluator, text=text).column(node)


def _subset_rows(subset: Any, evaluator: Evaluator, may_be_empty: bool) -> IntArray | None:
    """Return the positions of the rows that `subset` selects; a missing condition selects nothing."""
    if subset is None:
        return None
    n_rows = evaluator.frame.n_rows
    _refuse_one_value(subset, "subset", evaluator)
    if isinstance(subset, str):
        column = _expression_column(subset, evaluator)
    elif isinstance(subset, pd.Series) and pd.api.types.is_integer_dtype(subset.dtype):
        column = column_of(subset, "subset")  # positions of rows, whose own labels mean nothing
    else:
        column = _column_by_row(subset, "subset", evaluator.frame)
    if isinstance(column, Logical):
        if len(column) != n_rows:
            raise DataError(f"subset has length {len(column)}, data has {n_rows} rows")
        chosen = column.values if column.absent is None else column.values & ~column.absent
        rows = np.flatnonzero(chosen)
    elif isinstance(column, Numeric) and column.values.dtype.kind in "iu" and not isinstance(subset, str):
        rows = column.values.astype(np.intp)
        if len(rows) and (rows.min() < -n_rows or rows.max() >= n_rows):
            raise DataError(f"subset names row {rows.max()}; the data have {n_rows} rows, counted from 0")
    else:
        raise DataError("subset must be a condition such as 'x > 0', one truth value a row, or row positions")
    if len(rows) == 0 and not may_be_empty:
        raise DataError("0 (non-NA) cases: the subset selects no rows")
    return rows


def _warn_undefined(
    evaluator: Evaluator, variables: Mapping[str, Node], columns: Mapping[str, Column], rows: IntArray | None
) -> None:
    """Warn where an expression has no value although all of its variables do, as ``log(-1)``."""
    for text, column in columns.items():
        missing = (
            None if isinstance(variables[text], Name) or isinstance(column, Factor) else column.missing()
        )
        if missing is None:
            continue
        for name in {node.name for node in names_in(variables[text]) if node.name in evaluator.frame}:
            source = evaluator.frame.column(name)
            known = (source if rows is None else source.take(rows)).missing()
            missing = missing if known is None else missing & ~known
        if missing.any():
            warn(
                f"{text} is undefined (NaN) in {int(missing.sum())} row(s) whose variables are known; "
                "these rows are dropped",
                DataWarning,
            )


def _complete_rows(
    columns: Mapping[str, Column], n_rows: int, na_action: NaAction, may_be_empty: bool
) -> IntArray | None:
    """Return the positions of the rows without a missing value; None when that is all of them."""
    if n_rows == 0 and may_be_empty:
        return None
    if n_rows == 0:
        raise DataError("0 (non-NA) cases: the data have no rows")
    absent: BoolArray | None = None
    holes: dict[str, int] = {}
    for text, column in columns.items():
        missing = column.missing()
        if missing is not None:
            absent = missing if absent is None else absent | missing
            holes[text] = int(missing.sum())
    if absent is None:
        return None
    listed = ", ".join(f"{text} ({count})" for text, count in holes.items())
    if na_action == "fail":
        raise DataError(f"missing values in object: {listed}; na_action='omit' drops these rows")
    if na_action == "pass":
        raise DataError(
            f"na_action='pass' keeps missing values, which no model can use: {listed}; use 'omit'"
        )
    if absent.all() and not may_be_empty:
        empty = [text for text, count in holes.items() if count == n_rows]
        why = f"{', '.join(empty)} missing in every row" if empty else f"missing values: {listed}"
        raise DataError(f"0 (non-NA) cases: {why}")
    return np.flatnonzero(~absent)


def _is_finite(column: Column) -> bool:
    """Tell whether all values are finite numbers, of which nothing more need be asked."""
    if not isinstance(column, Numeric) or column.absent is not None or column.values.dtype.kind != "f":
        return False
    # A sum of squares that is finite has no other numbers in it; one that is not may have overflowed.
    values = column.values
    return math.isfinite(sum_of_squares(values)) or bool(np.isfinite(values).all())


def _refuse_infinite(columns: Mapping[str, Column], index: pd.Index) -> None:
    """Raise when a numeric variable is infinite, naming it and the first such row."""
    for text, column in columns.items():
        if not isinstance(column, (Numeric, Matrix)) or column.values.dtype.kind != "f":
            continue
        finite = np.isfinite(column.values)
        if not finite.all():
            bad: BoolArray = np.asarray(~finite if finite.ndim == 1 else ~finite.all(axis=1))
            raise DataError(
                f"{text} is infinite in {int(bad.sum())} row(s), first in row {row_label(index, bad)}"
            )


def row_label(index: pd.Index, rows: BoolArray) -> str:
    """Return the label of the first of `rows`, as it would be typed."""
    label = index[int(np.argmax(rows))]
    return repr(label.item() if isinstance(label, np.generic) else label)


def _check_weights(weights: FloatArray | None, index: pd.Index, may_be_empty: bool) -> None:
    """Raise when a prior weight is negative or all are zero."""
    if weights is None or len(weights) == 0:
        return
    if weights.min() < 0:
        raise DataError(
            f"weights must be non-negative (weights >= 0); the first negative one is in row "
            f"{row_label(index, weights < 0)}"
        )
    if weights.max() == 0 and not may_be_empty:
        raise DataError("all weights are zero")


def sum_of(parts: list[FloatArray]) -> FloatArray | None:
    """Return the sum of offsets; None when there are none."""
    return np.sum(parts, axis=0) if parts else None
