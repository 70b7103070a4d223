"""Read one column of whatever type: arrays, lists, pandas and Arrow types, series of other tables.

A column is read without loss. Missing values never change the type of the others, and ids keep every digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import CodeArray
from mixedmodels.errors import DataError
from mixedmodels.formula.evaluation.columns import (
    Column,
    Factor,
    Logical,
    Matrix,
    Numeric,
    dense_codes,
    numeric,
)
from mixedmodels.formula.evaluation.known_indexes import Remembered
from mixedmodels.formula.evaluation.level_names import level_names, moment_name

DATE_ADVICE = (
    "column {name!r} holds dates or times; turn it into a number first, for example "
    "(data[{name!r}] - data[{name!r}].min()).dt.total_seconds() / 86400 for days, or into strings"
)
# What pandas calls the kinds of Python objects that are dates, times or spans of them.
_MOMENTS = ("datetime", "datetime64", "date", "time", "timedelta", "timedelta64", "period")
_CATEGORIES = Remembered(level_names)
# Types whose values are labels by nature: each is known by its text.
_LABELS = ("UUID", "Interval", "IPv4Address", "IPv6Address", "PosixPath", "WindowsPath")


def column_of(values: Any, name: str) -> Column:
    """Convert an array, a list or a pandas object into a column.

    Raises
    ------
    DataError
        Naming the column, when its type cannot enter a model.
    """
    try:
        return _column(values, name)
    except DataError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:  # from pandas and NumPy, about odd values
        raise DataError(f"column {name!r} cannot be read: {error}") from error


def values_of(frame: pd.DataFrame, position: int) -> Any:
    """Return a column as an array or Categorical, or the Series of what is neither.

    pandas takes longer to wrap a column into a Series than a small model takes to be searched; where it hands
    out the array as it is stored, that is read.
    """
    stored = getattr(frame, "_get_column_array", None)
    if stored is not None:
        values = stored(position)
        if type(values) is pd.Categorical:
            return values
        if type(values) is np.ndarray:
            values = values.view()
            values.flags.writeable = False
            return values
    return frame.iloc[:, position]


def _column(values: Any, name: str) -> Column:
    """Convert by the type the values say they have."""
    if type(values) is np.ndarray:
        return _numpy_column(values, name)
    dtype = getattr(values, "dtype", None)
    if isinstance(values, np.ma.MaskedArray):
        return _numpy_column(np.array(values.tolist(), dtype=object), name)  # None where masked
    if isinstance(dtype, np.dtype):
        # NumPy asks a Series for its protocols one by one, which takes longer than the rest.
        return _numpy_column(values.to_numpy() if isinstance(values, pd.Series) else np.asarray(values), name)
    if isinstance(dtype, pd.CategoricalDtype):
        return _categorical(values, dtype, name)
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        return _extension_column(pd.Series(values), name)
    return _numpy_column(_array_of_list(values), name)


def _array_of_list(values: Any) -> np.ndarray[Any, Any]:
    """Return a list as an array that has lost nothing.

    NumPy makes floats of ids that stand beside a NaN, and strings of whatever stands beside a string.
    """
    array = np.asarray(values)
    if array.ndim == 1 and array.dtype.kind in "fUS" and getattr(values, "dtype", None) is None:
        return np.array(values, dtype=object)
    return array


def _categorical(values: Any, dtype: pd.CategoricalDtype, name: str) -> Factor:
    """Convert a pandas Categorical or a Series of one."""
    array: Any = values.array if isinstance(values, pd.Series) else values
    return _coded(array.codes.astype(np.int32), dtype.categories, bool(dtype.ordered), name)


def _coded(codes: CodeArray, categories: Any, ordered: bool, name: str) -> Factor:
    """Return the factor of codes among categories of any type, -1 where missing."""
    levels = _CATEGORIES.of(categories) if isinstance(categories, pd.Index) else level_names(categories)
    if len(set(levels)) < len(levels):
        raise DataError(f"two categories of column {name!r} have the same text; rename one of them")
    return Factor(codes, levels, ordered=ordered)


def _numpy_column(values: np.ndarray[Any, Any], name: str) -> Column:
    """Convert a NumPy array by the kind of its type."""
    if values.ndim == 2 and values.dtype.kind in "fiub":
        return Matrix(values.astype(np.float64), tuple(str(k + 1) for k in range(values.shape[1])))
    if values.ndim != 1:
        raise DataError(f"column {name!r} must be one-dimensional; its shape is {values.shape}")
    kind = values.dtype.kind
    if kind == "f":
        return _floats(values)
    if kind in "iu":
        return Numeric(values)
    if kind == "b":
        return Logical(values)
    if kind in "mM":
        return _moments(values)
    if kind in "UTS":
        return _object_column(values.astype(object), name)
    if kind == "O":
        return _object_column(values, name)
    raise DataError(f"column {name!r} has type {values.dtype}, which cannot enter a model")


def _floats(values: np.ndarray[Any, Any]) -> Numeric:
    """Return floats in float64; long doubles that it does not hold stay as they are."""
    numbers = values.astype(np.float64, copy=False)
    if values.dtype.itemsize > 8 and not np.array_equal(numbers, values, equal_nan=True):
        return Numeric(values)
    return Numeric(numbers)


def _object_column(values: np.ndarray[Any, Any], name: str) -> Column:
    """Convert an array of Python objects by what they are, missing values aside."""
    inferred = pd.api.types.infer_dtype(values, skipna=True)
    if inferred in ("string", "empty"):
        return _text_column(values)
    if inferred == "bytes":
        absent = pd.isna(values)
        return _text_column([None if a else v.decode("latin-1") for v, a in zip(values, absent, strict=True)])
    if inferred == "boolean":
        absent = pd.isna(values)
        return Logical(np.where(absent, False, values).astype(bool), absent if absent.any() else None)
    if inferred == "floating":
        return Numeric(np.where(pd.isna(values), np.nan, values).astype(np.float64))
    if inferred in ("integer", "mixed-integer-float", "decimal"):
        return numeric(values)
    if inferred == "categorical":
        return column_of(pd.Categorical(values), name)
    if inferred in _MOMENTS:
        return _moments(values)
    labels = _labels(values)
    if labels is not None:
        return _text_column(labels)
    raise DataError(
        f"column {name!r} holds a mixture of types ({inferred}); make it all numbers or all strings"
    )


def _labels(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Return values of one type of labels, such as UUIDs, as strings; None when they are something else."""
    absent = pd.isna(values)
    types = {type(value) for value, gone in zip(values, absent, strict=True) if not gone}
    if len(types) != 1 or types.pop().__name__ not in _LABELS:
        return None
    return np.array([None if a else str(v) for v, a in zip(values, absent, strict=True)], dtype=object)


