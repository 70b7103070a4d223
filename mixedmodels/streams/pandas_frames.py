"""Frames of pandas, and of whatever else is a table in memory, as batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.errors import DataError
from mixedmodels.streams.arrow_frames import ArrowFrames, kinds_of_schema
from mixedmodels.streams.kinds import KINDS, kind_of_dtype, missing_column, settled
from mixedmodels.streams.libraries import arrow, made_by
from mixedmodels.streams.source import Batch, require_columns, rows_per_batch

# Types whose values are labels by nature, as in memory.
_LABELS = ("UUID", "Interval", "IPv4Address", "IPv6Address", "PosixPath", "WindowsPath", "Period", "time")


def is_frame(value: object) -> bool:
    """Tell whether a value is a table in memory."""
    if isinstance(value, (pd.DataFrame, Mapping)):
        return True
    kind = type(value).__name__
    return (kind == "DataFrame" and made_by(value, "polars")) or (
        kind in ("Table", "RecordBatch") and made_by(value, "pyarrow")
    )


def kinds_of_frame(frame: Any) -> dict[str, str]:
    """Return the kinds of the columns of a table in memory.

    Raises
    ------
    DataError
        If two columns have one name.
    """
    if isinstance(frame, (pd.DataFrame, Mapping)):
        return _kinds_of_pandas(_as_pandas(frame))
    return kinds_of_schema(_as_arrow(frame).schema)


def frame_batches(
    frame: Any, columns: Sequence[str], declared: Mapping[str, str], name: str
) -> Iterator[Batch]:
    """Yield a table in memory in batches.

    Raises
    ------
    DataError
        Naming the batch, if it has other columns or types than the whole.
    """
    if isinstance(frame, (pd.DataFrame, Mapping)):
        yield from _pandas_batches(_as_pandas(frame), columns, declared, name)
        return
    table = _as_arrow(frame)
    require_columns(columns, table.schema.names, name)
    records = table.select(list(columns)).to_batches(max_chunksize=rows_per_batch(len(columns)))
    yield from ArrowFrames(columns, declared).batches(records, name)


def _as_pandas(frame: Any) -> pd.DataFrame:
    try:
        return frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(dict(frame))
    except ValueError as error:
        raise DataError(f"a mapping of arrays is no table: {error}") from error


def _as_arrow(frame: Any) -> Any:
    if made_by(frame, "polars"):
        arrow(what="frames of Polars")
        return frame.to_arrow()
    return arrow().Table.from_batches([frame]) if type(frame).__name__ == "RecordBatch" else frame


def _kinds_of_pandas(frame: pd.DataFrame) -> dict[str, str]:
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"column {str(twice)!r} is ambiguous: the data have several of that name")
    dtypes = zip(frame.columns, frame.dtypes, strict=True)
    return {str(label): _kind_of_series(frame[label], dtype) for label, dtype in dtypes}


def _kind_of_series(column: pd.Series[Any], dtype: Any) -> str:
    kind = kind_of_dtype(dtype)
    return kind_of_dtype(_typed(column, str(column.name), "the data").dtype) if kind == "unknown" else kind


def _pandas_batches(
    frame: pd.DataFrame, columns: Sequence[str], declared: Mapping[str, str], name: str
) -> Iterator[Batch]:
    labels = {str(label): label for label in frame.columns}
    require_columns(columns, labels, name)
    step = rows_per_batch(len(columns))
    for start in range(0, len(frame), step):
        rows = slice(start, start + step)
        wanted = {c: frame[labels[c]].iloc[rows] for c in columns}
        made = {c: _column(v, c, declared.get(c, "unknown"), name) for c, v in wanted.items()}
        n_rows = min(step, len(frame) - start)
        yield Batch(pd.DataFrame(made, index=pd.RangeIndex(n_rows), copy=False), name)


def _column(column: pd.Series[Any], name: str, declared: str, where: str) -> Any:
    typed = _typed(column, name, where)
    unknown = typed.dtype == object
    kind = "decimal" if unknown and typed.notna().any() else kind_of_dtype(typed.dtype)
    if kind not in KINDS:
        raise DataError(f"{where}: column {name!r} has type {kind}, which cannot enter a model")
    result = missing_column("float", len(typed)) if kind == declared == "unknown" else typed
    result = settled(result.rename(name), kind, declared, where)
    if kind_of_dtype(result.dtype) == "string":
        return pd.Categorical(result)
    return result.array


def _typed(column: pd.Series[Any], name: str, where: str) -> pd.Series[Any]:
    """Return a column with the type that its values have, where they are Python objects."""
    if isinstance(column.dtype, pd.ArrowDtype) and kind_of_dtype(column.dtype) in ("categorical", "ordered"):
        return pd.Series(column.array._pa_array.combine_chunks().to_pandas())
    if column.dtype != object:
        return column
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    simple = {"boolean": "boolean", "floating": "float64"}
    if inferred in simple:
        return column.astype(simple[inferred])  # type: ignore[call-overload, no-any-return]
    if inferred in ("integer", "mixed-integer-float"):
        return _numbers(column, inferred)
    if inferred in ("date", "datetime", "datetime64"):
        return pd.to_datetime(column)
    if inferred in ("timedelta", "timedelta64"):
        return pd.to_timedelta(column)
    if inferred in ("decimal", "empty"):
        return column
    if inferred == "categorical":
        return pd.Series(pd.Categorical(column))
    return pd.Series(_texts(column, inferred, name, where), dtype="string")


def _numbers(column: pd.Series[Any], inferred: str) -> pd.Series[Any]:
    """Return Python numbers as nullable integers where 64 bits hold them; as they are where they do not."""
    for dtype in ("Int64", "UInt64"):
        try:
            return column.astype(dtype)
        except (TypeError, ValueError, OverflowError):
            continue
    return column if inferred == "integer" else column.astype("float64")


def _texts(column: pd.Series[Any], inferred: str, name: str, where: str) -> np.ndarray[Any, Any]:
    """Return objects as their texts, None where missing."""
    known = column[column.notna()]
    types = {type(value) for value in known}
    if inferred == "bytes":
        texts = known.map(lambda value: value.decode("latin-1"))
    elif inferred == "string":
        texts = known
    elif len(types) == 1 and next(iter(types)).__name__ in _LABELS:
        texts = known.map(str)
    else:
        raise DataError(
            f"{where}: column {name!r} holds a mixture of types ({inferred}); make it all numbers or "
            "all strings"
        )
    result = np.full(len(column), None, dtype=object)
    result[column.notna().to_numpy()] = texts.to_numpy()
    return result
