"""A generalized linear mixed model fitted by penalized quasi-likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import warn_unless_converged
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.pql import fit_pql
from mixedmodels.families import initialize
from mixedmodels.fits.new_response import new_response
from mixedmodels.fits.pql import PqlFit
from mixedmodels.formula.design.design import Design
from mixedmodels.models.mixed_model import MixedModel

with on_first_use():
    from mixedmodels.reports import fit_text

if TYPE_CHECKING:
    from mixedmodels.reports.fit_text import FitDescription


class QuasiLikelihoodMixedModel(MixedModel, PqlFit):
    """A generalized linear mixed model fitted by penalized quasi-likelihood (PQL).

    Made by ``mm.glmer(..., method="pql")``. It has no likelihood: loglik, AIC, BIC and likelihood-ratio
    tests raise NotAvailableError. As in MASS::glmmPQL a dispersion, ``sigma() ** 2``, is estimated.

    Parameters
    ----------
    design : Design
        Arrays of the model.
    y, prior_weights : ndarray, shape (n,)
        Response and weights as the family reads them.
    call : Call
        How the model was asked for.
    data : table
        The data, for the model frame.
    family : Family
        Distribution of the response.
    estimates : PqlEstimates
        The fit.
    """

    _with_p_values = False

    def deviance(self) -> float:
        """Return the sum of squared deviance residuals given the random effects."""
        parts = self._raw_residuals("deviance") ** 2
        return float(parts.sum())

    def _standard_errors(self) -> FloatArray:
        # MASS::glmmPQL and nlme correct the ML estimate of sigma for the fixed effects in their tables,
        # but not in vcov().
        n, p = self.nobs(), len(self.beta)
        correction = 1.0 if self.estimates.REML else np.sqrt(n / (n - p))
        return correction * super()._standard_errors()

    def refit(self, newresp: Any) -> QuasiLikelihoodMixedModel:
        """Fit the same model to another response, given as for a model fitted by maximum likelihood.

        Raises
        ------
        DataError, FamilyError
            If the length is wrong or a value is outside the range of the family.
        """
        design = self.design
        y, weights = initialize(new_response(newresp, design), design.weights, self._family)
        return self.with_rows(design, y, weights)

    def with_design(self, design: Design) -> QuasiLikelihoodMixedModel:
        """Fit the same kind of model to another design with the same response."""
        return self.with_rows(design, self.y, self.prior_weights)

    def with_rows(
        self, design: Design, y: FloatArray, prior_weights: FloatArray
    ) -> QuasiLikelihoodMixedModel:
        """Fit the same kind of model to other rows."""
        family = self._family
        estimates = fit_pql(y, prior_weights, design.X, design.random, design.offset, family)
        warn_unless_converged(estimates.convergence)
        return QuasiLikelihoodMixedModel(design, y, prior_weights, self.call, self.data, family, estimates)

    def _describe(self) -> FitDescription:
        return fit_text.FitDescription(
            title="Generalized linear mixed model fit by penalized quasi-likelihood",
            class_name="glmmPQL",
            formula=self.formula(),
            criteria={},
            terms=self.term_covariances(),
            residual_sd=self.residual_sd,
            nobs=self.nobs(),
            ngrps=self.ngrps(),
            family=(self._family.name, self._family.link.name),
            call=self.call.lines(),
            notes=self._notes(),
            warnings=self._fit_warnings(),
            optimizer=self.optimization.method,
            messages=self._messages(),
            converged=self.convergence().is_optimum,
        )
