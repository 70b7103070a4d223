"""The text of an anova table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.numbers import format_p_values
from mixedmodels.reports.page import Page
from mixedmodels.reports.text_tables import coefficient_table, fill_line, is_p_value

_STATISTICS = ("F value", "Chisq", "F", "Cp", "stat")


def anova_text(
    values: FloatArray, rows: Sequence[str], columns: Sequence[str], heading: Sequence[str]
) -> Page:
    """Lay out an anova table below its heading, as R's ``print.anova``."""
    statistics = [j for j, name in enumerate(columns) if name in _STATISTICS]
    zapped = [
        j
        for j, name in enumerate(columns)
        if j not in statistics and not name.endswith("Df") and not is_p_value(name)
    ]
    table = coefficient_table(values, rows, columns, 5, statistics=statistics, zapped=zapped, na="")
    return Page([*heading, table])


def boundary_text(rows: Sequence[str], p_values: FloatArray) -> str:
    """Return what stands below a table of which some rows have a p-value that knows of the boundary."""
    known = np.flatnonzero(~np.isnan(p_values)).tolist()
    texts = [format_p_values(p_values[[i]], digits=3)[0] for i in known]
    named = ", ".join(f"{p} ({rows[i]})" for i, p in zip(known, texts, strict=True))
    what = "Pr(>Chibar), from the mixture of chi-squares that holds where a variance is zero:"
    return fill_line(f"{what} {named}".split(" "))


def bounds_text(rows: Sequence[str], bounds: FloatArray) -> str:
    """Return what stands below a table of which some rows have bounds of a p-value, shape (rows, 2)."""
    known = np.flatnonzero(~np.isnan(bounds[:, 0])).tolist()
    texts = [format_p_values(bounds[i], digits=3) for i in known]
    named = ", ".join(f"{low} to {high} ({rows[i]})" for i, (low, high) in zip(known, texts, strict=True))
    what = "Pr(>Chibar), bounds where several random effects are added at once:"
    return fill_line(f"{what} {named}; pb_modcomp() simulates it.".split(" "))
