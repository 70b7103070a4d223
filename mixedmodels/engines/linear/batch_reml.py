"""The profiled objective of many responses of one design at once, each at its own factor T.

What :mod:`mixedmodels.kernels.one_factor` does for one response, with the responses as a last axis; S
coefficients a level, G kinds of levels (:mod:`mixedmodels.engines.linear.batch_problem`), R responses. With
``D = T'AT + I``, ``E = T D^-1`` and ``P = E T'``,

    border      [X y]'[X y] - sum_g n_g [X y]'Z_g P_g Z_g'[X y]      -> R_X'R_X, gamma, r^2
    S_g         sum_l r_l r_l', r_l what the fixed effects leave of the response
    B_g         S_g / sigma^2, for REML + n_g Z'X (R_X'R_X)^-1 X'Z
    gap         sum_g n_g (I - D_g^-1) - E_g'B_g E_g
    gradient    2 T^-T gap = 2 [sum_g n_g A Phi' - Phi B Phi'] T,  Phi = I - A P
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.engines.linear.batch_problem import BatchProblem, Responses
from mixedmodels.engines.linear.reml import LOG_2PI
from mixedmodels.kernels import faces


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BatchEvaluation:
    """The objective of every response at its own parameters.

    Attributes
    ----------
    objective : ndarray, shape (R,)
        REML criterion or -2 log-likelihood.
    gradient : ndarray, shape (k, R)
        In the free coordinates.
    sigma2 : ndarray, shape (R,)
        Residual variances.
    gamma : ndarray, shape (p, R)
        Fixed effects of the orthonormal columns, relative to the least-squares fit.
    fixed_inverse : ndarray, shape (p, p, R)
        ``(R_X'R_X)^-1``.
    P, B : ndarray, shape (S, S, G, R)
        As above: what the curvature is made of.
    """

    objective: FloatArray
    gradient: FloatArray
    sigma2: FloatArray
    gamma: FloatArray
    fixed_inverse: FloatArray
    P: FloatArray
    B: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Eliminated:
    """The random effects taken out: arrays of shape (S, S, G, R), and ``sum_l log|D_l|`` of shape (R,)."""

    D_inverse: FloatArray
    E: FloatArray
    P: FloatArray
    log_det: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Border:
    """Fixed effects and response with the random effects taken out; see :class:`BatchEvaluation`."""

    log_det: FloatArray
    inverse: FloatArray
    gamma: FloatArray
    pwrss: FloatArray


def evaluate_batch(
    batch: BatchProblem, responses: Responses, free: FloatArray, REML: bool
) -> BatchEvaluation:
    """Evaluate objective and gradient of every response at its own free coordinates, shape (k, R).

    Raises
    ------
    numpy.linalg.LinAlgError
        If a system is not positive definite.
    """
    problem, kinds = batch.problem, batch.kinds
    df = problem.n - problem.p if REML else problem.n
    # 1. T of every response; the random effects taken out.
    T = np.einsum("kij,kr->ijr", batch.directions, free)
    out = _eliminate(kinds.faces, kinds.counts, T)
    # 2. Fixed effects and what is left of the sum of squares, beta and sigma profiled out.
    border = _solve_border(batch, responses, out.P)
    sigma2 = border.pwrss / df
    objective = out.log_det - problem.sum_log_weights + df * (LOG_2PI + np.log(sigma2) + 1.0)
    if REML:
        objective = objective + border.log_det + problem.fixed_basis.log_det_R2
    # 3. The derivative in T, from B of every kind of level.
    B = _residual_squares(batch, responses, border.gamma) / sigma2
    if REML:
        B += _fixed_squares(batch, border.inverse)
    dT = _factor_gradient(kinds.faces, kinds.counts, T, out, B)
    gradient = np.einsum("kij,ijr->kr", batch.directions, dT)
    return BatchEvaluation(objective, gradient, sigma2, border.gamma, border.inverse, out.P, B)


def _eliminate(A: FloatArray, counts: FloatArray, T: FloatArray) -> _Eliminated:
    S, G, R = len(A), A.shape[2], T.shape[2]
    AT = np.einsum("ikg,kjr->ijgr", A, T)
    D = np.einsum("kir,kjgr->ijgr", T, AT)
    faces.add_identity(D)
    K = faces.lower_inverse(faces.cholesky(D.reshape(S, S, -1)))
    log_det = -2.0 * np.einsum("g,igr->r", counts, np.log(np.einsum("iil->il", K)).reshape(S, G, R))
    D_inverse = faces.gram(K).reshape(S, S, G, R)
    E = np.einsum("ikr,kjgr->ijgr", T, D_inverse)
    return _Eliminated(D_inverse, E, np.einsum("ikgr,jkr->ijgr", E, T), log_det)


def _solve_border(batch: BatchProblem, responses: Responses, P: FloatArray) -> _Border:
    kinds, XX = batch.kinds, batch.problem.equations.A.XX
    (p, S, G), R = kinds.XZ.shape, P.shape[3]
    flat = P.reshape(-1, R)
    pwrss = responses.rss - np.einsum("ar,ar->r", responses.squares.reshape(-1, R), flat)
    if not p:
        _refuse_vanished(pwrss)
        return _Border(np.zeros(R), np.zeros((0, 0, R)), np.zeros((0, R)), pwrss)
    taken = np.einsum("g,aig,bjg->abijg", kinds.counts, kinds.XZ, kinds.XZ).reshape(p * p, -1) @ flat
    half = np.einsum("ijgr,jgr->igr", P, responses.sums).reshape(S * G, R)
    right = responses.X - kinds.XZ.reshape(p, -1) @ half
    M = XX[:, :, None] - taken.reshape(p, p, R)
    L_inverse = faces.lower_inverse(faces.cholesky(M))
    w = np.einsum("abr,br->ar", L_inverse, right)
    pwrss -= np.einsum("ar,ar->r", w, w)
    _refuse_vanished(pwrss)
    log_det = -2.0 * np.log(np.einsum("aar->ar", L_inverse)).sum(axis=0)
    return _Border(log_det, faces.gram(L_inverse), np.einsum("bar,br->ar", L_inverse, w), pwrss)


def _refuse_vanished(pwrss: FloatArray) -> None:
    if not pwrss.min(initial=math.inf) > 0.0:
        raise np.linalg.LinAlgError("a residual sum of squares vanishes")


def _residual_squares(batch: BatchProblem, responses: Responses, gamma: FloatArray) -> FloatArray:
    """Return ``sum_l r_l r_l'`` of what the fixed effects leave, shape (S, S, G, R)."""
    kinds = batch.kinds
    c = np.tensordot(kinds.XZ, gamma, axes=(0, 0))
    # (s - n c / 2) c' and its transpose: both cross terms and half of n c c' each.
    cross = (responses.sums - 0.5 * kinds.counts[:, None] * c)[:, None] * c[None]
    return np.asarray(responses.squares - cross - cross.transpose(1, 0, 2, 3))


def _fixed_squares(batch: BatchProblem, inverse: FloatArray) -> FloatArray:
    """Return ``n_g Z'X (R_X'R_X)^-1 X'Z`` of every kind, shape (S, S, G, R)."""
    kinds = batch.kinds
    (p, S, G), R = kinds.XZ.shape, inverse.shape[2]
    weights = np.einsum("g,aig,bjg->ijgab", kinds.counts, kinds.XZ, kinds.XZ).reshape(-1, p * p)
    return np.asarray((weights @ inverse.reshape(p * p, R)).reshape(S, S, G, R))


def _factor_gradient(
    A: FloatArray, counts: FloatArray, T: FloatArray, out: _Eliminated, B: FloatArray
) -> FloatArray:
    """Return the derivative of the objective in T, by the formula that loses fewer digits, (S, S, R)."""
    large = _is_large(A, counts, T)
    if large.all():
        return _fisher_gradient(counts, out.D_inverse, out.E, B, T)
    small, dT = ~large, np.empty(T.shape)
    derivative, _ = _covariance_derivative(A, counts, out.P[..., small], B[..., small])
    dT[..., small] = 2.0 * faces.product(derivative, T[..., small])
    if large.any():
        parts = (out.D_inverse[..., large], out.E[..., large], B[..., large], T[..., large])
        dT[..., large] = _fisher_gradient(counts, *parts)
    return dT


def _is_large(A: FloatArray, counts: FloatArray, T: FloatArray) -> BoolArray:
    """Tell which T are so large that dividing by them loses fewer digits than multiplying, shape (R,).

    Fisher's identity loses digits as T goes to zero, the direct formula as ``T'AT`` grows.
    """
    mean = np.einsum("iig,g->i", A, counts) / counts.sum()
    diagonal = np.abs(np.einsum("iir->ir", T)) * np.sqrt(mean)[:, None]
    return np.asarray(diagonal.min(axis=0) > 1.0)


def _covariance_derivative(
    A: FloatArray, counts: FloatArray, P: FloatArray, B: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the derivative of the objective in ``T T'``, shape (S, S, R), and ``A Phi'`` of every kind.

    The second is ``(A^-1 + T T')^-1``, the information on the effects of a level.
    """
    Phi = -np.einsum("ikg,kjgr->ijgr", A, P)
    faces.add_identity(Phi)
    precision = np.einsum("ikg,jkgr->ijgr", A, Phi)
    explained = np.einsum("ilgr,jlgr->ijr", np.einsum("ikgr,klgr->ilgr", Phi, B), Phi)
    return np.einsum("g,ijgr->ijr", counts, precision) - explained, precision


def _fisher_gradient(
    counts: FloatArray, D_inverse: FloatArray, E: FloatArray, B: FloatArray, T: FloatArray
) -> FloatArray:
    """Return ``2 T^-T gap``."""
    gap = -np.einsum("ilgr,ljgr->ijr", np.einsum("kigr,klgr->ilgr", E, B), E)
    gap -= np.einsum("g,ijgr->ijr", counts, D_inverse)
    for i in range(len(E)):
        gap[i, i] += counts.sum()
    return 2.0 * faces.product(faces.transposed(faces.lower_inverse(T)), gap)


def inverse_curvature(batch: BatchProblem, at: BatchEvaluation, free: FloatArray, least: float) -> FloatArray:
    """Return the inverse of the expected Hessian in the free coordinates, shape (k, k, R).

    For changes ``C_i`` of ``T T'`` it is ``sum_l tr(Q_l C_i Q_l C_j)`` with Q the precision of a level, and
    at a zero variance what the derivative H in ``T T'`` adds, ``2 tr(dT_i' H dT_j)`` with its positive part.
    """
    directions, counts = batch.directions, batch.kinds.counts
    derivative, precision = _covariance_derivative(batch.kinds.faces, counts, at.P, at.B)
    T = np.einsum("kij,kr->ijr", directions, free)
    half = np.einsum("kij,ljr->kilr", directions, T)
    changes = half + half.transpose(0, 2, 1, 3)
    moved = np.einsum("ijgr,kjlr->kilgr", precision, changes)
    H = np.einsum("kilgr,mligr->kmr", moved * counts[:, None], moved)
    values, vectors = np.linalg.eigh(derivative.transpose(2, 0, 1))
    positive = np.einsum("ria,ra,rja->ijr", vectors, np.maximum(values, 0.0), vectors)
    H += 2.0 * np.einsum("kjar,mja->kmr", np.einsum("kia,ijr->kjar", directions, positive), directions)
    scale = np.sqrt(np.einsum("kkr->kr", H))
    values, vectors = np.linalg.eigh((H / scale[:, None] / scale[None]).transpose(2, 0, 1))
    root = vectors / np.sqrt(np.maximum(values, least))[:, None, :]
    return np.asarray(np.einsum("rka,rma->kmr", root, root) / scale[:, None] / scale[None])
