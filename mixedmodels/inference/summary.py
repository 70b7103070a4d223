"""The result of ``m.summary()``."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.inference.contrasts import FixedEffects
from mixedmodels.reports.fit_text import FitDescription, summary_text
from mixedmodels.reports.html import preformatted

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
    scaled_residuals : ndarray, shape (n,)
        Pearson residuals divided by sigma.
    show_correlation : bool or None
        Whether to print the correlations; None for the default.
    """

    description: FitDescription
    coefficients: pd.DataFrame
    fixed_correlation: FloatArray
    scaled_residuals: FloatArray
    show_correlation: bool | None

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

    def _repr_html_(self) -> str:
        return preformatted(repr(self))


def with_tests(description: FitDescription, fixed: FixedEffects) -> FitDescription:
    """Return a description that says how the fixed effects are tested."""
    messages = (*description.messages, *fixed.notes)
    if not fixed.degrees.method:
        return replace(description, messages=messages)
    return replace(
        description,
        title=f"{description.title}. t-tests use {fixed.degrees.method}",
        class_name=LMERTEST.get(description.class_name, description.class_name),
        messages=messages,
    )
