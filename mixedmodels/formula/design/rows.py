"""The design of some of the rows of another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.formula.design.design import Design, MissingRows, RandomTerm
from mixedmodels.formula.design.fixed_effects import independent_columns
from mixedmodels.formula.design.residual import ResidualDesign, VarianceTerm


def design_of_rows(design: Design, rows: IntArray) -> Design:
    """Return the design of chosen rows, its columns computed as they were from all rows.

    Levels that no chosen row has are left out, those of a term with a known covariance between its levels
    excepted, and so are columns of X that depend on others in these rows.

    Parameters
    ----------
    design : Design
        The whole.
    rows : ndarray of int, shape (m,)
        Rows, each at most once.
    """
    counted = rows if design.weights is None else rows[design.weights[rows] > 0.0]
    kept = independent_columns(design.fixed.at(counted))
    names = tuple(design.x_names[j] for j in kept)
    dropped = tuple(name for name in design.x_names if name not in names)
    failures = design.response.failures
    return replace(
        design,
        response=replace(
            design.response,
            values=design.response.values[rows],
            failures=None if failures is None else failures[rows],
        ),
        fixed=design.fixed.at(rows) if not dropped else design.fixed.at(rows).take(kept),
        x_names=names,
        dropped=(*design.dropped, *dropped),
        random=tuple(_term_of_rows(term, rows) for term in design.random),
        weights=_chosen(design.weights, rows),
        offset=_chosen(design.offset, rows),
        index=pd.RangeIndex(len(rows)),
        missing=MissingRows("omit", len(rows), None),
        residual=None if design.residual is None else _residual_of_rows(design.residual, rows),
        dispersion=tuple(_variance_of_rows(term, rows) for term in design.dispersion),
    )


def _chosen(values: FloatArray | None, rows: IntArray) -> FloatArray | None:
    return None if values is None else values[rows]


def _residual_of_rows(residual: ResidualDesign, rows: IntArray) -> ResidualDesign:
    """Return the residual groups of some rows; levels of time and arms stay, with their parameters."""
    codes = residual.codes[rows]
    occurs = np.bincount(codes, minlength=len(residual.groups)) > 0
    return replace(
        residual,
        codes=(np.cumsum(occurs) - 1)[codes],
        groups=tuple(group for group, is_there in zip(residual.groups, occurs, strict=True) if is_there),
        positions=residual.positions[rows],
        arms=residual.arms[occurs],
        origins=residual.origins[occurs],
        variance=None if residual.variance is None else _variance_of_rows(residual.variance, rows),
    )


def residual_of_copies(residual: ResidualDesign, rows: IntArray, copy: IntArray) -> ResidualDesign:
    """Return the residual groups of rows drawn with replacement; in different copies they are different.

    Parameters
    ----------
    residual : ResidualDesign
        The groups of all rows.
    rows, copy : ndarray of int, shape (m,)
        Rows, and the number of the draw that each came in.
    """
    keys, codes = np.unique(copy * len(residual.groups) + residual.codes[rows], return_inverse=True)
    old = keys % len(residual.groups)
    return replace(
        residual,
        codes=codes.ravel(),
        groups=tuple(residual.groups[k] for k in old.tolist()),
        positions=residual.positions[rows],
        arms=residual.arms[old],
        origins=residual.origins[old],
        variance=None if residual.variance is None else _variance_of_rows(residual.variance, rows),
    )


def _variance_of_rows(term: VarianceTerm, rows: IntArray) -> VarianceTerm:
    return replace(term, columns=term.columns.take(rows))


def _term_of_rows(term: RandomTerm, rows: IntArray) -> RandomTerm:
    ones = term.size == 1 and term.Z.strides[0] == 0
    Z, codes, levels = term.Z[: len(rows)] if ones else term.Z[rows], term.codes[rows], term.levels
    occurs = np.bincount(codes, minlength=term.n_levels) > 0
    if not occurs.all() and term.relationship is None:
        codes = (np.cumsum(occurs) - 1)[codes].astype(np.int32)
        levels = tuple(level for level, is_there in zip(term.levels, occurs, strict=True) if is_there)
    return replace(term, Z=Z, codes=codes, levels=levels)
