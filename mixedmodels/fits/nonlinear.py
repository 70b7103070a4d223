"""The fit of a nonlinear mixed model: the linear one around its estimates, with the exact mean beside."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import LinearSolution, solve
from mixedmodels.engines.nonlinear.estimates import NonlinearEstimates
from mixedmodels.engines.nonlinear.linearised import LinearisedRows, linearised
from mixedmodels.engines.nonlinear.problem import NonlinearProblem, nonlinear_problem
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.call import Call
from mixedmodels.fits.family_quantities import ResidualType
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.linear_equations import LinearEquationsFit
from mixedmodels.fits.linear_predictor import random_effects
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.formula.design.nonlinear import NonlinearDesign


def refuse_nonlinear(fit: Fit, what: str) -> None:
    """Raise NotAvailableError where something is defined by a linear predictor, which a fit has not."""
    if isinstance(fit, CurveFit):
        raise NotAvailableError(
            f"{what} is about a linear predictor, which a nonlinear mixed model does not have. Compare fits "
            "of nlmer() with anova(), test parameters with linear_hypothesis(), draw curves with predict()."
        )


def rows_problem(nonlinear: NonlinearDesign, y: FloatArray, weights: FloatArray | None) -> NonlinearProblem:
    """Return the engine's form of a nonlinear design with a response and its prior weights."""
    design = nonlinear.design
    return nonlinear_problem(
        y, nonlinear.mean, design.X, nonlinear.fixed_parameter, design.random,
        nonlinear.random_parameter, weights,
    )  # fmt: skip


def problem_of(nonlinear: NonlinearDesign, y: FloatArray) -> NonlinearProblem:
    """Return the engine's form of a nonlinear design with a response."""
    return rows_problem(nonlinear, y, nonlinear.design.weights)


class CurveFit(MixedFit):
    """A mixed model whose predictor is a curve: a nonlinear function of parameters with random effects."""

    nonlinear: NonlinearDesign


class NonlinearFit(CurveFit, LinearEquationsFit):
    """A nonlinear mixed model, fitted; parameters as for :class:`mixedmodels.NonlinearMixedModel`.

    ``design`` is that of the linear model around the estimates: X and Z are derivatives of the mean in fixed
    and random effects. What is said of covariances and leverages is said of that model.
    """

    estimates: NonlinearEstimates

    def __init__(
        self, nonlinear: NonlinearDesign, y: FloatArray, call: Call, data: Any, estimates: NonlinearEstimates
    ) -> None:
        design, e = nonlinear.design, estimates
        b = random_effects(design.random, e.theta, e.u)
        rows = linearised(problem_of(nonlinear, y), e.beta, b)
        weights = np.ones(len(y)) if design.weights is None else design.weights
        super().__init__(rows.of(design), y, weights, call, data)
        self.nonlinear = nonlinear
        self.estimates = estimates
        self.linearised: LinearisedRows = rows

    @cached_property
    def problem(self) -> LinearProblem:
        """The linear model around the estimates."""
        rows = self.linearised
        return linear_problem(rows.y, rows.X, rows.terms, self.design.weights)

    @property
    def solution(self) -> LinearSolution:
        """What the linear model around the estimates says at theta."""
        return solve(self.problem, self.theta_values, self.is_reml)

    @property
    def mean(self) -> FloatArray:
        """Fitted values at the rows used, shape (n,)."""
        return self.linearised.mu

    @property
    def linear_predictor(self) -> FloatArray:
        """The mean: there is no link."""
        return self.linearised.mu

    @property
    def row_information(self) -> FloatArray:
        """Prior weights."""
        return self.prior_weights

    @property
    def unscaled_vcov(self) -> FloatArray:
        """``(R_X' R_X)^-1`` of the linear model around the estimates, shape (p, p)."""
        return self.estimates.unscaled_vcov

    def sigma(self) -> float:
        """Return the residual standard deviation."""
        return self.estimates.sigma

    def _fixed_covariance(self) -> FloatArray:
        """Return that from the Hessian of the likelihood, where there is one."""
        covariance, k = self.estimates.covariance, len(self.theta_values)
        return self.sigma() ** 2 * self.unscaled_vcov if covariance is None else covariance[k:, k:]

    def _raw_residuals(self, type: ResidualType) -> FloatArray:
        difference = self.y - self.mean
        return difference if type in ("response", "working") else np.sqrt(self.prior_weights) * difference

    @property
    def is_reml(self) -> bool:
        """Whether the REML criterion was taken."""
        return self.estimates.REML

    @property
    def approximation(self) -> str:
        """Arguments that chose how the likelihood is approximated."""
        e = self.estimates
        if e.method == "lindstrom-bates":
            return "method='lindstrom-bates'"
        return f"nAGQ={e.nAGQ}, hessian={'observed' if e.observed else 'expected'!r}"

    def loglik(self) -> float:
        """Return the log-likelihood; for a REML fit, minus half the REML criterion."""
        return -0.5 * self.estimates.objective
