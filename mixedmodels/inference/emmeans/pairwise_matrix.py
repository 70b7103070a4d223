"""Means, differences and p-values of one family in one square: R's ``pwpm``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.inference.emmeans.adjustment import applied
from mixedmodels.inference.emmeans.contrasting import contrast, text_of
from mixedmodels.inference.emmeans.linear_functions import LinearFunctions, families
from mixedmodels.inference.emmeans.summary_table import EmmeansTable, Request, summary_table, with_request
from mixedmodels.reports.page import html_of
from mixedmodels.reports.pairwise_text import PairwiseText, pairwise_text
from mixedmodels.reports.printed_frame import one_below_the_other


@dataclass(frozen=True, slots=True)
class Shown:
    """Which parts of the square are shown.

    Attributes
    ----------
    p_values, means, differences : bool
        Those above the diagonal, on it, and below it.
    reverse : bool
        Whether differences are later less earlier.
    flip : bool
        Whether p-values stand below the diagonal and differences above it.
    """

    p_values: bool = True
    means: bool = True
    differences: bool = True
    reverse: bool = False
    flip: bool = False


class PairwiseMatrices(dict[str, pd.DataFrame]):
    """Family -> square of its means, their differences and p-values; printing shows it as R's emmeans does.

    Parameters
    ----------
    tables : mapping
        ``"nitro = 0"`` -> DataFrame of numbers, NaN where nothing is shown; one family has the name ``""``.
    text : PairwiseText
        How they are printed.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame], text: PairwiseText) -> None:
        super().__init__(tables)
        self._text = text

    def __reduce__(self) -> tuple[type[PairwiseMatrices], tuple[dict[str, pd.DataFrame], PairwiseText]]:
        """Pickle as the call that makes it: a dict would be restored without its text."""
        return PairwiseMatrices, (dict(self), self._text)

    def __repr__(self) -> str:
        return pairwise_text(self, self._text)

    __str__ = __repr__

    def to_frame(self) -> pd.DataFrame:
        """Return the squares one below the other, with the family and the mean of a row as index."""
        return one_below_the_other(self, ("family", "mean"))

    def _repr_html_(self) -> str:
        return html_of(repr(self))


def pairwise_matrices(functions: LinearFunctions, shown: Shown, request: Request) -> PairwiseMatrices:
    """Return the squares of all families.

    Parameters
    ----------
    functions : LinearFunctions
        The means.
    shown : Shown
        Parts of the squares.
    request : Request
        Families, adjustment and scale; the adjustment is that of the p-values.
    """
    functions = with_request(functions, Request(by=request.by, type=request.type))
    means = summary_table(functions, Request())
    pairs = contrast(functions, "revpairwise" if shown.reverse else "pairwise", functions.by)
    tests = summary_table(pairs, Request(tests=True, adjust=request.adjust))
    groups = families(functions, functions.by)
    labels = [name for name in functions.labels.columns if name not in functions.by]
    tables: dict[str, pd.DataFrame] = {}
    first = 0
    for rows in groups:
        count = len(rows) * (len(rows) - 1) // 2
        mine = pd.DataFrame(tests).iloc[first : first + count]
        first += count
        names = [" ".join(map(text_of, row)) for row in functions.labels[labels].iloc[rows].to_numpy()]
        square = _square(
            means[means.estimate].to_numpy(dtype=np.float64)[rows],
            mine[tests.estimate].to_numpy(dtype=np.float64),
            mine["p.value"].to_numpy(dtype=np.float64),
            shown,
        )
        tables[_heading(functions, rows)] = pd.DataFrame(square, index=names, columns=names)
    adjust = with_request(pairs, Request(adjust=request.adjust)).family.adjust
    used = applied(adjust, max(len(rows) * (len(rows) - 1) // 2 for rows in groups), True, False)
    return PairwiseMatrices(tables, _text(means, tests, labels, used, shown, functions.type))


def _square(means: FloatArray, differences: FloatArray, p: FloatArray, shown: Shown) -> FloatArray:
    """Return means on the diagonal, p-values above it and differences below it, or the other way round."""
    k = len(means)
    square = np.full((k, k), np.nan)
    later, earlier = np.tril_indices(k, -1)  # by rows: the order of reverse pairs
    if not shown.reverse:
        earlier, later = np.triu_indices(k, 1)
    if shown.p_values:
        square[earlier, later] = p
    if shown.differences:
        square[later, earlier] = differences
    if shown.means:
        square[np.diag_indices(k)] = means
    return square.T if shown.flip else square


def _heading(functions: LinearFunctions, rows: IntArray) -> str:
    levels = functions.labels.iloc[rows[0]]
    return ", ".join(f"{name} = {text_of(levels[name])}" for name in functions.by)


def _text(
    means: EmmeansTable, tests: EmmeansTable, labels: Sequence[Any], adjust: str, shown: Shown, type: str
) -> PairwiseText:
    return PairwiseText(
        labels=":".join(map(str, labels)),
        means=means.estimate,
        differences=tests.estimate,
        estimates=pd.DataFrame(means)[[means.estimate, "SE"]].to_numpy(dtype=np.float64),
        adjust=adjust,
        type=type,
        null=float(tests["null"].iloc[0]) if "null" in tests else 0.0,
        shows=(shown.p_values, shown.means, shown.differences),
        reverse=shown.reverse,
        flip=shown.flip,
    )
