"""Tables: DataFrames that print in R's layout."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mixedmodels.reports.page import html_of


class PrintedFrame(pd.DataFrame):
    """A DataFrame with a layout of its own in print; ``to_frame()`` is the plain one.

    A notebook shows what is printed as HTML.
    """

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        """Parts of the table are ordinary frames."""
        return pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers as an ordinary DataFrame, which prints as pandas prints it."""
        return pd.DataFrame(self).copy()

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        return html_of(repr(self))


def one_below_the_other(tables: Mapping[str, pd.DataFrame], index: tuple[str, str]) -> pd.DataFrame:
    """Return tables as one, whose rows are named by table and row.

    Parameters
    ----------
    tables : mapping
        Name -> table.
    index : tuple of str
        What the names of tables and of rows are called.
    """
    return pd.concat(dict(tables), names=list(index)) if tables else pd.DataFrame()
