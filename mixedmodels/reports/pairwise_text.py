"""The text of squares of means, differences and p-values, as R's emmeans prints ``pwpm``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.emmeans_text import digits_of_estimates
from mixedmodels.reports.numbers import format_numbers
from mixedmodels.reports.page import Page
from mixedmodels.reports.text_tables import text_matrix

NOT_ESTIMABLE = "nonEst"


@dataclass(frozen=True, slots=True)
class PairwiseText:
    """How squares are printed.

    Attributes
    ----------
    labels : str
        What rows and columns are.
    means, differences : str
        Names of the estimates: ``"emmean"``, ``"estimate"``.
    estimates : ndarray, shape (means, 2)
        All means with their standard errors, which say how many digits are shown.
    adjust, type : str
        Adjustment of the p-values, and scale.
    null : float
        Value of differences under the hypothesis, 1 of ratios.
    shows : tuple of bool
        Whether p-values, means and differences are shown.
    reverse, flip : bool
        Whether differences are later less earlier, and stand above the diagonal.
    """

    labels: str
    means: str
    differences: str
    estimates: FloatArray
    adjust: str
    type: str
    null: float
    shows: tuple[bool, bool, bool]
    reverse: bool
    flip: bool


def pairwise_text(squares: Mapping[str, pd.DataFrame], text: PairwiseText) -> str:
    """Lay out the squares of all families and what their parts are."""
    digits = digits_of_estimates(text.estimates)
    parts: list[str] = []
    for heading, square in squares.items():
        parts += ["", heading] if heading else []
        parts.append(_square_text(square, text, digits))
    return Page([*parts, "", *_legend(text)])


def _square_text(square: pd.DataFrame, text: PairwiseText, digits: int) -> str:
    values = square.to_numpy(dtype=np.float64)
    k = len(values)
    p_values, means, differences = text.shows
    earlier, later = np.triu_indices(k, 1)
    above, below = (later, earlier), (earlier, later)
    of_p, of_differences = (above, below) if text.flip else (below, above)
    cells = np.full((k, k), "", dtype=object)
    if p_values:
        cells[of_p] = [_p_value(p) for p in values[of_p]]
    if differences:
        cells[of_differences] = _numbers(values[of_differences], digits)
    if means:
        cells[np.diag_indices(k)] = [f"[{t}]" for t in _numbers(np.diag(values), digits)]
    names = list(map(str, square.index))
    rows, columns = slice(None), slice(None)
    if not means and p_values != differences:
        # One triangle alone has an empty row and an empty column.
        is_above = p_values != text.flip
        rows, columns = (slice(k - 1), slice(1, k)) if is_above else (slice(1, k), slice(k - 1))
    return text_matrix(cells[rows, columns].tolist(), names[rows], names[columns], right=True)


def _numbers(values: FloatArray, digits: int) -> list[str]:
    texts = format_numbers(values, digits)
    return [NOT_ESTIMABLE if np.isnan(v) else t for v, t in zip(values, texts, strict=True)]


def _p_value(p: float) -> str:
    if np.isnan(p):
        return NOT_ESTIMABLE
    return "<.0001" if p < 1e-4 else f"{p:6.4f}"


def _legend(text: PairwiseText) -> list[str]:
    p_values, means, differences = text.shows
    upper, lower = ("Lower", "Upper") if text.flip else ("Upper", "Lower")
    lines = [f"Row and column labels: {text.labels}"]
    if p_values:
        against = f"  null = {text.null:.5g}" if text.null else ""
        adjusted = f"  adjust = “{text.adjust}”" if text.adjust != "none" else ""
        lines.append(f"{upper} triangle: P values {against}{adjusted}".rstrip())
    if means:
        scale = f"   type = “{text.type}”" if text.type != "link" else ""
        lines.append(f"Diagonal: [Estimates] ({text.means}){scale}")
    if differences:
        order = "later vs. earlier" if text.reverse else "earlier vs. later"
        lines.append(f"{lower} triangle: Comparisons ({text.differences})   {order}")
    return lines
