"""A model with random effects and structured residuals as an ordinary linear mixed model of whitened rows.

With L_i the Cholesky factor of the residual covariance of group i over sigma^2, the rows ``L_i^-1 [X Z y]``
have independent residuals of one variance. Where residual groups are nested in the levels of the random
effects each of them still belongs to one level, and everything about a linear mixed model holds as it is.
Where they are not, :mod:`mixedmodels.engines.residual.crossed` has the equations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import LinearSolution, solve
from mixedmodels.engines.residual.cells import row_covariances
from mixedmodels.engines.residual.crossed_estimates import crossed_solution
from mixedmodels.engines.residual.estimates import ResidualEstimates
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.formula.design.design import Design, RandomTerm
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StructuredMixedEstimates:
    """Estimates of a linear mixed model with structured residuals.

    Attributes
    ----------
    residual : ResidualEstimates
        Covariance parameters, criterion, verdict.
    solution : LinearSolution
        Fixed and random effects, from whitened rows.
    """

    residual: ResidualEstimates
    solution: LinearSolution

    @property
    def theta(self) -> FloatArray:
        """Covariance parameters of the random effects, shape (k,)."""
        return self.residual.parameters.theta

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.solution.beta

    @property
    def u(self) -> tuple[FloatArray, ...]:
        """Spherical random effects by term, each (q, S)."""
        return self.solution.u

    @property
    def optimization(self) -> OptimizationReport:
        """How the optimum was found."""
        return self.residual.optimization

    @property
    def convergence(self) -> ConvergenceReport:
        """The verdict."""
        return self.residual.convergence


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WhitenedRows:
    """Rows of a design times the inverse Cholesky factor of the residual covariance.

    Attributes
    ----------
    y : ndarray, shape (n,)
        Response less offset.
    X : ndarray, shape (n, p)
        Fixed effects.
    terms : tuple of RandomTerm
        Random-effects terms.
    """

    y: FloatArray
    X: FloatArray
    terms: tuple[RandomTerm, ...]


def whitened_rows(problem: ResidualProblem, free: FloatArray, design: Design, y: FloatArray) -> WhitenedRows:
    """Return the whitened rows of a design, those of weight zero left out.

    Parameters
    ----------
    problem : ResidualProblem
        The problem.
    free : ndarray, shape (k,)
        Covariance parameters in optimiser coordinates.
    design : Design
        The design.
    y : ndarray, shape (n,)
        Response.
    """
    kept, p = problem.kept, design.X.shape[1]
    response = (y if design.offset is None else y - design.offset)[kept]
    rows = np.column_stack([response, design.X[kept], *(term.Z[kept] for term in design.random)])
    white = row_covariances(problem, free).whitened(problem.root_weights[:, None] * rows)
    terms, at = [], 1 + p
    for term in design.random:
        terms.append(replace(term, Z=white[:, at : at + term.size], codes=term.codes[kept]))
        at += term.size
    return WhitenedRows(white[:, 0], white[:, 1 : 1 + p], tuple(terms))


def whitened_problem(rows: WhitenedRows) -> LinearProblem:
    """Return the linear mixed model of whitened rows."""
    return linear_problem(rows.y, rows.X, rows.terms)


def linear_form(
    problem: ResidualProblem, free: FloatArray, design: Design, y: FloatArray
) -> LinearProblem | None:
    """Return the linear mixed model of whitened rows, None where a residual group has several levels."""
    return None if problem.crossed is not None else whitened_problem(whitened_rows(problem, free, design, y))


def solved(
    problem: ResidualProblem, linear: LinearProblem | None, estimates: ResidualEstimates
) -> StructuredMixedEstimates:
    """Return fixed and random effects at the estimates, with the criterion of the rows as they were."""
    if linear is None:
        return StructuredMixedEstimates(estimates, crossed_solution(problem, estimates))
    solution = solve(linear, estimates.parameters.theta, estimates.REML)
    return StructuredMixedEstimates(estimates, replace(solution, objective=estimates.objective))
