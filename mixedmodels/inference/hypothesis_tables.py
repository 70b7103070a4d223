"""Hypotheses about several terms: a mapping that prints as tables."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mixedmodels.inference.printed_table import PrintedTable
from mixedmodels.reports.page import Page, html_of
from mixedmodels.reports.printed_frame import one_below_the_other


class Hypotheses(dict[str, pd.DataFrame]):
    """Term -> matrix L of its hypothesis ``L beta = 0``; printing shows the matrices.

    Parameters
    ----------
    tables : mapping
        Term -> DataFrame, one row a hypothesis, one column a coefficient.
    heading : str
        What stands above them.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame], heading: str) -> None:
        super().__init__(tables)
        self.heading = heading

    def __reduce__(self) -> tuple[type[Hypotheses], tuple[dict[str, pd.DataFrame], str]]:
        """Pickle as the call that makes it: a dict would be restored without its heading."""
        return Hypotheses, (dict(self), self.heading)

    def __repr__(self) -> str:
        return Page([self.heading, *(part for term, L in self.items() for part in _printed(term, L))])

    __str__ = __repr__

    def to_frame(self) -> pd.DataFrame:
        """Return the matrices one below the other, with the term and the number of a row as index."""
        return one_below_the_other(self, ("term", "row"))

    def _repr_html_(self) -> str:
        return html_of(repr(self))


def _printed(term: str, L: pd.DataFrame) -> list[str]:
    """Return an empty line, the name of the term and its hypothesis."""
    if not len(L):
        return ["", f"{term}:", "no hypothesis: the data say nothing about it"]
    numbered = L.set_axis([str(i + 1) for i in range(len(L))])
    return ["", f"{term}:", repr(PrintedTable(numbered))]
