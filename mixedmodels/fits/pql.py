"""The fit of a mixed model by penalized quasi-likelihood: arrays and the last working model."""

from __future__ import annotations

from functools import cached_property
from typing import NoReturn

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import conditional_covariances
from mixedmodels.engines.pql import PqlEstimates
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.family_fit import FamilyFit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport
from mixedmodels.reports.printed import Printed


class PqlFit(FamilyFit[PqlEstimates], MixedFit):
    """A mixed model fitted by penalized quasi-likelihood.

    Parameters as for :class:`mixedmodels.QuasiLikelihoodMixedModel`.
    """

    @cached_property
    def problem(self) -> LinearProblem:
        """The last working linear mixed model."""
        e, design = self.estimates, self.design
        return linear_problem(e.working_response, design.X, design.random, e.working_weights)

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.estimates.linear.solution.beta

    @property
    def phi(self) -> FloatArray:
        """The dispersion if the family has one, shape (0,) or (1,)."""
        return np.array([self.sigma() ** 2] if self._family.has_dispersion else [])

    @property
    def spherical(self) -> tuple[FloatArray, ...]:
        """Spherical random effects by term, each (q, S)."""
        return self.estimates.linear.solution.u

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
        return self.estimates.linear.solution.unscaled_vcov

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
        return self.estimates.linear.solution.sigma

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

    def _fixed_covariance(self) -> FloatArray:
        return self.estimates.vcov

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        relative = conditional_covariances(self.problem, self.theta_values)
        return tuple(self.sigma() ** 2 * V for V in relative)

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
