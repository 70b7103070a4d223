"""The result of ``m.summary()``."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.term_covariance import covariance_to_correlation
from mixedmodels.inference.contrasts import FixedEffects
from mixedmodels.inference.wald import table_of_tests
from mixedmodels.reports.fit_text import FitDescription, summary_text
from mixedmodels.reports.page import html_of

#: What lmerTest calls lme4's class once its fixed effects have t tests.
LMERTEST = {"lmerMod": "lmerModLmerTest"}


@dataclass(frozen=True, slots=True, repr=False)
class Summary:
    """Summary of a fit; printing it gives the text of lmerTest or lme4.

    Attributes
    ----------
    description : FitDescription
        Title, formula, criteria, variance components.
    coefficients : DataFrame
        Estimate, Std. Error, df where they are finite, t or z value and its p-value.
    fixed_correlation : ndarray, shape (p, p)
        Correlations of the fixed effects.
    scaled_residuals : ndarray, shape (n,), or None
        Pearson residuals divided by sigma; None for a fit without rows.
    show_correlation : bool or None
        Whether to print the correlations; None for the default.
    tests : str
        How the fixed effects are tested; empty where that is as the kind of model is tested everywhere.
    """

    description: FitDescription
    coefficients: pd.DataFrame
    fixed_correlation: FloatArray
    scaled_residuals: FloatArray | None
    show_correlation: bool | None
    tests: str = ""

    def __repr__(self) -> str:
        return summary_text(
            self.description,
            self.coefficients.to_numpy(),
            list(self.coefficients.index),
            list(self.coefficients.columns),
            self.fixed_correlation,
            self.scaled_residuals,
            self.show_correlation,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the table of the fixed effects, which ``coefficients`` is."""
        return self.coefficients.copy()

    def _repr_html_(self) -> str:
        return html_of(repr(self))


def tested_by(plain: Summary, fixed: FixedEffects, own_covariance: bool) -> Summary:
    """Return a summary with other tests of the fixed effects, which it says.

    Parameters
    ----------
    plain : Summary
        The summary.
    fixed : FixedEffects
        What the tests use.
    own_covariance : bool
        Whether the covariance is the model's, whose correlations stay as lme4 prints them even where Kenward
        and Roger adjust the variances; those of another one are its own.
    """
    method = fixed.degrees.method
    return replace(
        plain,
        description=_with_tests(plain.description, method, fixed.notes),
        coefficients=table_of_tests(fixed),
        fixed_correlation=(
            plain.fixed_correlation if own_covariance else covariance_to_correlation(fixed.covariance)
        ),
        tests=f"t-tests use {method}" if method else "",
    )


def _with_tests(description: FitDescription, method: str, notes: tuple[str, ...]) -> FitDescription:
    messages = (*description.messages, *notes)
    if not method:
        return replace(description, messages=messages)
    return replace(
        description,
        title=f"{description.title}. t-tests use {method}",
        class_name=LMERTEST.get(description.class_name, description.class_name),
        messages=messages,
    )
