"""What is no table of columns, and how to make one of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.errors import DataError

# Methods by which tables that are not computed yet, or live elsewhere, become tables in memory.
_LAZY = {"collect": ".collect()", "compute": ".compute()", "toPandas": ".toPandas()", "df": ".df()"}


def refuse_column_levels(data: pd.DataFrame) -> None:
    """Raise for a DataFrame whose columns have several levels of names."""
    if data.columns.nlevels > 1:
        raise DataError(
            f"the columns of the data have {data.columns.nlevels} levels of names (a MultiIndex); join them "
            "first: data.columns = ['_'.join(map(str, names)) for names in data.columns]"
        )


def no_table(data: Any) -> DataError:
    """Return the error about data that are no table, with the way to make them one."""
    kind = type(data).__name__
    return DataError(
        "data must be a table (pandas DataFrame, dict of arrays, polars DataFrame, pyarrow Table), not "
        f"{'None' if data is None else kind}{_cure(data)}"
    )


def _cure(data: Any) -> str:
    """Return what makes a table of `data`."""
    if isinstance(data, str) and "~" in data:
        return ": the formula comes first, then the data"
    if isinstance(data, (str, os.PathLike)):
        reader = "read_parquet" if os.fspath(data).endswith((".parquet", ".pq", ".parq")) else "read_csv"
        return f": read the file first, with pd.{reader}({os.fspath(data)!r})"
    if isinstance(data, np.ndarray) and data.dtype.names is None:
        return ": name its columns, with pd.DataFrame(data, columns=[...])"
    if isinstance(data, pd.Series):
        return ": make it a column, with data.to_frame()"
    if type(data).__name__ == "Moments":
        return ": sums know their formula, so write lmer(sums)"
    is_records = isinstance(data, (list, tuple)) and bool(data) and isinstance(data[0], Mapping)
    if isinstance(data, np.ndarray) or is_records:
        return ": use pd.DataFrame(data)"
    if isinstance(getattr(data, "obj", None), pd.DataFrame):
        return ": pass the DataFrame that was grouped"
    for method, call in _LAZY.items():
        if hasattr(data, method):
            return f": use data{call}"
    return ": use pd.DataFrame(data, columns=[...])" if isinstance(data, (list, tuple)) else ""
