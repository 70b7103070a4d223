"""The text of the influence of groups or rows."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mixedmodels.reports.numbers import format_numbers
from mixedmodels.reports.page import Page
from mixedmodels.reports.text_tables import fill_line, text_matrix

#: Significant digits of the smallest measure of a column.
DIGITS = 3


def influence_text(title: str, formula: str, largest: pd.DataFrame, notes: Sequence[str]) -> Page:
    """Lay out the deletions that moved the estimates most.

    Parameters
    ----------
    title, formula : str
        What was left out, of which model.
    largest : DataFrame
        Measures of these deletions, the most influential first.
    notes : sequence of str
        What is to be known of deletions without estimates.
    """
    columns = [format_numbers(largest[name].to_numpy(dtype=float), DIGITS) for name in largest]
    table = text_matrix(
        list(zip(*columns, strict=True)),
        [str(label) for label in largest.index],
        list(largest.columns),
        right=True,
    )
    lines = [title, f"Formula: {formula}", "", "Largest Cook's distances:", table]
    return Page([*lines, *(fill_line(note.split()) for note in notes)])
