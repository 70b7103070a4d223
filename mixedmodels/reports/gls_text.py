"""The text of a linear model with structured residuals: ``print(m)`` and its summary, as nlme prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.abbreviate import abbreviate
from mixedmodels.reports.numbers import format_numbers, zap_small
from mixedmodels.reports.text_tables import named_values, text_matrix

# nlme prints the correlations of no more than so many coefficients: more do not fit a page.
MOST_CORRELATIONS = 20
NLME_NAMES = {
    "Estimate": "Value", "Std. Error": "Std.Error", "df": "DF", "t value": "t-value", "z value": "z-value",
    "Pr(>|t|)": "p-value", "Pr(>|z|)": "p-value",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GlsDescription:
    """What the text of such a model shows, with nothing left to compute.

    Attributes
    ----------
    title : str
        ``"Generalized least squares fit by REML"``.
    formula : str
        The model.
    data : str or None
        Name of the data.
    is_reml : bool
        Whether the likelihood is restricted.
    aic, bic, loglik : float
        Criteria.
    structure : tuple of str
        Lines about residual correlation and variance functions.
    names : tuple of str
        Coefficients.
    residuals : ndarray, shape (n,)
        Standardized residuals.
    sigma : float
        Residual standard error.
    n, df_residual : int
        Observations, and those less coefficients.
    notes : tuple of str
        Further lines: missing rows, subjects.
    warnings : tuple of str
        What is to be thought of the fit, where that is anything.
    """

    title: str
    formula: str
    data: str | None
    is_reml: bool
    aic: float
    bic: float
    loglik: float
    structure: tuple[str, ...]
    names: tuple[str, ...]
    residuals: FloatArray
    sigma: float
    n: int
    df_residual: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def gls_print_text(fit: GlsDescription, beta: FloatArray, digits: int = 7) -> str:
    """Return the short text."""
    word = "Log-restricted-likelihood" if fit.is_reml else "Log-likelihood"
    lines = [*_heading(fit), f"  {word}: {_number(fit.loglik, digits)}", "", "Coefficients:"]
    lines += [named_values(fit.names, format_numbers(beta, digits)), "", *fit.structure, *_scale(fit, digits)]
    return "\n".join([*lines, *fit.notes, *fit.warnings])


def gls_summary_text(
    fit: GlsDescription,
    coefficients: FloatArray,
    columns: Sequence[str],
    correlation: FloatArray,
    show_correlation: bool | None,
    digits: int = 7,
) -> str:
    """Return the long text.

    Parameters
    ----------
    fit : GlsDescription
        The fit.
    coefficients : ndarray, shape (p, 4 or 5)
        Estimates, standard errors, degrees of freedom where they differ, t values and p-values.
    columns : sequence of str
        Names of these columns.
    correlation : ndarray, shape (p, p)
        Of the coefficients.
    show_correlation : bool or None
        Whether to print it; None prints that of few coefficients.
    digits : int
        Significant digits.
    """
    criteria = format_numbers(np.array([fit.aic, fit.bic, fit.loglik]), digits)
    lines = [*_heading(fit), named_values(["AIC", "BIC", "logLik"], [f" {c}" for c in criteria]), ""]
    lines += [*fit.structure, "", "Coefficients:", _coefficients(fit, coefficients, columns)]
    shown = len(fit.names) <= MOST_CORRELATIONS if show_correlation is None else show_correlation
    if shown and len(fit.names) > 1:
        lines += ["", " Correlation: ", *_correlations(fit.names, correlation)]
    quantiles = np.nanquantile(fit.residuals, [0.0, 0.25, 0.5, 0.75, 1.0])
    texts = format_numbers(quantiles, digits + 1)
    lines += ["", "Standardized residuals:", named_values(["Min", "Q1", "Med", "Q3", "Max"], texts), ""]
    return "\n".join([*lines, *reversed(_scale(fit, digits)), *fit.notes, *fit.warnings])


def _heading(fit: GlsDescription) -> list[str]:
    lines = [fit.title, f"  Model: {fit.formula} "]
    return lines + ([f"  Data: {fit.data} "] if fit.data else [])


def _scale(fit: GlsDescription, digits: int) -> list[str]:
    return [
        f"Degrees of freedom: {fit.n} total; {fit.df_residual} residual",
        f"Residual standard error: {_number(fit.sigma, digits)} ",
    ]


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}g}"


def _coefficients(fit: GlsDescription, values: FloatArray, columns: Sequence[str]) -> str:
    """Return the table of coefficients: significant digits by column, p-values to four decimals."""
    cells = []
    for j, name in enumerate(columns):
        is_p = name.startswith("Pr(")
        shown = np.round(values[:, j], 4) if is_p else zap_small(values[:, j], 7)
        cells.append(format_numbers(shown, 7))
    names = [NLME_NAMES.get(name, name) for name in columns]
    return text_matrix(list(zip(*cells, strict=True)), fit.names, names, right=True)


def _correlations(names: Sequence[str], correlation: FloatArray) -> list[str]:
    """Return the lower triangle of the correlations of the coefficients."""
    p = len(names)
    texts = format_numbers(np.round(correlation, 3).ravel(), 7, nsmall=3)
    cells = np.array(texts, dtype=object).reshape(p, p)
    cells[np.triu_indices(p)] = ""
    return [text_matrix(cells[1:, :-1].tolist(), names[1:], abbreviate(names, 6)[:-1])]
