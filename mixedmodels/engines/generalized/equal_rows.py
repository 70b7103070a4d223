"""Equal rows of binomial and Poisson models, fitted once.

Rows with the same covariates, groups and offset have the same eta, and log f is linear in (w, w y) at
given eta for both families. Their sum is that of one row with weight ``sum w``, response
``sum w y / sum w`` and the sum of the constants: the likelihood is exactly the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization.weighted.row_sums import count_rows
from mixedmodels.families.family import Family
from mixedmodels.formula.design.design import RandomTerm

# Families whose log-likelihood is linear in (w, w y) at given eta.
LINEAR_FAMILIES = ("binomial", "poisson")
# Below this many rows an evaluation costs its overhead, whatever their number.
FEWEST_ROWS = 2000
# Rows looked at to decide whether a full search is worth its time.
SAMPLE = 1000
# Distinct rows per row above which nothing is gained.
LARGEST_SHARE = 0.5


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EqualRows:
    """Which rows are equal.

    Attributes
    ----------
    index : ndarray, shape (n,)
        Distinct row that each row is equal to.
    first : ndarray, shape (n_distinct,)
        First row of each kind, ascending.
    """

    index: IntArray
    first: IntArray


def equal_rows(
    X: FloatArray, terms: Sequence[RandomTerm], offset: FloatArray, family: Family
) -> EqualRows | None:
    """Return which rows are equal, or None where collapsing them would not pay.

    Rows must be sorted by the levels of one grouping factor: the first of them are then a fair sample.
    """
    n = len(offset)
    if n < FEWEST_ROWS or family.name not in LINEAR_FAMILIES or len(family.phi_names):
        return None
    # Grouping factors first: crossed ones often tell all rows apart.
    columns = [*(term.codes for term in terms), *X.T, offset]
    for term in terms:
        columns += [term.Z[:, j] for j in range(term.size) if term.Z.strides[0] != 0]
    sample = _distinct([column[:SAMPLE] for column in columns], LARGEST_SHARE * SAMPLE)
    return None if sample is None else _distinct(columns, LARGEST_SHARE * n)


def _distinct(columns: Sequence[FloatArray | IntArray], most: float) -> EqualRows | None:
    """Return the distinct rows of a table given by its columns, in order of appearance; None if too many."""
    kinds = np.zeros(len(columns[0]), dtype=np.intp)
    n_kinds = 1
    for column in columns:
        # Codes number their values already.
        is_coded = np.issubdtype(column.dtype, np.integer)
        values = column if is_coded else np.unique(column, return_inverse=True)[1]
        n_values = int(values.max()) + 1
        if n_values > 1:
            _, kinds = np.unique(kinds * n_values + values, return_inverse=True)
            n_kinds = int(kinds.max()) + 1
        if n_kinds > most:
            return None
    first = np.full(n_kinds, len(kinds), dtype=np.intp)
    np.minimum.at(first, kinds, np.arange(len(kinds)))
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(n_kinds)
    return EqualRows(rank[kinds], first[order])


def collapsed_response(
    y: FloatArray, weights: FloatArray, constant: FloatArray, rows: EqualRows
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return responses, weights and constants of the distinct rows."""
    size = len(rows.first)
    total = count_rows(rows.index, weights, size)
    successes = count_rows(rows.index, weights * y, size)
    mean = np.divide(successes, total, out=y[rows.first].copy(), where=total > 0.0)
    return mean, total, count_rows(rows.index, constant, size)
