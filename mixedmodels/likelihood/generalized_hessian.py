"""Covariance of the estimates from the Hessian of the objective that was minimised."""

from __future__ import annotations

import numpy as np
from numpy.linalg import LinAlgError

from mixedmodels.arrays import FloatArray
from mixedmodels.formula.design import RandomTerm
from mixedmodels.likelihood.estimates import GeneralizedEstimates
from mixedmodels.likelihood.generalized_objective import Evaluator
from mixedmodels.likelihood.generalized_problem import GeneralizedProblem, natural_to_psi, unpack
from mixedmodels.likelihood.term_basis import outer_theta

# Step of the central differences in units of a standard error: the truncation error is of order its square,
# the rounding error of an exact gradient over it.
STEP = 1e-3
# Bounds of a step relative to its parameter, for estimates of a standard error that make no sense.
SMALLEST_STEP, LARGEST_STEP = 1e-6, 1e-2


def vcov_hessian(problem: GeneralizedProblem, estimates: GeneralizedEstimates) -> FloatArray | None:
    """Return the covariance of (theta, beta, phi) from the Hessian of the objective.

    The Hessian of -2 log-likelihood comes from central differences of the exact gradient, with steps in
    proportion to the standard errors.

    Returns
    -------
    ndarray, shape (m, m), or None
        None where the Hessian is not positive definite: the estimates are then not all determined by the
        data. None for nAGQ = 0, which maximises no likelihood in beta. A parameter on the boundary has a
        covariance, but not a normal distribution.
    """
    if estimates.nAGQ == 0:
        return None
    hessian = objective_hessian(problem, estimates)
    try:
        half = np.linalg.inv(np.linalg.cholesky(hessian))
    except LinAlgError:
        return None
    covariance = 2.0 * half.T @ half
    J = natural_jacobian(problem, natural_to_psi(problem, natural_parameters(estimates)))
    return np.asarray(J @ covariance @ J.T)


def natural_parameters(estimates: GeneralizedEstimates) -> FloatArray:
    """Return (theta, beta, phi)."""
    return np.concatenate([estimates.theta, estimates.beta, estimates.phi])


def objective_hessian(problem: GeneralizedProblem, estimates: GeneralizedEstimates) -> FloatArray:
    """Return the Hessian of -2 log-likelihood in the optimiser's vector, shape (m, m)."""
    psi = natural_to_psi(problem, natural_parameters(estimates))
    evaluator = Evaluator(problem, estimates.nAGQ)
    evaluator.mode_at(psi)
    columns = []
    for k, size in enumerate(_step_sizes(estimates, psi)):
        shift = np.zeros_like(psi)
        shift[k] = size
        columns.append((evaluator(psi + shift)[1] - evaluator(psi - shift)[1]) / (2.0 * size))
    hessian = np.array(columns)
    return np.asarray(0.5 * (hessian + hessian.T))


def _step_sizes(estimates: GeneralizedEstimates, psi: FloatArray) -> FloatArray:
    """Return steps in proportion to the standard errors, as the quasi-Newton method knows them."""
    spread = np.sqrt(2.0 * np.maximum(np.diagonal(estimates.inverse_hessian), 0.0))
    base = np.maximum(np.abs(psi), 0.1)
    return np.clip(STEP * spread, SMALLEST_STEP * base, LARGEST_STEP * base)


def natural_jacobian(problem: GeneralizedProblem, psi: FloatArray) -> FloatArray:
    """Return d(theta, beta, phi) / d psi, shape (m, m)."""
    parameters = unpack(problem, psi)
    J = np.zeros((len(psi), len(psi)))
    start = 0
    for term, A in zip(problem.terms, problem.term_bases, strict=True):
        end = start + term.structure.n_theta
        J[start:end, start:end] = _theta_jacobian(term, A, psi[start:end])
        start = end
    end = start + problem.n_fixed
    J[start:end, start:end] = problem.unscale
    if problem.n_phi:
        J[end:, end:] = np.diag(problem.family.phi_natural_derivative(parameters.phi))
    return J


def _theta_jacobian(term: RandomTerm, A: FloatArray | None, free: FloatArray) -> FloatArray:
    """Return d theta / d free of one term; by central differences where the basis is not the user's."""
    units = np.eye(len(free))
    if A is None:
        return np.array([term.structure.free_pullback(free, unit) for unit in units])
    columns = []
    for unit, size in zip(units, 1e-6 * np.maximum(np.abs(free), 1e-2), strict=True):
        up, down = (outer_theta(term.structure, A, free + sign * size * unit)[0] for sign in (1.0, -1.0))
        columns.append((up - down) / (2.0 * size))
    return np.array(columns).T
