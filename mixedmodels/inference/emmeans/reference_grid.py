"""The reference grid of a fit: every combination of its factors' levels, numbers at their means.

The cells of the grid are rows of new data, so that whatever a formula does to its variables (polynomials,
splines, logarithms, interactions, offsets) happens to them as it did to the data (Lenth, emmeans).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import AbsentNumbers, AbsentRows
from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import ControlError, DataError, NotAvailableError, listed
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.nonlinear import refuse_nonlinear
from mixedmodels.fits.row_summary import MOST_CELLS, VALUES_KEPT, RowSummary, predictors_of
from mixedmodels.formula.design.new_data import all_fixed_columns
from mixedmodels.formula.evaluation.columns import Column, Factor, Logical, Matrix, Numeric, as_factor
from mixedmodels.formula.evaluation.input_frames import InputFrame, input_frame
from mixedmodels.formula.language.number_format import number_name
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import names_in
from mixedmodels.inference.emmeans.grid import Grid, all_codes
from mixedmodels.inference.emmeans.nesting import nesting_of
from mixedmodels.inference.emmeans.options import number

#: Makes one number, or a few, of a covariate's values.
CovReduce: TypeAlias = Callable[[FloatArray], Any]
NO_SUMMARY = (
    "a reference grid needs the means of covariates and the numbers of rows by levels of factors, which "
    "these sums do not have: those of moments_sql(), and of files of earlier versions. Make them by "
    "moments(formula, source)."
)


def reference_grid(
    fit: Fit,
    at: Mapping[str, Any] | None = None,
    cov_reduce: CovReduce | None = None,
    cov_keep: Sequence[str] = (),
    offset: float | None = None,
) -> Grid:
    """Return the reference grid of a fit.

    Parameters
    ----------
    fit : Fit
        The fit.
    at : mapping, optional
        Variable -> values to take in place of all levels or the mean.
    cov_reduce : callable, optional
        What is taken of a covariate in place of its mean: a function of its values.
    cov_keep : sequence of str
        Covariates to keep at all of their values. Those with two values are kept anyway.
    offset : float, optional
        Offset of every cell, in place of the mean of the data, or of what the formula gives where `at`
        names a variable of the offset.

    Raises
    ------
    ControlError
        If `at` or `cov_keep` names a variable that the fixed effects do not have, or the grid is too large.
    DataError
        If `at` has a level that a factor does not have.
    """
    refuse_nonlinear(fit, "a reference grid of predictors")
    columns = predictor_columns(fit)
    at = _checked_at(at, columns)
    _require_known("cov_keep", cov_keep, columns)
    coerced = _factors_of_numbers(fit, columns)
    in_terms = frozenset[str]().union(*term_variables(fit))
    levels = {
        name: _values(name, column, at, cov_reduce, name in coerced or name in cov_keep)
        if name in in_terms or name in at
        else _placeholder(column)
        for name, column in columns.items()
    }
    _refuse_huge(levels)
    codes = all_codes([len(values) for values in levels.values()])
    categorical = [
        name
        for name, column in columns.items()
        if (isinstance(column, (Factor, Logical)) and (name in in_terms or name in at))
        or name in coerced
        or (name not in at and (name in cov_keep or _has_few(column)))
    ]
    L, at_cells = grid_rows(fit, columns, levels, codes)
    cells_offset = np.full(len(codes), _mean_offset(fit) if offset is None else number("offset", offset))
    if offset is None and at.keys() & _offset_variables(fit):
        cells_offset = at_cells
    counts = _counts(fit, columns, levels, codes, categorical)
    grid = Grid(levels, codes, L, cells_offset, counts, {})
    return Grid(levels, codes, L, cells_offset, counts, nesting_of(grid, term_variables(fit)))


def predictor_columns(fit: Fit) -> dict[str, Column]:
    """Return the variables of the fixed effects and offsets, as they are in the data, at the rows used."""
    recipe = fit.design.recipe
    if isinstance(fit.data, AbsentRows):
        known = predictors_of(recipe.fixed, recipe.variables, recipe.offsets, recipe.offset_argument)
        return _summary(fit).columns(known.names)
    used = {i for term in recipe.fixed.terms for i, _ in term.factors}
    nodes = [
        recipe.variables[variable.name] for i, variable in enumerate(recipe.fixed.variables) if i in used
    ]
    frame = input_frame(fit.data)
    rows = _rows_used(fit, frame)
    in_terms = [name.name for node in nodes for name in names_in(node)]
    names = dict.fromkeys([*in_terms, *_offset_variables(fit)])
    columns = {name: frame.column(name).take(rows) for name in names if name in frame}
    return {
        name: column.drop_unused() if isinstance(column, Factor) else column
        for name, column in columns.items()
    }


def _summary(fit: Fit) -> RowSummary:
    """Return what is known of rows that are nowhere held.

    Raises
    ------
    NotAvailableError
        If nothing is, or the cells of the factors are too many.
    """
    if fit.row_summary is None:
        raise NotAvailableError(NO_SUMMARY)
    if fit.row_summary.cells is None:
        raise NotAvailableError(
            f"the factors among the fixed effects have more than {MOST_CELLS:,} combinations of levels, "
            "which were not counted while the rows were summed."
        )
    return fit.row_summary


def _offset_variables(fit: Fit) -> dict[str, None]:
    """Return the names in the offset, in order: in its terms, and in an argument that was an expression."""
    recipe = fit.design.recipe
    nodes = list(recipe.offsets)
    argument = recipe.offset_argument
    if argument is not None:
        if not isinstance(fit.data, AbsentRows) and argument in input_frame(fit.data):
            return dict.fromkeys([*(n.name for node in nodes for n in names_in(node)), argument])
        nodes.append(parse_expression(argument))
    return dict.fromkeys(name.name for node in nodes for name in names_in(node))


def _rows_used(fit: Fit, frame: InputFrame) -> IntArray:
    """Return the positions, in the data given, of the rows used.

    Raises
    ------
    DataError
        If only their labels tell, and labels occur twice.
    """
    design = fit.design
    if frame.index.is_unique:
        return np.asarray(frame.index.get_indexer(design.index), dtype=np.intp)
    if design.missing.n_input == frame.n_rows:
        return design.missing.kept
    raise DataError(
        "the rows of the subset that was fitted cannot be told, because labels of the data occur twice; fit "
        "the model to data.reset_index(drop=True)"
    )


def term_variables(fit: Fit) -> list[frozenset[str]]:
    """Return the names of the variables in each fixed-effects term, in the order of the terms."""
    recipe = fit.design.recipe
    names = [
        frozenset(name.name for name in names_in(recipe.variables[variable.name]))
        if variable.name in recipe.variables
        else frozenset()
        for variable in recipe.fixed.variables
    ]
    return [frozenset().union(*(names[i] for i, _ in term.factors)) for term in recipe.fixed.terms]


def _factors_of_numbers(fit: Fit, columns: Mapping[str, Column]) -> set[str]:
    """Return the numeric variables that the formula makes factors, as ``factor(x)`` does."""
    recipe = fit.design.recipe
    coerced = {
        name.name
        for variable in recipe.fixed.variables
        if variable.levels is not None
        for name in names_in(recipe.variables[variable.name])
    }
    return {name for name in coerced & columns.keys() if not isinstance(columns[name], (Factor, Logical))}


def _has_few(column: Column) -> bool:
    """Tell whether a covariate has so few values that it is kept at all of them."""
    if isinstance(column, Numeric) and isinstance(column.values, AbsentNumbers):
        return column.values.different is not None and len(column.values.different) <= VALUES_KEPT
    return len(_distinct(column)) <= VALUES_KEPT


def _distinct(column: Column) -> tuple[Any, ...]:
    """Return the values that occur, in order."""
    if isinstance(column, Matrix):
        return ()
    if isinstance(column, Factor):
        return column.levels
    return tuple(np.unique(column.values).tolist())


def _values(
    name: str,
    column: Column,
    at: Mapping[str, tuple[Any, ...]],
    cov_reduce: CovReduce | None,
    all_values: bool,
) -> tuple[Any, ...]:
    """Return the values of one variable in the grid."""
    if name in at:
        return _given_values(name, column, at[name])
    if isinstance(column, (Factor, Logical)) or all_values:
        return _distinct(column)
    if isinstance(column, Matrix):
        raise DataError(f"{name} is a matrix; a reference grid needs one number or level a row")
    if _has_few(column) and cov_reduce is None:
        return _distinct(column)
    numbers = column.as_float()
    reduced = np.mean(numbers) if cov_reduce is None else cov_reduce(numbers)
    return tuple(float(value) for value in np.atleast_1d(np.asarray(reduced, dtype=np.float64)))


def _placeholder(column: Column) -> tuple[Any, ...]:
    """Return one value of a variable that only the offset has, which is at its mean in every cell."""
    if isinstance(column, Factor):
        return column.levels[:1]
    return (bool(column.values[0]),) if isinstance(column, Logical) else (float(np.mean(column.values)),)


def _mean_offset(fit: Fit) -> float:
    if fit.design.offset is not None and isinstance(fit.data, AbsentRows):
        return _summary(fit).offset / _summary(fit).n_rows
    return 0.0 if fit.design.offset is None else float(np.mean(fit.design.offset))


def _given_values(name: str, column: Column, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values that `at` has for one variable.

    Raises
    ------
    DataError
        If they are not levels of the factor, or no numbers.
    """
    if isinstance(column, Factor):
        values = tuple(_level_name(value) for value in given)
        unknown = [value for value in values if value not in column.levels]
        if unknown:
            raise DataError(
                f"at has level(s) {listed(map(repr, unknown))} that factor {name} does not have; its levels "
                f"are {listed(column.levels)}"
            )
        return values
    if isinstance(column, Logical):
        return tuple(bool(value) for value in given)
    try:
        numbers = tuple(value if isinstance(value, int) else float(value) for value in given)
    except (TypeError, ValueError):
        raise DataError(f"at must have numbers for {name}, not {shown(given)}") from None
    if not np.isfinite(numbers).all():
        raise DataError(f"at must have finite numbers for {name}, not {listed(map(repr, numbers))}")
    return numbers


