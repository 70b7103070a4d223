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
from mixedmodels.engines.nonlinear.verdict import end_of_search, judged
from mixedmodels.errors import ConvergenceError
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.optimization.canonical import PROBE, canonical, is_saddle, with_exact_zeros
from mixedmodels.optimization.quasi_newton import Minimum, minimize
from mixedmodels.optimization.report import OptimizationReport

#: Sizes of random effects, in units of residuals: a search begins with the first that has a mode.
FIRST_SIZES = (1.0, 0.3, 0.1)
#: Decrease of the objective that ends a search: a Newton step with the exact Hessian follows.
TOLERANCE = 1e-10
#: Largest change of a coordinate in one step: they are in units of what the data tell.
MAX_STEP = 5.0
#: Searches that begin beside a variance left at zero though the objective falls away from it.
MAX_RESTARTS = 3
#: Decrease by which another search has found another optimum.
LOWER = 1e-6


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
    found = _search(objective, objective.coordinates.at(first.theta, first.beta))
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
        covariance=end.covariance,
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
    scales = theta_scales(problem, np.where(np.isfinite(at.Zeta), at.Zeta, 0.0))
    for size in FIRST_SIZES:
        try:
            return evaluate(problem, _sized(problem, size * scales), beta, np.zeros(problem.shape))
        except (ConvergenceError, np.linalg.LinAlgError) as error:
            failed = error
    raise ConvergenceError(str(failed))


def _sized(problem: NonlinearProblem, scales: FloatArray) -> FloatArray:
    """Return theta of uncorrelated effects of given sizes."""
    parts = []
    for term, part in zip(problem.terms, theta_slices(problem.terms), strict=True):
        start, bounds = term.structure.start(), np.array(term.structure.is_lower_bound(), dtype=bool)
        parts.append(np.where(bounds, start * scales[part], start))
    return np.concatenate([np.empty(0), *parts])


def _search(objective: Objective, start: FloatArray) -> Minimum:
    """Return the optimum from a start, variances that are as good as zero exactly zero."""
    found = _minimum(objective, start)
    for _ in range(MAX_RESTARTS):
        found = _with_exact_zeros(objective, found)
        beside = _beside_saddle(objective, found)
        if beside is None:
            break
        again = _minimum(objective, beside)
        if again.objective > found.objective - LOWER:
            break
        found = again
    return found


def _minimum(objective: Objective, start: FloatArray) -> Minimum:
    """Return where the quasi-Newton method leads from a start."""
    problem, n_theta = objective.problem, objective.coordinates.n_theta
    levels = np.concatenate([np.full(t.structure.n_theta, float(t.n_levels)) for t in problem.terms])
    variances = np.concatenate([0.25 / levels, np.full(len(start) - n_theta, 0.5)])
    return minimize(
        objective.value_and_gradient, start, np.diag(variances), tolerance=TOLERANCE, max_step=MAX_STEP
    )


def _moved(objective: Objective, found: Minimum, theta: FloatArray) -> FloatArray:
    """Return the coordinates of an optimum with another theta."""
    coordinates, x = objective.coordinates, found.x.copy()
    x[: coordinates.n_theta] = coordinates.at(theta, coordinates.origin)[: coordinates.n_theta]
    return x


def _with_exact_zeros(objective: Objective, found: Minimum) -> Minimum:
    """Return the optimum in canonical form, its nearly zero variances exactly zero."""
    coordinates, problem = objective.coordinates, objective.problem
    theta = canonical(problem.terms, coordinates.theta(found.x))
    theta, value = with_exact_zeros(
        lambda theta: objective.value(_moved(objective, found, theta)),
        problem.terms, theta, coordinates.scales, found.objective,
    )  # fmt: skip
    return replace(found, x=_moved(objective, found, theta), objective=value)


def _beside_saddle(objective: Objective, found: Minimum) -> FloatArray | None:
    """Return a start beside variances that are zero though the objective falls away from them, or None."""
    coordinates, terms = objective.coordinates, objective.problem.terms
    theta = coordinates.theta(found.x)
    bounds = np.concatenate([np.array(t.structure.is_lower_bound(), dtype=bool) for t in terms])
    zero = bounds & (theta == 0.0)
    if not zero.any():
        return None
    x = found.x.copy()
    x[: len(zero)] = np.where(zero, PROBE, x[: len(zero)])
    slope = objective.gradient(x)[: len(zero)] / coordinates.scales
    if not is_saddle(terms, theta, coordinates.scales, slope):
        return None
    x[: len(zero)] = np.where(zero, FIRST_SIZES[1], x[: len(zero)])
    return x


def _by_quadrature(objective: Objective, found: Minimum, nAGQ: int) -> tuple[Objective, Minimum]:
    """Return the objective of quadrature and its optimum, from that of Laplace's approximation."""
    problem, coordinates = objective.problem, objective.coordinates
    at = objective.evaluation(coordinates.theta(found.x), coordinates.beta(found.x))
    nearer = replace(coordinates_around(problem, at), scales=coordinates.scales)
    exact = Objective(problem, nearer, grid=quadrature_grid(nAGQ, problem.shape[1]), u=at.mode.u)
    log_sigma = 0.5 * math.log(at.pwrss / problem.n)
    return exact, _search(exact, np.append(nearer.at(at.theta, at.beta), log_sigma))
