"""Marginal trends: slopes of a covariate at the levels of factors, ``emtrends(m, "a", var="time")``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, listed
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.evaluation.columns import Column, Factor, Logical, Matrix, Numeric
from mixedmodels.formula.evaluation.evaluate import States, as_numbers
from mixedmodels.formula.evaluation.evaluator import formula_evaluator
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import names_in
from mixedmodels.inference.emmeans.adjustment import adjustment_named
from mixedmodels.inference.emmeans.averaging import Weights
from mixedmodels.inference.emmeans.grid import Grid
from mixedmodels.inference.emmeans.linear_functions import basis_of
from mixedmodels.inference.emmeans.marginal import check_model, means_of_grid
from mixedmodels.inference.emmeans.marginal_means import MarginalMeans
from mixedmodels.inference.emmeans.means import with_contrasts
from mixedmodels.inference.emmeans.reference_grid import (
    CovReduce,
    grid_rows,
    predictor_columns,
    reference_grid,
)
from mixedmodels.inference.emmeans.specs import parse_specs
from mixedmodels.inference.fixed_effects import Ddf
from mixedmodels.inference.wald import check_level

# Step of the central difference, as a share of the covariate's range: polynomials up to the second degree are
# exact, and what a cubic adds is far below the standard error of any slope.
STEP = 1e-4


@advises
def emtrends(
    model: Fit,
    specs: str | Sequence[str] | None,
    var: str,
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: Weights = "equal",
    ddf: Ddf = "default",
    vcov: Any = None,
    level: float = 0.95,
    adjust: str | None = None,
    cov_reduce: CovReduce | None = None,
    cov_keep: Sequence[str] = (),
) -> MarginalMeans:
    """Return marginal trends: the slope of the linear predictor in a covariate at the levels of factors.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    specs : str or list of str
        Factors, as for :func:`mixedmodels.emmeans`.
    var : str
        The covariate, or a function of one, ``"log(dose)"``: the slope is then in that function.
    by : str or list of str, optional
        Variables whose levels divide the trends into families.
    at : dict, optional
        Variable -> values in place of all levels or the mean; the covariate's own say where the slope is
        taken.
    weights : {"equal", "proportional", "outer", "cells", "flat"} or array_like
        Weights of the cells averaged over.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Degrees of freedom.
    vcov : optional
        Another covariance of the fixed effects.
    level : float
        Confidence level.
    adjust : str, optional
        Adjustment of limits and p-values.
    cov_reduce : callable, optional
        What is taken of covariates in place of the mean.
    cov_keep : sequence of str
        Covariates to keep at all of their values.

    Returns
    -------
    MarginalMeans
        The trends; where `specs` names a method, MeansAndContrasts, which holds `contrasts` too.

    Raises
    ------
    ControlError
        If a variable is unknown, or `var` is no covariate.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("yield ~ nitro * Variety + (1 | Block/Variety)", mm.load_dataset("Oats"))
    >>> mm.emtrends(m, "Variety", var="nitro").to_frame()["nitro.trend"].round(2).tolist()
    [75.33, 64.58, 81.08]
    """
    check_model(model, "emtrends")
    check_level(level)
    chosen = None if adjust is None else adjustment_named(adjust)
    columns = predictor_columns(model)
    covariate = _covariate(var, columns)
    # The covariate itself is at its mean even if it has few values: the slope there is what is meant.
    at = dict(at or {})
    if covariate not in at and cov_reduce is None and covariate not in cov_keep:
        at[covariate] = float(np.mean(columns[covariate].as_float()))  # type: ignore[union-attr]
    grid = reference_grid(model, at, cov_reduce, cov_keep)
    slopes = _slopes(model, grid, columns, covariate, var)
    asked = parse_specs(specs, by, grid.names)
    basis = basis_of(model, ddf, vcov)
    trends = means_of_grid(model, slopes, basis, asked.factors, asked.by, weights, also=[covariate])
    trends = replace(trends, name=f"{var}.trend", scale=None, level=level)
    return with_contrasts(trends, asked, chosen)


def _covariate(var: str, columns: Mapping[str, Column]) -> str:
    """Return the one covariate that `var` names, itself or inside a function."""
    if not isinstance(var, str):
        raise ControlError(f"var must be the name of a covariate, or a function of one, not {shown(var)}.")
    names = [var] if var in columns else list(dict.fromkeys(n.name for n in names_in(parse_expression(var))))
    covariates = [name for name, column in columns.items() if isinstance(column, Numeric)]
    if len(names) != 1 or names[0] not in covariates:
        what = (
            "is a factor"
            if names[0:1] and isinstance(columns.get(names[0]), (Factor, Logical, Matrix))
            else ("is not one covariate of the fixed effects")
        )
        raise ControlError(
            f"var={var!r} {what}; covariates are {listed(covariates) or 'none'}. Means at the levels of a "
            "factor are those of emmeans()."
        )
    return names[0]


def _slopes(model: Fit, grid: Grid, columns: Mapping[str, Column], covariate: str, var: str) -> Grid:
    """Return the grid with each cell's slope in place of its mean."""
    x = columns[covariate]
    assert isinstance(x, Numeric)
    step = STEP * float(np.ptp(x.as_float()))
    if not step > 0.0:
        raise ControlError(f"{covariate} has only one value, so that there is no slope in it.")
    ends, distance = [], []
    for sign in (1.0, -1.0):
        levels = dict(grid.levels)
        levels[covariate] = tuple(float(value) + sign * step for value in grid.levels[covariate])
        ends.append(grid_rows(model, columns, levels, grid.codes))
        values = np.array(levels[covariate])[grid.code(covariate)]
        distance.append(_function_of(model, var, covariate, values))
    width = distance[0] - distance[1]
    L = ends[0][0] - ends[1][0]
    offset = (ends[0][1] - ends[1][1]) / width
    return replace(grid, L=L / width[:, None], offset=offset)


def _function_of(model: Fit, var: str, covariate: str, values: FloatArray) -> FloatArray:
    """Return the values of the function of the covariate that slopes are taken in."""
    if var == covariate:
        return values
    frame = input_frame(pd.DataFrame({covariate: values}))
    evaluator = formula_evaluator(frame, var, model.design.recipe.env, States())
    return as_numbers(evaluator.column(parse_expression(var)), var)
