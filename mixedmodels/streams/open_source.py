"""Which engine reads a table that is given as data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mixedmodels.errors import DataError
from mixedmodels.streams.arrow_source import DatasetSource, ReaderSource
from mixedmodels.streams.comma_separated import CsvSource
from mixedmodels.streams.dask_source import DaskSource
from mixedmodels.streams.duckdb_source import DuckDBSource
from mixedmodels.streams.files import PARQUET, list_files
from mixedmodels.streams.iterables import FrameSource, FramesSource
from mixedmodels.streams.libraries import made_by
from mixedmodels.streams.pandas_frames import is_frame
from mixedmodels.streams.parquet import ParquetSource
from mixedmodels.streams.polars_source import PolarsSource
from mixedmodels.streams.source import Source
from mixedmodels.streams.spark_source import SparkSource

TAKEN = (
    "a path, pattern or directory of Parquet or CSV files, a list of paths, a pyarrow Dataset or "
    "RecordBatchReader, a DuckDB relation, a Polars LazyFrame, a Dask or Spark DataFrame, an iterable of "
    "DataFrames or a function that returns one, or a table in memory"
)


def is_stream(data: object) -> bool:
    """Tell whether data are read in batches rather than as one table in memory."""
    return not is_frame(data) and _opener(data) is not None


def open_source(data: object) -> Source:
    """Return what reads a table in batches.

    Parameters
    ----------
    data : object
        A path, pattern or directory of Parquet or CSV files, or a list of them; a pyarrow Dataset or
        RecordBatchReader; a DuckDB relation; a Polars LazyFrame; a Dask or Spark DataFrame; an iterable of
        frames or a function without arguments that returns one; or a table in memory.

    Raises
    ------
    DataError
        If it is none of these, or cannot be read.
    NotAvailableError
        If the engine that reads it is not installed.
    """
    opener = FrameSource if is_frame(data) else _opener(data)
    if opener is None:
        kind = type(data).__name__
        raise DataError(f"data must be {TAKEN}, not {'None' if data is None else kind}")
    return opener(data)


def _opener(data: Any) -> Callable[[Any], Source] | None:
    """Return what opens data that are not in memory; None where nothing does."""
    if isinstance(data, (str, os.PathLike)) or _is_paths(data):
        return _open_files
    for package, kinds in _BY_PACKAGE.items():
        if made_by(data, package):
            return next((opener for kind, opener in kinds.items() if kind in _names(data)), None)
    if callable(data):
        return _open_function
    if isinstance(data, Iterator):
        return _open_iterator
    if isinstance(data, (list, tuple)):
        return _open_iterable if data and all(map(is_frame, data)) else None
    return _open_iterable if _is_iterable_of_frames(data) else None


def _names(data: object) -> set[str]:
    return {kind.__name__ for kind in type(data).__mro__}


def _is_paths(data: object) -> bool:
    return (
        isinstance(data, (list, tuple))
        and bool(data)
        and all(isinstance(d, (str, os.PathLike)) for d in data)
    )


def _is_iterable_of_frames(data: object) -> bool:
    """Tell whether an object of a class unknown here iterates over frames, as far as can be told.

    Tables of other libraries (Modin, cuDF) iterate over their columns: they are read as one table in memory.
    """
    is_known = type(data).__module__ == "builtins" or made_by(data, "numpy") or made_by(data, "pandas")
    return isinstance(data, Iterable) and not is_known and not hasattr(data, "columns")


def _open_files(data: Any) -> Source:
    kind, files = list_files(data)
    return ParquetSource(files) if kind == PARQUET else CsvSource(files)


def _open_function(data: Any) -> Source:
    return FramesSource(data, once=False)


def _open_iterator(data: Any) -> Source:
    return FramesSource(lambda: data, once=True)


def _open_iterable(data: Any) -> Source:
    return FramesSource(lambda: data, once=False)


_BY_PACKAGE: dict[str, dict[str, Callable[[Any], Source]]] = {
    "pyarrow": {"Dataset": DatasetSource, "RecordBatchReader": ReaderSource},
    "_duckdb": {"DuckDBPyRelation": DuckDBSource},
    "duckdb": {"DuckDBPyRelation": DuckDBSource},
    "polars": {"LazyFrame": PolarsSource},
    "dask": {"DataFrame": DaskSource},
    "pyspark": {"DataFrame": SparkSource},
}
