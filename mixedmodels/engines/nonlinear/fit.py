"""Fit a nonlinear mixed model by Laplace's approximation or quadrature: start, search, polish, judge."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.quadrature_grid import quadrature_grid
from mixedmodels.engines.nonlinear.coordinates import coordinates_around, theta_scales
from mixedmodels.engines.nonlinear.estimates import NonlinearEstimates
from mixedmodels.engines.nonlinear.laplace import Evaluation, evaluate, fixed_information
from mixedmodels.engines.nonlinear.mode import at_effects
from mixedmodels.engines.nonlinear.objective import Objective
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.engines.nonlinear.search import FIRST_SIZES, search, sized
from mixedmodels.engines.nonlinear.verdict import end_of_search, judged
from mixedmodels.errors import ConvergenceError
from mixedmodels.optimization.minimum import Minimum
from mixedmodels.optimization.report import OptimizationReport


def fit_nonlinear(
    problem: NonlinearProblem,
    beta: FloatArray,
    theta: FloatArray | None = None,
    *,
    nAGQ: int = 1,
    observed: bool = False,
    u: tuple[FloatArray, ...] | None = None,
) -> NonlinearEstimates:
    """Fit by maximum likelihood.

    Parameters
    ----------
    problem : NonlinearProblem
        The problem.
    beta : ndarray, shape (p,)
        Fixed effects to begin from.
    theta : ndarray, shape (k,), optional
        Covariance parameters to begin from; by default effects of the size of the residuals.
    nAGQ : int
        Nodes of quadrature in each dimension; 1 is Laplace's approximation.
    observed : bool
        Whether Laplace's approximation takes the exact curvature.
    u : tuple of ndarray, optional
        Spherical random effects to begin from.

    Raises
    ------
    ConvergenceError
        If the objective does not exist where the search begins.
    """
    began = time.perf_counter()
    first = _first_evaluation(problem, beta, theta, problem.by_cluster(u) if u else np.zeros(problem.shape))
    objective = Objective(problem, coordinates_around(problem, first), observed, u=first.mode.u)
    found = search(objective, objective.coordinates.at(first.theta, first.beta))
    if nAGQ > 1:
        objective, found = _by_quadrature(objective, found, nAGQ)
    end = end_of_search(objective, found)
    at = objective.evaluation(objective.coordinates.theta(end.x), objective.coordinates.beta(end.x))
    report = OptimizationReport(
        "BFGS",
        objective.n_evaluations,
        time.perf_counter() - began,
        float(np.abs(end.scaled_gradient).max(initial=0.0)),
        found.path,
        objective.coordinates.parameters,
        found.message,
    )
    sigma = math.sqrt(at.pwrss / problem.n) if objective.grid is None else math.exp(float(end.x[-1]))
    known = len(at.theta) + len(at.beta)
    return NonlinearEstimates(
        theta=at.theta,
        beta=at.beta,
        u=problem.by_term(at.mode.u),
        sigma=sigma,
        objective=end.objective,
        method="laplace",
        nAGQ=nAGQ,
        REML=False,
        observed=observed,
        unscaled_vcov=np.asarray(np.linalg.pinv(fixed_information(problem, at), hermitian=True)),
        covariance=None if end.covariance is None else end.covariance[:known, :known],
        optimization=report,
        convergence=judged(problem, at.theta, end, found.message),
    )


def _first_evaluation(
    problem: NonlinearProblem, beta: FloatArray, theta: FloatArray | None, u: FloatArray
) -> Evaluation:
    """Return the objective where the search begins.

    Raises
    ------
    ConvergenceError
        If it exists nowhere there.
    """
    if theta is not None:
        return evaluate(problem, theta, beta, u)
    identity = np.eye(problem.Z.shape[1])
    at = at_effects(problem, identity, problem.fixed_part(beta), np.zeros(problem.shape))
    scales = theta_scales(problem, np.where(np.isfinite(at.rows.Zeta), at.rows.Zeta, 0.0), problem.weights)
    for size in FIRST_SIZES:
        try:
            return evaluate(problem, sized(problem, size * scales), beta, np.zeros(problem.shape))
        except (ConvergenceError, np.linalg.LinAlgError) as error:
            failed = error
    raise ConvergenceError(str(failed))


def _by_quadrature(objective: Objective, found: Minimum, nAGQ: int) -> tuple[Objective, Minimum]:
    """Return the objective of quadrature and its optimum, from that of Laplace's approximation."""
    problem, coordinates = objective.problem, objective.coordinates
    at = objective.evaluation(coordinates.theta(found.x), coordinates.beta(found.x))
    nearer = replace(coordinates_around(problem, at), scales=coordinates.scales)
    exact = Objective(problem, nearer, grid=quadrature_grid(nAGQ, problem.shape[1]), u=at.mode.u)
    log_sigma = 0.5 * math.log(at.pwrss / problem.n)
    return exact, search(exact, np.append(nearer.at(at.theta, at.beta), log_sigma))
