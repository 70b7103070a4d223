"""Estimates of a like problem in one Newton step from those of a fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.column_basis import moved_theta
from mixedmodels.engines.generalized.hessian import natural_jacobian
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.pirls import mode_border
from mixedmodels.engines.generalized.problem import GeneralizedProblem, natural_to_psi


@dataclass(frozen=True, slots=True)
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


def one_step(problem: GeneralizedProblem, natural: FloatArray, covariance: FloatArray, nAGQ: int) -> Step:
    """Return the estimates after one Newton step from those of a fit.

    Parameters
    ----------
    problem : GeneralizedProblem
        The problem, most of whose rows are those of the fit.
    natural : ndarray, shape (m,)
        (theta, beta, phi) of the fit.
    covariance : ndarray, shape (m, m)
        Their covariance there.
    nAGQ : int
        Nodes per dimension.
    """
    psi = natural_to_psi(problem, natural)
    evaluator = Evaluator(problem, nAGQ)
    _, gradient = evaluator(psi)
    J = natural_jacobian(problem, psi)
    # The Hessian of -2 log-likelihood is twice the inverse of the covariance.
    psi = psi - 0.5 * np.linalg.solve(J, covariance @ np.linalg.solve(J.T, gradient))
    mode = evaluator.mode_at(psi)
    at = mode.parameters
    theta = [
        term.structure.canonical(own if basis is None else moved_theta(term.structure, basis.inverse, own))
        for term, basis, own in zip(problem.terms, problem.column_bases, at.thetas, strict=True)
    ]
    rx = problem.unscale @ mode_border(problem, mode).inverse @ problem.unscale.T
    return Step(np.concatenate(theta), problem.unscale @ at.gamma, at.phi, rx)
