"""Covariance of the estimates from the Hessian of the objective that was minimised."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri

from mixedmodels.arrays import FloatArray
from mixedmodels.differences import curvature_columns, hessian_by_standard_errors
from mixedmodels.engines.column_basis import ColumnBasis, moved_theta
from mixedmodels.engines.generalized.crossed_hessian import crossed_hessian, is_crossed
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.fixed_hessian import fixed_hessian
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import Layout, parameter_layout
from mixedmodels.engines.generalized.problem import GeneralizedProblem, natural_to_psi
from mixedmodels.engines.generalized.start import WIDE
from mixedmodels.engines.generalized.tangent import TANGENT_STEP, tangent_gradient
from mixedmodels.engines.generalized.wide_hessian import wide_hessian
from mixedmodels.errors import ConvergenceError
from mixedmodels.factorization.threads import threads_for
from mixedmodels.formula.design.design import RandomTerm

# Eigenvalue of the Hessian scaled to unit diagonal below which a direction is flat: ten times the error of
# the differences.
FLAT = 1e-5
# Share of one over that which the inverse may have where surely no direction is flat.
STEEP = 0.1
# Largest share of a fixed effect in a flat direction that is error of the eigenvectors, and largest share of
# another parameter at which the data still determine it.
FIXED_SHARE, SHARE = 1e-2, 1e-3
# Fixed effects from which the Hessian by derivatives is faster than differences by the compiled loops over
# levels (measured).
MANY_FIXED = 10


def vcov_hessian(problem: GeneralizedProblem, estimates: GeneralizedEstimates) -> FloatArray | None:
    """Return the covariance of (theta, beta, phi) from the Hessian of the objective.

    The Hessian of -2 log-likelihood comes from central differences of the exact gradient, with steps in
    proportion to the standard errors.

    Returns
    -------
    ndarray, shape (m, m), or None
        None where the Hessian has a negative eigenvalue, the data do not determine the fixed effects or the
        range of the mean ends within the steps of the differences; NaN in the rows of covariance parameters
        they do not tell apart, such as two variances of one effect.
        None for nAGQ = 0, which maximises no likelihood in beta. A parameter on the boundary has a
        covariance, but not a normal distribution.
    """
    if estimates.nAGQ == 0:
        return None
    if estimates.hessian is not None:
        return natural_covariance(problem, estimates, estimates.hessian)
    with threads_for(problem.system.pattern.n_tail):
        try:
            hessian = objective_hessian(problem, estimates)
        except (ConvergenceError, np.linalg.LinAlgError):
            return None
    return natural_covariance(problem, estimates, hessian)


def natural_covariance(
    problem: GeneralizedProblem, estimates: GeneralizedEstimates, hessian: FloatArray
) -> FloatArray | None:
    """Return the covariance of (theta, beta, phi) that a Hessian gives; see :func:`vcov_hessian`."""
    k, p = problem.n_theta, problem.n_fixed
    inverse = determined_inverse(hessian, slice(k, k + p))
    if inverse is None:
        return None
    natural = natural_parameters(estimates)
    J = natural_jacobian(problem, natural if _is_linear(problem) else natural_to_psi(problem, natural))
    is_open = np.isnan(inverse.diagonal())
    if not is_open.any():
        return np.asarray(2.0 * J.dot(inverse).dot(J.T))
    covariance = 2.0 * J @ np.nan_to_num(inverse) @ J.T
    undetermined = is_open @ (J.T != 0.0) > 0
    covariance[undetermined] = np.nan
    covariance[:, undetermined] = np.nan
    return np.asarray(covariance)


def determined_inverse(hessian: FloatArray, fixed: slice) -> FloatArray | None:
    """Return the inverse of a Hessian over the directions that are not flat, shape (m, m).

    Inverting a direction along which the objective is constant would divide the error of the differences by
    another error and spread the quotient over all parameters. Parameters that move along such a direction
    get NaN.

    Returns
    -------
    ndarray or None
        None if the Hessian has a negative eigenvalue or a flat direction moves the `fixed` parameters.
    """
    diagonal = np.diagonal(hessian)
    if not (np.isfinite(hessian).all() and (diagonal[fixed] > 0.0).all()):
        return None
    scale = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    square = scale * scale[:, None]
    inverse = _steep_inverse(hessian / square)
    if inverse is not None:
        return np.asarray(inverse / square)
    values, vectors = np.linalg.eigh(hessian / square)
    flat = np.abs(values) < FLAT
    if (values[~flat] < 0.0).any() or (np.abs(vectors[fixed][:, flat]) > FIXED_SHARE).any():
        return None
    kept = vectors[:, ~flat]
    inverse = (kept / values[~flat]) @ kept.T / square
    undetermined = (np.abs(vectors[:, flat]) > SHARE).any(axis=1)
    undetermined[fixed] = False
    inverse[undetermined] = np.nan
    inverse[:, undetermined] = np.nan
    return np.asarray(inverse)


def _steep_inverse(scaled: FloatArray) -> FloatArray | None:
    """Return the inverse of a Hessian scaled to unit diagonal; None where a direction may be flat.

    No eigenvalue is smaller than one over the length of the inverse.
    """
    L, info = dpotrf(scaled, lower=1, clean=1)
    if info != 0 or not len(scaled):
        return None
    half, _ = dtrtri(L, lower=1)
    inverse = half.T.dot(half)
    return inverse if np.vdot(inverse, inverse) < (STEEP / FLAT) ** 2 else None


def natural_parameters(estimates: GeneralizedEstimates) -> FloatArray:
    """Return (theta, beta, phi)."""
    return np.concatenate([estimates.theta, estimates.beta, estimates.phi])


def objective_hessian(problem: GeneralizedProblem, estimates: GeneralizedEstimates) -> FloatArray:
    """Return the Hessian of -2 log-likelihood in the optimiser's vector, shape (m, m)."""
    psi = natural_to_psi(problem, natural_parameters(estimates))
    evaluator = Evaluator(problem, estimates.nAGQ)
    evaluator.begin_at(_modes(problem, estimates))
    return hessian_at(evaluator, psi, estimates.inverse_hessian)


