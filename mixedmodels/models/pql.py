"""A generalized linear mixed model fitted by penalized quasi-likelihood."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import warn_unless_converged
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import conditional_covariances
from mixedmodels.engines.pql import PqlEstimates, fit_pql
from mixedmodels.errors import NotAvailableError
from mixedmodels.families import initialize
from mixedmodels.fits.new_response import new_response
from mixedmodels.models.mixed_model import MixedModel
from mixedmodels.models.with_family import WithFamily
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport
from mixedmodels.reports.fit_text import FitDescription
from mixedmodels.reports.printed import Printed


class QuasiLikelihoodMixedModel(WithFamily[PqlEstimates], MixedModel):
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

    p_values = False

    @cached_property
    def problem(self) -> LinearProblem:
        """The last working linear mixed model."""
        e, design = self.estimates, self.design
        return linear_problem(e.working_response, design.X, design.random, e.working_weights)

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.estimates.linear.beta

    @property
    def phi(self) -> FloatArray:
        """The dispersion if the family has one, shape (0,) or (1,)."""
        return np.array([self.sigma() ** 2] if self._family.has_dispersion else [])

    @property
    def spherical(self) -> tuple[FloatArray, ...]:
        """Spherical random effects by term, each (q, S)."""
        return self.estimates.linear.u

    @property
    def theta_values(self) -> FloatArray:
        """Covariance parameters, shape (k,)."""
        return self.estimates.linear.theta

    @property
    def npar(self) -> int:
        """Number of fixed effects and covariance parameters, the dispersion included."""
        return len(self.beta) + len(self.theta_values) + 1

    @property
    def unscaled_vcov(self) -> FloatArray:
        """``(R_X' R_X)^-1`` of the working model, shape (p, p)."""
        return self.estimates.linear.unscaled_vcov

    @property
    def random_scale(self) -> float:
        """Sigma: theta is relative to it."""
        return self.sigma()

    @property
    def residual_sd(self) -> float | None:
        """Square root of the dispersion."""
        return self.sigma()

    @property
    def row_information(self) -> FloatArray:
        """Working weights."""
        return self.estimates.working_weights

    def sigma(self) -> float:
        """Return the square root of the dispersion."""
        return self.estimates.linear.sigma

    @property
    def has_likelihood(self) -> bool:
        """False: there is no likelihood to compare."""
        return False

    def loglik(self) -> NoReturn:
        """Raise: penalized quasi-likelihood has no likelihood.

        Raises
        ------
        NotAvailableError
            Always, with the alternatives.
        """
        raise NotAvailableError(
            "A fit by penalized quasi-likelihood has no likelihood, so loglik, AIC, BIC and anova are not "
            "defined. Fit the model with method='ml' (Laplace or nAGQ > 1) to compare models."
        )

    def deviance(self) -> float:
        """Return the sum of squared deviance residuals given the random effects."""
        parts = self._raw_residuals("deviance") ** 2
        return float(parts.sum())

    def _fixed_covariance(self) -> FloatArray:
        return self.estimates.vcov

    def _standard_errors(self) -> FloatArray:
        # MASS::glmmPQL and nlme correct the ML estimate of sigma for the fixed effects in their tables,
        # but not in vcov().
        n, p = self.nobs(), len(self.beta)
        correction = 1.0 if self.estimates.REML else np.sqrt(n / (n - p))
        return correction * np.sqrt(np.diag(self.estimates.vcov))

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        relative = conditional_covariances(self.problem, self.theta_values)
        return tuple(self.sigma() ** 2 * V for V in relative)

    def refit(self, newresp: Any) -> QuasiLikelihoodMixedModel:
        """Fit the same model to another response, given as for a model fitted by maximum likelihood.

        Raises
        ------
        DataError, FamilyError
            If the length is wrong or a value is outside the range of the family.
        """
        design, family = self.design, self._family
        y, weights = initialize(new_response(newresp, design), design.weights, family)
        estimates = fit_pql(y, weights, design.X, design.random, design.offset, family)
        warn_unless_converged(estimates.convergence)
        return QuasiLikelihoodMixedModel(design, y, weights, self.call, self.data, family, estimates)

    def convergence(self) -> ConvergenceReport:
        """Return the verdict on the fit, with its reasons."""
        return self.estimates.convergence

    @property
    def optimization(self) -> OptimizationReport:
        """How the last working model was fitted."""
        return self.estimates.linear.optimization

    @property
    def factorization(self) -> Printed:
        """The blocks of the factorization of the working model and how each is handled, as a table."""
        return Printed(self.problem.description())

    def _describe(self) -> FitDescription:
        return FitDescription(
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
