"""Plain-text tables in R's layout: filled lines, named vectors, matrices, coefficient tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.html import RULE, Table
from mixedmodels.reports.numbers import (
    SIGNIFICANCE_LEGEND,
    format_numbers,
    format_p_values,
    round_digits,
    significance_marks,
    zap_small,
)
from mixedmodels.reports.page import Page

LINE_WIDTH = 80


def fill_line(pieces: Sequence[str], separator: str = " ", width: int = LINE_WIDTH) -> str:
    """Join `pieces`, starting a new line before one that would pass `width`."""
    lines = [""]
    for i, piece in enumerate(pieces):
        following = separator if i + 1 < len(pieces) else ""
        if lines[-1] and len(lines[-1]) + len(piece) + len(separator) > width:
            lines.append("")
        lines[-1] += piece + following
    return "\n".join(lines)


def named_values(names: Sequence[str], cells: Sequence[str], gap: int = 1, width: int = LINE_WIDTH) -> Page:
    """Lay out a named vector: names above values, right justified, as many on a line as fit."""
    cell_width = max((len(t) for t in (*names, *cells)), default=0)
    per_line = max(1, width // (cell_width + gap))
    space = " " * gap
    lines = []
    for first in range(0, len(cells), per_line):
        for row in (names, cells):
            part = row[first : first + per_line]
            lines.append("".join(t.rjust(cell_width) + space for t in part))
    return Page([Table("\n".join(lines), (tuple(cells),), ("",), tuple(names))])


def text_matrix(
    cells: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    right: bool = False,
    width: int = LINE_WIDTH,
) -> Page:
    """Lay out a character matrix with its margins; columns that do not fit go into a further block."""
    label_width = max((len(r) for r in rows), default=0)
    widths = [max([len(name)] + [len(row[j]) for row in cells]) for j, name in enumerate(columns)]
    lines: list[str] = []
    first = 0
    while first < len(columns):
        last, used = first + 1, label_width + 1 + widths[first]
        while last < len(columns) and used + 1 + widths[last] < width:
            used += 1 + widths[last]
            last += 1
        for label, row in (("", columns), *zip(rows, cells, strict=True)):
            parts = [
                (t.rjust(w) if right else t.ljust(w))
                for t, w in zip(row[first:last], widths[first:last], strict=True)
            ]
            lines.append(" ".join([label.ljust(label_width), *parts]))
        first = last
    return Page([Table("\n".join(lines), tuple(map(tuple, cells)), tuple(rows), tuple(columns))])


def is_p_value(column: str) -> bool:
    """Tell whether a column of that name holds p-values: ``Pr(>F)``, ``P(>|Chi|)``, ``p.value``."""
    return column.startswith(("Pr(", "P(")) or column == "p.value"


def coefficient_table(
    values: FloatArray,
    rows: Sequence[str],
    columns: Sequence[str],
    digits: int = 5,
    estimates: Sequence[int] = (),
    statistics: Sequence[int] = (),
    zapped: Sequence[int] = (),
    na: str = "NA",
) -> Page:
    """Lay out a table of estimates and tests by the rules of R's ``printCoefmat``.

    Parameters
    ----------
    values : ndarray, shape (rows, columns)
        The numbers; a last column whose name says so holds p-values and earns stars.
    rows, columns : sequence of str
        Margins.
    digits : int
        Significant digits of estimates; statistics get one decimal fewer at most.
    estimates : sequence of int
        Columns that share one format: estimates and standard errors.
    statistics : sequence of int
        Columns of test statistics, which share another.
    zapped : sequence of int
        Columns in which numbers negligible beside the largest print as zero.
    na : str
        Text of a missing value.
    """
    statistic_digits = max(1, min(5, digits - 1))
    numbers = np.array(values, dtype=np.float64)
    for j in zapped:
        numbers[:, j] = zap_small(numbers[:, j], digits)
    p_column = len(columns) - 1 if is_p_value(columns[-1]) else None
    cells = np.full(numbers.shape, "", dtype=object)
    if len(estimates):
        cells[:, list(estimates)] = _joint_format(numbers[:, list(estimates)], digits)
    if len(statistics):
        rounded = round_digits(numbers[:, list(statistics)], statistic_digits)
        texts = np.array(format_numbers(rounded.ravel(), digits), dtype=object)
        cells[:, list(statistics)] = texts.reshape(rounded.shape)
    for j in range(numbers.shape[1]):
        if j not in (*estimates, *statistics) and j != p_column:
            cells[:, j] = format_numbers(numbers[:, j], digits)
    _restore_vanished(
        cells, numbers, [j for j in range(len(columns)) if j not in (*statistics, p_column)], digits
    )
    cells[np.isnan(numbers)] = na
    marks = _add_p_values(cells, numbers, p_column, statistic_digits, na)
    if not marks:
        return text_matrix(cells.tolist(), rows, columns, right=True)
    starred = [[*row, mark] for row, mark in zip(cells.tolist(), marks, strict=True)]
    return Page([text_matrix(starred, rows, [*columns, ""], right=True), RULE, SIGNIFICANCE_LEGEND])


def _joint_format(block: FloatArray, digits: int) -> np.ndarray[tuple[int, ...], np.dtype[np.object_]]:
    """Format several columns in one common format, precise enough for the smallest number."""
    sizes = np.abs(block[np.isfinite(block) & (block != 0)])
    smallest = math.floor(math.log10(sizes.min())) if len(sizes) else -1
    rounded = round_digits(block, max(1, digits - 1 - smallest))
    return np.array(format_numbers(rounded.ravel(), digits), dtype=object).reshape(block.shape)


def _restore_vanished(
    cells: np.ndarray[tuple[int, ...], np.dtype[np.object_]],
    numbers: FloatArray,
    columns: Sequence[int],
    digits: int,
) -> None:
    """Print again, on their own, numbers that the common format has rounded to zero."""
    vanished = [
        (i, j)
        for j in columns
        for i in range(len(numbers))
        if np.isfinite(numbers[i, j]) and numbers[i, j] != 0 and float(cells[i, j]) == 0
    ]
    texts = format_numbers([numbers[i, j] for i, j in vanished], max(1, digits - 1))
    for (i, j), text in zip(vanished, texts, strict=True):
        cells[i, j] = text


def _add_p_values(
    cells: np.ndarray[tuple[int, ...], np.dtype[np.object_]],
    numbers: FloatArray,
    p_column: int | None,
    digits: int,
    na: str,
) -> list[str]:
    """Write the p-values into `cells`; return their significance marks, none if nothing is below 0.1."""
    if p_column is None:
        return []
    p = numbers[:, p_column]
    known = ~np.isnan(p)
    cells[known, p_column] = format_p_values(p[known], digits)
    cells[~known, p_column] = na
    return significance_marks(p) if (p[known] < 0.1).any() else []