def _level_name(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return number_name(value) if isinstance(value, (int, float)) else str(value)


def _checked_at(at: Mapping[str, Any] | None, columns: Mapping[str, Column]) -> dict[str, tuple[Any, ...]]:
    """Return `at` with a tuple of Python's own values for each variable."""
    if at is None:
        return {}
    if not isinstance(at, Mapping):
        raise ControlError(f"at must be a dict such as {{'x': [1, 2]}}, not {shown(at)}.")
    _require_known("at", at, columns)
    found = {}
    for name, values in at.items():
        sequence = [values] if isinstance(values, str) or np.ndim(values) == 0 else list(values)
        found[name] = tuple(v.item() if isinstance(v, np.generic) else v for v in dict.fromkeys(sequence))
        if not found[name]:
            raise ControlError(f"at has no value for {name}.")
    return found


def _require_known(argument: str, names: Iterable[str], columns: Mapping[str, Column]) -> None:
    unknown = [name for name in names if name not in columns]
    if unknown:
        raise ControlError(
            f"{argument} names {listed(map(repr, unknown))}, which the fixed effects do not have; their "
            f"variables are {listed(columns)}."
        )


def _refuse_huge(levels: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise when the grid would have more cells than anyone wants averaged."""
    cells = prod(map(len, levels.values()))
    if cells > MOST_CELLS:
        largest = max(levels, key=lambda name: len(levels[name]))
        raise ControlError(
            f"the reference grid would have {cells} cells, more than {MOST_CELLS}; {largest} alone has "
            f"{len(levels[largest])} values. Choose some of them with at={{{largest!r}: [...]}}."
        )


def grid_rows(
    fit: Fit, columns: Mapping[str, Column], levels: Mapping[str, tuple[Any, ...]], codes: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return the model matrix, dropped columns included, and the offset at the cells of a grid."""
    table = pd.DataFrame(index=range(len(codes)))
    for j, (name, values) in enumerate(levels.items()):
        cells = [values[k] for k in codes[:, j].tolist()]
        column = columns[name]
        # With the levels of the fit, so that a column of level names "1", "2" stays a factor.
        table[name] = (
            pd.Categorical(cells, categories=column.levels, ordered=column.ordered)
            if isinstance(column, Factor)
            else cells
        )
    L, offset = all_fixed_columns(fit.design, table)
    return L, (np.zeros(len(codes)) if offset is None else offset) + _array_offset(fit)


def _array_offset(fit: Fit) -> float:
    """Return the mean of an offset that was given as an array, which no grid can repeat."""
    design = fit.design
    if not design.recipe.offset_is_array or design.offset is None:
        return 0.0
    frame = input_frame(fit.data)
    _, of_formula = all_fixed_columns(design, fit.data)
    known = 0.0 if of_formula is None else of_formula[_rows_used(fit, frame)]
    return float(np.mean(design.offset - known))


def _counts(
    fit: Fit,
    columns: Mapping[str, Column],
    levels: Mapping[str, tuple[Any, ...]],
    codes: IntArray,
    categorical: Sequence[str],
) -> FloatArray:
    """Return the sum of the prior weights of the rows with the levels of each cell, shape (m,)."""
    weights, as_levels = _weights_of_rows(fit)
    cell_of_rows = np.zeros(len(weights), dtype=np.intp)
    cell = np.zeros(len(codes), dtype=np.intp)
    for j, (name, values) in enumerate(levels.items()):
        if name not in categorical:
            continue
        factor = as_levels(name, columns[name])
        position = {level: k for k, level in enumerate(factor.levels)}
        outside = len(factor.levels)
        mine = np.array([position.get(_level_name(value), outside) for value in values])
        cell_of_rows = cell_of_rows * (outside + 1) + factor.codes
        cell = cell * (outside + 1) + mine[codes[:, j]]
    distinct, inverse = np.unique(cell_of_rows, return_inverse=True)
    totals = np.bincount(inverse, weights=weights, minlength=len(distinct))
    place = np.minimum(np.searchsorted(distinct, cell), len(distinct) - 1)
    return np.where(distinct[place] == cell, totals[place], 0.0)


def _weights_of_rows(fit: Fit) -> tuple[FloatArray, Callable[[str, Column], Factor]]:
    """Return the prior weights of rows, and what makes factors of their columns.

    Of rows that are nowhere held those of each cell count as one.
    """
    if not isinstance(fit.data, AbsentRows):
        weights = fit.design.weights
        return np.ones(fit.design.n_rows) if weights is None else weights, lambda _, column: as_factor(column)
    summary = _summary(fit)

    def of_cells(name: str, column: Column) -> Factor:
        return summary.cell_factor(name) if isinstance(column, Numeric) else as_factor(column)

    weights = summary.cell_weights()
    assert weights is not None
    return weights, of_cells
