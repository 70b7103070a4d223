"""The result of ``m.summary()``."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.reports.fit_text import FitDescription, summary_text
from mixedmodels.reports.html import preformatted


@dataclass(frozen=True, slots=True, repr=False)
class Summary:
    """Summary of a fit; printing it gives lme4's text.

    Attributes
    ----------
    description : FitDescription
        Title, formula, criteria, variance components.
    coefficients : DataFrame
        Estimate, Std. Error, t or z value and, for generalized models, Pr(>|z|).
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
