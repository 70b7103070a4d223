"""Structured residuals of new rows: their groups, positions, and what their variances depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.covariance.residual.by_lag import Toeplitz
from mixedmodels.covariance.residual.structure import Positions, VarianceColumns
from mixedmodels.errors import DataError, listed
from mixedmodels.formula.design.coding import model_matrix
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.new_data import codes_among, variables_on
from mixedmodels.formula.design.positions import as_times, coordinate_positions
from mixedmodels.formula.design.residual import ResidualDesign, VarianceTerm
from mixedmodels.formula.evaluation.columns import Column, as_factor
from mixedmodels.formula.evaluation.evaluate import as_numbers
from mixedmodels.formula.language.syntax_tree import deparse

# New times are whole numbers of steps to this share of one.
_STEP_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NewResidual:
    """Where new rows are among the residual groups of a fit.

    Attributes
    ----------
    codes : int ndarray, shape (m,)
        Group of each row; -1 for one that the fit has not seen, and where a variable is missing.
    arms : int ndarray, shape (m,)
        Arm of each row; -1 for one that the fit has not seen.
    positions : ndarray, shape (m,) or (m, d)
        As in `ResidualDesign`.
    """

    codes: IntArray
    arms: IntArray
    positions: Positions


def new_residual(design: Design, new_data: Any, numbers_groups: bool = False) -> NewResidual:
    """Return where new rows are.

    With `numbers_groups`, groups that the fit has not seen have numbers after those of the fit, and time
    begins in each with its first row; else all their rows have the code -1.

    Raises
    ------
    DataError
        When a variable is absent, or a time is none of those that the structure knows (named).
    """
    residual = design.residual
    assert residual is not None
    call = residual.call
    groups = {deparse(node) for node in (call.group, call.arm) if node is not None}
    columns = variables_on(design, new_data, call.variables(), groups)
    n_rows = len(next(iter(columns.values()))) if columns else 0
    if not call.times:
        raise DataError(
            f"{residual.text} goes by the order of the rows, which says nothing about new ones; name a "
            "variable of time in place of 1"
        )
    codes = np.zeros(n_rows, dtype=np.intp)
    arms = np.zeros(n_rows, dtype=np.intp)
    if call.group is not None:
        codes = _codes(residual.groups, columns[deparse(call.group)])
        if numbers_groups:
            factor = as_factor(columns[deparse(call.group)])
            codes = np.where(codes < 0, len(residual.groups) + factor.codes.astype(np.intp), codes)
    if call.arm is not None:
        arms = _codes(residual.arm_names, columns[deparse(call.arm)])
    missing = _missing(columns, n_rows)
    codes[missing] = -1
    return NewResidual(codes, arms, _positions(residual, columns, codes))


def _missing(columns: dict[str, Column], n_rows: int) -> BoolArray:
    """Return the rows in which some variable is missing."""
    missing = np.zeros(n_rows, dtype=bool)
    for column in columns.values():
        absent = column.missing()
        missing |= False if absent is None else absent
    return missing


def _codes(levels: tuple[str, ...], column: Column) -> IntArray:
    return codes_among(levels, as_factor(column)).astype(np.intp)


def _positions(residual: ResidualDesign, columns: dict[str, Column], codes: IntArray) -> Positions:
    """Return positions of new rows; any where the group is not known."""
    call = residual.call
    names = [deparse(node) for node in call.times]
    found = [columns[name] for name in names]
    if call.kind.by == "coordinates":
        return coordinate_positions(found, names, call.kind.base)
    if residual.levels:
        if residual.structure.name == "cs":
            return _codes(residual.levels, found[0])  # the same correlation wherever a row is
        return _known_levels(residual.levels, found[0], names[0])
    times = as_times(found[0])
    times = as_numbers(found[0], names[0]) if times is None else times
    return _steps(residual, codes, times)


def _known_levels(levels: tuple[str, ...], column: Column, name: str) -> IntArray:
    """Return codes of levels of time."""
    factor = as_factor(column)
    codes = _codes(levels, factor)
    unknown = sorted({factor.levels[k] for k in np.unique(factor.codes[codes < 0]) if k >= 0})
    if unknown:
        raise DataError(
            f"{name} has {listed(map(repr, unknown))} in the new data, which the fit has not seen; its "
            f"levels are {listed(map(repr, levels))}"
        )
    return codes


def _steps(residual: ResidualDesign, codes: IntArray, times: FloatArray) -> IntArray:
    """Return times as whole numbers of steps in known groups, which may be before the first of the fit."""
    known = codes >= 0
    n_new = max(int(codes.max(initial=-1)) + 1 - len(residual.groups), 0)
    first = np.full(len(residual.groups) + n_new, np.inf)
    np.minimum.at(first, codes[known], times[known])
    origins = np.concatenate([residual.origins, first[len(residual.groups) :]])
    steps = np.where(known, (times - origins[codes]) / residual.step, 0.0)
    off = np.abs(steps - np.rint(steps)) > _STEP_TOLERANCE
    if off.any():
        row = int(np.argmax(off))
        raise DataError(
            f"{residual.time_name} = {times[row]:g} in the new data is no whole number of steps of "
            f"{residual.step:g} from {origins[codes[row]]:g}, by which {residual.text} goes"
        )
    positions = np.rint(steps).astype(np.intp)
    if isinstance(residual.structure, Toeplitz):
        _refuse_long_lags(residual, residual.structure.n_lags, codes, positions)
    return positions


def _refuse_long_lags(residual: ResidualDesign, n_lags: int, codes: IntArray, positions: IntArray) -> None:
    """Raise where a new row is farther from one of its group than any two of the fit."""
    known = codes >= 0
    all_codes = np.concatenate([residual.codes, codes[known]])
    all_positions = np.concatenate([residual.positions, positions[known]])
    first = np.full(int(all_codes.max()) + 1, all_positions.max())
    last = np.full(len(first), all_positions.min())
    np.minimum.at(first, all_codes, all_positions)
    np.maximum.at(last, all_codes, all_positions)
    far = np.flatnonzero(last - first > n_lags)
    if len(far):
        label = residual.groups[far[0]] if far[0] < len(residual.groups) else "(a new one)"
        raise DataError(
            f"the new data have rows of {residual.group_name} {label} "
            f"{last[far[0]] - first[far[0]]} steps apart, and {residual.text} knows correlations of "
            f"{n_lags} steps or fewer"
        )


def new_variance_columns(design: Design, term: VarianceTerm, new_data: Any) -> VarianceColumns:
    """Return what a variance function is a function of on new rows; zeros for fitted values.

    Raises
    ------
    DataError
        When a variable is absent, or a stratum has no standard deviation in the fit (named).
    """
    recipe = term.recipe
    call = recipe.call
    strata_name = None if call.strata is None else deparse(call.strata)
    columns = variables_on(design, new_data, call.variables(), {strata_name} if strata_name else ())
    if recipe.matrix is not None:
        n_rows = len(next(iter(columns.values())))
        values = model_matrix(recipe.matrix, columns, n_rows)[:, recipe.kept]
        return VarianceColumns(values, np.zeros(n_rows, dtype=np.intp))
    if not columns:
        raise DataError(f"{term.text} depends on the fitted values alone: its new columns are those")
    n_rows = len(next(iter(columns.values())))
    strata = np.zeros(n_rows, dtype=np.intp)
    if strata_name is not None:
        strata = _known_levels(recipe.levels, columns[strata_name], strata_name)
    values = np.zeros((n_rows, 0 if call.function == "ident" else 1))
    if call.covariate is not None:
        values[:, 0] = as_numbers(columns[deparse(call.covariate)], term.text)
    return VarianceColumns(values, strata)
