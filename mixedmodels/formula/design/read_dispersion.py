"""From ``dispersion="power(age) * ident(sex)"`` and columns to variance functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.structure import VarianceColumns, VarianceFunction
from mixedmodels.covariance.residual.variance import (
    ConstantPower,
    Exponential,
    Fixed,
    Ident,
    LogLinear,
    Power,
)
from mixedmodels.errors import DataError
from mixedmodels.formula.design.coding import matrix_recipe, model_matrix
from mixedmodels.formula.design.fixed_effects import independent_columns
from mixedmodels.formula.design.residual import VarianceRecipe, VarianceTerm
from mixedmodels.formula.evaluation.columns import Column, Factor, as_factor
from mixedmodels.formula.evaluation.evaluate import as_numbers
from mixedmodels.formula.language.dispersion import VarianceCall
from mixedmodels.formula.language.syntax_tree import Node, deparse


def variance_terms(
    calls: tuple[VarianceCall, ...], columns: Mapping[str, Column], index: pd.Index
) -> tuple[VarianceTerm, ...]:
    """Return the variance functions that ``dispersion=`` asks for, on the rows used.

    Parameters
    ----------
    calls : tuple of VarianceCall
        What was asked for.
    columns : mapping
        Printed expression -> values on the rows used, of each of their ``variables()``.
    index : pandas.Index
        Labels of these rows.

    Raises
    ------
    DataError
        When a variable is not of the kind that its function takes, or has values that it cannot have.
    """
    return tuple(_term(call, columns, index) for call in calls)


def _term(call: VarianceCall, columns: Mapping[str, Column], index: pd.Index) -> VarianceTerm:
    """Return one variance function with its columns."""
    n_rows = len(index)
    if call.terms is not None:
        return _log_linear(call, columns, n_rows)
    strata, levels = _strata(call.strata, columns, n_rows)
    names = tuple(level.replace(":", "*") for level in levels)
    values = np.zeros((n_rows, 0))
    function: VarianceFunction
    if call.function == "ident":
        if len(names) < 2:
            raise DataError(f"{call.text} has one level, so all rows have the same standard deviation")
        function = Ident(names)
    else:
        values = _values(call, columns, index)[:, None]
        function = _of_covariate(call, names, values)
    columns_ = VarianceColumns(values, strata)
    return VarianceTerm(
        call.text, call.formula, function, columns_, call.uses_fitted, VarianceRecipe(call, levels)
    )


def _of_covariate(call: VarianceCall, names: tuple[str, ...], values: FloatArray) -> VarianceFunction:
    """Return a variance function of numbers."""
    if call.function == "constpower":
        sizes = np.abs(values[values != 0.0])
        return ConstantPower(names, float(np.exp(np.mean(np.log(sizes)))) if len(sizes) else 1.0)
    if call.function == "fixed":
        return Fixed()
    return Power(names) if call.function == "power" else Exponential(names)


def _strata(
    node: Node | None, columns: Mapping[str, Column], n_rows: int
) -> tuple[IntArray, tuple[str, ...]]:
    """Return codes and names of strata; one of no name where there are none."""
    if node is None:
        return np.zeros(n_rows, dtype=np.intp), ("",)
    factor = as_factor(columns[deparse(node)])
    return factor.codes.astype(np.intp), factor.levels


def _values(call: VarianceCall, columns: Mapping[str, Column], index: pd.Index) -> FloatArray:
    """Return the numbers that a variance function is a function of; zeros for the fitted values."""
    if call.covariate is None:
        return np.zeros(len(index))
    name = deparse(call.covariate)
    if isinstance(columns[name], Factor):
        raise DataError(f"{call.text} needs numbers, and {name} is categorical; write ident({name})")
    values = as_numbers(columns[name], call.text)
    wrong = {"power": values == 0, "fixed": values <= 0}.get(call.function)
    if wrong is not None and wrong.any():
        what, advice = (
            ("zero", f"constpower({name}) allows it")
            if call.function == "power"
            else ("not positive", "a variance must be")
        )
        raise DataError(
            f"{name} is {what} in {int(wrong.sum())} row(s), first in row {index[int(np.argmax(wrong))]}, so "
            f"{call.text} gives no variance there; {advice}"
        )
    if np.ptp(values) == 0:
        raise DataError(f"{name} is constant, so {call.text} says nothing about the variance")
    return values


def _log_linear(call: VarianceCall, columns: Mapping[str, Column], n_rows: int) -> VarianceTerm:
    """Return the columns of a linear predictor, that of residuals without its intercept, which sigma is."""
    assert call.terms is not None
    recipe = matrix_recipe(call.terms, columns, {})
    values = model_matrix(recipe, columns, n_rows)
    if call.function == "dispersion":
        kept = independent_columns(values)
    else:
        # The intercept comes first, so that columns which depend on it are left out and not it.
        kept = independent_columns(np.column_stack([np.ones(n_rows), values])) - 1
        kept = kept[kept >= 0]
    names = tuple(recipe.names[k] for k in kept.tolist())
    if not names:
        raise DataError(f"dispersion='{call.text}' says nothing: its columns are constant")
    columns_ = VarianceColumns(np.ascontiguousarray(values[:, kept]), np.zeros(n_rows, dtype=np.intp))
    made = VarianceRecipe(call, matrix=recipe, kept=kept)
    return VarianceTerm(call.text, call.text, LogLinear(names), columns_, False, made)
