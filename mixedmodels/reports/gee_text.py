"""The text of a marginal model: ``print(m)`` and its summary, in the layout of geepack's geeglm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.numbers import format_numbers
from mixedmodels.reports.page import Page
from mixedmodels.reports.text_tables import coefficient_table, named_values, text_matrix


@dataclass(frozen=True, slots=True)
class GeeDescription:
    """What the text shows, with nothing left to compute.

    Attributes
    ----------
    call : str
        ``'gee(formula = y ~ x, groups = "id", ...)'``.
    names : tuple of str
        Coefficients.
    covariance : str
        Kind of the standard errors.
    corr : str
        Working correlation.
    labels : tuple of str
        Names of its parameters.
    association : ndarray, shape (q + 1, 2)
        Estimates and standard errors of its parameters, and of the scale.
    scale_is_fixed : bool
        Whether the scale was given.
    n_groups, largest : int
        Number of groups, and rows of the largest.
    notes, warnings : tuple of str
        Missing rows; what is to be thought of the fit, where that is anything.
    """

    call: str
    names: tuple[str, ...]
    covariance: str
    corr: str
    labels: tuple[str, ...]
    association: FloatArray
    scale_is_fixed: bool
    n_groups: int
    largest: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def gee_print_text(fit: GeeDescription, beta: FloatArray, digits: int = 5) -> Page:
    """Return the short text."""
    lines = [
        "",
        "Call:",
        fit.call,
        "",
        "Coefficients:",
        named_values(fit.names, format_numbers(beta, digits)),
    ]
    lines += ["", f"Scale: {fit.association[-1, 0]:.4g}", "", f"Correlation structure = {fit.corr}"]
    if fit.labels:
        values = format_numbers(fit.association[:-1, 0], digits - 1)
        lines += ["Estimated correlation parameters:", named_values(fit.labels, values)]
    return Page([*lines, *_sizes(fit), *fit.warnings])


def gee_summary_text(
    fit: GeeDescription, coefficients: FloatArray, columns: Sequence[str], tests: str, digits: int = 5
) -> Page:
    """Return the long text.

    Parameters
    ----------
    fit : GeeDescription
        The fit.
    coefficients : ndarray, shape (p, 4 or 5)
        Estimates, standard errors, degrees of freedom where they are finite, statistics and p-values.
    columns : sequence of str
        Names of these columns.
    tests : str
        How they are tested, where that is not by normal tests.
    digits : int
        Significant digits.
    """
    test = len(columns) - 2
    table = coefficient_table(
        coefficients, fit.names, columns, digits, estimates=range(test), statistics=(test,)
    )
    lines = ["", "Call:", fit.call, "", " Coefficients:", table, ""]
    lines += [f"Standard errors = {fit.covariance}"] + ([tests] if tests else [])
    lines += [f"Correlation structure = {fit.corr}", *_scale(fit, digits)]
    if fit.labels:
        lines += ["", "Estimated Correlation Parameters:"]
        lines.append(_estimates(fit.association[:-1], fit.labels, digits))
    return Page([*lines, *_sizes(fit), *fit.warnings])


def _scale(fit: GeeDescription, digits: int) -> list[str]:
    if fit.scale_is_fixed:
        return [f"Scale is fixed at {fit.association[-1, 0]:.4g}."]
    return ["Estimated Scale Parameters:", "", _estimates(fit.association[-1:], ("(Intercept)",), digits)]


def _estimates(values: FloatArray, names: Sequence[str], digits: int) -> str:
    """Return estimates beside their standard errors, as R prints a data frame."""
    cells = [
        format_numbers(np.array([float(f"{v:.{digits - 2}e}") for v in values[:, j]]), digits - 1)
        for j in (0, 1)
    ]
    return text_matrix(list(zip(*cells, strict=True)), names, ["Estimate", "Std.err"], right=True)


def _sizes(fit: GeeDescription) -> list[str]:
    return [
        f"Number of clusters:   {fit.n_groups}  Maximum cluster size: {fit.largest} ",
        *(f"  ({note})" for note in fit.notes),
    ]
