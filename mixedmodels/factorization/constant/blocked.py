"""Blocked factorization of ``Omega = Lambda'Z'WZ Lambda + I`` bordered by the fixed effects.

Everything is kept on the scale of the raw cross-products A: a level of an eliminated block enters the rest
only through ``P = T D^-1 T'`` with ``D = T'AT + I``, so theta changes P and nothing else,

    A_rest <- A_rest - A_rest,l P_l A_l,rest        (eliminating level l)

and a singular or zero T is no special case. What is left at the end, the tail, gets its own Lambda and is
factored together with X, densely or sparsely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.factorization.constant.cross_products import CrossProducts, RightHandSide
from mixedmodels.factorization.constant.rest import Rest
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.kernels import faces

with on_first_use():
    from mixedmodels.factorization.constant import dense_tail, sparse_tail

if TYPE_CHECKING:
    from mixedmodels.factorization.constant.dense_tail import DenseTail
    from mixedmodels.factorization.constant.sparse_tail import SparseTail
    from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Step:
    """An eliminated chain block, on the raw scale, after the elimination of those before it.

    Attributes
    ----------
    A : ndarray, shape (S, S, q)
        Diagonal faces.
    links : dict
        ``links[k]``, shape (S_k, S, q): a later chain block, at the level each level lies in.
    rest : Rest
        The tail's random effects and the fixed effects against this block.
    T : ndarray, shape (S, S)
        Relative covariance factor.
    Y : ndarray, shape (S, S, q)
        ``L_D^-1 T'`` with ``D = T'AT + I = L_D L_D'``.
    P : ndarray, shape (S, S, q)
        ``T D^-1 T' = Y'Y``.
    W : ndarray, shape (S, S, q)
        ``T D^-1``.
    D_inverse : ndarray, shape (S, S, q)
        ``D^-1``.
    """

    A: FloatArray
    links: dict[int, FloatArray]
    rest: Rest
    T: FloatArray
    Y: FloatArray
    P: FloatArray
    W: FloatArray
    D_inverse: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Factor:
    """Factor of the penalized least-squares system at one theta.

    Attributes
    ----------
    pattern : Pattern
        Order of elimination.
    factors : tuple of ndarray, each (S, S)
        T of each block of the pattern.
    steps : tuple of Step
        Eliminated blocks in order.
    tail : DenseTail or SparseTail
        Factored tail.
    log_det_L2, log_det_RX2 : float
        ``log|L|^2`` over random effects, ``log|R_X|^2`` over fixed effects.
    """

    pattern: Pattern
    factors: tuple[FloatArray, ...]
    steps: tuple[Step, ...]
    tail: DenseTail | SparseTail
    log_det_L2: float
    log_det_RX2: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Solution:
    """Solution of the penalized least-squares equations for one right-hand side.

    Attributes
    ----------
    b, u : tuple of ndarray, each (S, q)
        Random effects ``b = T u`` and spherical ones, by block of the pattern. Where levels are related by a
        sparse precision, u has the covariance of the levels.
    gamma : ndarray, shape (p,)
        Fixed effects.
    score : tuple of ndarray, each (S, q)
        For a chain block: its right-hand side less everything eliminated after it, ``b = P score``.
        For a tail block: ``Z'W(c - X gamma - Z b)``, with ``u = T' score``.
    """

    b: tuple[FloatArray, ...]
    u: tuple[FloatArray, ...]
    gamma: FloatArray
    score: tuple[FloatArray, ...]


def factorize(
    pattern: Pattern,
    A: CrossProducts,
    factors: Sequence[FloatArray],
) -> Factor:
    """Factor the system for relative covariance factors T, one for each block of the pattern.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the system is not positive definite: X is rank-deficient or a weight is negative.
    """
    steps: list[Step] = []
    raw = _bordered_tail(pattern, A)
    log_det = 0.0
    for j, block in enumerate(pattern.chain):
        step, step_log_det = _eliminate(pattern, A, steps, j, factors[block])
        log_det += step_log_det
        steps.append(step)
        step.rest.subtract_schur(raw, step.Y, step.P)
    tail = (
        dense_tail.factor_dense_tail(pattern, raw, factors)
        if isinstance(raw, np.ndarray)
        else sparse_tail.factor_sparse_tail(pattern, raw, factors)
    )
    return Factor(
        pattern, tuple(factors), tuple(steps), tail, log_det + tail.log_det_random, tail.log_det_fixed
    )


def _bordered_tail(pattern: Pattern, A: CrossProducts) -> FloatArray | SparseMatrix:
    """Return the raw tail with the fixed effects below it, to be overwritten."""
    n_tail, p = pattern.n_tail, len(A.XX)
    if not isinstance(A.tail, np.ndarray):
        return A.tail.copy()
    tail = np.zeros((n_tail + p, n_tail + p))
    tail[:n_tail, :n_tail] = A.tail
    tail[n_tail:, n_tail:] = A.XX
    for r, block in enumerate(pattern.tail):
        tail[n_tail:, pattern.tail_slice(r)] = (
            A.XZ[block].transpose(0, 2, 1).reshape(p, pattern.blocks[block].n_effects)
        )
    return tail


def _eliminate(
    pattern: Pattern,
    A: CrossProducts,
    steps: Sequence[Step],
    k: int,
    T: FloatArray,
) -> tuple[Step, float]:
    """Collect what is left of chain block k after the earlier steps and factor its diagonal faces."""
    block = pattern.chain[k]
    face, rest = A.faces[block], A.rests[k]
    links = {later: A.links[k, later] for later in range(k + 1, len(pattern.chain))}
    for j, step in enumerate(steps):
        parent, q = pattern.parents[j, k], face.shape[2]
        mine = faces.product(step.links[k], step.P)
        face = face - faces.sum_by(faces.product(mine, faces.transposed(step.links[k])), parent, q)
        for later, link in links.items():
            update = faces.product(step.links[later], faces.transposed(mine))
            links[later] = link - faces.sum_by(update, parent, q)
        rest = rest.lifted(step.rest, mine, parent, pattern.lifts[j, k])
    D = faces.congruence(face, T)
    faces.add_identity(D)
    L = faces.cholesky(D)
    L_inverse = faces.lower_inverse(L)
    Y = np.matmul(T, L_inverse)
    D_inverse = faces.gram(L_inverse)
    W = (T @ D_inverse.reshape(len(T), -1)).reshape(D_inverse.shape)
    return Step(face, links, rest, T, Y, faces.gram(Y), W, D_inverse), faces.log_det(L)


def solve_penalized(factor: Factor, rhs: RightHandSide) -> Solution:
    """Solve for the random and the fixed effects of one right-hand side (Bates et al. 2015, eq. 49 to 53)."""
    pattern, n_tail = factor.pattern, factor.pattern.n_tail
    # 1. Forwards through the chain: what each block explains is taken from those that it meets (eq. 49).
    score = list(rhs.Z)
    border = np.concatenate([*(rhs.Z[block].T.ravel() for block in pattern.tail), rhs.X])
    for j, step in enumerate(factor.steps):
        half = faces.apply(step.P, score[pattern.chain[j]])
        for k, link in step.links.items():
            later = pattern.chain[k]
            update = faces.apply(link, half)[:, None]
            q = score[later].shape[1]
            score[later] = score[later] - faces.sum_by(update, pattern.parents[j, k], q)[:, 0]
        border -= step.rest.times(half[None])[0]
    # 2. The tail with the fixed effects: gamma and the effects that cross (eq. 52).
    x, u_tail = factor.tail.solve(border)
    b: list[FloatArray] = [np.empty(0)] * len(pattern.blocks)
    u = list(b)
    remainder = factor.tail.remainder(border, x)
    for r, block in enumerate(pattern.tail):
        where, S = pattern.tail_slice(r), pattern.blocks[block].size
        b[block] = x[where].reshape(-1, S).T
        u[block] = u_tail[where].reshape(-1, S).T
        score[block] = remainder[where].reshape(-1, S).T
    gamma = x[n_tail:]
    # 3. Backwards through the chain (eq. 53), on the scale of b = Lambda u.
    for j in reversed(range(len(factor.steps))):
        step, block = factor.steps[j], pattern.chain[j]
        s = score[block] - step.rest.transposed_times(x[None])[0]
        for k, link in step.links.items():
            s -= faces.apply(faces.transposed(link), b[pattern.chain[k]][:, pattern.parents[j, k]])
        score[block] = s
        b[block] = faces.apply(step.P, s)
        u[block] = faces.apply(faces.transposed(step.W), s)
    return Solution(tuple(b), tuple(u), gamma, tuple(score))
