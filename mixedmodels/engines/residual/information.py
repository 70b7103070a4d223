"""How well the covariance parameters are known, and how Cov(beta) moves with them.

The coordinates are the optimiser's, phi, and eta, the logarithm of sigma^2 over its profiled value. There the
Hessian of the criterion is block-diagonal, the profiled one in phi and the degrees of freedom in eta, so that
what is observed needs differences of the exact gradient alone. What is expected of the restricted likelihood
is written in phi and log sigma^2 (Kenward & Roger 1997, Biometrics 53, 983-997), which differ from these by
how the profiled sigma^2 moves with phi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.engines.residual.objective import Evaluation, evaluation, gradient
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.engines.residual.slopes import covariance_slopes

#: Distance of the inner points of a central difference in free coordinates, which are of order one, and what
#: the differences over it and over twice it count: the error is its fourth power.
STEP = 1e-3
POINTS = ((1.0, 4.0 / 3.0), (2.0, -1.0 / 3.0))
#: Least eigenvalue of a Hessian scaled to unit diagonal; a direction flatter than this is taken as known, as
#: is a parameter at a bound.
LEAST_CURVATURE = 1e-8
#: Information about a parameter, of one row, below which it is at a bound where nothing moves any more.
STILL = 1e-10


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CovarianceInformation:
    """Covariance of the covariance parameters, and derivatives of that of the fixed effects in them.

    The m coordinates are those of phi that move the covariance at all, and log sigma^2.

    Attributes
    ----------
    root : ndarray, shape (p, p)
        A with ``Cov(beta) = A'A``.
    changes : ndarray, shape (m, p, p)
        ``N_k`` with ``d Cov(beta) = A' N_k A`` along coordinate k, sigma^2 held.
    W : ndarray, shape (m, m)
        Covariance of the coordinates.
    moving : ndarray of bool, shape (k,)
        Which elements of phi are among the coordinates.
    slopes : tuple of ndarray, each (m - 1, U, T, T)
        Derivatives of the covariances of the units over sigma^2 in these, by batch; none where long groups
        have no matrices.
    """

    root: FloatArray
    changes: FloatArray
    W: FloatArray
    moving: BoolArray
    slopes: tuple[FloatArray, ...]


def covariance_information(
    problem: ResidualProblem, free: FloatArray, REML: bool, expected: bool
) -> CovarianceInformation:
    """Return it at an optimum.

    Parameters
    ----------
    problem : ResidualProblem
        The problem.
    free : ndarray, shape (k,)
        The estimates in optimiser coordinates.
    REML : bool
        Which criterion was minimised.
    expected : bool
        Whether W is from the expected information about the restricted likelihood, or from the observed one.
    """
    found = evaluation(problem, free, REML)
    if not problem.has_matrices:
        moving: BoolArray = np.ones(len(free), dtype=np.bool_)
        slopes: tuple[FloatArray, ...] = ()
        P = _weighted_by_differences(problem, free, REML)
    else:
        all_slopes = covariance_slopes(problem, found, found.units)
        moving = _moving(problem, found, all_slopes)
        slopes = tuple(own[moving] for own in all_slopes)
        P = _weighted(problem, found, slopes)
    changes = np.array([found.root @ own[:-1, :-1] @ found.root.T for own in P])
    changes = changes.reshape(len(P), problem.p, problem.p)
    W = (
        _expected_covariance(problem, found, slopes, changes)
        if expected
        else _observed_covariance(problem, found, REML, moving, P)
    )
    root = np.sqrt(found.sigma2) * found.root @ problem.basis.R_inverse.T
    return CovarianceInformation(root, np.concatenate([changes, np.eye(problem.p)[None]]), W, moving, slopes)


def _moving(problem: ResidualProblem, found: Evaluation, slopes: Sequence[FloatArray]) -> BoolArray:
    """Tell which coordinates move the covariance at all, shape (k,)."""
    squares = np.zeros(len(found.free))
    for batch, inverse, own in zip(problem.batches, found.inverses, slopes, strict=True):
        solved = np.matmul(inverse, own)
        squares += np.einsum("kust,kuts,u->k", solved, solved, batch.counts, optimize=True)
    return np.asarray(squares > STILL * problem.n)


def _weighted(problem: ResidualProblem, found: Evaluation, slopes: Sequence[FloatArray]) -> list[FloatArray]:
    """Return ``sum M'V^-1 dV_k V^-1 M`` of every coordinate, each (p + 1, p + 1)."""
    total = [np.zeros((problem.p + 1, problem.p + 1)) for _ in range(len(slopes[0]) if slopes else 0)]
    for batch, inverse, own in zip(problem.batches, found.inverses, slopes, strict=True):
        for k, dV in enumerate(own):
            total[k] += batch.weighted(np.matmul(np.matmul(inverse, dV), inverse))
    return total


def _weighted_by_differences(problem: ResidualProblem, free: FloatArray, REML: bool) -> list[FloatArray]:
    """Return the same of long groups, by differences of S: ``-dS / dphi_k``."""
    total = []
    for k in range(len(free)):
        slope = np.zeros((problem.p + 1, problem.p + 1))
        for distance, weight in POINTS:
            move = np.zeros(len(free))
            move[k] = distance * STEP
            above, below = (evaluation(problem, x, REML).S for x in (free + move, free - move))
            slope -= weight * (above - below) / (2.0 * distance * STEP)
        total.append(slope)
    return total


