"""Marginal means with a compact letter display of their pairwise tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.errors import ControlError
from mixedmodels.inference.emmeans.contrasting import contrast
from mixedmodels.inference.emmeans.letters import letters
from mixedmodels.inference.emmeans.linear_functions import LinearFunctions, estimates, families
from mixedmodels.inference.emmeans.options import number
from mixedmodels.inference.emmeans.summary_table import EmmeansTable, Request, summary_table


def letter_table(
    functions: LinearFunctions, alpha: float, adjust: str | None, symbols: str, sort: bool, reverse: bool
) -> EmmeansTable:
    """Return the table of the means with their letters in the column ``.group``.

    Parameters
    ----------
    functions : LinearFunctions
        The means.
    alpha : float
        Significance level of the pairwise tests.
    adjust : str or None
        Their adjustment; Tukey's where None.
    symbols : str
        Symbols to use.
    sort, reverse : bool
        Whether the means of a family are sorted by size, and the largest comes first.
    """
    if not 0.0 < number("alpha", alpha) < 1.0:
        raise ControlError(f"alpha must lie between 0 and 1, not {alpha!r}.")
    if sort or reverse:
        functions = _sorted(functions, reverse)
    pairs = contrast(functions, "pairwise", functions.by)
    tests = summary_table(pairs, Request(tests=True, adjust=adjust))
    marks = np.full(len(functions.labels), "", dtype=object)
    p = tests["p.value"].to_numpy(dtype=np.float64)
    first = 0
    for rows in families(functions, functions.by):
        count = len(rows) * (len(rows) - 1) // 2
        marks[rows] = letters(_differ(p[first : first + count], len(rows), alpha), symbols)
        first += count
    known = ~np.isnan(estimates(functions).estimate)
    table = summary_table(functions, Request())
    table[".group"] = np.where(known, marks, "")
    adjusted = [note for note in tests.notes if note.startswith("P value adjustment")]
    said = f"significance level used: alpha = {alpha:g}"
    table.notes = (
        *table.notes,
        *adjusted,
        said,
        "Means that share a symbol are not told apart by the tests.",
    )
    return table


def _sorted(functions: LinearFunctions, reverse: bool) -> LinearFunctions:
    """Return the means of each family in increasing order, those not estimable last."""
    values = estimates(functions).estimate
    order: list[IntArray] = []
    for rows in families(functions, functions.by):
        size = -values[rows] if reverse else values[rows]
        order.append(rows[np.argsort(size, kind="stable")])
    places = np.concatenate(order)
    return replace(
        functions,
        labels=functions.labels.iloc[places].reset_index(drop=True),
        L=functions.L[places],
        offset=functions.offset[places],
    )


def _differ(p: FloatArray, k: int, alpha: float) -> BoolArray:
    """Return which pairs of k means differ, from the p-values of pairs in the order 01, 02, ..., 12, ..."""
    differ = np.zeros((k, k), dtype=bool)
    differ[np.triu_indices(k, 1)] = p < alpha
    return np.asarray(differ | differ.T)
