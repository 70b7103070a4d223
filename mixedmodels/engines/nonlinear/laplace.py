"""The Laplace approximation of -2 log-likelihood, sigma profiled out, and its exact gradient.

With u the conditional mode, r^2 the penalized sum of squares there and J the Jacobian of the mean in u,

    d(theta, beta) = log|J'WJ + I| - log|W| + n (1 + log(2 pi r^2 / n)),

which is lme4's objective (and FOCE of NONMEM for additive errors), the mode converged. The curvature may be
the exact one in place of J'WJ + I. As the mode moves with the parameters, the gradient follows it by the
implicit function theorem, for which second derivatives of the mean are needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.mode import Mode, find_mode, residual_size
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.engines.nonlinear.row_sums import (
    curvature_slope,
    effects,
    inverted,
    moved_slope,
    parameter_slope,
    solved,
)
from mixedmodels.errors import ConvergenceError

LOG_2PI = math.log(2.0 * math.pi)
#: Distance, relative to its size, over which the mode is taken to move in a straight line.
FARTHEST = 0.5


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluation:
    """The objective at theta and beta, and what it was computed from.

    Attributes
    ----------
    objective : float
        -2 log-likelihood, sigma profiled out.
    theta, beta : ndarray
        Where.
    T : ndarray, shape (S, S)
        Factors of all terms.
    mode : Mode
        The conditional mode.
    inverse : ndarray, shape (C, q, q)
        Inverse of the curvature of each cluster.
    log_det : float
        Logarithm of the determinant of the curvature.
    """

    objective: float
    theta: FloatArray
    beta: FloatArray
    T: FloatArray
    mode: Mode
    inverse: FloatArray
    log_det: float

    @property
    def Omega(self) -> FloatArray:
        """Gauss and Newton's curvature ``J'WJ + I`` of each cluster, shape (C, q, q)."""
        return self.mode.rows.Omega

    @property
    def pwrss(self) -> float:
        """Penalized weighted residual sum of squares."""
        return float(self.mode.rss.sum())


def evaluate(
    problem: NonlinearProblem,
    theta: FloatArray,
    beta: FloatArray,
    start: FloatArray,
    observed: bool = False,
) -> Evaluation:
    """Return the objective at theta and beta.

    Parameters
    ----------
    problem : NonlinearProblem
        The problem.
    theta, beta : ndarray
        Covariance parameters and fixed effects.
    start : ndarray, shape (C, q)
        Where the search for the mode begins.
    observed : bool
        Whether the curvature is the exact one.

    Raises
    ------
    ConvergenceError
        If there is no mode, or the exact curvature there is not positive definite.
    """
    T = problem.factor(theta)
    mode = find_mode(problem, T, problem.fixed_part(beta), start)
    curvature = inverted(mode.rows.K if observed else mode.rows.Omega)
    r2, n = float(mode.rss.sum()), problem.n
    if curvature is None or not 0.0 < r2 < math.inf:
        raise ConvergenceError("the Laplace approximation does not exist here.")
    inverse, log_det = curvature
    objective = log_det - problem.sum_log_weights + n * (1.0 + LOG_2PI + math.log(r2 / n))
    return Evaluation(objective, theta, beta, T, mode, inverse, log_det)


def predicted_mode(
    problem: NonlinearProblem, at: Evaluation, theta: FloatArray, beta: FloatArray
) -> FloatArray:
    """Return to first order where the mode is at other parameters, (C, q): by the implicit function theorem.

    Clusters for which that is further than :data:`FARTHEST` stay where they are.
    """
    mode, dT, fixed = at.mode, problem.factor(theta) - at.T, problem.fixed_part(beta - at.beta)
    # The slope in u, u - T' Zeta' W e, moves with all that is in it.
    step = _across(at, moved_slope(problem, mode.rows, mode.derivatives, at.T, dT, fixed, mode.u))
    farthest = FARTHEST * (residual_size(problem, mode) + np.abs(mode.u))
    near = np.all(np.abs(step) <= farthest, axis=1, keepdims=True)
    return mode.u + np.where(near, step, 0.0)


def _across(at: Evaluation, b: FloatArray) -> FloatArray:
    """Return ``K^-1 b`` of each cluster, (C, q), K half the exact Hessian at the mode."""
    K = at.mode.rows.K
    found = solved(K, b)
    return np.asarray(np.linalg.solve(K, b[:, :, None])[:, :, 0]) if found is None else found


def at_sigma(
    problem: NonlinearProblem, at: Evaluation, log_sigma: float
) -> tuple[float, FloatArray, FloatArray, float]:
    """Return the objective at a residual standard deviation and its gradient in theta, beta and log sigma."""
    sigma2 = math.exp(2.0 * log_sigma)
    constant = problem.n * (LOG_2PI + 2.0 * log_sigma) - problem.sum_log_weights
    objective = constant + at.log_det + at.pwrss / sigma2
    return objective, *gradient(problem, at, sigma2), 2.0 * (problem.n - at.pwrss / sigma2)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cotangents:
    """Derivatives of an objective in what the mode gives, before the mode itself has moved.

    Attributes
    ----------
    Omega : ndarray, shape (C, q, q)
        In ``J'WJ + I``.
    u : ndarray, shape (C, q)
        In the mode.
    phi : ndarray, shape (K, n)
        In the parameters of the mean.
    T : ndarray, shape (S, S)
        In the factors, the parameters' own way included.
    """

    Omega: FloatArray
    u: FloatArray
    phi: FloatArray
    T: FloatArray


def gradient(
    problem: NonlinearProblem, at: Evaluation, sigma2: float | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the gradient in theta and in beta, for the curvature J'WJ + I, sigma^2 given or profiled out."""
    mode = at.mode
    scale = at.pwrss / problem.n if sigma2 is None else sigma2
    phi = (-2.0 / scale) * problem.weights * mode.e * mode.G
    dT = effects(problem, phi).T @ problem.at_rows(mode.u)
    return pulled_back(problem, at, Cotangents(at.inverse, np.zeros(problem.shape), phi, dT))


def pulled_back(problem: NonlinearProblem, at: Evaluation, bar: Cotangents) -> tuple[FloatArray, FloatArray]:
    """Return the gradient in theta and in beta of an objective with these derivatives."""
    mode, T = at.mode, at.T
    # 1. Omega moves with the rows zeta of J; Zeta = G Z moves with phi by H.
    nu, slope, of_u = curvature_slope(problem, mode.rows, mode.H, T, bar.Omega)
    # 2. The mode moves so that the gradient of r^2 / 2 in u stays zero: a solves K a = d objective / du.
    a = _across(at, bar.u + of_u)
    # 3. Both move with phi, and with T on the way to u.
    dT, d_beta = parameter_slope(
        problem, mode.rows, mode.derivatives, T, (nu, slope), bar.phi, a, mode.u
    )  # fmt: skip
    return problem.factor_pullback(at.theta, bar.T + dT), d_beta


def fixed_information(problem: NonlinearProblem, at: Evaluation) -> FloatArray:
    """Return ``R_X'R_X``: the information about beta given theta, times sigma^2, shape (p, p)."""
    mode, w = at.mode, problem.weights
    X = problem.X * mode.G[problem.fixed_parameter].T
    across = np.stack([problem.vectors((w * x)[:, None] * mode.rows.zeta) for x in X.T], axis=-1)
    solved = np.linalg.solve(at.Omega, across)
    return np.asarray((w[:, None] * X).T @ X - np.einsum("cqj,cqk->jk", across, solved))