def _text_column(values: Any) -> Factor:
    """Convert strings to a factor whose levels are sorted by code point, whatever the locale."""
    array = np.array(values, dtype=object) if isinstance(values, list) else values
    codes, found = pd.factorize(array, sort=False)
    levels = [str(level) for level in found]
    return Factor(*_sorted_levels(codes, levels, levels), is_text=True)


def _moments(values: Any) -> Factor:
    """Convert dates or times to a factor in their order, which groups rows but is no predictor."""
    codes, found = pd.factorize(values, sort=False)
    moments = list(found)
    names = [moment_name(moment) for moment in moments]
    return Factor(*_sorted_levels(codes, moments, names), is_date=True)


def _sorted_levels(
    codes: Any, keys: Sequence[Any], names: Sequence[str]
) -> tuple[CodeArray, tuple[str, ...]]:
    """Return codes and names of levels put in the order of their keys."""
    order = sorted(range(len(keys)), key=keys.__getitem__)
    rank = np.empty(len(keys) + 1, dtype=np.int32)
    rank[order] = np.arange(len(keys), dtype=np.int32)
    rank[-1] = -1
    return rank[codes], tuple(names[i] for i in order)


def _extension_column(series: pd.Series[Any], name: str) -> Column:
    """Convert a pandas extension type: nullable, Arrow-backed, sparse or string."""
    types = pd.api.types
    dtype: Any = series.dtype
    missing = series.isna().to_numpy(dtype=bool)
    absent = missing if missing.any() else None
    if types.is_bool_dtype(dtype):
        known = series if absent is None else series.fillna(False)
        return Logical(known.to_numpy(dtype=bool), absent)
    if types.is_integer_dtype(dtype):
        numbers = series.to_numpy(dtype=np.uint64 if dtype.kind == "u" else np.int64, na_value=0)
        return Numeric(numbers, absent)
    if types.is_float_dtype(dtype):
        return Numeric(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if types.is_string_dtype(dtype):
        return _text_column(series.array)
    if isinstance(dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)):
        return _moments(series)
    if str(dtype).startswith("dictionary"):
        return _dictionary_column(series.array._pa_array, name)
    return _object_column(np.asarray(series.astype(object).where(~missing, None), dtype=object), name)


