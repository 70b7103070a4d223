"""Nonlinear mixed models with structured residuals, as fitted by ``nlmer(..., residual=, dispersion=)``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Self

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import check_response_varies, warn_unless_converged
from mixedmodels.engines.nonlinear.lindstrom_bates import fit_linearised
from mixedmodels.fits.call import Call
from mixedmodels.fits.new_response import response_values
from mixedmodels.fits.nonlinear import problem_of
from mixedmodels.fits.structured import Convention
from mixedmodels.fits.structured_nonlinear import StructuredNonlinearFit, StructuredStep
from mixedmodels.formula.design.nonlinear import NonlinearDesign
from mixedmodels.models.nonlinear import NonlinearMixedModel
from mixedmodels.models.structure_lines import structure_lines
from mixedmodels.reports.fit_text import FitDescription


class StructuredNonlinearMixedModel(StructuredNonlinearFit, NonlinearMixedModel):
    """A fitted nonlinear mixed model with correlated or heteroscedastic residuals.

    Made by :func:`mixedmodels.nlmer` with ``residual=`` or ``dispersion=`` and ``method="lindstrom-bates"``.

    Parameters
    ----------
    nonlinear : NonlinearDesign
        Arrays of the model, and its mean.
    y : ndarray, shape (n,)
        Response.
    call : Call
        How the model was asked for.
    data : table
        The data, for the model frame.
    estimates : NonlinearEstimates
        The fit.
    residual : ResidualEstimates
        Covariance parameters of the residuals, of the linear model around the estimates.
    """

    @property
    def convention(self) -> Convention:
        """Criteria are those of lme4, which are nlme's of maximum likelihood."""
        return "lme4"

    @property
    def default_ddf(self) -> Literal["satterthwaite", "residual"]:
        """Residual: there is no Satterthwaite's method for a linearised model."""
        return "residual"

    @classmethod
    def fitted_to(
        cls, nonlinear: NonlinearDesign, y: FloatArray, beta: FloatArray, call: Call, data: Any, REML: bool
    ) -> Self:
        """Return the model fitted to a design and a response, from fixed effects to begin with."""
        step = StructuredStep(nonlinear.design, REML)
        estimates = fit_linearised(problem_of(nonlinear, y), beta, step, REML)
        assert step.found is not None
        warn_unless_converged(estimates.convergence)
        return cls(nonlinear, y, call, data, estimates, step.found)

    def refit(self, newresp: Any) -> Self:
        """Fit the same model to another response.

        Raises
        ------
        DataError
            If the length is wrong or a value is not finite.
        """
        y = response_values(newresp, self.nonlinear.design)
        check_response_varies(y, self.design.response.text)
        return self.fitted_to(self.nonlinear, y, self.beta, self.call, self.data, self.is_reml)

    def refitML(self) -> Self:
        """Fit the same model by maximum likelihood."""
        if not self.is_reml:
            return self
        return self.fitted_to(self.nonlinear, self.y, self.beta, self.call, self.data, False)

    def _describe(self) -> FitDescription:
        lines = structure_lines(self.design, self.residual_estimates.parameters)
        return replace(super()._describe(), structure=lines)
