"""The fit of a nonlinear mixed model with structured residuals, linearised as nlme has it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.nonlinear.estimates import NonlinearEstimates
from mixedmodels.engines.nonlinear.lindstrom_bates import LinearStep
from mixedmodels.engines.nonlinear.linearised import LinearisedRows
from mixedmodels.engines.residual.estimates import ResidualEstimates
from mixedmodels.engines.residual.fit import fit_residual
from mixedmodels.engines.residual.problem import ResidualProblem, residual_problem
from mixedmodels.engines.residual.whitened import WhitenedRows, solved, whitened_problem, whitened_rows
from mixedmodels.fits.call import Call
from mixedmodels.fits.mixed_model_equations import JointSystem, joint_system
from mixedmodels.fits.nonlinear import NonlinearFit
from mixedmodels.fits.structured import StructuredResiduals, residual_rows
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.nonlinear import NonlinearDesign


class StructuredStep:
    """The linear step of the alternation with structured residuals, and what its last fit found.

    Parameters
    ----------
    design : Design
        The design, with what the residuals' correlation and variances are made of.
    REML : bool
        Which criterion.
    """

    def __init__(self, design: Design, REML: bool) -> None:
        self.design, self.REML = design, REML
        self.found: ResidualEstimates | None = None

    def __call__(self, rows: LinearisedRows, near: LinearStep | None, looks: bool) -> LinearStep:
        """Fit the linear model of linearised rows, from the covariance parameters of the last one."""
        problem = problem_of_rows(self.design, rows)
        start = None if self.found is None else self.found.parameters
        self.found = fit_residual(problem, self.REML, start)
        white = _whitened(self.design, rows, problem, self.found)
        s = solved(problem, whitened_problem(white), self.found).solution
        return LinearStep(
            self.found.parameters.theta, s.beta, s.u, s.sigma, self.found.objective, s.unscaled_vcov,
            self.found.optimization.n_evaluations, self.found.convergence,
        )  # fmt: skip


def problem_of_rows(design: Design, rows: LinearisedRows) -> ResidualProblem:
    """Return the problem of linearised rows, variances going by the mean where that is asked for."""
    return residual_problem(rows.y, rows.X, residual_rows(design, rows.mu), rows.terms, design.weights)


def _whitened(
    design: Design, rows: LinearisedRows, problem: ResidualProblem, found: ResidualEstimates
) -> WhitenedRows:
    """Return the linearised rows over the Cholesky factor of the residual covariance."""
    return whitened_rows(problem, found.free, rows.of(design), rows.y + rows.offset)


class StructuredNonlinearFit(StructuredResiduals, NonlinearFit):
    """A nonlinear mixed model with structured residuals, as nlme fits it."""

    def __init__(
        self,
        nonlinear: NonlinearDesign,
        y: FloatArray,
        call: Call,
        data: Any,
        estimates: NonlinearEstimates,
        residual: ResidualEstimates,
    ) -> None:
        super().__init__(nonlinear, y, call, data, estimates)
        self._residual = residual

    @property
    def residual_estimates(self) -> ResidualEstimates:
        """What the engine of structured residuals found of the linear model around the estimates."""
        return self._residual

    @cached_property
    def residual_problem(self) -> ResidualProblem:
        """That engine's form of the linear model."""
        return problem_of_rows(self.nonlinear.design, self.linearised)

    @property
    def whitened_rows(self) -> WhitenedRows:
        """Rows of the linear model over the Cholesky factor of the residual covariance."""
        return _whitened(self.nonlinear.design, self.linearised, self.residual_problem, self._residual)

    @cached_property
    def problem(self) -> LinearProblem:
        """The linear model of whitened rows."""
        return whitened_problem(self.whitened_rows)

    @property
    def row_information(self) -> FloatArray:
        """Prior weights over the squared relative standard deviations of the residuals."""
        return self.prior_weights / self.relative_sd**2

    @property
    def covariance_factor(self) -> float:
        """1: covariances are ``sigma^2 (X'V^-1 X)^-1``."""
        return 1.0

    def joint_system(self) -> JointSystem:
        """Return the factorized mixed-model equations of whitened rows at the estimates."""
        rows = self.whitened_rows
        return joint_system(rows.X, rows.terms, self.theta_values, np.ones(len(rows.y)))
