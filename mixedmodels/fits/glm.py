"""The fit of a generalized linear model: arrays."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.glm.fit import GlmEstimates
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.family_fit import FamilyFit
from mixedmodels.optimization.report import ConvergenceReport


class GlmFit(FamilyFit[GlmEstimates]):
    """A generalized linear model, fitted; parameters as for :class:`mixedmodels.GeneralizedLinearModel`."""

    @property
    def beta(self) -> FloatArray:
        """Coefficients, shape (p,)."""
        return self.estimates.beta

    @property
    def phi(self) -> FloatArray:
        """Parameters of the family, shape (n_phi,)."""
        return self.estimates.phi

    @property
    def drawn_phi(self) -> FloatArray:
        """The dispersion of the summary where the family has one, else the estimates."""
        return np.array([self.estimates.dispersion]) if self._family.has_dispersion else self.phi

    @property
    def npar(self) -> int:
        """Number of coefficients and parameters of the family."""
        return len(self.beta) + len(self.phi)

    def sigma(self) -> float:
        """Return the square root of the dispersion."""
        return float(np.sqrt(self.estimates.dispersion))

    def dispersion(self) -> float:
        """Return the dispersion where there is one: Pearson's X2 over its degrees of freedom; else 1."""
        return self.estimates.dispersion

    def df_residual(self) -> int:
        """Return the number of observations minus the number of coefficients."""
        return self.estimates.df_residual

    def loglik(self) -> float:
        """Return the log-likelihood with its full normalising constant.

        Raises
        ------
        NotAvailableError
            If the family is a quasi family.
        """
        if self._family.is_quasi:
            raise NotAvailableError(
                f"The {self._family.name} family has no likelihood, so loglik, AIC and BIC are not defined; "
                "compare such models by their deviances and F tests with anova(m1, m2)."
            )
        return self.estimates.loglik

    def deviance(self) -> float:
        """Return the residual deviance."""
        return self.estimates.deviance

    def convergence(self) -> ConvergenceReport:
        """Return the verdict on the fit, with its reasons."""
        return self.estimates.convergence

    @property
    def is_quasi(self) -> bool:
        """Whether the family is a quasi family."""
        return self._family.is_quasi

    def _fixed_covariance(self) -> FloatArray:
        return self.estimates.vcov

    @property
    def test_df(self) -> float | None:
        """Residual degrees of freedom where the dispersion is estimated."""
        estimated = self._family.is_quasi or self._family.has_dispersion
        return float(self.df_residual()) if estimated else None
