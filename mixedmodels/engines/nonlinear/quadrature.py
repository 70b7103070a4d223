"""Adaptive Gauss-Hermite quadrature of the likelihood, for random effects of one grouping factor.

The random effects of a level are integrated out at nodes ``u + sigma L^-T z`` around their mode, L the
Cholesky factor of ``J'WJ + I``. One node is the Laplace approximation. The gradient is that of the sum over
the nodes, which move with the mode and with L.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import logsumexp

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.quadrature_grid import Grid
from mixedmodels.engines.nonlinear.laplace import LOG_2PI, Cotangents, Evaluation, pulled_back
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.engines.nonlinear.row_sums import effects
from mixedmodels.errors import ConvergenceError


def quadrature(problem: NonlinearProblem, at: Evaluation, log_sigma: float, grid: Grid) -> float:
    """Return -2 log-likelihood at a mode and a residual standard deviation.

    Parameters
    ----------
    problem : NonlinearProblem
        A problem whose clusters are the levels of one grouping factor.
    at : Evaluation
        Theta, beta and the mode there.
    log_sigma : float
        Logarithm of the residual standard deviation.
    grid : Grid
        Nodes (N, q) and weights for the standard normal density.

    Raises
    ------
    ConvergenceError
        If a level has no finite likelihood.
    """
    return _by_level(problem, at, log_sigma, grid)[0]


def _spread(at: Evaluation, log_sigma: float) -> tuple[FloatArray, FloatArray]:
    """Return L and ``sigma L^-T`` of each level, shape (C, q, q)."""
    L = np.asarray(np.linalg.cholesky(at.Omega), dtype=np.float64)
    return L, np.asarray(math.exp(log_sigma) * np.linalg.inv(L).transpose(0, 2, 1), dtype=np.float64)


def _by_level(
    problem: NonlinearProblem, at: Evaluation, log_sigma: float, grid: Grid
) -> tuple[float, FloatArray]:
    """Return the objective, and the share of each node in the likelihood of each level, shape (N, C)."""
    sigma2 = math.exp(2.0 * log_sigma)
    L, spread = _spread(at, log_sigma)
    fixed = problem.fixed_part(at.beta)
    terms = np.empty((len(grid.nodes), problem.shape[0]))
    for k, (z, weight) in enumerate(zip(grid.nodes, grid.log_weights.tolist(), strict=True)):
        u = at.mode.u + spread @ z
        with np.errstate(all="ignore"):
            e = problem.y - problem.mean.value(problem.with_effects(fixed, problem.at_rows(u) @ at.T.T))
            rss = problem.summed(problem.weights * e * e) + np.einsum("cq,cq->c", u, u)
        rise = np.where(np.isfinite(rss), rss, np.inf) - at.mode.rss
        terms[k] = weight + 0.5 * (z @ z) - 0.5 * rise / sigma2
    by_level = logsumexp(terms, axis=0, b=grid.signs[:, None])
    if not np.isfinite(by_level).all():
        raise ConvergenceError("quadrature of a level is not finite.")
    constant = problem.n * (LOG_2PI + 2.0 * log_sigma) - problem.sum_log_weights
    log_det = 2.0 * float(np.log(np.diagonal(L, axis1=1, axis2=2)).sum())
    objective = constant + log_det + at.pwrss / sigma2 - 2.0 * float(by_level.sum())
    return objective, grid.signs[:, None] * np.exp(terms - by_level)


def quadrature_gradient(
    problem: NonlinearProblem, at: Evaluation, log_sigma: float, grid: Grid
) -> tuple[float, FloatArray, FloatArray, float]:
    """Return the objective and its gradient in theta, beta and log sigma."""
    objective, shares = _by_level(problem, at, log_sigma, grid)
    sigma2, (C, q) = math.exp(2.0 * log_sigma), problem.shape
    L, spread = _spread(at, log_sigma)
    fixed = problem.fixed_part(at.beta)
    phi_bar, T_bar = np.zeros_like(at.mode.G), np.zeros_like(at.T)
    u_bar, spread_bar, d_sigma = np.zeros((C, q)), np.zeros((C, q, q)), 2.0 * problem.n
    for z, share in zip(grid.nodes, shares, strict=True):
        # The objective is the mean of r^2 / sigma^2 over the nodes, as far as its derivative is concerned.
        u = at.mode.u + spread @ z
        b = problem.at_rows(u) @ at.T.T
        mu, G = problem.mean.jacobian(problem.with_effects(fixed, b))
        e = problem.y - mu
        rss = problem.summed(problem.weights * e * e) + np.einsum("cq,cq->c", u, u)
        slope = (-2.0 / sigma2) * (share[problem.cluster] * problem.weights * e) * G
        by_effect = effects(problem, slope)
        phi_bar += slope
        T_bar += by_effect.T @ problem.at_rows(u)
        of_u = problem.vectors(by_effect @ at.T) + (2.0 / sigma2) * share[:, None] * u
        u_bar += of_u
        spread_bar += of_u[:, :, None] * z
        d_sigma -= 2.0 * float(share @ rss) / sigma2
    d_sigma += float((spread_bar * spread).sum())
    Omega_bar = at.inverse + through_cholesky(L, spread, spread_bar)
    return objective, *pulled_back(problem, at, Cotangents(Omega_bar, u_bar, phi_bar, T_bar)), d_sigma


def through_cholesky(L: FloatArray, spread: FloatArray, spread_bar: FloatArray) -> FloatArray:
    """Return the derivatives in ``Omega = L L'`` from those in ``L^-T``, symmetric, (C, q, q)."""
    inverse = np.linalg.inv(L)
    L_bar = -np.tril(inverse.transpose(0, 2, 1) @ (spread_bar.transpose(0, 2, 1) @ spread))
    half = np.tril(L.transpose(0, 2, 1) @ L_bar)
    half[:, np.arange(L.shape[1]), np.arange(L.shape[1])] *= 0.5
    outer = inverse.transpose(0, 2, 1) @ half @ inverse
    return np.asarray(0.5 * (outer + outer.transpose(0, 2, 1)))
