"""What is no table of columns, and how to make one of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.errors import DataError

# Methods by which tables that are not computed yet, or live elsewhere, become tables in memory.
_LAZY = {
    "collect": ".collect()", "compute": ".compute()", "toPandas": ".toPandas()", "df": ".df()",
    "read_all": ".read_all()", "to_table": ".to_table()",
}  # fmt: skip


def refuse_column_levels(data: pd.DataFrame) -> None:
    """Raise for a DataFrame whose columns have several levels of names."""
    if data.columns.nlevels > 1:
        raise DataError(
            f"the columns of the data have {data.columns.nlevels} levels of names (a MultiIndex); join them "
            "first: data.columns = ['_'.join(map(str, names)) for names in data.columns]"
        )


def no_table(data: Any) -> DataError:
    """Return the error about data that are no table, with the way to make them one."""
    module, kind = type(data).__module__.partition(".")[0], type(data).__name__
    kind = f"{module}'s {kind}" if kind == "DataFrame" else kind
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
        return ": sums know their formula, so write lmer(sums), or lm(sums) without random effects"
    is_records = isinstance(data, (list, tuple)) and bool(data) and isinstance(data[0], Mapping)
    if isinstance(data, np.ndarray) or is_records:
        return ": use pd.DataFrame(data)"
    if cure := _cure_of_tables(data):
        return cure
    for method, call in _LAZY.items():
        if hasattr(data, method):
            return f": use data{call}"
    return ": use pd.DataFrame(data, columns=[...])" if isinstance(data, (list, tuple)) else ""


def _cure_of_tables(data: Any) -> str:
    """Return what makes one table of several, or of groups of one."""
    if isinstance(getattr(data, "obj", None), pd.DataFrame):
        return ": pass the DataFrame that was grouped"
    if isinstance(data, (list, tuple)) and data and all(isinstance(one, pd.DataFrame) for one in data):
        return ": join the tables, with pd.concat(data)"
    if isinstance(data, Iterator) and not hasattr(data, "read_all"):
        return ": if it yields tables, join them with pd.concat(data)"
    if callable(data):
        return ": if it returns tables, join them with pd.concat(data())"
    return ""
