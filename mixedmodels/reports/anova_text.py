"""The text of an anova table."""

from __future__ import annotations

from collections.abc import Sequence

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.text_tables import coefficient_table, is_p_value

_STATISTICS = ("F value", "Chisq", "F", "Cp", "stat")


def anova_text(
    values: FloatArray, rows: Sequence[str], columns: Sequence[str], heading: Sequence[str]
) -> str:
    """Lay out an anova table below its heading, as R's ``print.anova``."""
    statistics = [j for j, name in enumerate(columns) if name in _STATISTICS]
    zapped = [
        j
        for j, name in enumerate(columns)
        if j not in statistics and not name.endswith("Df") and not is_p_value(name)
    ]
    table = coefficient_table(values, rows, columns, 5, statistics=statistics, zapped=zapped, na="")
    return "\n".join([*heading, table])
