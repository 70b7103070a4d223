"""The fit of a linear mixed model: arrays and the engine's form of the design."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.expected_information import ExpectedInformation, expected_information
from mixedmodels.engines.linear.parameter_covariance import (
    ParameterCovariance,
    covariance_root,
    parameter_covariance,
)
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import conditional_covariances
from mixedmodels.fits.call import Call
from mixedmodels.fits.family_quantities import ResidualType
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.formula.design.design import Design
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport
from mixedmodels.reports.printed import Printed


class LinearFit(MixedFit):
    """A linear mixed model, fitted; parameters as for :class:`mixedmodels.LinearMixedModel`."""

    def __init__(
        self,
        design: Design,
        y: FloatArray,
        call: Call,
        data: Any,
        estimates: LinearEstimates,
        problem: LinearProblem | None = None,
    ) -> None:
        weights = np.ones(len(y)) if design.weights is None else design.weights
        super().__init__(design, y, weights, call, data)
        self.estimates = estimates
        if problem is not None:
            self.problem = problem

    @cached_property
    def problem(self) -> LinearProblem:
        """The engine's form of the design."""
        design = self.design
        return linear_problem(self.y, design.X, design.random, design.weights, design.offset)

    @cached_property
    def parameter_covariance(self) -> ParameterCovariance:
        """Covariance of the variance parameters, and what the covariance of beta owes to them."""
        e = self.estimates
        return parameter_covariance(self.problem, e.theta, e.sigma, e.REML, self.y)

    @property
    def covariance_root(self) -> FloatArray:
        """A with ``Cov(beta) = A'A``, shape (p, p): better known contrasts keep their digits in it."""
        e = self.estimates
        return covariance_root(self.problem, e.theta, e.sigma, e.REML, self.y)

    @cached_property
    def expected_information(self) -> ExpectedInformation:
        """What the expected information about the variances is made of, for Kenward and Roger's method."""
        return expected_information(self.problem, self.estimates.theta)

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.estimates.beta

    @property
    def spherical(self) -> tuple[FloatArray, ...]:
        """Spherical random effects by term, each (q, S)."""
        return self.estimates.u

    @property
    def theta_values(self) -> FloatArray:
        """Covariance parameters, shape (k,)."""
        return self.estimates.theta

    @property
    def npar(self) -> int:
        """Number of fixed effects and covariance parameters, sigma included."""
        return len(self.beta) + len(self.theta_values) + 1

    @property
    def unscaled_vcov(self) -> FloatArray:
        """``(R_X' R_X)^-1``, shape (p, p)."""
        return self.estimates.unscaled_vcov

    @property
    def random_scale(self) -> float:
        """Sigma: theta is relative to it."""
        return self.estimates.sigma

    @property
    def residual_sd(self) -> float | None:
        """Sigma."""
        return self.estimates.sigma

    @property
    def mean(self) -> FloatArray:
        """Fitted values at the rows used, shape (n,)."""
        return self.linear_predictor

    @property
    def row_information(self) -> FloatArray:
        """Prior weights."""
        return self.prior_weights

    def sigma(self) -> float:
        """Return the residual standard deviation."""
        return self.estimates.sigma

    def _fixed_covariance(self) -> FloatArray:
        return self.estimates.sigma**2 * self.estimates.unscaled_vcov

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        relative = conditional_covariances(self.problem, self.theta_values)
        return tuple(self.estimates.sigma**2 * V for V in relative)

    def _raw_residuals(self, type: ResidualType) -> FloatArray:
        difference = self.y - self.mean
        return difference if type in ("response", "working") else np.sqrt(self.prior_weights) * difference

    def convergence(self) -> ConvergenceReport:
        """Return the verdict on the fit, with its reasons."""
        return self.estimates.convergence

    @property
    def optimization(self) -> OptimizationReport:
        """How the optimum was found: evaluations, seconds, gradient norm, path."""
        return self.estimates.optimization

    @property
    def factorization(self) -> Printed:
        """The blocks of the factorization and how each is handled, as a table."""
        return Printed(self.problem.description())

    @property
    def is_reml(self) -> bool:
        """Whether the model was fitted by REML."""
        return self.estimates.REML

    def loglik(self) -> float:
        """Return the log-likelihood; for a REML fit, minus half the REML criterion."""
        return -0.5 * self.estimates.objective
