"""Read columns out of whatever table the caller has: pandas, a dict of arrays, polars, pyarrow.

Only the columns that a formula names are ever touched.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import CodeArray
from mixedmodels.errors import DataError
from mixedmodels.formula.evaluation.columns import Column, Factor, Logical, Matrix, Numeric
from mixedmodels.formula.language.number_format import format_number

_DATE_ADVICE = (
    "column {name!r} holds dates or times; turn it into a number first, for example "
    "(data[{name!r}] - data[{name!r}].min()).dt.total_seconds() / 86400 for days, or into strings"
)


class InputFrame:
    """A table of named columns.

    Attributes
    ----------
    names : list of str
        All column names.
    n_rows : int
        Number of rows.
    index : pandas.Index
        Row labels.
    """

    __slots__ = ("_columns", "_labels", "_positions", "_raw", "index", "n_rows", "names")

    def __init__(self, raw: Any, names: Iterable[Any], n_rows: int, index: pd.Index) -> None:
        self._raw = raw
        self._labels = list(names)
        self.names = [name if type(name) is str else str(name) for name in self._labels]
        self.n_rows = n_rows
        self.index = index
        self._positions = {name: position for position, name in enumerate(self.names)}
        self._columns: dict[str, Column] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._positions

    @property
    def is_labelled(self) -> bool:
        """Whether the rows carry labels of their own, as those of a pandas DataFrame."""
        return isinstance(self._raw, pd.DataFrame)

    def column(self, name: str) -> Column:
        """Return a column, read and converted on first use.

        Raises
        ------
        DataError
            When the name occurs twice or the type cannot enter a model.
        """
        found = self._columns.get(name)
        if found is None:
            if len(self._positions) < len(self.names) and self.names.count(name) > 1:
                raise DataError(
                    f"column {name!r} is ambiguous: the data have {self.names.count(name)} of that name"
                )
            found = self._columns[name] = self._read(name)
        return found

    def _read(self, name: str) -> Column:
        """Convert one column of the underlying table."""
        raw = self._raw
        label = self._labels[self._positions[name]]
        if isinstance(raw, pd.DataFrame):
            unique = len(self._positions) == len(self._labels)
            return column_of(raw[label] if unique else raw.iloc[:, self._positions[name]], name)
        if isinstance(raw, Mapping):
            return column_of(raw[label], name)
        return _narwhals_column(raw[label], name)

    def require(self, names: Iterable[str], also: Iterable[str] = ()) -> None:
        """Raise one error that lists all `names` that are not columns (nor in `also`)."""
        known = set(also)
        absent = [n for n in dict.fromkeys(names) if n not in self._positions and n not in known]
        if not absent:
            return
        parts = []
        for name in absent:
            near = difflib.get_close_matches(name, [*self.names, *known], n=3, cutoff=0.6)
            near = near or [column for column in self.names if column.lower() == name.lower()]
            hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
            parts.append(f"{name!r}{hint}")
        columns = ", ".join(self.names[:20]) + (", ..." if len(self.names) > 20 else "")
        noun = "variable is" if len(absent) == 1 else "variables are"
        raise DataError(
            f"the following {noun} not in the data: {', '.join(parts)}. The columns are: {columns}"
        )


def input_frame(data: Any) -> InputFrame:
    """Wrap a table.

    Raises
    ------
    DataError
        When `data` is no table.
    """
    if isinstance(data, InputFrame):
        return data
    if isinstance(data, pd.DataFrame):
        return InputFrame(data, data.columns.tolist(), len(data), data.index)
    if isinstance(data, Mapping):
        return _mapping_frame(data)
    return _narwhals_frame(data)


def _mapping_frame(data: Mapping[Any, Any]) -> InputFrame:
    """Wrap a dict of arrays, which must all have one length."""
    lengths = {}
    for name, values in data.items():
        try:
            lengths[str(name)] = len(values)
        except TypeError as error:
            raise DataError(
                f"column {str(name)!r} is not an array but a single {type(values).__name__}"
            ) from error
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {length}" for name, length in list(lengths.items())[:8])
        raise DataError(f"the columns of the data differ in length ({listed})")
    n_rows = next(iter(lengths.values()), 0)
    return InputFrame(data, data, n_rows, pd.RangeIndex(n_rows))


def _narwhals_frame(data: Any) -> InputFrame:
    """Wrap a polars, pyarrow or other table that narwhals knows."""
    import narwhals.stable.v1 as nw  # deferred: 20 ms that users of pandas need not pay

    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError as error:
        raise DataError(
            "data must be a table (pandas DataFrame, dict of arrays, polars DataFrame, pyarrow Table), "
            f"not {type(data).__name__}"
        ) from error
    return InputFrame(frame, frame.columns, len(frame), pd.RangeIndex(len(frame)))


def in_row_order(given: Any, role: str, index: pd.Index) -> Any:
    """Return a pandas Series in the order of the rows labelled `index`; anything else as it is.

    A Series with the labels of the rows in another order is matched by label, as pandas does when a column
    is assigned. The labels 0, 1, 2, ... of a Series that was never given any say nothing: where the rows
    have others it goes by position.

    Raises
    ------
    DataError
        When the labels of the Series are neither those of the rows nor the default ones.
    """
    if not isinstance(given, pd.Series) or given.index.equals(index):
        return given
    labels = given.index
    if labels.is_unique and index.is_unique and len(labels) == len(index) and labels.isin(index).all():
        return given.reindex(index)
    if labels.equals(pd.RangeIndex(len(labels))):
        return given
    raise DataError(
        f"{role} is a pandas Series whose index is not that of the data, so its values cannot be matched to "
        f"the rows. Take them by label with {role}.loc[data.index], or by position with {role}.to_numpy()"
    )


def column_of(values: Any, name: str) -> Column:
    """Convert an array, a list or a pandas object into a column.

    Raises
    ------
    DataError
        Naming the column, when its type cannot enter a model.
    """
    dtype = getattr(values, "dtype", None)
    if isinstance(values, np.ma.MaskedArray):
        return _numpy_column(np.array(values.tolist(), dtype=object), name)  # None where masked
    if isinstance(dtype, np.dtype):
        return _numpy_column(np.asarray(values), name)
    if isinstance(dtype, pd.CategoricalDtype):
        return _categorical(values, dtype, name)
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        return _extension_column(pd.Series(values), name)
    return _numpy_column(np.asarray(values), name)


def _categorical(values: Any, dtype: pd.CategoricalDtype, name: str) -> Factor:
    """Convert a pandas Categorical or a Series of one."""
    array: Any = values.array if isinstance(values, pd.Series) else values
    levels = level_names(dtype.categories)
    if dtype.categories.dtype == object and len(set(levels)) < len(levels):
        raise DataError(f"two categories of column {name!r} have the same text; rename one of them")
    return Factor(array.codes.astype(np.int32), levels, ordered=bool(dtype.ordered))


def level_names(categories: Any) -> tuple[str, ...]:
    """Return categories of any type as the strings R would show."""
    return tuple(map(_level_name, categories.tolist() if hasattr(categories, "tolist") else categories))


def _level_name(category: Any) -> str:
    """Return one category as a string."""
    if isinstance(category, str):
        return category
    if isinstance(category, (bool, np.bool_)):
        return "TRUE" if category else "FALSE"
    if isinstance(category, (float, np.floating)):
        return format_number(float(category))
    return str(category)


def _numpy_column(values: np.ndarray[Any, Any], name: str) -> Column:
    """Convert a NumPy array by the kind of its type."""
    if values.ndim == 2 and values.dtype.kind in "fiub":
        return Matrix(values.astype(np.float64), tuple(str(k + 1) for k in range(values.shape[1])))
    if values.ndim != 1:
        raise DataError(f"column {name!r} must be one-dimensional; its shape is {values.shape}")
    kind = values.dtype.kind
    if kind == "f":
        return Numeric(values.astype(np.float64, copy=False))
    if kind in "iu":
        return Numeric(values)
    if kind == "b":
        return Logical(values)
    if kind in "mM":
        raise DataError(_DATE_ADVICE.format(name=name))
    if kind in "UTS":
        return _text_column(values.astype(object))
    if kind == "O":
        return _object_column(values, name)
    raise DataError(f"column {name!r} has type {values.dtype}, which cannot enter a model")


def _object_column(values: np.ndarray[Any, Any], name: str) -> Column:
    """Convert an array of Python objects by what they are, missing values aside."""
    inferred = pd.api.types.infer_dtype(values, skipna=True)
    if inferred in ("string", "empty"):
        return _text_column(values)
    if inferred == "boolean":
        absent = pd.isna(values)
        return Logical(np.where(absent, False, values).astype(bool), absent if absent.any() else None)
    if inferred in ("integer", "floating", "mixed-integer-float", "decimal"):
        return Numeric(np.where(pd.isna(values), np.nan, values).astype(np.float64))
    if inferred == "categorical":
        return column_of(pd.Categorical(values), name)
    if "date" in inferred or "time" in inferred or inferred == "period":
        raise DataError(_DATE_ADVICE.format(name=name))
    raise DataError(
        f"column {name!r} holds a mixture of types ({inferred}); make it all numbers or all strings"
    )


def _text_column(values: Any) -> Factor:
    """Convert strings to a factor whose levels are sorted by code point, whatever the locale."""
    codes, found = pd.factorize(values, sort=False)
    order = sorted(range(len(found)), key=lambda i: str(found[i]))
    rank = np.empty(len(found) + 1, dtype=np.int32)
    rank[order] = np.arange(len(found), dtype=np.int32)
    rank[-1] = -1
    sorted_codes: CodeArray = rank[codes]
    return Factor(sorted_codes, tuple(str(found[i]) for i in order), is_text=True)


def _extension_column(series: pd.Series[Any], name: str) -> Column:
    """Convert a pandas extension type: nullable, Arrow-backed or string."""
    types = pd.api.types
    dtype = series.dtype
    if types.is_bool_dtype(dtype):
        absent = series.isna().to_numpy(dtype=bool)
        return Logical(
            series.fillna(False).to_numpy(dtype=bool) if absent.any() else series.to_numpy(dtype=bool),
            absent if absent.any() else None,
        )
    if types.is_integer_dtype(dtype) and not series.hasnans:
        return Numeric(series.to_numpy(dtype=np.int64))
    if types.is_numeric_dtype(dtype):
        return Numeric(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if types.is_string_dtype(dtype):
        return _text_column(series.array)
    if types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype) or "date" in str(dtype):
        raise DataError(_DATE_ADVICE.format(name=name))
    if str(dtype).startswith("dictionary"):
        return _dictionary_column(series)
    return _object_column(np.asarray(series.astype(object).where(series.notna(), None)), name)


def _dictionary_column(series: pd.Series[Any]) -> Factor:
    """Convert an Arrow dictionary, keeping the order of its dictionary."""
    encoded = series.array._pa_array.combine_chunks()
    codes = encoded.indices.to_pandas().to_numpy(dtype=float, na_value=-1.0).astype(np.int32)
    return Factor(codes, level_names(encoded.dictionary.to_pylist()))


def _narwhals_column(series: Any, name: str) -> Column:
    """Convert a column of a table that narwhals wraps."""
    import narwhals.stable.v1 as nw

    dtype = series.dtype
    if isinstance(dtype, (nw.Categorical, nw.Enum)):
        text = series.cast(nw.String).to_list()
        levels = level_names(series.cat.get_categories().to_list())
        categories = pd.Categorical(text, categories=list(levels))
        return Factor(categories.codes.astype(np.int32), levels)
    if dtype == nw.Boolean or dtype == nw.String or dtype == nw.Object:
        return column_of(np.array(series.to_list(), dtype=object), name)
    if dtype.is_integer() and series.null_count() == 0:
        return Numeric(series.to_numpy())
    if dtype.is_numeric():
        return Numeric(series.cast(nw.Float64).to_numpy().astype(np.float64))
    if dtype.is_temporal():
        raise DataError(_DATE_ADVICE.format(name=name))
    return column_of(np.array(series.to_list(), dtype=object), name)