def _modes(problem: GeneralizedProblem, estimates: GeneralizedEstimates) -> FloatArray | None:
    """Return the flat conditional modes at the estimates; None where the problem has columns of its own."""
    if any(basis is not None for basis in problem.column_bases):
        return None
    parts = [estimates.u[k].T.ravel() for block in problem.system.blocks for k in block.terms]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def hessian_at(evaluator: Evaluator, psi: FloatArray, inverse_hessian: FloatArray) -> FloatArray:
    """Return the Hessian, shape (m, m); NaN where the objective does not exist beside `psi`.

    That of the Laplace approximation is made of derivatives for one effect of each level and for two crossed
    random intercepts, and else in the fixed effects; the other columns, and those of quadrature, are central
    differences of the gradient, with the modes moved to first order.

    Parameters
    ----------
    evaluator : Evaluator
        The objective.
    psi : ndarray, shape (m,)
        Where.
    inverse_hessian : ndarray, shape (m, m)
        What the quasi-Newton method knows of its inverse; the steps are in proportion to standard errors.
    """
    problem, layout = evaluator.problem, parameter_layout(evaluator.problem)
    variances = 2.0 * np.diagonal(inverse_hessian)
    is_compiled = problem.by_level is not None
    try:
        exact = evaluator.exact_hessian(psi)
        if exact is not None:
            return exact
        if is_compiled and (evaluator.nAGQ > 1 or problem.n_fixed < MANY_FIXED):
            return evaluator.hessian_by_steps(psi, variances, layout.scale)
        mode = evaluator.mode_at(psi)
        exact = crossed_hessian(problem, mode) if evaluator.nAGQ == 1 and is_crossed(problem) else None
        if exact is not None:
            return exact
        gradient = tangent_gradient(problem, mode, evaluator.nAGQ)
        if evaluator.nAGQ > 1:
            return hessian_by_standard_errors(gradient, psi, variances, layout.scale, TANGENT_STEP)
        columns = curvature_columns(gradient, psi, variances, layout.scale, layout.outer, TANGENT_STEP)
        by_gamma = wide_hessian(problem, mode) if problem.n_fixed >= WIDE else None
        by_gamma = fixed_hessian(problem, mode) if by_gamma is None else by_gamma
        return with_fixed(layout, np.array(columns), by_gamma)
    except (np.linalg.LinAlgError, ConvergenceError):
        return np.full((len(psi), len(psi)), np.nan)


def with_fixed(layout: Layout, columns: FloatArray, by_gamma: FloatArray) -> FloatArray:
    """Return a Hessian from its columns in theta and phi, shape (k, m), and its part in gamma."""
    H = np.empty((len(layout.scale), len(layout.scale)))
    H[layout.outer] = columns
    H[layout.fixed, layout.outer] = columns[:, layout.fixed].T
    H[layout.fixed, layout.fixed] = by_gamma
    return 0.5 * (H + H.T)


def _is_linear(problem: GeneralizedProblem) -> bool:
    """Tell whether (theta, beta, phi) are linear in the optimiser's vector, with one Jacobian everywhere."""
    return not problem.n_phi and all(term.structure.is_unstructured for term in problem.terms)


def natural_jacobian(problem: GeneralizedProblem, psi: FloatArray) -> FloatArray:
    """Return d(theta, beta, phi) / d psi, shape (m, m)."""
    J = np.zeros((len(psi), len(psi)))
    start = 0
    for term, basis in zip(problem.terms, problem.column_bases, strict=True):
        end = start + term.structure.n_theta
        J[start:end, start:end] = _theta_jacobian(term, basis, psi[start:end])
        start = end
    end = start + problem.n_fixed
    J[start:end, start:end] = problem.unscale
    if problem.n_phi:
        phi = problem.family.phi_from_free(psi[end:])
        of_phi = np.diag(problem.family.phi_natural_derivative(phi))
        J[end:, end:] = of_phi if problem.phi_unscale is None else problem.phi_unscale @ of_phi
    return J


def _theta_jacobian(term: RandomTerm, basis: ColumnBasis | None, free: FloatArray) -> FloatArray:
    """Return d theta / d free of one term."""
    units = np.eye(len(free))
    if basis is None and term.structure.is_unstructured:
        # Its free parameters are theta.
        return units
    if basis is None:
        return np.array([term.structure.free_pullback(free, unit) for unit in units])
    # Free parameters of an unstructured term are theta on orthogonal columns; the way out is linear.
    return np.array([moved_theta(term.structure, basis.inverse, unit) for unit in units]).T
