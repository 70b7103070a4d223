"""A table with a column of every kind, and what it is to be compared by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

N = 23
#: The largest whole numbers of 64 bits: floats hold none of them.
HUGE, HUGE_UNSIGNED = 2**63 - 1, 2**64 - 1


def table() -> pd.DataFrame:
    """Return the table."""
    k = np.arange(N)
    frame = pd.DataFrame(
        {
            "y": np.sin(k),
            "gappy": np.where(k % 5 == 0, np.nan, k / 7),
            "count": (k % 4).astype(np.int8),
            "id": HUGE - k // 2,
            "key": np.uint64(HUGE_UNSIGNED) - k.astype(np.uint64),
            "maybe": pd.array([None if j % 6 == 1 else HUGE - j for j in k], dtype="Int64"),
            "flag": k % 3 == 0,
            "doubt": pd.array([None if j % 4 == 2 else j % 2 == 0 for j in k], dtype="boolean"),
            "group": [f"g{(7 * j) % 9}" for j in k],
            "name": [None if j % 8 == 3 else f"näme {j % 4}" for j in k],
            "level": pd.Categorical([None if j == 4 else "zyx"[j % 3] for j in k], categories=list("zyxw")),
            "when": pd.Timestamp("2024-02-28 12:30") + pd.to_timedelta(k, "h"),
        }
    )
    return frame.astype({"group": "str", "name": "str"})


def values(column: pd.Series[Any]) -> list[Any]:
    """Return the values of a column as Python's, None where missing: exact, whatever the type."""
    return [None if pd.isna(v) else v for v in column.astype(object)]


def rows_of(source: Any, columns: list[str]) -> pd.DataFrame:
    """Return all rows of a source, its values as Python objects; no column of a batch may hold such."""
    frames = []
    for batch in source.batches(columns):
        assert list(batch.frame.columns) == columns
        assert len(batch.frame)
        assert not any(isinstance(dtype, np.dtype) and dtype.kind == "O" for dtype in batch.frame.dtypes)
        assert batch.frame.index.equals(pd.RangeIndex(len(batch.frame)))
        assert batch.name
        frames.append(pd.DataFrame({c: pd.Series(values(batch.frame[c]), dtype=object) for c in columns}))
    return pd.concat(frames, ignore_index=True)


def assert_same_rows(source: Any, frame: pd.DataFrame, columns: list[str] | None = None) -> None:
    """Check that a source has the rows of a frame, in any order."""
    columns = list(frame.columns) if columns is None else columns
    found = rows_of(source, columns)
    wanted = pd.DataFrame({c: pd.Series(values(frame[c]), dtype=object) for c in columns})
    assert sorted(map(repr, _plain(found))) == sorted(map(repr, _plain(wanted)))


def _plain(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(map(_python, row)) for row in frame.itertuples(index=False)]


def _python(value: Any) -> Any:
    if value is None or pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value
