"""The fit of a linear model: arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.least_squares import LeastSquaresEstimates
from mixedmodels.fits.call import Call
from mixedmodels.fits.family_quantities import ResidualType
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import Design


class LeastSquaresFit(Fit):
    """A linear model, fitted; parameters as for :class:`mixedmodels.LinearModel`."""

    def __init__(
        self, design: Design, y: FloatArray, call: Call, data: Any, estimates: LeastSquaresEstimates
    ) -> None:
        weights = np.ones(len(y)) if design.weights is None else design.weights
        super().__init__(design, y, weights, call, data)
        self.estimates = estimates

    @property
    def beta(self) -> FloatArray:
        """Coefficients, shape (p,)."""
        return self.estimates.beta

    @property
    def npar(self) -> int:
        """Number of coefficients, and sigma."""
        return len(self.beta) + 1

    @property
    def is_least_squares(self) -> bool:
        """True: fits of this kind are compared by F tests."""
        return True

    @property
    def linear_predictor(self) -> FloatArray:
        """Fitted values, offset included, shape (n,)."""
        return self.estimates.fitted

    @property
    def mean(self) -> FloatArray:
        """Fitted values, offset included, shape (n,)."""
        return self.estimates.fitted

    @property
    def effects(self) -> FloatArray:
        """``Q'y`` of the QR factorization: what each column adds to the fit, shape (p,)."""
        return self.estimates.effects

    def sigma(self) -> float:
        """Return the residual standard error, with n - p degrees of freedom."""
        return self.estimates.sigma

    def df_residual(self) -> int:
        """Return the number of observations minus the number of coefficients."""
        return self.estimates.df_residual

    def loglik(self) -> float:
        """Return the log-likelihood, at its maximum in sigma too."""
        return self.estimates.loglik

    def deviance(self) -> float:
        """Return the weighted residual sum of squares."""
        return self.estimates.rss

    def _fixed_covariance(self) -> FloatArray:
        return self.estimates.sigma**2 * self.estimates.unscaled_vcov

    def _raw_residuals(self, type: ResidualType) -> FloatArray:
        difference = self.y - self.mean
        return difference if type in ("response", "working") else np.sqrt(self.prior_weights) * difference

    # Explained variance.

    def r_squared(self, adjusted: bool = False) -> float:
        """Return the share of the weighted sum of squares that the model explains.

        Without an intercept the sum of squares is that about zero, as in R.

        Parameters
        ----------
        adjusted : bool
            Whether to compare mean squares: ``1 - (1 - R^2) (n - 1) / (n - p)``.
        """
        explained, rss, intercept = self._explained(), self.estimates.rss, self.design.recipe.fixed.intercept
        total = explained + rss
        share = explained / total if total > 0.0 else np.nan
        if not adjusted:
            return float(share)
        left = self.df_residual()
        return float(1.0 - (1.0 - share) * ((self.nobs() - intercept) / left if left else np.nan))

    def f_statistic(self) -> tuple[float, float, float] | None:
        """Return the F statistic of all terms and its two degrees of freedom; None where there are none."""
        numerator = len(self.beta) - self.design.recipe.fixed.intercept
        if numerator <= 0:
            return None
        variance = self.estimates.sigma**2
        F = self._explained() / numerator / variance if variance > 0.0 else np.nan
        return float(F), float(numerator), float(self.df_residual())

    def _explained(self) -> float:
        """Return the sum of squares of the fitted values, about their mean where there is an intercept."""
        offset = 0.0 if self.design.offset is None else self.design.offset
        values, w = self.mean - offset, self.prior_weights
        centre = np.average(values, weights=w) if self.design.recipe.fixed.intercept else 0.0
        return float(np.sum(w * (values - centre) ** 2))
