"""The Laplace approximation of -2 log-likelihood for a family about a curve, and its exact gradient.

With u the conditional mode and C the curvature there,

    d(theta, beta, phi) = u'u - 2 sum log f(y | eta(u), phi) + log|C|.

As the mode moves with the parameters, the gradient follows it by the implicit function theorem.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.row_sums import effects, gauss_newton
from mixedmodels.engines.nonlinear_family.mode import Mode, Place, curvature, exact_hessian, find_mode
from mixedmodels.engines.nonlinear_family.problem import FamilyProblem
from mixedmodels.engines.nonlinear_family.third_derivatives import bent_slope
from mixedmodels.errors import ConvergenceError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluation:
    """The objective at some parameters, and what it was computed from.

    Attributes
    ----------
    objective : float
        -2 log-likelihood.
    theta : ndarray, shape (k,)
        Covariance parameters.
    place : Place
        All parameters, as the mode needs them.
    mode : Mode
        The conditional mode.
    curvature : ndarray, shape (C, q, q)
        That of each cluster.
    """

    objective: float
    theta: FloatArray
    place: Place
    mode: Mode
    curvature: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Gradient:
    """A gradient in theta, beta and the free coordinates of the family's parameters."""

    theta: FloatArray
    beta: FloatArray
    phi: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cotangents:
    """Derivatives of an objective in what the mode gives, before the mode itself has moved.

    Attributes
    ----------
    curvature : ndarray, shape (C, q, q)
        In the curvature.
    u : ndarray, shape (C, q)
        In the mode.
    parameters : ndarray, shape (K, n)
        In the parameters of the curve.
    T : ndarray, shape (S, S)
        In the factors, the way through the parameters included.
    phi : ndarray, shape (n_phi,)
        In the free coordinates of the family's parameters.
    """

    curvature: FloatArray
    u: FloatArray
    parameters: FloatArray
    T: FloatArray
    phi: FloatArray


def evaluate(
    problem: FamilyProblem, theta: FloatArray, beta: FloatArray, phi: FloatArray, start: FloatArray
) -> Evaluation:
    """Return the objective at theta, beta and phi, the mode searched for from a start (C, q).

    Raises
    ------
    ConvergenceError
        If there is no mode, or the curvature there is not positive definite.
    """
    rows = problem.rows
    place = Place(rows.factor(theta), beta, rows.fixed_part(beta), phi)
    mode = find_mode(problem, place, start)
    C = curvature(problem, place.T, mode)
    try:
        L = np.linalg.cholesky(C)
    except np.linalg.LinAlgError:
        raise ConvergenceError("the Laplace approximation does not exist here.") from None
    log_det = 2.0 * float(np.log(np.diagonal(L, axis1=1, axis2=2)).sum())
    objective = float(mode.penalized.sum()) + log_det
    if not math.isfinite(objective):
        raise ConvergenceError("the Laplace approximation does not exist here.")
    return Evaluation(objective, theta, place, mode, C)


def smallest_curvature(at: Evaluation) -> float:
    """Return the smallest squared diagonal element of L, 1 and more where log f is concave in the effects."""
    L = np.linalg.cholesky(at.curvature)
    return float(np.square(np.diagonal(L, axis1=1, axis2=2)).min(initial=np.inf))


def gradient(problem: FamilyProblem, at: Evaluation) -> Gradient:
    """Return the gradient of the Laplace approximation."""
    rows, mode = problem.rows, at.mode
    slope = -2.0 * mode.terms.d1 * mode.G
    dT = effects(rows, slope).T @ rows.at_rows(mode.u)
    inverse = np.asarray(np.linalg.inv(at.curvature), dtype=np.float64)
    own = -2.0 * of_family(problem, mode, at.place.phi, np.ones(len(mode.eta)))
    return pulled_back(problem, at, Cotangents(inverse, np.zeros(rows.shape), slope, dT, own))


def of_family(problem: FamilyProblem, mode: Mode, phi: FloatArray, shares: FloatArray) -> FloatArray:
    """Return derivatives of the log-likelihood in the family's free parameters, rows weighted, (n_phi,)."""
    if not len(phi):
        return np.empty(0)
    rows, eta = problem.rows, np.where(shares == 0.0, 0.0, mode.eta)
    at = problem.family.phi_derivatives(rows.y, eta, rows.weights, phi, problem.observed)
    return np.asarray(np.where(shares == 0.0, 0.0, at.loglik * shares).sum(axis=1))


