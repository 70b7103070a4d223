"""The fit of a linear mixed model: arrays and the engine's form of the design."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.arrays import FloatArray, ones_view
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import LinearSolution
from mixedmodels.fits.call import Call
from mixedmodels.fits.family_quantities import ResidualType
from mixedmodels.fits.linear_equations import LinearEquationsFit
from mixedmodels.formula.design.design import Design

with on_first_use():
    from mixedmodels.engines.linear import expected_information, parameter_covariance

if TYPE_CHECKING:
    from mixedmodels.engines.linear.expected_information import ExpectedInformation
    from mixedmodels.engines.linear.parameter_covariance import ParameterCovariance
    from mixedmodels.fits.summed_design import SummedDesign


class LinearFit(LinearEquationsFit):
    """A linear mixed model, fitted; parameters as for :class:`mixedmodels.LinearMixedModel`."""

    estimates: LinearEstimates
    #: Where the fit was to sums over the rows: these sums.
    summed: SummedDesign | None = None

    def __init__(
        self,
        design: Design,
        y: FloatArray,
        call: Call,
        data: Any,
        estimates: LinearEstimates,
        problem: LinearProblem | None = None,
    ) -> None:
        # Ones take no memory: 10 million rows of them would be as much as the response.
        weights = ones_view(len(y)) if design.weights is None else design.weights
        super().__init__(design, y, weights, call, data)
        self.estimates = estimates
        if problem is not None:
            self.problem = problem

    @cached_property
    def problem(self) -> LinearProblem:
        """The engine's form of the design."""
        design = self.design
        return linear_problem(self.y, design.fixed, design.random, design.weights, design.offset)

    @cached_property
    def parameter_covariance(self) -> ParameterCovariance:
        """Covariance of the variance parameters, and what the covariance of beta owes to them."""
        e = self.estimates
        return parameter_covariance.parameter_covariance(
            self.problem, e.theta, e.solution.sigma, e.REML, self.y
        )

    @property
    def covariance_root(self) -> FloatArray:
        """A with ``Cov(beta) = A'A``, shape (p, p): better known contrasts keep their digits in it."""
        e = self.estimates
        return parameter_covariance.covariance_root(self.problem, e.theta, e.solution.sigma, e.REML, self.y)

    @cached_property
    def expected_information(self) -> ExpectedInformation:
        """What the expected information about the variances is made of, for Kenward and Roger's method."""
        products = None if self.summed is None else self.summed.random_products()
        return expected_information.expected_information(self.problem, self.estimates.theta, products)

    @property
    def solution(self) -> LinearSolution:
        """What follows from theta."""
        return self.estimates.solution

    @property
    def mean(self) -> FloatArray:
        """Fitted values at the rows used, shape (n,)."""
        return self.linear_predictor

    @property
    def row_information(self) -> FloatArray:
        """Prior weights."""
        return self.prior_weights

    def _raw_residuals(self, type: ResidualType) -> FloatArray:
        difference = self.y - self.mean
        return difference if type in ("response", "working") else np.sqrt(self.prior_weights) * difference

    @property
    def is_reml(self) -> bool:
        """Whether the model was fitted by REML."""
        return self.estimates.REML

    def loglik(self) -> float:
        """Return the log-likelihood; for a REML fit, minus half the REML criterion."""
        return -0.5 * self.estimates.solution.objective
