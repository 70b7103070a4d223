"""Where a generalized model without some columns of X is expected to have its optimum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.hessian import natural_jacobian, natural_parameters
from mixedmodels.engines.generalized.problem import GeneralizedProblem, natural_to_psi
from mixedmodels.formula.design.theta import boundaries


def estimates_near(
    problem: GeneralizedProblem, estimates: GeneralizedEstimates, smaller: GeneralizedProblem, kept: IntArray
) -> GeneralizedEstimates | None:
    """Return estimates of the smaller model to start from: those given that the other coefficients are zero.

    Parameters
    ----------
    problem, estimates
        The fit of the whole model.
    smaller : GeneralizedProblem
        The same without some columns of X.
    kept : ndarray of int, shape (m,)
        The columns that stay.

    Returns
    -------
    GeneralizedEstimates or None
        None where the curvature that the fit left does not tell.
    """
    k, p = problem.n_theta, problem.n_fixed
    natural = natural_parameters(estimates)
    J = natural_jacobian(problem, natural_to_psi(problem, natural))
    left_out = k + np.setdiff1d(np.arange(p), kept)
    stays = np.setdiff1d(np.arange(len(natural)), left_out)
    given = _given_zero(natural, J @ estimates.inverse_hessian @ J.T, stays, left_out)
    if given is None:
        return None
    moved, covariance = given
    bounded = boundaries(smaller.terms)
    moved[:k] = np.where(bounded & (moved[:k] <= 0.0), natural[:k], moved[:k])
    back = np.linalg.inv(natural_jacobian(smaller, natural_to_psi(smaller, moved)))
    theta, beta, phi = np.split(moved, [k, k + len(kept)])
    inverse = back @ covariance @ back.T
    return replace(estimates, theta=theta, beta=beta, phi=phi, inverse_hessian=inverse, hessian=None)


def _given_zero(
    x: FloatArray, covariance: FloatArray, stays: IntArray, left_out: IntArray
) -> tuple[FloatArray, FloatArray] | None:
    """Return mean and covariance of some elements of x given that the others are zero."""
    try:
        root = cho_factor(covariance[np.ix_(left_out, left_out)], lower=True)
    except np.linalg.LinAlgError:
        return None
    across = covariance[np.ix_(left_out, stays)]
    solved = cho_solve(root, across)
    own = covariance[np.ix_(stays, stays)] - across.T @ solved
    return x[stays] - solved.T @ x[left_out], own
