"""Coefficients of every group from its own rows alone, by least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.mixed_fit import MixedFit

#: Singular values below this share of the largest count as zero: the rows do not tell the coefficients.
RANK_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class GroupCoefficients:
    """Coefficients of the levels of one grouping factor.

    Attributes
    ----------
    levels, columns : tuple of str
        The q levels and S coefficients.
    within : ndarray, shape (q, S)
        By least squares from each level's own rows, everything else in the model held; NaN where they do not
        determine them.
    conditional : ndarray, shape (q, S)
        Of the mixed model.
    population : ndarray, shape (S,)
        Fixed effects of the same columns, 0 where there is none.
    """

    levels: tuple[str, ...]
    columns: tuple[str, ...]
    within: FloatArray
    conditional: FloatArray
    population: FloatArray

    def to_frame(self, group: str) -> pd.DataFrame:
        """Return one row for each level and coefficient."""
        q, S = self.within.shape
        return pd.DataFrame(
            {
                "grpvar": group,
                "grp": np.tile(np.array(self.levels, dtype=object), S),
                "term": np.repeat(np.array(self.columns, dtype=object), q),
                "within": self.within.ravel(order="F"),
                "conditional": self.conditional.ravel(order="F"),
                "population": np.repeat(self.population, q),
            }
        )


def group_coefficients(fit: MixedFit, group: str, function: str) -> GroupCoefficients:
    """Return the coefficients of the levels of one grouping factor.

    Raises
    ------
    NotAvailableError
        If the model is generalized: a group's own rows often have no finite estimates.
    """
    if fit.family() is not None:
        raise NotAvailableError(
            f"{function}() fits each group by least squares, and a generalized model has none: "
            "plot_ranef(m) and plot_groups(m) draw its groups."
        )
    own = [k for k, term in enumerate(fit.random) if term.group == group]
    terms = [fit.random[k] for k in own]
    Z = np.hstack([term.Z for term in terms])
    b = np.hstack([fit.b[k] for k in own])
    columns = tuple(column for term in terms for column in term.columns)
    population = _fixed_effects_of(fit, columns, Z)
    codes, coefficients = terms[0].codes, b + population
    partial = fit.y - fit.linear_predictor + np.einsum("ns,ns->n", Z, coefficients[codes])
    within = least_squares_by_group(Z, codes, partial, fit.prior_weights, len(b))
    return GroupCoefficients(terms[0].levels, columns, within, coefficients, population)


def _fixed_effects_of(fit: MixedFit, columns: tuple[str, ...], Z: FloatArray) -> FloatArray:
    """Return the fixed effects of the columns of Z that are columns of X too, 0 for the others."""
    design, found = fit.design, np.zeros(len(columns))
    for s, name in enumerate(columns):
        if name in design.x_names:
            j = design.x_names.index(name)
            if np.array_equal(design.X[:, j], Z[:, s]):
                found[s] = fit.beta[j]
    return found


def least_squares_by_group(
    Z: FloatArray, codes: CodeArray, y: FloatArray, weights: FloatArray, q: int
) -> FloatArray:
    """Return weighted least-squares coefficients of every group, shape (q, S); NaN where not determined."""
    root = np.sqrt(weights)
    order = np.argsort(codes, kind="stable")
    rows, response = (root[:, None] * Z)[order], (root * y)[order]
    ends = np.searchsorted(codes[order], np.arange(q + 1))
    found = np.full((q, Z.shape[1]), np.nan)
    for level in range(q):
        part = slice(ends[level], ends[level + 1])
        beta, _, rank, _ = np.linalg.lstsq(rows[part], response[part], rcond=RANK_TOLERANCE)
        if rank == Z.shape[1]:
            found[level] = beta
    return found
