"""The text of residual correlation structures and variance functions, as nlme prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.numbers import format_numbers
from mixedmodels.reports.text_tables import named_values, text_matrix

_VARIANCES = {
    "ident": "Different standard deviations per stratum",
    "power": "Power of variance covariate",
    "exp": "Exponential of variance covariate",
    "constpower": "Constant plus power of variance covariate",
    "fixed": "fixed weights",
    "loglinear": "Log-linear standard deviations",
}


@dataclass(frozen=True, slots=True)
class CorrelationDescription:
    """What the text of a correlation structure shows.

    Attributes
    ----------
    title : str
        ``"AR(1)"``.
    formula : str
        ``"~visit | subject"``.
    names : tuple of str
        Parameters of one arm.
    values : ndarray, shape (arms, parameters)
        Their estimates.
    arms : tuple of str
        Names of the arms; one empty name where there are none.
    levels : tuple of str
        Levels of time of an unstructured matrix, whose parameters are its lower triangle by columns; empty
        for other structures.
    """

    title: str
    formula: str
    names: tuple[str, ...]
    values: FloatArray
    arms: tuple[str, ...] = ("",)
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VarianceDescription:
    """What the text of a variance function shows.

    Attributes
    ----------
    name : str
        ``"ident"``, ``"power"``.
    formula : str
        ``"~1 | sex"``.
    names : tuple of str
        Parameters, of ``ident`` all strata.
    values : ndarray
        Their estimates, of ``ident`` with the 1 of the reference.
    strata : tuple of str
        Strata with parameters of their own; one empty name where there are none.
    """

    name: str
    formula: str
    names: tuple[str, ...]
    values: FloatArray
    strata: tuple[str, ...] = ("",)


def correlation_text(structure: CorrelationDescription, digits: int = 7) -> str:
    """Return the text of a correlation structure.

    Examples
    --------
    >>> ar1 = CorrelationDescription("AR(1)", "~1 | Mare", ("Phi",), np.array([[0.75]]))
    >>> print(correlation_text(ar1))
    Correlation Structure: AR(1)
     Formula: ~1 | Mare
     Parameter estimate(s):
     Phi
    0.75
    """
    lines = [f"Correlation Structure: {structure.title}", f" Formula: {structure.formula} "]
    if not structure.names:
        return "\n".join(lines)
    lines.append(" Parameter estimate(s):")
    for arm, values in zip(structure.arms, structure.values, strict=True):
        lines += [f" {arm}:"] * bool(arm)
        if structure.levels:
            lines += [" Correlation: ", _triangle(values, structure.levels)]
        else:
            lines.append(named_values(structure.names, format_numbers(values, digits)))
    return "\n".join(lines)


def _triangle(values: FloatArray, levels: Sequence[str]) -> str:
    """Return the lower triangle of correlations given by columns."""
    m = len(levels)
    cells = np.full((m, m), "", dtype=object)
    columns, rows = np.triu_indices(m, 1)
    cells[rows, columns] = format_numbers(np.round(values, 3), 7, nsmall=3)
    return text_matrix(cells[1:, :-1].tolist(), levels[1:], levels[:-1])


def variances_text(functions: Sequence[VarianceDescription], digits: int = 7) -> str:
    """Return the text of the variance functions of which standard deviations are the product.

    Examples
    --------
    >>> sex = VarianceDescription("ident", "~1 | Sex", ("Male", "Female"), np.array([1.0, 0.5]))
    >>> print(variances_text([sex]))
    Variance function:
     Structure: Different standard deviations per stratum
     Formula: ~1 | Sex
     Parameter estimates:
      Male Female
       1.0    0.5
    """
    heading = "Variance function:" if len(functions) == 1 else "Combination of variance functions: "
    return "\n".join([heading, *(line for function in functions for line in _variance(function, digits))])


def _variance(function: VarianceDescription, digits: int) -> list[str]:
    """Return the lines of one variance function."""
    several = len(function.strata) > 1
    strata = ", different strata" if several else ""
    lines = [f" Structure: {_VARIANCES[function.name]}{strata}", f" Formula: {function.formula} "]
    if len(function.values) == 0:
        return lines
    lines.append(" Parameter estimates:")
    texts = format_numbers(function.values, digits)
    if several and len(function.strata) < len(function.values):
        width = len(function.values) // len(function.strata)
        cells = [texts[k::width] for k in range(width)]
        names = [name.partition(".")[0] for name in function.names[:width]]
        return [*lines, text_matrix(cells, names, function.strata, right=True)]
    return [*lines, named_values(function.strata if several else function.names, texts)]
