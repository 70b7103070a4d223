"""Estimates of a like problem in one Newton step from those of a fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.column_basis import moved_theta
from mixedmodels.engines.generalized.hessian import natural_jacobian
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.pirls import Mode, mode_border
from mixedmodels.engines.generalized.problem import GeneralizedProblem, natural_to_psi

#: Share of the information in some direction below which a step in it would be a leap.
LEAST_LEFT = 0.05


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Step:
    """Estimates after one step.

    Attributes
    ----------
    theta, beta, phi : ndarray
        Covariance parameters, fixed effects, parameters of the family.
    vcov_rx : ndarray, shape (p, p)
        Covariance of beta from the penalized least-squares factor.
    """

    theta: FloatArray
    beta: FloatArray
    phi: FloatArray
    vcov_rx: FloatArray


def one_step(
    problem: GeneralizedProblem,
    natural: FloatArray,
    information: FloatArray,
    fixed_information: FloatArray,
    nAGQ: int,
) -> Step:
    """Return the estimates after one Newton step from those of a fit.

    The Hessian is that of the fit, less the information about the fixed effects, theta known, that the rows
    left out had.

    Parameters
    ----------
    problem : GeneralizedProblem
        The problem, most of whose rows are those of the fit.
    natural : ndarray, shape (m,)
        (theta, beta, phi) of the fit.
    information : ndarray, shape (m, m)
        Inverse of their covariance there.
    fixed_information : ndarray, shape (p, p)
        Inverse of the covariance of beta from the penalized least-squares factor of the fit.
    nAGQ : int
        Nodes per dimension.
    """
    psi = natural_to_psi(problem, natural)
    evaluator = Evaluator(problem, nAGQ)
    _, gradient = evaluator(psi)
    J = natural_jacobian(problem, psi)
    left = np.linalg.inv(_vcov_rx(problem, evaluator.mode_at(psi)))
    lost = np.asarray(fixed_information - left, dtype=np.float64)
    natural_gradient = np.asarray(np.linalg.solve(J.T, gradient), dtype=np.float64)
    step = _newton(_without(information, lost, problem), natural_gradient)
    mode = evaluator.mode_at(psi + np.linalg.solve(J, step))
    at = mode.parameters
    theta = [
        term.structure.canonical(own if basis is None else moved_theta(term.structure, basis.inverse, own))
        for term, basis, own in zip(problem.terms, problem.column_bases, at.thetas, strict=True)
    ]
    return Step(
        np.concatenate(theta), problem.unscale @ at.gamma, problem.user_phi(at.phi), _vcov_rx(problem, mode)
    )


def _vcov_rx(problem: GeneralizedProblem, mode: Mode) -> FloatArray:
    return np.asarray(problem.unscale @ mode_border(problem, mode).inverse @ problem.unscale.T)


def _without(information: FloatArray, lost: FloatArray, problem: GeneralizedProblem) -> FloatArray:
    """Return the information less what is lost, or all of it where too little would be left."""
    k, p = problem.n_theta, problem.n_fixed
    left = information.copy()
    left[k : k + p, k : k + p] -= lost
    ratios = eigvalsh(left, information)
    return left if ratios[0] > LEAST_LEFT else information


def _newton(information: FloatArray, gradient: FloatArray) -> FloatArray:
    """Return the step down a gradient of -2 log-likelihood, whose Hessian is twice the information."""
    values = -0.5 * gradient
    scale = np.sqrt(np.diagonal(information))
    return np.asarray(np.linalg.solve(information / np.multiply.outer(scale, scale), values / scale) / scale)
