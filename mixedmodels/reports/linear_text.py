"""The text of a linear model: ``print(m)`` and ``print(m.summary())`` in the layout of R's ``lm``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.numbers import format_numbers, format_p_values, zap_small
from mixedmodels.reports.page import Page
from mixedmodels.reports.text_tables import coefficient_table, named_values

# R prints all residuals, and not their quantiles, where fewer degrees of freedom are left.
FEW_RESIDUALS = 5


@dataclass(frozen=True, slots=True)
class LinearDescription:
    """What the text of a linear model shows, with nothing left to compute.

    Attributes
    ----------
    call : str
        ``"lm(formula = y ~ x, data = d)"``.
    names : tuple of str
        All columns of the model matrix, dropped ones included.
    estimated : ndarray of bool
        Which of them have estimates.
    residuals : ndarray
        Residuals of the rows that count, times the root of their weights.
    labels : tuple of str
        Labels of these rows.
    is_weighted : bool
        Whether the weights differ.
    sigma : float
        Residual standard error.
    df_residual : int
        Its degrees of freedom.
    r_squared, adjusted_r_squared : float
        Share of the variance explained.
    f_statistic : tuple of (value, numerator df, denominator df), or None
        Test of all terms; None where there are none.
    n_missing : int
        Rows dropped because a variable is missing.
    """

    call: str
    names: tuple[str, ...]
    estimated: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    residuals: FloatArray
    labels: tuple[str, ...]
    is_weighted: bool
    sigma: float
    df_residual: int
    r_squared: float
    adjusted_r_squared: float
    f_statistic: tuple[float, float, float] | None
    n_missing: int


def linear_print_text(fit: LinearDescription, beta: FloatArray, digits: int = 4) -> Page:
    """Return the short text of a linear model."""
    values = np.full(len(fit.names), np.nan)
    values[fit.estimated] = beta
    body = (
        ["Coefficients:", named_values(fit.names, format_numbers(values, digits), gap=2)]
        if len(values)
        else ["No coefficients"]
    )
    return Page(["", "Call:", fit.call, "", *body, ""])


def linear_summary_text(
    fit: LinearDescription, coefficients: FloatArray, columns: Sequence[str], digits: int = 4
) -> Page:
    """Return the long text of a linear model.

    Parameters
    ----------
    fit : LinearDescription
        The fit.
    coefficients : ndarray, shape (p, 4 or 5)
        Estimates, standard errors, degrees of freedom where they differ, t or z values and p-values.
    columns : sequence of str
        Names of these columns.
    digits : int
        Significant digits.
    """
    lines = ["", "Call:", fit.call, "", *_residual_lines(fit, digits), ""]
    if len(fit.names):
        lines += _coefficient_lines(fit, coefficients, columns, digits)
    else:
        lines += ["No Coefficients"]
    sigma = format_numbers([float(f"{fit.sigma:.{digits - 1}e}")])[0]
    lines += ["", f"Residual standard error: {sigma} on {fit.df_residual} degrees of freedom"]
    if fit.n_missing:
        lines.append(f"  ({fit.n_missing} observation{'s' * (fit.n_missing > 1)} deleted due to missingness)")
    if fit.f_statistic is not None:
        lines += _overall_lines(fit, fit.f_statistic, digits)
    return Page([*lines, ""])


def _residual_lines(fit: LinearDescription, digits: int) -> list[str]:
    title = f"{'Weighted ' * fit.is_weighted}Residuals:"
    if fit.df_residual > 0 and not len(fit.residuals):
        return ["Residuals: none, the model was fitted to sums over the rows"]
    if fit.df_residual > FEW_RESIDUALS:
        quantiles = zap_small(np.nanquantile(fit.residuals, [0, 0.25, 0.5, 0.75, 1]), digits + 1)
        return [title, named_values(["Min", "1Q", "Median", "3Q", "Max"], format_numbers(quantiles, digits))]
    if fit.df_residual > 0:
        return [title, named_values(fit.labels, format_numbers(fit.residuals, digits))]
    return [title, f"ALL {len(fit.residuals)} residuals are 0: no residual degrees of freedom!"]


def _coefficient_lines(
    fit: LinearDescription, coefficients: FloatArray, columns: Sequence[str], digits: int
) -> list[str]:
    """Return the table of coefficients, NA for columns that were dropped."""
    dropped = int(np.count_nonzero(~fit.estimated))
    note = f" ({dropped} not defined because of singularities)" if dropped else ""
    table = np.full((len(fit.names), len(columns)), np.nan)
    table[fit.estimated] = coefficients
    test = next(j for j, name in enumerate(columns) if name.endswith(" value"))
    text = coefficient_table(table, fit.names, columns, digits, estimates=range(test), statistics=(test,))
    return [f"Coefficients:{note}", text]


def _overall_lines(fit: LinearDescription, test: tuple[float, float, float], digits: int) -> list[str]:
    F, numerator, denominator = test
    p = float(special.fdtrc(numerator, denominator, F)) if denominator > 0 else math.nan
    p_text = format_p_values([p], digits)[0].strip()
    shown, adjusted, statistic = (
        _general(value, digits) for value in (fit.r_squared, fit.adjusted_r_squared, F)
    )
    return [
        f"Multiple R-squared:  {shown},\tAdjusted R-squared:  {adjusted} ",
        f"F-statistic: {statistic} on {numerator:g} and {denominator:g} DF,  p-value: {p_text}",
    ]


def _general(value: float, digits: int) -> str:
    """Return a number as R's ``formatC``: C's %g, and a width of one more than the digits."""
    return "NaN" if math.isnan(value) else f"{value:.{digits}g}".rjust(digits + 1)
