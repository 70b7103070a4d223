"""The text of a fitted model: ``print(m)`` and ``print(m.summary())`` in lme4's layout."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.term_covariance import TermCovariance
from mixedmodels.deferred import on_first_use
from mixedmodels.reports.formula_text import break_formula
from mixedmodels.reports.numbers import format_numbers, round_digits, zap_small
from mixedmodels.reports.page import Page
from mixedmodels.reports.text_tables import (
    LINE_WIDTH,
    coefficient_table,
    fill_line,
    named_values,
    text_matrix,
)
from mixedmodels.reports.variance_text import VarianceForm, variance_table

with on_first_use():
    from mixedmodels.reports import abbreviate

CORRELATION_MAX = 12  # lme4's option lme4.summary.cor.max
SINGULAR_NOTE = "boundary (singular) fit: see m.convergence()"


@dataclass(frozen=True, slots=True)
class DispersionTable:
    """Coefficients of a linear model of the log dispersion.

    Attributes
    ----------
    parameter : str
        What its logarithm is linear in them: ``"theta"``.
    names : tuple of str
        Names of the coefficients.
    table : ndarray, shape (k, 1) or (k, 4)
        Estimates, or with standard errors, z values and p-values.
    """

    parameter: str
    names: tuple[str, ...]
    table: FloatArray

    def lines(self, digits: int) -> list[str]:
        """Return the lines that show them."""
        title = f"Dispersion model (log {self.parameter}):"
        if self.table.shape[1] == 1:
            return [title, named_values(self.names, format_numbers(self.table[:, 0], digits), gap=2)]
        columns = ("Estimate", "Std. Error", "z value", "Pr(>|z|)")
        return [
            "",
            title,
            coefficient_table(self.table, self.names, columns, digits, estimates=range(2), statistics=(2,)),
        ]


@dataclass(frozen=True, slots=True)
class FitDescription:
    """What the text of a model shows, with nothing left to compute.

    Attributes
    ----------
    title : str
        ``"Linear mixed model fit by REML"``.
    class_name : str
        Name shown in brackets after the title.
    formula : str
        The formula as R prints it.
    criteria : mapping of str to float
        ``{"REML": value}``, or AIC, BIC, logLik, -2*log(L) and df.resid; empty where there is no likelihood.
    terms : tuple of TermCovariance
        Variance components; empty for a model without random effects.
    residual_sd : float or None
        Standard deviation of the row ``Residual``.
    nobs : int
        Number of observations.
    ngrps : mapping of str to int
        Number of levels of each grouping factor.
    family : tuple of (name, link), or None
        Shown for generalized models.
    call : tuple of (label, text)
        Further lines below the formula: data, weights, offset, subset.
    notes : tuple of str
        Lines below the number of observations: rows dropped, rows with zero weight.
    warnings : tuple of str
        Lines under ``fit warnings:``.
    optimizer : str
        Name of the optimiser.
    messages : tuple of str
        What is to be said about convergence; empty when all is well.
    converged : bool
        Whether the optimum was reached.
    structure : tuple of str
        Lines about residual correlation and variance functions, below the random effects.
    dispersion : DispersionTable or None
        The model of the dispersion, below the fixed effects.
    """

    title: str
    class_name: str
    formula: str
    criteria: Mapping[str, float]
    terms: tuple[TermCovariance, ...]
    residual_sd: float | None
    nobs: int
    ngrps: Mapping[str, int]
    family: tuple[str, str] | None = None
    call: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    optimizer: str = ""
    messages: tuple[str, ...] = ()
    converged: bool = True
    structure: tuple[str, ...] = ()
    dispersion: DispersionTable | None = None


def print_text(fit: FitDescription, names: Sequence[str], beta: FloatArray, digits: int = 4) -> Page:
    """Return the short text of a fit: ``print(m)``."""
    lines = [*_heading(fit), *_criteria(fit.criteria, 4), *_random_effects(fit, "Std.Dev.", digits)]
    if len(beta):
        lines += ["Fixed Effects:", named_values(names, format_numbers(beta, digits), gap=2)]
    else:
        lines.append("No fixed effect coefficients")
    if fit.dispersion is not None:
        lines += fit.dispersion.lines(digits)
    lines += _fit_warnings(fit)
    if fit.messages:
        lines += [_outcome(fit), *fit.messages]
    return Page(lines)


def summary_text(
    fit: FitDescription,
    coefficients: FloatArray,
    rows: Sequence[str],
    columns: Sequence[str],
    vcov_correlation: FloatArray,
    scaled_residuals: FloatArray | None,
    correlation: bool | None = None,
    digits: int = 4,
) -> Page:
    """Return the long text of a fit: ``print(m.summary())``.

    Parameters
    ----------
    fit : FitDescription
        The fit.
    coefficients : ndarray, shape (p, 3 to 5)
        Estimates, standard errors, degrees of freedom, statistics and p-values.
    rows, columns : sequence of str
        Margins of `coefficients`.
    vcov_correlation : ndarray, shape (p, p)
        Correlations of the fixed effects.
    scaled_residuals : ndarray, shape (n,), or None
        Pearson residuals divided by sigma; None leaves the block out.
    correlation : bool, optional
        Whether to show the correlations; by default when there are at most 12 coefficients.
    digits : int
        Significant digits.
    """
    lines = [*_heading(fit), ""]
    if fit.criteria:
        lines += [*_criteria(fit.criteria, 1), ""]
    if scaled_residuals is not None:
        lines += [*_residual_quantiles(scaled_residuals, digits), ""]
    lines += _random_effects(fit, ("Variance", "Std.Dev."), digits)
    if len(rows):
        test = next(j for j, name in enumerate(columns) if name.endswith(" value"))
        table = coefficient_table(
            coefficients, rows, columns, digits, estimates=range(test), statistics=(test,)
        )  # R prints degrees of freedom in the format of the estimates
        lines += ["", "Fixed effects:", table]
        lines += _correlation_block(vcov_correlation, rows, correlation)
    if fit.dispersion is not None:
        lines += fit.dispersion.lines(digits)
    lines += _fit_warnings(fit)
    if fit.messages:
        lines += [_outcome(fit), *fit.messages, ""]
    return Page(lines)


def _heading(fit: FitDescription) -> list[str]:
    lines = [_title(fit.title, fit.class_name)]
    if fit.family is not None:
        lines.append(f" Family: {fit.family[0]}  ( {fit.family[1]} )")
    lines.append(fill_line(["Formula:", *break_formula(fit.formula)]))
    return lines + [f"{label} {text}" for label, text in fit.call]


def _title(title: str, class_name: str) -> str:
    if len(title) + 5 + len(class_name) <= LINE_WIDTH:
        return f"{title} ['{class_name}']"
    lines = textwrap.wrap(
        title, LINE_WIDTH - 3, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )
    return fill_line([*lines, " [", class_name, "]"], separator="")


def _criteria(criteria: Mapping[str, float], digits: int) -> list[str]:
    if not criteria:
        return []
    rounded = round_digits(list(criteria.values()), digits)
    if "REML" in criteria:
        return [f"REML criterion at convergence: {format_numbers(rounded)[0]}"]
    cells = dict(zip(criteria, format_numbers(rounded), strict=True))
    cells["df.resid"] = format_numbers([criteria["df.resid"]])[0]
    return [named_values(list(cells), list(cells.values()))]


def _residual_quantiles(residuals: FloatArray, digits: int) -> list[str]:
    quantiles = zap_small(np.nanquantile(residuals, [0, 0.25, 0.5, 0.75, 1]), digits + 1)
    names = ["Min", "1Q", "Median", "3Q", "Max"]
    return ["Scaled residuals: ", named_values(names, format_numbers(quantiles, digits))]


def _random_effects(
    fit: FitDescription, comp: VarianceForm | tuple[VarianceForm, ...], digits: int
) -> list[str]:
    lines = []
    if fit.terms:
        lines += ["Random effects:", variance_table(fit.terms, fit.residual_sd, comp, digits)]
    counts = f"Number of obs: {fit.nobs}"
    groups = "; ".join(f"{name}, {size}" for name, size in fit.ngrps.items())
    lines.append(fill_line([f"{counts}, groups: ", groups]) if groups else counts)
    return [*lines, *(f"  ({note})" for note in fit.notes), *fit.structure]


def _correlation_block(correlation: FloatArray, rows: Sequence[str], show: bool | None) -> list[str]:
    p = len(rows)
    if p < 2 or show is False:
        return []
    if show is None and p > CORRELATION_MAX:
        return [
            "",
            f"Correlation matrix not shown by default, as p = {p} > {CORRELATION_MAX}.",
            "Use print(m.summary(correlation=True))  or",
            "    m.vcov()        if you need it",
        ]
    texts = format_numbers(round_digits(correlation, 3).ravel(), 7, nsmall=3)
    cells = np.array(texts, dtype=object).reshape(p, p)
    cells[np.triu_indices(p)] = ""
    beside, above = (abbreviate.abbreviate(rows, width) for width in (11, 6))
    table = text_matrix(cells[1:, :-1].tolist(), beside[1:], above[:-1])
    return ["", "Correlation of Fixed Effects:", table]


def _outcome(fit: FitDescription) -> str:
    return (
        f"optimizer ({fit.optimizer}) convergence code: {'0 (OK)' if fit.converged else '1 (not converged)'}"
    )


def rank_message(n_dropped: int) -> str:
    """Return lme4's message on columns dropped from the fixed-effects matrix."""
    what = "column / coefficient" if n_dropped == 1 else "columns / coefficients"
    return f"fixed-effect model matrix is rank deficient so dropping {n_dropped} {what}"


def _fit_warnings(fit: FitDescription) -> list[str]:
    return ["fit warnings:", *fit.warnings] if fit.warnings else []
