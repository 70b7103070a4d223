"""Population-averaged coefficients and effects of a generalized linear mixed model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, DataError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.nonlinear import refuse_nonlinear
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.language.syntax_tree import names_in
from mixedmodels.inference.anova import check_models
from mixedmodels.inference.no_estimates import require_estimates
from mixedmodels.inference.printed_table import PrintedTable
from mixedmodels.inference.wald import check_level, wald_intervals, wald_table
from mixedmodels.prediction.averaged import (
    AverageRows,
    average_rows,
    averaged_mean,
    delta_jacobian,
    natural_estimates,
)
from mixedmodels.reports.numbers import percent_names

# Step of the derivative in a numeric variable, in its standard deviations.
VARIABLE_STEP = 1e-4


@advises
def marginal_coefs(fit: Fit) -> PrintedTable:
    """Return the coefficients of the population-averaged means, with standard errors.

    The linear predictor that comes nearest to the link of the averaged means: ``(X'X)^-1 X' g(mu)`` for
    ``mu_i`` the mean of row i over the random effects (Hedeker, du Toit, Demirtas & Gibbons 2018,
    Biometrics 74, 354-361). They answer for populations what those of a GEE answer, and are smaller than the
    subject-specific ones for a logit link.

    Parameters
    ----------
    fit : Fit
        A generalized linear mixed model.

    Returns
    -------
    PrintedTable
        A DataFrame with one row for each fixed effect: Estimate, Std. Error (delta method, the estimation of
        theta included), z value and Pr(>|z|).

    Raises
    ------
    NotAvailableError
        If the model has no random effects or no link, a parameter has no finite estimate, or the averaged
        means do not exist under its link.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.glmer("use ~ urban + (1 | district)", mm.load_dataset("Contraception"), family="binomial")
    >>> bool(abs(mm.marginal_coefs(m).loc["urbanY", "Estimate"]) < abs(m.fixef()["urbanY"]))
    True
    """
    check_models([fit], "marginal_coefs")
    refuse_nonlinear(fit, "marginal_coefs()")
    family = fit.family()
    if family is None or not fit.random:
        raise NotAvailableError(
            "the coefficients of a model with an identity link or without random effects are "
            "population-averaged as they are: fixef()."
        )
    require_estimates(fit, "a marginal coefficient")
    rows = average_rows(fit)
    used = fit.prior_weights > 0.0
    pseudo = np.linalg.pinv(rows.X[used])

    def coefficients(parameters: FloatArray) -> FloatArray:
        mean = averaged_mean(fit, rows, parameters)[used]
        return np.asarray(pseudo @ (family.link.link(mean) - rows.offset[used]))

    at, covariance = natural_estimates(fit)
    J = delta_jacobian(coefficients, at, covariance)
    se = np.sqrt(np.einsum("ij,jk,ik->i", J, covariance, J))
    columns = ["Estimate", "Std. Error", "z value", "Pr(>|z|)"]
    return PrintedTable(wald_table(coefficients(at), se), index=list(fit.design.x_names), columns=columns)


@advises
def average_marginal_effects(
    fit: Fit, variables: str | list[str] | None = None, newdata: Any = None, level: float = 0.95
) -> PrintedTable:
    """Return average marginal effects on the scale of the response, averaged over the random effects.

    For a numeric variable the derivative of the population-averaged mean, for others the change from the
    first level to each other one; averaged over the rows.

    Parameters
    ----------
    fit : Fit
        Any fitted model.
    variables : str or list of str, optional
        Columns of the data; by default all that the fixed effects use.
    newdata : table, optional
        Rows to average over; by default those of the fit.
    level : float
        Of the confidence intervals.

    Returns
    -------
    PrintedTable
        A DataFrame with columns term, contrast, estimate, std.error, statistic, p.value and the limits of the
        interval. Standard errors by the delta method; those of a generalized model include the estimation of
        theta.

    Raises
    ------
    ControlError
        If a variable is not in the fixed effects, or `level` is not between 0 and 1.
    DataError
        If `newdata` is no table, or a variable is missing in it or in one of its rows.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"))
    >>> round(float(mm.average_marginal_effects(m)["estimate"].iloc[0]), 3)
    10.467
    """
    check_models([fit], "average_marginal_effects")
    refuse_nonlinear(fit, "average_marginal_effects()")
    check_level(level)
    fitted = used_variables(fit.data, fit.design)
    names = _chosen(fit, variables)
    frame = fitted if newdata is None else _checked_rows(newdata, _chosen(fit, None))
    at, covariance = natural_estimates(fit)
    labels, estimates, errors = [], [], []
    for name in names:
        for contrast, high, low, over in _changes(frame, name, variable_levels(fit, fitted, name)):
            pair = (average_rows(fit, high), average_rows(fit, low))

            def effect(
                parameters: FloatArray, pair: tuple[AverageRows, AverageRows] = pair, over: float = over
            ) -> FloatArray:
                up, down = (averaged_mean(fit, rows, parameters).mean() for rows in pair)
                return np.array([(up - down) / over])

            J = delta_jacobian(effect, at, covariance)
            labels.append((name, contrast))
            estimates.append(float(effect(at)[0]))
            errors.append(float(np.sqrt(J @ covariance @ J.T)[0, 0]))
    return _effects_table(labels, np.array(estimates), np.array(errors), level)


def _effects_table(
    labels: list[tuple[str, str]], estimate: FloatArray, se: FloatArray, level: float
) -> PrintedTable:
    limits = wald_intervals(estimate, se, level)
    low, high = percent_names(level)
    return PrintedTable({
        "term": [term for term, _ in labels],
        "contrast": [contrast for _, contrast in labels],
        "estimate": estimate,
        "std.error": se,
        "statistic": estimate / se,
        "p.value": 2.0 * special.ndtr(-np.abs(estimate / se)),
        low: limits[:, 0],
        high: limits[:, 1],
    })  # fmt: skip


def fixed_variables(fit: Fit) -> list[str]:
    """Return the columns of the data that the fixed effects use."""
    recipe = fit.design.recipe
    nodes = [recipe.variables[variable.name] for variable in recipe.fixed.variables]
    names = dict.fromkeys(name.name for node in nodes for name in names_in(node))
    return [name for name in names if name in fit.data]


def _chosen(fit: Fit, variables: str | list[str] | None) -> list[str]:
    """Return the columns of the data whose effects are asked for."""
    known = fixed_variables(fit)
    if variables is None:
        return known
    if not isinstance(variables, (str, list, tuple)):
        raise ControlError(
            f"variables must be a name or a list of names such as {known[:1]}, not {shown(variables)}."
        )
    asked = [variables] if isinstance(variables, str) else list(variables)
    if not asked:
        raise ControlError("variables names none; leave it out for all of the fixed effects.")
    for name in asked:
        if name not in known:
            raise ControlError(
                f"variable {shown(name)} is not in the fixed effects of the model; they use "
                f"{', '.join(known)}."
            )
    return asked


def variable_levels(fit: Fit, fitted: pd.DataFrame, name: str) -> list[Any] | None:
    """Return the levels of a variable in the rows of the fit, in order; None of a number.

    A number that the formula makes a factor of, as ``factor(x)`` does, has levels.
    """
    recipe = fit.design.recipe
    coerced = any(
        name in {used.name for used in names_in(recipe.variables[variable.name])}
        for variable in recipe.fixed.variables
        if variable.levels is not None
    )
    column = fitted[name]
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if is_number and not coerced:
        return None
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.remove_unused_categories().cat.categories)
    return sorted(column.dropna().unique())


def _checked_rows(newdata: Any, names: list[str]) -> pd.DataFrame:
    """Return new rows as a frame.

    Raises
    ------
    DataError
        If a variable of the fixed effects is missing in one of them: there is no mean over such rows.
    """
    input_frame(newdata).require(names)
    frame = newdata.to_pandas() if hasattr(newdata, "to_pandas") else pd.DataFrame(newdata)
    for name in names:
        gaps = int(frame[name].isna().sum())
        if gaps:
            raise DataError(
                f"newdata has missing values of {name} in {gaps} row{'s' * (gaps > 1)}; effects are averaged "
                "over rows that are complete: newdata.dropna()."
            )
    return frame


def _changes(
    frame: pd.DataFrame, name: str, levels: list[Any] | None
) -> list[tuple[str, pd.DataFrame, pd.DataFrame, float]]:
    """Return, for one variable, each contrast: its label, the data at both ends and the distance."""
    if levels is None:
        values = frame[name].astype(float)
        step = VARIABLE_STEP * (float(values.std(ddof=0)) or 1.0)
        return [
            ("dY/dX", frame.assign(**{name: values + step}), frame.assign(**{name: values - step}), 2 * step)
        ]
    first = _set(frame, name, levels[0])
    return [(f"{level} - {levels[0]}", _set(frame, name, level), first, 1.0) for level in levels[1:]]


def _set(frame: pd.DataFrame, name: str, level: Any) -> pd.DataFrame:
    """Return the data with one variable at one level, of the type it had."""
    column = pd.Series([level] * len(frame), index=frame.index).astype(frame[name].dtype)
    return frame.assign(**{name: column})
