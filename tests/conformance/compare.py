"""Compare an expected value with ours: numbers, names, vectors, matrices, nested as the JSON has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

MISSING = "NA"


def mismatch(expected: Any, ours: Any, rtol: float, atol: float) -> str:
    """Return what differs, in a few words; an empty string where everything agrees.

    A number agrees if ``|ours - expected| <= atol + rtol |expected|``.
    """
    if isinstance(expected, Mapping):
        return _mapping_mismatch(_table_as_mapping(expected), _plain(ours), rtol, atol)
    if isinstance(expected, str | bool) or expected is None:
        return _scalar_mismatch(expected, ours)
    if isinstance(expected, Sequence):
        return _sequence_mismatch(expected, _plain(ours), rtol, atol)
    return _number_mismatch(float(expected), ours, rtol, atol)


def _table_as_mapping(expected: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return {row: {column: value}} for a {rownames, colnames, values} matrix, anything else as it is."""
    rows = expected.get("rownames", expected.get("rows"))
    columns = expected.get("colnames", expected.get("columns", expected.get("cols")))
    if "values" not in expected:
        return expected
    if rows is None or columns is None:
        return {"values": expected["values"]}
    return {r: dict(zip(columns, v, strict=True)) for r, v in zip(rows, expected["values"], strict=True)}


def _plain(ours: Any) -> Any:
    """Return pandas and NumPy objects as dictionaries and lists."""
    if isinstance(ours, pd.DataFrame):
        return {str(row): {str(c): ours.at[row, c] for c in ours.columns} for row in ours.index}
    if isinstance(ours, pd.Series):
        return dict(zip(map(str, ours.index), ours.tolist(), strict=True))
    if isinstance(ours, np.ndarray):
        return ours.tolist()
    if isinstance(ours, tuple):
        return list(ours)
    return ours


def _mapping_mismatch(expected: Mapping[str, Any], ours: Any, rtol: float, atol: float) -> str:
    if not isinstance(ours, Mapping):
        return f"expected names {list(expected)[:6]}, got {_brief(ours)}"
    for key, value in expected.items():
        if key not in ours:
            return f"{key!r} is not among {list(ours)[:8]}"
        if found := mismatch(value, ours[key], rtol, atol):
            return f"{key}: {found}"
    return ""


def _sequence_mismatch(expected: Sequence[Any], ours: Any, rtol: float, atol: float) -> str:
    values = list(ours.values()) if isinstance(ours, Mapping) else ours
    if not isinstance(values, Sequence):
        return f"expected {len(expected)} values, got {_brief(ours)}"
    if len(values) != len(expected):
        return f"expected {len(expected)} values, got {len(values)}: {_brief(values)}"
    for i, (value, our) in enumerate(zip(expected, values, strict=True)):
        if found := mismatch(value, our, rtol, atol):
            return f"[{i}] {found}"
    return ""


def _scalar_mismatch(expected: Any, ours: Any) -> str:
    if expected is None or expected == MISSING:
        return "" if ours is None or ours != ours else f"expected a missing value, got {_brief(ours)}"
    return "" if ours == expected else f"expected {expected!r}, got {_brief(ours)}"


def _number_mismatch(expected: float, ours: Any, rtol: float, atol: float) -> str:
    values = ours if np.ndim(ours) == 0 else np.ravel(ours)
    if np.ndim(values) and len(values) != 1:
        return f"expected {expected:.10g}, got {_brief(ours)}"
    value = float(values if np.ndim(values) == 0 else values[0])
    if math.isinf(expected) and value == expected:
        return ""
    difference = abs(value - expected)
    if difference <= atol + rtol * abs(expected):
        return ""
    return (
        f"expected {expected:.10g}, got {value:.10g} (relative {difference / max(abs(expected), 1e-300):.1e})"
    )


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 120 else text[:117] + "..."
