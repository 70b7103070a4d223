"""Gradient of the profiled objective in the relative covariance factors T, exact for singular T too."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.factorization import dense, faces
from mixedmodels.factorization.blocked import Factor, Solution, scale_rows
from mixedmodels.factorization.inverse import Inverse, invert_on_pattern

#: Below this reciprocal condition number a factor T is treated as singular: T^-T would amplify rounding.
SINGULAR_RCOND = 1e-6


def factor_gradients(
    factor: Factor, solution: Solution, sigma2: float, *, REML: bool
) -> tuple[FloatArray, ...]:
    """Return the derivative of the objective in T, one (S, S) array for each block of the pattern.

    For a nonsingular T this is ``2 T^-T (q I - sum_l S_ll)`` with
    ``S_ll = Var(u_l | y) / sigma^2 + u_l u_l' / sigma^2`` (Fisher's identity); for a singular one
    ``2 sum_l [A Lambda Omega^-1]_ll`` less the same for the fitted values.
    """
    inverse = invert_on_pattern(factor, fixed_effects=REML, cross=False)
    gradients: list[FloatArray] = [np.empty(0)] * len(factor.factors)
    for j, block in enumerate(factor.pattern.chain):
        gradients[block] = _chain_gradient(factor, inverse, j, solution.score[block], sigma2)
    for r, block in enumerate(factor.pattern.tail):
        gradients[block] = _tail_gradient(factor, inverse, r, solution, sigma2)
    return tuple(gradients)


def is_singular(T: FloatArray) -> bool:
    """Tell whether a triangular factor is too close to singular to be divided by."""
    diagonal = np.abs(np.diagonal(T))
    return bool(diagonal.min() <= SINGULAR_RCOND * max(1.0, float(np.abs(T).max())))


def _chain_gradient(factor: Factor, inverse: Inverse, j: int, score: FloatArray, sigma2: float) -> FloatArray:
    step = factor.steps[j]
    N = inverse.chain[j].N + score[:, None] * (score / sigma2)[None]
    NW = faces.product(N, step.W)
    if is_singular(step.T):
        direct = faces.product(step.A, step.W + faces.product(step.P, NW)) - NW
        return 2.0 * direct.sum(axis=2)
    S_ll = step.D_inverse + faces.product(faces.transposed(step.W), NW)
    return _fisher(step.T, S_ll.sum(axis=2), S_ll.shape[2])


def _fisher(T: FloatArray, total: FloatArray, n_levels: int) -> FloatArray:
    return 2.0 * np.linalg.solve(T.T, n_levels * np.eye(len(T)) - total)


def _tail_gradient(factor: Factor, inverse: Inverse, r: int, solution: Solution, sigma2: float) -> FloatArray:
    block = factor.pattern.tail[r]
    T = factor.factors[block]
    if is_singular(T):
        return _direct_tail_gradient(factor, inverse, r, solution, sigma2)
    u = solution.u[block]
    return _fisher(T, inverse.spherical[r].sum(axis=2) + u @ u.T / sigma2, u.shape[1])


def _direct_tail_gradient(
    factor: Factor, inverse: Inverse, r: int, solution: Solution, sigma2: float
) -> FloatArray:
    """Return ``2 sum_l [A V T^-T]_ll`` without dividing by T, for one tail block."""
    block = factor.pattern.tail[r]
    where, S = factor.pattern.tail_slice(r), len(factor.factors[block])
    A_Lambda_V = dense.mirror(factor.schur)[where] @ _half_scaled(factor, inverse, r)
    total = np.array([[np.einsum("ll->", A_Lambda_V[a::S, b::S]) for b in range(S)] for a in range(S)])
    return 2.0 * (total - solution.score[block] @ solution.u[block].T / sigma2)


def _half_scaled(factor: Factor, inverse: Inverse, r: int) -> FloatArray:
    """Return the columns of ``Lambda Omega^-1`` that belong to one tail block, X rows included."""
    where, n_tail, size = factor.pattern.tail_slice(r), factor.pattern.n_tail, len(factor.L)
    order = size if inverse.tail[n_tail:].any() else n_tail
    columns = np.zeros((size, where.stop - where.start))
    columns[where] = np.eye(where.stop - where.start)
    columns[:order] = dense.solve(factor.L[:order, :order], columns[:order])
    for s, block in enumerate(factor.pattern.tail):
        rows = factor.pattern.tail_slice(s)
        columns[rows] = scale_rows(columns[rows], factor.factors[block])
    return columns
