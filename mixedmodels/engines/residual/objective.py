"""The profiled objective of a model with structured residuals, with its exact gradient.

With V_i the covariance of cluster i over sigma^2 and ``S = sum M_i' V_i^-1 M_i`` over ``M = [Q, e]``, the
fixed effects solve S, sigma^2 is what is left of the sum of squares over its degrees of freedom, and

    objective = df (log 2 pi sigma^2 + 1) + sum log|V_i| [+ log|S_QQ| by REML].

Its derivative in V_i is ``V_i^-1 - V_i^-1 M_i Omega M_i' V_i^-1`` with
``Omega = [S_QQ^-1 by REML] + v v' / sigma^2``, v being (-gamma, 1) (Lindstrom & Bates 1988, J. Am. Stat.
Assoc. 83, 1014-1022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, dtrtri

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.chains import ChainState, chain_slopes, whitened
from mixedmodels.engines.residual.covariance import UnitCovariances, pulled_back, unit_covariances
from mixedmodels.engines.residual.crossed import CrossedState, crossed_slopes, crossed_state, goes_by_steps
from mixedmodels.engines.residual.model import Parameters, Slopes
from mixedmodels.engines.residual.problem import ResidualProblem

LOG_2PI = math.log(2.0 * math.pi)
#: Size from which matrices are factored one by one: LAPACK's own blocks pay then.
LARGE = 64


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluation:
    """The objective at one point and what it was computed from.

    Attributes
    ----------
    objective : float
        REML criterion or -2 log-likelihood, beta and sigma profiled out.
    free : ndarray, shape (k,)
        Where, in optimiser coordinates.
    at : Parameters
        The same on the natural scale.
    S : ndarray, shape (p + 1, p + 1)
        ``sum M'V^-1 M``.
    units : list of UnitCovariances
        Covariances of the units, by batch.
    chains : list of ChainState
        Long groups, whitened.
    inverses : list of ndarray, each (U, T, T)
        ``V^-1`` of the units, by batch.
    gamma : ndarray, shape (p,)
        Fixed effects of the orthonormal columns, relative to the least-squares fit.
    root : ndarray, shape (p, p)
        Lower triangular, ``root'root = S_QQ^-1``.
    rss, sigma2 : float
        Weighted residual sum of squares, and over its degrees of freedom.
    log_det_V, log_det_S : float
        ``sum log|V_i|`` and ``log|S_QQ|``.
    crossed : CrossedState or None
        Equations of random effects that are not tied to residual groups.
    """

    objective: float
    free: FloatArray
    at: Parameters
    S: FloatArray
    units: list[UnitCovariances]
    chains: list[ChainState]
    inverses: list[FloatArray]
    gamma: FloatArray
    root: FloatArray
    rss: float
    sigma2: float
    log_det_V: float
    log_det_S: float
    crossed: CrossedState | None


def evaluation(problem: ResidualProblem, free: FloatArray, REML: bool) -> Evaluation:
    """Evaluate the objective at optimiser coordinates, shape (k,).

    Raises
    ------
    numpy.linalg.LinAlgError, ConvergenceError
        Where a covariance matrix is not positive definite, or out of range.
    """
    return evaluation_at(problem, problem.model.natural(free), REML, free)


def evaluation_at(problem: ResidualProblem, at: Parameters, REML: bool, free: FloatArray) -> Evaluation:
    """Evaluate the objective at natural parameters, which `free` are the coordinates of; errors as above."""
    # 1. S = sum M'V^-1 M and log|V|.
    units, inverses, chains, crossed = [], [], [], None
    S, log_det_V = np.zeros((problem.p + 1, problem.p + 1)), 0.0
    if not goes_by_steps(problem):
        units = unit_covariances(problem, at)
        for batch, unit in zip(problem.batches, units, strict=True):
            inverse, log_det = inverted(unit.V)
            S += batch.weighted(inverse) if problem.crossed is None else 0.0
            log_det_V += float(batch.counts @ log_det)
            inverses.append(inverse)
    if problem.crossed is not None:
        crossed = crossed_state(problem, at, inverses, log_det_V)
        S, log_det_V = crossed.S, crossed.log_det_V
    else:
        chains = [whitened(chain, problem.model, at, chain.M) for chain in problem.chains]
    for state in chains:
        flat = state.white.reshape(-1, problem.p + 1)
        S += flat.T @ flat
        log_det_V += state.log_det
    # 2. Fixed effects and what they leave.
    root, gamma, rss, log_det_S = _solved(S)
    df = problem.df(REML)
    objective = df * (LOG_2PI + math.log(rss / df) + 1.0) + log_det_V - problem.sum_log_weights
    if REML:
        objective += log_det_S + problem.basis.log_det_R2
    return Evaluation(
        objective,
        free,
        at,
        S,
        units,
        chains,
        inverses,
        gamma,
        root,
        rss,
        rss / df,
        log_det_V,
        log_det_S,
        crossed,
    )


def _solved(S: FloatArray) -> tuple[FloatArray, FloatArray, float, float]:
    """Return inverse Cholesky factor, fixed effects, residual sum of squares and ``log|S_QQ|``."""
    factor, info = dpotrf(S, lower=1, clean=1)
    if info != 0:
        raise np.linalg.LinAlgError("the weighted cross-products are singular")
    own = factor[:-1, :-1]
    if len(own) == 0:
        return np.zeros((0, 0)), np.zeros(0), float(factor[-1, -1] ** 2), 0.0
    root, _ = dtrtri(own, lower=1)
    log_det = 2.0 * float(np.log(np.diagonal(own)).sum())
    return root, root.T @ factor[-1, :-1], float(factor[-1, -1] ** 2), log_det


def inverted(V: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return inverses and logarithms of the determinants of a stack of covariances.

    Raises
    ------
    numpy.linalg.LinAlgError
        If one of them is not positive definite.
    """
    T = V.shape[1]
    if T == 1:
        if not (V > 0.0).all():
            raise np.linalg.LinAlgError("a variance is not positive")
        return np.asarray(1.0 / V), np.log(V[:, 0, 0])
    if T >= LARGE:
        pairs = [_inverted_one(own) for own in V]
        return np.array([inverse for inverse, _ in pairs]), np.array([log_det for _, log_det in pairs])
    L = np.linalg.cholesky(V)
    root = np.linalg.inv(L)
    log_det = 2.0 * np.log(np.einsum("utt->ut", L)).sum(axis=1)
    return np.asarray(np.matmul(root.transpose(0, 2, 1), root)), log_det


