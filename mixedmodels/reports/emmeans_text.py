"""The text of a table of marginal means or contrasts, as R's emmeans prints it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.html import Table
from mixedmodels.reports.numbers import format_numbers, round_digits, zap_small
from mixedmodels.reports.page import Page

_STATISTICS = ("t.ratio", "z.ratio", "F.ratio")
# A table has as many digits as its estimates need to be told from their limits, and no fewer than this.
FEWEST_DIGITS = 3
# R's getOption("digits"), of tables without standard errors.
DIGITS = 7


@dataclass(frozen=True, slots=True)
class EmmeansText:
    """A table and how it is printed.

    Attributes
    ----------
    table : DataFrame
        Labels and numbers.
    estimate : str
        Name of the column of estimates.
    by : tuple of str
        Columns whose levels head the parts.
    notes : tuple of str
        Lines below.
    """

    table: pd.DataFrame
    estimate: str
    by: tuple[str, ...]
    notes: tuple[str, ...]


def emmeans_text(text: EmmeansText) -> Page:
    """Lay out a table in parts by the levels of `by`, its notes below."""
    table = text.table
    digits = _digits(table, text.estimate)
    cells = {str(name): _column(table[name], str(name), text.estimate, digits) for name in table.columns}
    shown = [name for name in cells if name not in text.by]
    lines: list[str | Table] = []
    for heading, rows in _parts(table, text.by, cells):
        if heading:
            lines.append(f"{heading}:")
        lines += [_block(cells, shown, rows, table), ""]
    return Page([*lines, *text.notes] if text.notes else lines[:-1])


def _digits(table: pd.DataFrame, estimate: str) -> int:
    """Return the significant digits that tell each estimate from two standard errors beside it."""
    if "SE" not in table or not len(table):
        return DIGITS
    return digits_of_estimates(table[[estimate, "SE"]].to_numpy(dtype=np.float64))


def digits_of_estimates(estimates: FloatArray) -> int:
    """Return the significant digits for estimates and their standard errors, shape (m, 2)."""
    return max((_digits_of(value, se) for value, se in estimates.tolist()), default=FEWEST_DIGITS)


def _digits_of(value: float, se: float) -> int:
    ends = np.array([value - 2.0 * se, value + 2.0 * se])
    largest = float(np.abs([*ends, value]).max())
    if not math.isfinite(largest) or largest == 0.0:
        return FEWEST_DIGITS
    width = float(zap_small([(ends[1] - ends[0]) / largest, *(ends / largest)], 8)[0])
    return FEWEST_DIGITS if width <= 0.0 else max(round(1.51 - math.log10(width)), FEWEST_DIGITS)


def _column(values: pd.Series, name: str, estimate: str, digits: int) -> list[str]:
    """Return the cells of a column, padded to one width; level names on the left, numbers on the right."""
    if not _is_right(values):
        return _labels(values, name)
    numbers = values.to_numpy(dtype=np.float64)
    texts = _numbers(numbers, name, digits)
    if name == estimate and name not in _STATISTICS:
        texts = ["nonEst" if math.isnan(x) else t for t, x in zip(texts, numbers, strict=True)]
    width = max(len(name), *(len(t) for t in texts)) if texts else len(name)
    return [t.rjust(width) for t in texts]


def _labels(values: pd.Series, name: str) -> list[str]:
    texts = [_label(value) for value in values]
    width = max([len(name), *map(len, texts)])
    return [t.ljust(width) for t in texts]


def _label(value: Any) -> str:
    return ("TRUE" if value else "FALSE") if isinstance(value, (bool, np.bool_)) else str(value)


def _numbers(numbers: FloatArray, name: str, digits: int) -> list[str]:
    """Return numbers as R prints them in a column of that name."""
    if name == "p.value":
        texts = format_numbers(round_digits(numbers, 4), DIGITS, nsmall=4, fixed=True)
        return ["<.0001" if t.strip() == "0.0000" else t for t in texts]
    if name in _STATISTICS:
        return format_numbers(round_digits(numbers, 3), DIGITS, nsmall=3, fixed=True)
    finite = np.isfinite(numbers)
    shown = numbers.copy()
    shown[finite] = (
        round_digits(numbers[finite], 2) if name.startswith("df") else zap_small(numbers[finite], DIGITS)
    )
    return format_numbers(shown, digits)


def _parts(
    table: pd.DataFrame, by: Sequence[str], cells: dict[str, list[str]]
) -> list[tuple[str, list[int]]]:
    """Return the heading and the rows of each part; one part without heading where nothing divides them."""
    if not by:
        return [("", list(range(len(table))))]
    parts: dict[str, list[int]] = {}
    for row in range(len(table)):
        heading = ", ".join(f"{name} = {cells[name][row].strip()}" for name in by)
        parts.setdefault(heading, []).append(row)
    return list(parts.items())


def _block(
    cells: dict[str, list[str]], shown: Sequence[str], rows: Sequence[int], table: pd.DataFrame
) -> Table:
    head = []
    for name in shown:
        width = len(cells[name][rows[0]]) if rows else len(name)
        is_text = bool(rows) and not _is_right(table[name])
        head.append(name.ljust(width) if is_text else name.rjust(width))
    body = [[cells[name][row] for name in shown] for row in rows]
    lines = [" " + " ".join(line) for line in [head, *body]]
    return Table("\n".join(lines), tuple(map(tuple, body)), ("",) * len(body), tuple(shown))


def _is_right(values: pd.Series) -> bool:
    """Tell whether a column holds numbers, which stand on the right."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
