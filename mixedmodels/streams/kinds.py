"""Kinds of columns, the same for every engine, and what may stand for what from batch to batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.errors import DataError
from mixedmodels.streams.libraries import arrow

#: Kinds of columns. "string" is text, whose levels have no order of their own; "categorical" and "ordered"
#: have the levels of their type; "unknown" is a column without values so far, which may become anything.
KINDS = (
    "integer",
    "decimal",
    "float",
    "boolean",
    "string",
    "categorical",
    "ordered",
    "datetime",
    "duration",
    "unknown",
)
NUMBERS = frozenset({"integer", "decimal", "float"})
LABELS = frozenset({"string", "categorical", "ordered"})
#: Whole numbers up to here are exact as floats.
LARGEST_EXACT = 2**53


def kind_of_arrow(kind: Any) -> str:
    """Return the kind of an Arrow type; the type's own name where no model can use it."""
    types = arrow().types
    if isinstance(kind, arrow().BaseExtensionType):
        return kind_of_arrow(kind.storage_type)
    if types.is_dictionary(kind):
        return "ordered" if kind.ordered else "categorical"
    for name, tests in _ARROW_TESTS.items():
        if any(getattr(types, test, _never)(kind) for test in tests):
            return name
    return str(kind)


_ARROW_TESTS = {
    "integer": ("is_integer",),
    "float": ("is_floating",),
    "boolean": ("is_boolean",),
    "string": (
        "is_string",
        "is_large_string",
        "is_string_view",
        "is_binary",
        "is_large_binary",
        "is_binary_view",
        "is_time",
    ),
    "decimal": ("is_decimal",),
    "datetime": ("is_timestamp", "is_date"),
    "duration": ("is_duration",),
    "unknown": ("is_null",),
}


def _never(kind: Any) -> bool:
    """Stand for a test of a newer pyarrow."""
    return False


def kind_of_dtype(dtype: Any) -> str:
    """Return the kind of a pandas type; of Python objects "unknown", which their values decide."""
    if isinstance(dtype, pd.CategoricalDtype):
        return "ordered" if dtype.ordered else "categorical"
    if isinstance(dtype, pd.ArrowDtype):
        return kind_of_arrow(dtype.pyarrow_dtype)
    if isinstance(dtype, pd.StringDtype):
        return "string"
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "datetime"
    known = {"i": "integer", "u": "integer", "f": "float", "b": "boolean", "M": "datetime", "m": "duration"}
    known |= {"U": "string", "O": "unknown"}
    return known.get(getattr(dtype, "kind", "?"), str(dtype))


def settled(column: pd.Series[Any], kind: str, declared: str, where: str) -> pd.Series[Any]:
    """Return a column as the kind that the table has it in.

    A column without values is missing in any kind; whole numbers are whole numbers also where a missing
    value has made floats of them.

    Parameters
    ----------
    column : Series
        A column of one batch.
    kind : str
        Its kind.
    declared : str
        The kind of the table's column.
    where : str
        The batch, for errors.

    Raises
    ------
    DataError
        Naming batch and column, if the two do not go together.
    """
    if kind == declared or declared == "unknown" or {kind, declared} <= LABELS:
        return column
    if kind == "unknown":
        return missing_column(declared, len(column))
    if kind == "float" and declared == "integer":
        return _whole(column, where)
    if {kind, declared} <= NUMBERS:
        if declared == "float" and kind == "integer":
            return _exact_float(column, where)
        return column
    raise DataError(
        f"{where}: column {str(column.name)!r} is {_spoken(kind)}, where the table began with "
        f"{_spoken(declared)}. Give every part of the table the same types"
    )


def missing_column(kind: str, n_rows: int) -> pd.Series[Any]:
    """Return a column of a kind of which every value is missing."""
    if kind in LABELS:
        return pd.Series(
            pd.Categorical.from_codes(np.full(n_rows, -1), categories=pd.Index([], dtype=object))
        )
    dtype = {
        "integer": "Int64",
        "boolean": "boolean",
        "datetime": "datetime64[ns]",
        "duration": "timedelta64[ns]",
    }
    return pd.Series([None] * n_rows, dtype=dtype.get(kind, "float64"))


def _whole(column: pd.Series[Any], where: str) -> pd.Series[Any]:
    """Return floats that are whole numbers, or missing, as nullable integers."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    missing = np.isnan(values)
    known = np.where(missing, 0.0, values)
    off = (known != np.rint(known)) | (np.abs(known) > LARGEST_EXACT)
    if off.any():
        raise DataError(
            f"{where}: column {str(column.name)!r} has the value {values[off][0]:g}, where the table began "
            "with whole numbers. Make the column float in every part of the table"
        )
    return pd.Series(pd.arrays.IntegerArray(known.astype(np.int64), missing), name=column.name)


def _exact_float(column: pd.Series[Any], where: str) -> pd.Series[Any]:
    """Return whole numbers as floats, if floats hold them."""
    known = column.dropna().to_numpy()
    if known.size and max(abs(int(known.max())), abs(int(known.min()))) > LARGEST_EXACT:
        raise DataError(
            f"{where}: column {str(column.name)!r} has whole numbers of more than 15 digits, where the table "
            "began with floats. Make the column integer, or text, in every part of the table"
        )
    return pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan), name=column.name)


def _spoken(kind: str) -> str:
    words = {
        "integer": "whole numbers",
        "decimal": "decimal numbers",
        "float": "numbers",
        "boolean": "truth values",
        "string": "text",
        "categorical": "categories",
        "ordered": "ordered categories",
        "datetime": "dates",
        "duration": "spans of time",
    }
    return words.get(kind, kind)