def _observed_covariance(
    problem: ResidualProblem, found: Evaluation, REML: bool, moving: BoolArray, P: Sequence[FloatArray]
) -> FloatArray:
    """Return twice the inverse observed Hessian of the criterion, in phi and log sigma^2."""
    k = len(P)
    H = _observed_hessian(problem, found.free, REML, moving)
    W = np.zeros((k + 1, k + 1))
    W[:k, :k] = 2.0 * inverse_information(H)
    W[k, k] = 2.0 / problem.df(REML)
    # log sigma^2 is eta and its profiled value, which moves with phi by minus what the residuals lose.
    v = np.append(-found.gamma, 1.0)
    to_log_sigma2 = np.eye(k + 1)
    to_log_sigma2[k, :k] = [-float(v @ own @ v) / found.rss for own in P]
    return to_log_sigma2 @ W @ to_log_sigma2.T


def _observed_hessian(
    problem: ResidualProblem, free: FloatArray, REML: bool, moving: BoolArray
) -> FloatArray:
    """Return the Hessian of the profiled criterion by differences of its gradient, to the fourth order."""
    chosen = np.flatnonzero(moving)
    H = np.zeros((len(chosen), len(chosen)))
    for i, k in enumerate(chosen.tolist()):
        for distance, weight in POINTS:
            move = np.zeros(len(free))
            move[k] = distance * STEP
            above, below = (
                gradient(problem, evaluation(problem, x, REML), REML)[chosen]
                for x in (free + move, free - move)
            )
            H[i] += weight * (above - below) / (2.0 * distance * STEP)
    return 0.5 * (H + H.T)


def _expected_covariance(
    problem: ResidualProblem, found: Evaluation, slopes: Sequence[FloatArray], changes: FloatArray
) -> FloatArray:
    """Return twice the inverse of the expected Hessian of -2 log restricted likelihood, in phi, log sigma^2.

    ``tr(V^-1 V_i V^-1 V_j) - 2 tr(Phi Q_ij) + tr(Phi P_i Phi P_j)``.
    """
    p, k = problem.p, len(changes)
    Omega = np.zeros((p + 1, p + 1))
    Omega[:p, :p] = found.root.T @ found.root
    H, traces = np.zeros((k, k)), np.zeros(k)
    for batch, inverse, own in zip(problem.batches, found.inverses, slopes, strict=True):
        B = np.matmul(inverse, own)
        C = np.matmul(inverse, batch.contracted(Omega))
        flipped = B.transpose(0, 1, 3, 2).reshape(k, -1)
        counted = batch.counts[:, None, None] * B - 2.0 * np.matmul(C, B)
        H += counted.reshape(k, -1) @ flipped.T
        traces += np.einsum("kutt,u->k", B, batch.counts)
    H = 0.5 * (H + H.T) + np.einsum("ipq,jqp->ij", changes, changes)
    full = np.empty((k + 1, k + 1))
    full[:k, :k] = H
    full[k, :k] = full[:k, k] = traces - np.einsum("kpp->k", changes)
    full[k, k] = problem.n - p
    return 2.0 * inverse_information(full)


def inverse_information(H: FloatArray) -> FloatArray:
    """Return the inverse of a Hessian; directions that it is flat or falling along are taken as known."""
    scale = np.sqrt(np.maximum(np.abs(H.diagonal()), np.finfo(np.float64).tiny))
    values, vectors = np.linalg.eigh(H / np.multiply.outer(scale, scale))
    known = values > LEAST_CURVATURE
    root = vectors[:, known] / scale[:, None] / np.sqrt(values[known])
    return np.asarray(root @ root.T)


def bias(
    problem: ResidualProblem, found: Evaluation, at: CovarianceInformation, curved: Sequence[FloatArray]
) -> FloatArray:
    """Return B of Kenward and Roger's adjusted covariance ``A'(I + 2 B) A`` of the fixed effects, (p, p).

    ``B = sum W_ij (Q_ij - P_i Phi P_j - R_ij / 4)`` in units of the covariance of the fixed effects.

    Parameters
    ----------
    problem : ResidualProblem
        The problem.
    found : Evaluation
        The optimum.
    at : CovarianceInformation
        The information there.
    curved : sequence of ndarray, each (U, T, T)
        ``sum W_ij V_ij`` over sigma^2 in the parameters that are printed, by batch; empty for a covariance
        that is linear in them.
    """
    Q = np.zeros((problem.p + 1, problem.p + 1))
    for b, (batch, inverse, own) in enumerate(zip(problem.batches, found.inverses, at.slopes, strict=True)):
        V = found.units[b].V
        everything = np.concatenate([own, V[None]])
        mixed = np.tensordot(at.W, everything, axes=1)
        K = np.zeros_like(V)
        for left, right in zip(everything, mixed, strict=True):
            K += np.matmul(np.matmul(left, inverse), right)
        if len(curved):
            K = K - 0.25 * curved[b]
        Q += batch.weighted(np.matmul(np.matmul(inverse, 0.5 * (K + K.transpose(0, 2, 1))), inverse))
    tilted = np.einsum("ij,jpq->ipq", at.W, at.changes)
    products = np.einsum("ipq,iqr->pr", at.changes, tilted)
    B = found.root @ Q[:-1, :-1] @ found.root.T - products
    return np.asarray(0.5 * (B + B.T))