def pulled_back(problem: FamilyProblem, at: Evaluation, bar: Cotangents) -> Gradient:
    """Return the gradient of an objective with these derivatives."""
    rows, mode, T = problem.rows, at.mode, at.place.T
    terms = problem.evaluate(mode.eta, at.place.phi, 3)
    # 1. The curvature moves with the parameters of the curve.
    M = rows.pairs_at_rows(bar.curvature)
    B = np.einsum("sa,nab,tb->nst", T, M, T)
    N = _by_parameter(problem, B)
    HN = np.einsum("kln,ln->kn", mode.H, np.einsum("kln,ln->kn", N, mode.G))
    bending = np.einsum("kln,kln->n", N, mode.H)
    spread = np.einsum("kln,kn,ln->n", N, mode.G, mode.G)
    slope = terms.d_information * spread * mode.G + 2.0 * terms.information * HN
    if problem.observed:
        third = bent_slope(rows.mean, mode.curve_parameters, mode.G, mode.H, N)
        slope -= terms.d2 * bending * mode.G + terms.d1 * third
    dT = bar.T + 2.0 * np.einsum("nst,ta,nab->sb", _in_effects(problem, at), T, M)
    # 2. The mode moves so that its slope stays zero: a solves K a = d objective / du.
    u_slope = bar.u + rows.vectors(effects(rows, slope) @ T)
    K = exact_hessian(problem, T, mode)
    a = rows.at_rows(np.asarray(np.linalg.solve(K, u_slope[:, :, None])[:, :, 0], dtype=np.float64))
    direction = np.zeros_like(mode.G)
    for s, k in enumerate(rows.parameter.tolist()):
        direction[k] += rows.Z[:, s] * (a @ T.T)[:, s]
    along = np.einsum("kn,kn->n", mode.G, direction)
    slope = slope + terms.d2 * along * mode.G + terms.d1 * np.einsum("kln,kn->ln", mode.H, direction)
    # 3. Both move with the parameters themselves, and with T on the way to u.
    dT = dT + effects(rows, slope).T @ rows.at_rows(mode.u) + mode.Zeta.T @ (terms.d1[:, None] * a)
    d_beta = np.einsum("nj,jn->j", rows.X, (bar.parameters + slope)[rows.fixed_parameter])
    d_phi = bar.phi + _through_rows(problem, at, spread, bending, along)
    return Gradient(rows.factor_pullback(at.theta, dT), d_beta, d_phi)


def _by_parameter(problem: FamilyProblem, B: FloatArray) -> FloatArray:
    """Return matrices between the effects of each row, (n, S, S), between parameters, (K, K, n)."""
    rows = problem.rows
    N = np.zeros((rows.n_parameters, rows.n_parameters, len(rows.y)))
    parameter = rows.parameter.tolist()
    for s, k in enumerate(parameter):
        for t, m in enumerate(parameter):
            N[k, m] += rows.Z[:, s] * rows.Z[:, t] * B[:, s, t]
    return N


def _in_effects(problem: FamilyProblem, at: Evaluation) -> FloatArray:
    """Return what each row adds to the curvature in its effects b, (n, S, S)."""
    rows, mode = problem.rows, at.mode
    added = mode.terms.information[:, None, None] * mode.Zeta[:, :, None] * mode.Zeta[:, None, :]
    if not problem.observed:
        return np.asarray(added)
    k = rows.parameter
    second = np.moveaxis(mode.H[k[:, None], k], 2, 0) * rows.Z[:, :, None] * rows.Z[:, None, :]
    return np.asarray(added - mode.terms.d1[:, None, None] * second)


def _through_rows(
    problem: FamilyProblem, at: Evaluation, spread: FloatArray, bending: FloatArray, along: FloatArray
) -> FloatArray:
    """Return the derivatives in the family's parameters by way of the curvature and the mode, (n_phi,)."""
    phi, rows = at.place.phi, problem.rows
    if not len(phi):
        return np.empty(0)
    own = problem.family.phi_derivatives(rows.y, at.mode.eta, rows.weights, phi, problem.observed)
    bent = bending if problem.observed else 0.0
    return np.asarray(own.information @ spread + own.d1 @ (along - bent))


def fixed_information(problem: FamilyProblem, at: Evaluation, W: FloatArray) -> FloatArray:
    """Return the information about beta given theta and phi, of the model linear around the mode, (p, p).

    `W` is the information of each row about the curve, shape (n,).
    """
    rows, mode = problem.rows, at.mode
    X = rows.X * mode.G[rows.fixed_parameter].T
    across = np.stack([rows.vectors((W * x)[:, None] * mode.zeta) for x in X.T], axis=-1)
    solved = np.linalg.solve(gauss_newton(rows, mode.zeta, W), across)
    return np.asarray((W[:, None] * X).T @ X - np.einsum("cqj,cqk->jk", across, solved))