def _dictionary_column(encoded: Any, name: str) -> Factor:
    """Convert an Arrow dictionary, keeping the order of its dictionary."""
    chunks = encoded.combine_chunks()
    codes = chunks.indices.to_pandas().to_numpy(dtype=float, na_value=-1.0).astype(np.int32)
    return _coded(codes, chunks.dictionary.to_pylist(), False, name)


def column_of_series(series: Any, name: str) -> Column:
    """Convert a column of a table that narwhals wraps."""
    import narwhals.stable.v1 as nw  # deferred: 20 ms that users of pandas need not pay

    dtype = series.dtype
    if isinstance(dtype, (nw.Categorical, nw.Enum)):
        return _series_of_categories(series, name)
    if dtype.is_integer() and dtype not in (nw.Int128, nw.UInt128):
        absent = series.is_null().to_numpy().astype(bool)
        known = series.fill_null(0) if absent.any() else series
        return Numeric(known.to_numpy(), absent if absent.any() else None)
    if dtype.is_float():
        return Numeric(series.cast(nw.Float64).to_numpy().astype(np.float64))
    if isinstance(dtype, nw.Datetime) and dtype.time_zone is not None:
        moments = pd.DatetimeIndex(series.to_numpy()).tz_localize("UTC")
        return _moments(moments.tz_convert(dtype.time_zone))
    if dtype.is_temporal() and dtype != nw.Time:
        return column_of(series.to_numpy(), name)
    return column_of(np.array([*series.to_list(), None], dtype=object)[:-1], name)


def _series_of_categories(series: Any, name: str) -> Factor:
    """Convert a categorical column, its categories in their order."""
    native = series.to_native()
    if hasattr(native, "combine_chunks"):
        return _dictionary_column(native, name)
    known = series.cat.get_categories().to_list()
    if not hasattr(native, "to_physical"):
        categories = pd.Categorical(series.to_list(), categories=known)
        return _coded(categories.codes.astype(np.int32), categories.categories, False, name)
    # Only one row of each category is read as text.
    absent = series.is_null().to_numpy().astype(bool)
    codes, found = dense_codes(native.to_physical().fill_null(0).to_numpy()[~absent])
    rows = np.empty(len(found), dtype=np.intp)
    rows[codes] = np.flatnonzero(~absent)
    place = {category: position for position, category in enumerate(known)}
    positions = np.array([place[text] for text in series[rows.tolist()].to_list()], dtype=np.int32)
    everywhere = np.full(len(absent), -1, dtype=np.int32)
    everywhere[~absent] = positions[codes]
    return _coded(everywhere, known, False, name)
