"""Variance functions of fitted values: fit, put the new fitted values in, fit again, as nlme does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.least_squares import fit_least_squares
from mixedmodels.engines.residual.estimates import ResidualEstimates
from mixedmodels.engines.residual.fit import fit_residual
from mixedmodels.engines.residual.model import ResidualRows
from mixedmodels.engines.residual.problem import ResidualProblem, residual_problem
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.optimization.report import ConvergenceReport

#: Rounds after which fitted values and variances have not settled.
MAX_ROUNDS = 50
#: Largest change of a free coordinate, of its size where that is above 1, that further rounds may still bring
#: where they have settled: nothing to a standard error. Changes fall by the same factor from round to round.
SETTLED = 1e-7


def fit_rows(
    y: FloatArray,
    X: FloatArray,
    rows_at: Callable[[FloatArray | None], ResidualRows],
    uses_fitted: bool,
    REML: bool,
    terms: Sequence[RandomTerm] = (),
    weights: FloatArray | None = None,
    offset: FloatArray | None = None,
    fitted_at: Callable[[ResidualProblem, ResidualEstimates], FloatArray] | None = None,
) -> tuple[ResidualProblem, ResidualEstimates]:
    """Fit a model with structured residuals, its variances going by the fitted values where that is asked.

    Parameters
    ----------
    y, X, terms, weights, offset
        As for :func:`~mixedmodels.engines.residual.problem.residual_problem`.
    rows_at : callable
        Residual groups and variance functions at fitted values (n,), or without them.
    uses_fitted : bool
        Whether a variance function is one of the fitted values.
    REML : bool
        Which criterion.
    fitted_at : callable, optional
        Fitted values of a fit with random effects; by default those of the fixed effects.
    """

    def problem_at(fitted: FloatArray | None) -> ResidualProblem:
        return residual_problem(y, X, rows_at(fitted), terms, weights, offset)

    if not uses_fitted:
        problem = problem_at(None)
        return problem, fit_residual(problem, REML)
    known = 0.0 if offset is None else offset
    fitted_of = (lambda _, found: X @ found.beta + known) if fitted_at is None else fitted_at
    fitted = fit_least_squares(y, X, np.ones(len(y)) if weights is None else weights, offset).fitted
    problem = problem_at(fitted)
    estimates, before = fit_residual(problem, REML), 0.0
    for _ in range(MAX_ROUNDS):
        # The design is the same from round to round: what was found of it is kept.
        problem = problem.with_columns(rows_at(fitted_of(problem, estimates)).take(problem.kept).columns)
        again = fit_residual(problem, REML, estimates.parameters)
        change = np.abs(again.free - estimates.free) / np.maximum(1.0, np.abs(again.free))
        moved = float(change.max(initial=0.0))
        estimates = again
        if moved < SETTLED or moved**2 < SETTLED * (before - moved):
            return problem, estimates
        before = moved
    reason = "Fitted values and the variances that go by them have not settled."
    verdict = ConvergenceReport("not converged", estimates.convergence.decrement, (reason,))
    return problem, replace(estimates, convergence=verdict)
