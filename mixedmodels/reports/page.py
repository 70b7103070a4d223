"""Texts in R's layout that a notebook shows as paragraphs and tables: one description, two renderings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from mixedmodels.reports.html import Table, html
from mixedmodels.reports.numbers import format_numbers

#: Significant digits of numbers in a table of pandas.
DIGITS = 6


class Page(str):
    r"""A text for the terminal, which its repr is, that knows the lines and tables it is made of.

    Parameters
    ----------
    parts : iterable of str, Table or Page
        One below the other.

    Examples
    --------
    >>> Page(["two", "lines"])
    two
    lines
    """

    __slots__ = ("parts",)
    parts: tuple[str | Table, ...]

    def __new__(cls, parts: Iterable[str | Table]) -> Page:
        """Join the parts, those of pages one by one."""
        flat: list[str | Table] = []
        for part in parts:
            flat += part.parts if isinstance(part, Page) else [part]
        page = super().__new__(cls, "\n".join(p.text if isinstance(p, Table) else p for p in flat))
        page.parts = tuple(flat)
        return page

    def __reduce__(self) -> tuple[type[Page], tuple[tuple[str | Table, ...]]]:
        """Return what a copy is made of."""
        return Page, (self.parts,)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html(self.parts)


def html_of(text: str) -> str:
    """Return a text as HTML, its tables as tables if it is a page."""
    return html(text.parts if isinstance(text, Page) else text.split("\n"))


def frame_table(text: str, frame: pd.DataFrame) -> Table:
    """Return a table of numbers that a terminal shows as `text`, as many of its rows as pandas shows."""
    limit, least = pd.get_option("display.max_rows"), pd.get_option("display.min_rows")
    ends = np.arange(len(frame))
    cut = limit is not None and 0 < limit < len(frame)
    if cut:
        half = max(1, (least or limit) // 2)
        ends = np.concatenate([ends[:half], ends[-half:]])
    columns = [format_numbers(frame.iloc[ends, j].to_numpy(dtype=np.float64), DIGITS, na="")
               for j in range(frame.shape[1])]  # fmt: skip
    cells, labels = _rows(columns, len(ends)), [str(label) for label in frame.index[ends]]
    if cut:
        cells.insert(half, ("…",) * len(columns))
        labels.insert(half, "…")
    return Table(text, tuple(cells), tuple(labels), tuple(map(str, frame.columns)))


def _rows(columns: Sequence[Sequence[str]], n_rows: int) -> list[tuple[str, ...]]:
    """Return cells row by row; rows without cells where there is no column."""
    return list(zip(*columns, strict=True)) if columns else [()] * n_rows