def _inverted_one(V: FloatArray) -> tuple[FloatArray, float]:
    factor, info = dpotrf(V, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError("a covariance matrix is not positive definite")
    log_det = 2.0 * float(np.log(np.diagonal(factor)).sum())
    lower, _ = dpotri(factor, lower=1)
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T), log_det


def gradient(problem: ResidualProblem, found: Evaluation, REML: bool) -> FloatArray:
    """Return the exact gradient of the objective in optimiser coordinates, shape (k,)."""
    return problem.model.free_gradient(found.free, found.at, natural_slopes(problem, found, REML))


def natural_slopes(problem: ResidualProblem, found: Evaluation, REML: bool) -> Slopes:
    """Return the derivatives in factors and natural parameters.

    Fixed effects and sigma^2 of `found` may be held at values and not profiled out: the derivatives are those
    of -2 log-likelihood there.
    """
    Omega = _omega(problem, found, REML)
    if found.crossed is not None:
        return crossed_slopes(problem, found.at, found.crossed, found.units, Omega)
    dV = []
    for batch, inverse in zip(problem.batches, found.inverses, strict=True):
        if batch.M is not None:
            B = np.matmul(inverse, batch.M)
            explained = np.matmul(np.matmul(B, Omega), B.transpose(0, 2, 1))
            dV.append(inverse - explained)
        else:
            explained = np.matmul(np.matmul(inverse, batch.contracted(Omega)), inverse)
            dV.append(batch.counts[:, None, None] * inverse - explained)
    slopes = pulled_back(problem, found.at, found.units, dV)
    for chain, state in zip(problem.chains, found.chains, strict=True):
        rho, delta = chain_slopes(chain, problem.model, found.at, state, Omega)
        slopes = slopes.plus(rho, delta)
    return slopes


def _omega(problem: ResidualProblem, found: Evaluation, REML: bool) -> FloatArray:
    """Return ``[S_QQ^-1 by REML] + v v' / sigma^2``, shape (p + 1, p + 1)."""
    v = np.append(-found.gamma, 1.0)
    Omega = np.asarray(np.multiply.outer(v, v) / found.sigma2)
    if REML:
        p = problem.p
        Omega[:p, :p] += found.root.T @ found.root
    return Omega


def objective_and_gradient(
    problem: ResidualProblem, free: FloatArray, REML: bool
) -> tuple[float, FloatArray]:
    """Return the objective and its exact gradient in optimiser coordinates."""
    found = evaluation(problem, free, REML)
    return found.objective, gradient(problem, found, REML)
