"""A table of estimates that prints all of its columns."""

from __future__ import annotations

import pandas as pd

from mixedmodels.reports.numbers import format_numbers, format_p_values
from mixedmodels.reports.printed_frame import PrintedFrame
from mixedmodels.reports.text_tables import is_p_value, text_matrix

#: Significant digits of numbers, and of p-values, which have fewer in R too.
DIGITS, P_DIGITS = 5, 4


class PrintedTable(PrintedFrame):
    """A DataFrame that prints as R prints a data frame: every column, in blocks where lines are full."""

    def __repr__(self) -> str:
        cells = list(zip(*(_texts(self.iloc[:, j]) for j in range(self.shape[1])), strict=True))
        return text_matrix(cells, list(map(str, self.index)), list(map(str, self.columns)), right=True)


def _texts(column: pd.Series) -> list[str]:
    """Return the cells of one column."""
    if not pd.api.types.is_float_dtype(column):
        return list(map(str, column))
    values = column.to_numpy(dtype=float)
    if is_p_value(str(column.name)):
        return format_p_values(values, P_DIGITS)
    return format_numbers(values, DIGITS)
