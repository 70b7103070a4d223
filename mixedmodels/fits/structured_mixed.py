"""The fit of a linear mixed model with structured residuals: arrays and the engine's forms of the design."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import LinearSolution
from mixedmodels.engines.residual.estimates import ResidualEstimates
from mixedmodels.engines.residual.problem import ResidualProblem, residual_problem
from mixedmodels.engines.residual.whitened import (
    StructuredMixedEstimates,
    WhitenedRows,
    whitened_problem,
    whitened_rows,
)
from mixedmodels.fits.call import Call
from mixedmodels.fits.linear_equations import LinearEquationsFit
from mixedmodels.fits.mixed_model_equations import JointSystem, joint_system
from mixedmodels.fits.structured import StructuredResiduals, residual_rows
from mixedmodels.formula.design.design import Design


class StructuredMixedFit(StructuredResiduals, LinearEquationsFit):
    """A linear mixed model with structured residuals, as :class:`StructuredLinearMixedModel` has them."""

    estimates: StructuredMixedEstimates

    def __init__(
        self,
        design: Design,
        y: FloatArray,
        call: Call,
        data: Any,
        estimates: StructuredMixedEstimates,
        residual_problem: ResidualProblem | None = None,
        problem: LinearProblem | None = None,
    ) -> None:
        weights = np.ones(len(y)) if design.weights is None else design.weights
        super().__init__(design, y, weights, call, data)
        self.estimates = estimates
        if residual_problem is not None:
            self.residual_problem = residual_problem
        if problem is not None:
            self.problem = problem

    @property
    def residual_estimates(self) -> ResidualEstimates:
        """What the engine of structured residuals found."""
        return self.estimates.residual

    @cached_property
    def residual_problem(self) -> ResidualProblem:
        """That engine's form of the design, fitted values in variance functions as they ended."""
        design = self.design
        rows = residual_rows(design, self.mean)
        return residual_problem(self.y, design.X, rows, design.random, design.weights, design.offset)

    @cached_property
    def problem(self) -> LinearProblem:
        """The linear mixed model of whitened rows."""
        return whitened_problem(self.whitened_rows)

    @property
    def whitened_rows(self) -> WhitenedRows:
        """Rows of the design times the inverse Cholesky factor of the residual covariance."""
        return whitened_rows(self.residual_problem, self.residual_estimates.free, self.design, self.y)

    @property
    def solution(self) -> LinearSolution:
        """What follows from the covariance parameters."""
        return self.estimates.solution

    @property
    def mean(self) -> FloatArray:
        """Fitted values at the rows used, shape (n,)."""
        return self.linear_predictor

    @property
    def row_information(self) -> FloatArray:
        """Prior weights over the squared relative standard deviations of the residuals."""
        return self.prior_weights / self.relative_sd**2

    @property
    def covariance_factor(self) -> float:
        """1: covariances are ``sigma^2 (X'V^-1 X)^-1``."""
        return 1.0

    def _fixed_covariance(self) -> FloatArray:
        return self.sigma() ** 2 * self.unscaled_vcov

    def joint_system(self) -> JointSystem:
        """Return the factorized mixed-model equations of whitened rows at the estimates."""
        rows = self.whitened_rows
        return joint_system(rows.X, rows.terms, self.theta_values, np.ones(len(rows.y)))
