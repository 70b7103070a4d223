"""Fit such a model by Laplace's approximation or quadrature: start, search, polish, judge."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.quadrature_grid import quadrature_grid
from mixedmodels.engines.generalized.verdict import IRREGULAR
from mixedmodels.engines.nonlinear.coordinates import Coordinates, directions, theta_scales
from mixedmodels.engines.nonlinear.search import FIRST_SIZES, search, sized
from mixedmodels.engines.nonlinear.verdict import End, end_of_search, judged
from mixedmodels.engines.nonlinear_family.estimates import NonlinearFamilyEstimates
from mixedmodels.engines.nonlinear_family.laplace import (
    Evaluation,
    evaluate,
    fixed_information,
    smallest_curvature,
)
from mixedmodels.engines.nonlinear_family.mode import Place, at_effects
from mixedmodels.engines.nonlinear_family.objective import Objective
from mixedmodels.engines.nonlinear_family.problem import FamilyProblem
from mixedmodels.errors import ConvergenceError
from mixedmodels.optimization.minimum import Minimum
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport


def fit_nonlinear_family(
    problem: FamilyProblem,
    beta: FloatArray,
    theta: FloatArray | None = None,
    phi: FloatArray | None = None,
    *,
    nAGQ: int = 1,
) -> NonlinearFamilyEstimates:
    """Fit by maximum likelihood.

    Parameters
    ----------
    problem : FamilyProblem
        The problem.
    beta : ndarray, shape (p,)
        Fixed effects to begin from.
    theta : ndarray, shape (k,), optional
        Covariance parameters to begin from; by default effects of the size of the residuals.
    phi : ndarray, shape (n_phi,), optional
        Parameters of the family to begin from; by default moment estimates at the start.
    nAGQ : int
        Nodes of quadrature in each dimension; 1 is Laplace's approximation.

    Raises
    ------
    ConvergenceError
        If the objective does not exist where the search begins.
    """
    began = time.perf_counter()
    first = _first_evaluation(problem, beta, theta, phi)
    objective, x = _around(problem, first)
    found = search(objective, x)
    if nAGQ > 1:
        objective, found = _by_quadrature(objective, found, nAGQ)
    end = end_of_search(objective, found)
    at = objective.evaluation(end.x)
    report = OptimizationReport(
        "BFGS",
        objective.n_evaluations,
        time.perf_counter() - began,
        float(np.abs(end.scaled_gradient).max(initial=0.0)),
        found.path,
        objective.parameters,
        found.message,
    )
    return NonlinearFamilyEstimates(
        theta=at.theta,
        beta=at.place.beta,
        phi=at.place.phi,
        u=problem.rows.by_term(at.mode.u),
        eta=at.mode.eta,
        objective=end.objective,
        nAGQ=nAGQ,
        observed=problem.observed,
        vcov_rx=_rx(problem, at),
        covariance=_covariance(objective, end, at),
        optimization=report,
        convergence=_judged(problem, at, end, found.message),
    )


def _around(problem: FamilyProblem, at: Evaluation) -> tuple[Objective, FloatArray]:
    """Return the objective in coordinates around an evaluation, and the coordinates of that."""
    rows, mode = problem.rows, at.mode
    known = np.maximum(mode.terms.information, 0.0)
    scales = theta_scales(rows, mode.Zeta, known)
    coordinates = Coordinates(rows, scales, at.place.beta, directions(fixed_information(problem, at, known)))
    objective = Objective(problem, coordinates, math.sqrt(2.0 / max(rows.n, 1)), mode.u)
    return objective, objective.at(at.theta, at.place.beta, at.place.phi)


def _first_evaluation(
    problem: FamilyProblem, beta: FloatArray, theta: FloatArray | None, phi: FloatArray | None
) -> Evaluation:
    """Return the objective where the search begins.

    Raises
    ------
    ConvergenceError
        If it exists nowhere there.
    """
    rows, nothing = problem.rows, np.zeros(problem.rows.shape)
    fixed = rows.fixed_part(beta)
    if phi is None:
        mu = problem.family.link.inverse(rows.mean.value(fixed))
        phi = problem.family.start_phi(rows.y, mu, rows.weights)
    if theta is not None:
        return evaluate(problem, theta, beta, phi, nothing)
    at = at_effects(problem, Place(np.eye(rows.Z.shape[1]), beta, fixed, phi), nothing)
    Zeta = np.where(np.isfinite(at.Zeta), at.Zeta, 0.0)
    scales = theta_scales(rows, Zeta, np.maximum(at.terms.information, 0.0))
    for size in FIRST_SIZES:
        try:
            return evaluate(problem, sized(rows, size * scales), beta, phi, nothing)
        except (ConvergenceError, np.linalg.LinAlgError) as error:
            failed = error
    raise ConvergenceError(str(failed))


def _by_quadrature(objective: Objective, found: Minimum, nAGQ: int) -> tuple[Objective, Minimum]:
    """Return the objective of quadrature and its optimum, from that of Laplace's approximation."""
    problem = objective.problem
    exact, x = _around(problem, objective.evaluation(found.x))
    exact.grid = quadrature_grid(nAGQ, problem.rows.shape[1])
    return exact, search(exact, x)


def _rx(problem: FamilyProblem, at: Evaluation) -> FloatArray:
    """Return the covariance of beta of the model linear around the mode, theta and phi as known, (p, p)."""
    W = at.mode.terms.information
    for information in (W, np.maximum(W, 0.0)):
        found = fixed_information(problem, at, information)
        if np.linalg.eigvalsh(found)[0] > 0.0:
            break
    return np.asarray(np.linalg.pinv(found, hermitian=True))


def _covariance(objective: Objective, end: End, at: Evaluation) -> FloatArray | None:
    """Return the covariance of (theta, beta, phi)."""
    if end.covariance is None:
        return None
    known = len(at.theta) + len(at.place.beta)
    natural = objective.problem.family.phi_natural_derivative(at.place.phi) * objective.phi_scale
    units = np.concatenate([np.ones(known), natural])
    return np.asarray(units[:, None] * end.covariance * units)


def _judged(problem: FamilyProblem, at: Evaluation, end: End, message: str) -> ConvergenceReport:
    """Return the verdict on the end of a search."""
    report = judged(problem.rows, at.theta, end, message, problem.family.phi_names)
    if problem.observed and smallest_curvature(at) <= IRREGULAR:
        why = (
            "The likelihood has hardly any curvature at the mode of the random effects, where Laplace's "
            "approximation says nothing: fit with hessian='expected', or take random effects out."
        )
        return replace(report, verdict="not converged", reasons=(why, *report.reasons))
    limits = problem.family.phi_limits(at.place.phi)
    if not limits or report.verdict == "not converged":
        return report
    return replace(report, verdict="boundary", reasons=(*limits, *report.reasons))
