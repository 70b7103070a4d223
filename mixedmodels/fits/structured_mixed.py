"""The fit of a linear mixed model with structured residuals: arrays and the engine's forms of the design."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import LinearSolution
from mixedmodels.engines.residual.batches import clusters_of_rows
from mixedmodels.engines.residual.crossed_estimates import (
    crossed_conditional_covariances,
    description,
    precision_matrix,
)
from mixedmodels.engines.residual.estimates import ResidualEstimates
from mixedmodels.engines.residual.problem import ResidualProblem, residual_problem
from mixedmodels.engines.residual.whitened import (
    StructuredMixedEstimates,
    WhitenedRows,
    whitened_problem,
    whitened_rows,
)
from mixedmodels.fits.call import Call
from mixedmodels.fits.joint_covariance import JointCovariance, covariance_of_problem
from mixedmodels.fits.linear_equations import LinearEquationsFit
from mixedmodels.fits.mixed_model_equations import JointSystem, joint_system, joint_system_of_precision
from mixedmodels.fits.structured import StructuredResiduals, residual_rows
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.theta import term_factors
from mixedmodels.reports.printed import Printed

#: Rows that belong together up to which their covariance matrix is formed: its factor takes a second.
MOST_ROWS = 3000


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
    def tied_problem(self) -> ResidualProblem | None:
        """That form with random effects in its clusters; None where these have too many rows for matrices."""
        problem = self.residual_problem
        if problem.has_matrices:
            return problem
        design = self.design
        if int(np.bincount(clusters_of_rows(problem.rows.codes, problem.model.terms)).max()) > MOST_ROWS:
            return None
        rows = residual_rows(design, self.mean)
        return residual_problem(
            self.y, design.X, rows, design.random, design.weights, design.offset, is_crossed=False
        )

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

    @property
    def factorization(self) -> Printed:
        """The blocks of the factorization and how each is handled, as a table."""
        if self.is_crossed:
            return Printed(description(self.residual_problem, self.random))
        return super().factorization

    @property
    def is_crossed(self) -> bool:
        """Whether a residual group has several levels of a random effect, or these are crossed."""
        return self.residual_problem.crossed is not None

    @cached_property
    def joint_covariance(self) -> JointCovariance | None:
        """The joint covariance of (b, beta) over sigma^2, entry by entry; None where it is solved for."""
        return None if self.is_crossed else covariance_of_problem(self.problem, self.theta_values)

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        if not self.is_crossed:
            return super()._conditional_covariances()
        relative = crossed_conditional_covariances(
            self.residual_problem, self.residual_estimates.free, term_factors(self.random, self.theta_values)
        )
        return tuple(self.sigma() ** 2 * V for V in relative)

    def joint_system(self) -> JointSystem:
        """Return the factorized mixed-model equations of whitened rows at the estimates."""
        if self.is_crossed:
            problem, free = self.residual_problem, self.residual_estimates.free
            terms = tuple(
                replace(term, Z=term.Z[problem.kept], codes=term.codes[problem.kept]) for term in self.random
            )
            P = precision_matrix(problem, free)
            root = sparse.diags_array(problem.root_weights)
            X = self.design.X[problem.kept]
            return joint_system_of_precision(X, terms, self.theta_values, root @ P @ root)
        rows = self.whitened_rows
        return joint_system(rows.X, rows.terms, self.theta_values, np.ones(len(rows.y)))
