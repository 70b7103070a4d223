"""The design of a model that is fitted to counted rows, and the design without rows that others see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import AbsentColumns, AbsentResponse, AbsentRows
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import Design, MissingRows


@dataclass(frozen=True, slots=True)
class CountedDesign:
    """Different rows of a model, and how often each occurs.

    Attributes
    ----------
    design : Design
        Arrays of the different rows; its weights are those of all rows that are equal.
    y, weights, constant : ndarray, shape (m,)
        Response, weights and terms of the log-likelihood without parameters, those of equal rows added up.
    counts : ndarray of int, shape (m,)
        How often each row occurs.
    n_input : int
        Number of rows of the source after `subset`.
    """

    design: Design
    y: FloatArray
    weights: FloatArray
    constant: FloatArray
    counts: IntArray
    n_input: int

    @property
    def n_rows(self) -> int:
        """Number of rows used."""
        return int(self.counts.sum())

    @property
    def n_observations(self) -> int:
        """Number of rows used, those of zero weight left out."""
        return int(self.counts[self.weights > 0.0].sum())

    def response(self) -> Any:
        """Return the response as others see it: its length, and what tells it from another."""
        return AbsentResponse(self.n_rows, float(self.weights @ (self.y * self.y)))

    def without_rows(self) -> Design:
        """Return the design as others see it: names, levels and recipes, and no rows."""
        design, n = self.design, self.n_rows
        absent: Any = AbsentRows(n)
        X: Any = AbsentColumns(n, _triangle(design.X, self.counts))
        random = []
        for term in design.random:
            Z: Any = AbsentColumns(n, _triangle(term.Z, self.counts))
            random.append(replace(term, Z=Z, codes=absent))
        return replace(
            design,
            response=replace(design.response, values=absent, failures=None),
            fixed=ColumnMatrix.of(X),
            random=tuple(random),
            weights=None if design.weights is None else absent,
            offset=None if design.offset is None else absent,
            index=pd.RangeIndex(n),
            missing=MissingRows(design.missing.action, self.n_input, absent, None),
        )


def counted_design(
    design: Design, y: FloatArray, weights: FloatArray, constant: FloatArray, counts: IntArray
) -> CountedDesign:
    """Return a design with what each of its rows counts.

    Parameters
    ----------
    design : Design
        Of a table of different rows, numbered from 0.
    y, weights, constant : ndarray, shape (m,)
        Of one row each.
    counts : ndarray of int
        How often each row of the table occurs.
    """
    own = counts[np.asarray(design.index, dtype=np.intp)]
    labels = design.missing.input_index
    everything = counts if labels is None else counts[np.asarray(labels, dtype=np.intp)]
    given = None if design.weights is None else own * design.weights
    return CountedDesign(
        replace(design, weights=given), y, own * weights, own * constant, own, int(everything.sum())
    )


def _triangle(X: FloatArray, counts: IntArray) -> FloatArray:
    """Return a few rows with the products of all."""
    rows = np.linalg.qr(np.sqrt(counts)[:, None] * X, mode="r")
    return np.asarray(rows)
