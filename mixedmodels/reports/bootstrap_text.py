"""The text of a bootstrap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.page import Page
from mixedmodels.reports.text_tables import text_matrix

#: Significant digits of a standard error, which decide how many decimals its row has.
DIGITS = 3


def bootstrap_text(
    kind: str,
    formula: str,
    requested: int,
    done: int,
    verdicts: Mapping[str, int],
    values: FloatArray,
    rows: Sequence[str],
    columns: Sequence[str],
) -> Page:
    """Lay out what was done, how the refits ended, and a table of the quantities kept.

    Parameters
    ----------
    kind, formula : str
        What was drawn, from which model.
    requested, done : int
        Replicates.
    verdicts : mapping
        Replicates by verdict.
    values : ndarray, shape (rows, columns)
        The table, its third column standard errors.
    rows, columns : sequence of str
        Its margins.
    """
    count = f"{done} replicates" if done == requested else f"{done} of {requested} replicates"
    endings = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items())
    lines = [f"{kind.capitalize()} bootstrap: {count}", f"Formula: {formula}"]
    if endings:
        lines.append(f"Refits: {endings}")
    cells = [_row(row.tolist()) for row in values]
    return Page([*lines, "", text_matrix(cells, rows, columns, right=True)])


def _row(values: Sequence[float]) -> list[str]:
    """Return numbers with the decimals that the standard error deserves."""
    size = values[2] if math.isfinite(values[2]) and values[2] > 0.0 else max(map(abs, values), default=1.0)
    decimals = DIGITS - 1 - math.floor(math.log10(size)) if math.isfinite(size) and size > 0.0 else DIGITS
    return [f"{value:.{min(max(decimals, 0), 12)}f}" if math.isfinite(value) else "NaN" for value in values]
