"""Tests of each term of the fixed effects: lmerTest's F tests, and the Wald tests of R's car."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.inference.contrasts import (
    FixedEffects,
    HypothesisTest,
    asymptotic,
    hypothesis_test,
    untested_note,
)
from mixedmodels.inference.fixed_effects import Ddf, fixed_effects
from mixedmodels.inference.hypotheses import ROMAN, coefficient_hypotheses, empty_cells, term_hypotheses

F_COLUMNS = ("Sum Sq", "Mean Sq", "NumDF", "DenDF", "F value", "Pr(>F)")
WALD_COLUMNS = ("Chisq", "Df", "Pr(>Chisq)")
WALD_F_COLUMNS = ("F", "Df", "Df.res", "Pr(>F)")
LEAST_SQUARES_COLUMNS = ("Sum Sq", "Df", "F value", "Pr(>F)")


@dataclass(frozen=True, slots=True)
class TermTests:
    """A table of tests, one row a term.

    Attributes
    ----------
    values : ndarray, shape (terms, columns)
        The numbers.
    rows, columns : tuple of str
        Their names.
    heading : tuple of str
        What stands above.
    """

    values: FloatArray
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    heading: tuple[str, ...]


def analysis_of_variance(fit: Fit, type: int, ddf: Ddf, vcov: Any = None) -> TermTests:
    """Return lmerTest's table: F tests of each term of a linear model by the hypotheses of SAS."""
    fixed = fixed_effects(fit, ddf, vcov)
    found = term_hypotheses(fit, type)
    empty = empty_cells(fit) if type == 3 else []
    title = f"Type {ROMAN[type]} Analysis of Variance Table with {method_text(fixed)}"
    heading: tuple[str, ...] = (title, *(f"({note})" for note in fixed.notes))
    if empty:
        heading = (
            f"Missing cells for: {', '.join(empty)}.",
            "Interpret type III hypotheses with care.",
            *heading,
        )
    values = f_test_rows(fixed, found, fit.sigma())
    heading = (*heading, *untested_note(tuple(found), values[:, 2].tolist(), values[:, 3].tolist()))
    return TermTests(values, tuple(found), F_COLUMNS, heading)


def f_test_rows(fixed: FixedEffects, hypotheses: Mapping[str, FloatArray], sigma: float) -> FloatArray:
    """Return the columns of lmerTest's table, one row a hypothesis.

    The mean square is F times sigma^2 before Kenward and Roger's factor is applied. A term without hypotheses
    has a row of NaN.
    """
    rows = []
    for L in hypotheses.values():
        test = hypothesis_test(fixed, L)
        if not test.numerator_df:
            rows.append([np.nan] * 6)
            continue
        mean_square = test.statistic / test.scale * sigma**2
        q = float(test.numerator_df)
        rows.append([mean_square * q, mean_square, q, test.df, test.statistic, test.p_value])
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


def wald_chi_square(fit: Fit, type: int, vcov: Any = None) -> TermTests:
    """Return car's table of Wald chi-square tests."""
    tests = _tests_of_coefficients(fit, asymptotic(fixed_effects(fit, "z", vcov)), type)
    rows = [[t.statistic * t.numerator_df, t.numerator_df, t.p_value] for t in tests.values()]
    columns: tuple[str, ...] = WALD_COLUMNS
    values = np.array(rows, dtype=np.float64).reshape(-1, 3)
    if not isinstance(fit, MixedFit):
        columns, values = ("Df", "Chisq", "Pr(>Chisq)"), values[:, [1, 0, 2]]
        return TermTests(values, tuple(tests), columns, _heading(fit, f"(Type {ROMAN[type]} tests)"))
    return TermTests(
        values, tuple(tests), columns, _heading(fit, f"(Type {ROMAN[type]} Wald chisquare tests)")
    )


def wald_f(fit: Fit, type: int, ddf: Ddf, vcov: Any = None) -> TermTests:
    """Return car's table of Wald F tests, with the degrees of freedom asked for."""
    fixed = fixed_effects(fit, ddf, vcov)
    tests = _tests_of_coefficients(fit, fixed, type)
    rows = [[t.statistic, t.numerator_df, t.df, t.p_value] for t in tests.values()]
    kind = f"(Type {ROMAN[type]} Wald F tests with {_short(fixed)} df)"
    values = np.array(rows, dtype=np.float64).reshape(-1, 4)
    untested = untested_note(tuple(tests), values[:, 1].tolist(), values[:, 2].tolist())
    return TermTests(values, tuple(tests), WALD_F_COLUMNS, (*_heading(fit, kind), *untested))


def least_squares_tests(fit: Fit, type: int, vcov: Any = None) -> TermTests:
    """Return car's table of a linear model: sums of squares of type II or III, and the residuals."""
    fixed = fixed_effects(fit, "residual" if vcov is None else "default", vcov)
    tests = _tests_of_coefficients(fit, fixed, type)
    variance = fit.sigma() ** 2
    rows = [
        [t.statistic * t.numerator_df * variance, t.numerator_df, t.statistic, t.p_value]
        for t in tests.values()
    ]
    rows.append([fit.deviance(), fit.df_residual(), np.nan, np.nan])
    heading = (f"Anova Table (Type {ROMAN[type]} tests)", "", f"Response: {fit.design.response.text}")
    return TermTests(np.array(rows), (*tests, "Residuals"), LEAST_SQUARES_COLUMNS, heading)


def _tests_of_coefficients(fit: Fit, fixed: FixedEffects, type: int) -> dict[str, HypothesisTest]:
    found = coefficient_hypotheses(fit, type, fixed.covariance)
    return {term: hypothesis_test(fixed, L) for term, L in found.items()}


def _heading(fit: Fit, kind: str) -> tuple[str, ...]:
    return f"Analysis of Deviance Table {kind}", "", f"Response: {fit.design.response.text}"


def method_text(fixed: FixedEffects) -> str:
    """Return how a heading names the degrees of freedom: ``"Satterthwaite's method"``."""
    if fixed.degrees.method:
        return fixed.degrees.method
    finite = np.isfinite(fixed.degrees.of_rows(np.eye(1, len(fixed.beta)))).all()
    return f"{'residual' if finite else 'infinite'} degrees of freedom"


def _short(fixed: FixedEffects) -> str:
    """Return how car's headings name the degrees of freedom: ``"Kenward-Roger"``."""
    return method_text(fixed).removesuffix("'s method").removesuffix(" degrees of freedom")
