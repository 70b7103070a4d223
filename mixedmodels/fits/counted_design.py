"""The design of a model that is fitted to counted rows, and the design without rows that others see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import AbsentColumns, AbsentResponse, AbsentRows
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import NotAvailableError
from mixedmodels.families.family import Family
from mixedmodels.fits.row_summary import RowSummary
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import Design, MissingRows, RandomTerm

NOT_COUNTED = (
    "the smaller model has a column that the model does not have, such as an intercept: fit it with glmer() "
    "to the source, and compare the two with anova()"
)


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
    n_observations : int
        Number of rows used, those of zero weight left out.
    square : float
        Weighted sum of the squared responses, which tells them from others.
    deviance_within : float
        What the deviance of all rows has beyond that of the rows here, whatever the means.
    summary : RowSummary or None
        What else is known of the rows.
    """

    design: Design
    y: FloatArray
    weights: FloatArray
    constant: FloatArray
    counts: IntArray
    n_input: int
    n_observations: int
    square: float
    deviance_within: float = 0.0
    summary: RowSummary | None = None

    def smaller(self, design: Design) -> CountedDesign:
        """Return the same with some of the fixed effects and of the random ones, told by their names.

        Raises
        ------
        NotAvailableError
            If there is no such column.
        """
        own = {name: k for k, name in enumerate(self.design.x_names)}
        if design.x_names == ("(Intercept)",) and not own.keys() >= set(design.x_names):
            X = np.ones((len(self.y), 1))
        elif own.keys() >= set(design.x_names):
            X = self.design.X[:, [own[name] for name in design.x_names]]
        else:
            raise NotAvailableError(NOT_COUNTED)
        random = tuple(self._term_of(term) for term in design.random)
        smaller = replace(
            self.design, fixed=ColumnMatrix.of(X), x_names=design.x_names, dropped=design.dropped,
            formula=design.formula, random=random,
        )  # fmt: skip
        return replace(self, design=smaller)

    def _term_of(self, term: RandomTerm) -> RandomTerm:
        for whole in self.design.random:
            if whole.group == term.group and set(term.columns) <= set(whole.columns):
                places = [whole.columns.index(name) for name in term.columns]
                return replace(term, Z=whole.Z[:, places], codes=whole.codes)
        raise NotAvailableError(NOT_COUNTED)

    @property
    def n_rows(self) -> int:
        """Number of rows used."""
        return int(self.counts.sum())

    def response(self) -> Any:
        """Return the response as others see it: its length, and what tells it from another."""
        return AbsentResponse(self.n_rows, self.square)

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
        replace(design, weights=given), y, own * weights, own * constant, own, int(everything.sum()),
        int(own[weights > 0.0].sum()), float((own * weights) @ (y * y)),
    )  # fmt: skip


def with_like_rows_added(counted: CountedDesign, family: Family) -> CountedDesign:
    """Return rows that stand together and differ in response and weight alone as one row.

    For families whose log-likelihood is linear in (w, w y) at given eta: the likelihood stays the same.
    """
    design, offset = counted.design, counted.design.offset
    columns: list[Any] = [term.codes for term in design.random]
    columns += [c for term in design.random for c in term.Z.T if term.Z.strides[0] != 0]
    columns += [*design.X.T, *([] if offset is None else [offset])]
    is_new = np.zeros(len(counted.y), dtype=bool)
    is_new[0] = True
    for column in columns:
        is_new[1:] |= column[1:] != column[:-1]
    first = np.flatnonzero(is_new)
    if len(first) == len(is_new):
        return counted
    weights = np.add.reduceat(counted.weights, first)
    total = np.add.reduceat(counted.weights * counted.y, first)
    y = np.divide(total, weights, out=counted.y[first].copy(), where=weights > 0.0)
    given = None if design.weights is None else np.add.reduceat(design.weights, first)
    return replace(
        counted,
        design=replace(_rows_of(design, first), weights=given),
        y=y,
        weights=weights,
        constant=np.add.reduceat(counted.constant, first),
        counts=np.add.reduceat(counted.counts, first),
        deviance_within=_deviance(family, counted.y, counted.weights) - _deviance(family, y, weights),
    )


def _deviance(family: Family, y: FloatArray, weights: FloatArray) -> float:
    """Return the deviance where all rows have the same mean, that of the responses."""
    mu = np.full(len(y), np.average(y, weights=weights))
    return float(family.deviance(y, mu, weights, np.empty(0)).sum())


def _rows_of(design: Design, rows: IntArray) -> Design:
    """Return some rows of a design; of its response those values that the first ones had."""
    response, offset = design.response, design.offset
    failures = None if response.failures is None else response.failures[rows]
    random = []
    for term in design.random:
        ones = term.size == 1 and term.Z.strides[0] == 0
        Z = term.Z[: len(rows)] if ones else term.Z[rows]
        random.append(replace(term, Z=Z, codes=term.codes[rows]))
    return replace(
        design,
        response=replace(response, values=response.values[rows], failures=failures),
        fixed=ColumnMatrix.of(design.X[rows]),
        random=tuple(random),
        offset=None if offset is None else offset[rows],
        index=design.index[rows],
    )


def _triangle(X: FloatArray, counts: IntArray) -> FloatArray:
    """Return a few rows with the products of all."""
    rows = np.linalg.qr(np.sqrt(counts)[:, None] * X, mode="r")
    return np.asarray(rows)
