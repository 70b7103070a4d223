"""Estimates of a like problem in one Newton step from those of a fit."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import LinearSolution, objective_and_gradient, solve
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.optimization.canonical import canonical


def one_step(
    problem: LinearProblem, theta: FloatArray, covariance: FloatArray, REML: bool
) -> tuple[FloatArray, LinearSolution]:
    """Return theta after one step, and the estimates that follow from it.

    Fixed effects and sigma are exact given that theta.

    Parameters
    ----------
    problem : LinearProblem
        The problem, most of whose rows are those of the fit.
    theta : ndarray, shape (k,)
        Covariance parameters of the fit.
    covariance : ndarray, shape (k, k)
        Their covariance there, zero for those that stay as they are.
    REML : bool
        Which criterion.
    """
    _, gradient = objective_and_gradient(problem, theta, REML)
    # The Hessian of -2 log-likelihood is twice the inverse of the covariance.
    moved = theta - 0.5 * covariance @ gradient
    theta = canonical(problem.terms, np.where(boundaries(problem.terms), np.maximum(moved, 0.0), moved))
    return theta, solve(problem, theta, REML)
