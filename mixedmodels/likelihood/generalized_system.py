"""Factorization of ``Omega = Lambda'Z'WZ Lambda + I`` for weights W that change at every step.

The blocks of the pattern's chain are eliminated level by level, nested blocks included; what is left, the
tail, is one dense Cholesky factor. Everything is on the spherical scale u, so a singular T needs no special
treatment. The inverse on the pattern of Z'Z is in row_inverse.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg.lapack import dpotrf, dpotrs

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization import faces
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.pattern import Pattern, build_pattern
from mixedmodels.likelihood.tail_coupling import (
    TailCoupling,
    subtract_schur,
    tail_coupling,
)
from mixedmodels.likelihood.working_products import WorkingProducts, working_products

# Smallest eigenvalue of a Schur complement relative to its largest: half the digits of a double.
SMALLEST_EIGENVALUE = 1e-10


@dataclass(frozen=True, slots=True)
class PenalizedSystem:
    """What never changes: the pattern of Omega.

    Attributes
    ----------
    pattern : Pattern
        Chain, tail and the pairs of levels that occur.
    couplings : tuple of TailCoupling
        One for each chain block.
    slices : tuple of slice
        Place of each block's effects, (S, q) in C order, in the flat vector u.
    codes : tuple of ndarray of intp, each (n,)
        Level of each row, in the integer type that indexing and counting take without a copy.
    """

    pattern: Pattern
    couplings: tuple[TailCoupling, ...]
    slices: tuple[slice, ...]

    codes: tuple[IntArray, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Blocks in order of elimination."""
        return self.pattern.blocks


@dataclass(frozen=True, slots=True)
class Eliminated:
    """One eliminated chain block.

    Attributes
    ----------
    L, L_inverse : ndarray, shape (S, S, q)
        Cholesky factor of the diagonal faces left after the earlier eliminations, and its inverse.
    links : dict
        ``links[k]``, shape (S_k, S, q): later chain block k against this one, times ``L^-T``.
    entries : ndarray, shape (S, nnz)
        The tail against this block, times ``L^-T``.
    """

    L: FloatArray
    L_inverse: FloatArray
    links: dict[int, FloatArray]
    entries: FloatArray


@dataclass(frozen=True, slots=True)
class PenalizedFactor:
    """Cholesky factor of Omega.

    Attributes
    ----------
    system : PenalizedSystem
        The pattern.
    factors : tuple of ndarray, each (S, S)
        T of each block.
    chain : tuple of Eliminated
        Eliminated blocks, in order.
    tail : ndarray, shape (n_tail, n_tail)
        Lower Cholesky factor of the tail.
    log_det : float
        ``log|Omega|``.
    """

    system: PenalizedSystem
    factors: tuple[FloatArray, ...]
    chain: tuple[Eliminated, ...]
    tail: FloatArray
    log_det: float


@dataclass(frozen=True, slots=True)
class Border:
    """The fixed effects bordering Omega.

    Attributes
    ----------
    coupling : ndarray, shape (sum q S, p)
        ``B = Lambda'Z'WX``.
    solved : ndarray, shape (sum q S, p)
        ``Omega^-1 B``.
    inverse : ndarray, shape (p, p)
        Inverse of the Schur complement ``X'WX - B' Omega^-1 B``.
    """

    coupling: FloatArray
    solved: FloatArray
    inverse: FloatArray


def penalized_system(blocks: Sequence[Block]) -> PenalizedSystem:
    """Choose the order of elimination and number everything that occurs together."""
    pattern = build_pattern(blocks)
    ends = np.cumsum([0, *(block.n_effects for block in pattern.blocks)])
    return PenalizedSystem(
        pattern,
        tuple(tail_coupling(coupling, pattern.n_tail) for coupling in pattern.couplings),
        tuple(slice(int(a), int(b)) for a, b in pairwise(ends)),
        tuple(block.codes.astype(np.intp) for block in pattern.blocks),
    )


def factorize(system: PenalizedSystem, factors: Sequence[FloatArray], W: FloatArray) -> PenalizedFactor:
    """Factor Omega for row weights W and relative covariance factors T.

    Raises
    ------
    numpy.linalg.LinAlgError
        If Omega is not positive definite, which takes negative weights.
    """
    pattern = system.pattern
    A = working_products(pattern, system.codes, W)
    tail = _scaled_tail(pattern, A.tail, factors)
    chain: list[Eliminated] = []
    log_det = 0.0
    for j in range(len(pattern.chain)):
        face, links, entries = _scaled_block(pattern, A, factors, j)
        for i, inner in enumerate(chain):
            _subtract_inner(pattern, inner, (i, j), face, links, entries)
        L = faces.cholesky(face)
        L_inverse = faces.lower_inverse(L)
        links = {k: faces.product(link, faces.transposed(L_inverse)) for k, link in links.items()}
        if pattern.tail:
            entries = _apply_by_column(L_inverse, entries, system.couplings[j].columns)
            subtract_schur(system.couplings[j], entries, tail)
        chain.append(Eliminated(L, L_inverse, links, entries))
        log_det += faces.log_det(L)
    if pattern.tail:
        tail, info = dpotrf(tail, lower=1, clean=1)
        if info != 0:
            raise LinAlgError("the penalized system is not positive definite")
        log_det += 2.0 * float(np.log(tail.diagonal()).sum())
    return PenalizedFactor(system, tuple(factors), tuple(chain), tail, log_det)


def _scaled_block(
    pattern: Pattern, A: WorkingProducts, factors: Sequence[FloatArray], j: int
) -> tuple[FloatArray, dict[int, FloatArray], FloatArray]:
    """Return the diagonal faces, links and tail entries of chain block j on the scale of u."""
    block = pattern.chain[j]
    T = factors[block]
    face = faces.congruence(A.faces[j], T)
    faces.add_identity(face)
    links = {
        k: np.einsum("ab,acl,cd->bdl", factors[pattern.chain[k]], A.links[j, k], T)
        for k in range(j + 1, len(pattern.chain))
    }
    entries = np.zeros((len(T), 0))
    if pattern.tail:
        entries = T.T @ A.entries[j]
        for t, slots in zip(pattern.tail, pattern.couplings[j].slots, strict=True):
            if len(T_tail := factors[t]) == 1 and len(pattern.tail) == 1:
                entries *= T_tail[0, 0]
            else:
                entries[:, slots] = np.einsum("ab,sap->sbp", T_tail, entries[:, slots])
    return face, links, entries


def _subtract_inner(
    pattern: Pattern,
    inner: Eliminated,
    position: tuple[int, int],
    face: FloatArray,
    links: dict[int, FloatArray],
    entries: FloatArray,
) -> None:
    """Subtract from chain block j what the elimination of block i < j, nested in it, takes away."""
    i, j = position
    parent, q = pattern.parents[i, j], face.shape[2]
    mine = inner.links[j]
    face -= faces.sum_by(faces.product(mine, faces.transposed(mine)), parent, q)
    for k, link in links.items():
        link -= faces.sum_by(faces.product(inner.links[k], faces.transposed(mine)), parent, q)
    if pattern.tail:
        columns, lift = pattern.couplings[i].columns, pattern.lifts[i, j]
        update = _apply_by_column(mine, inner.entries, columns)
        for s, row in enumerate(update):
            entries[s] -= np.bincount(lift, weights=row, minlength=entries.shape[1])


def _apply_by_column(M: FloatArray, entries: FloatArray, columns: IntArray) -> FloatArray:
    """Return ``M_l E`` for every entry of level l; shapes (a, S, q) and (S, nnz) to (a, nnz)."""
    if M.shape[0] == M.shape[1] == 1:
        return M[0, 0].take(columns) * entries
    return np.einsum("abk,bk->ak", M[:, :, columns], entries)


def _scaled_tail(pattern: Pattern, A: FloatArray, factors: Sequence[FloatArray]) -> FloatArray:
    """Return ``Lambda'A Lambda + I`` of the tail."""
    tail = A.copy()
    for r, block in enumerate(pattern.tail):
        T, where = factors[block], pattern.tail_slice(r)
        tail[where] = _times_levels(tail[where], T)
        tail[:, where] = _times_levels(tail[:, where].T, T).T
    np.einsum("ii->i", tail)[...] += 1.0
    return tail


def _times_levels(rows: FloatArray, T: FloatArray) -> FloatArray:
    """Multiply each group of S rows by T'; rows of shape (q S, m)."""
    if len(T) == 1:
        return rows * T[0, 0]
    return np.matmul(T.T, rows.reshape(-1, len(T), rows.shape[1])).reshape(rows.shape)


def solve(factor: PenalizedFactor, rhs: FloatArray) -> FloatArray:
    """Return ``Omega^-1 rhs``, flat u to flat u."""
    system, pattern = factor.system, factor.system.pattern
    parts = [
        rhs[where].reshape(block.size, -1) for block, where in zip(system.blocks, system.slices, strict=True)
    ]
    tail = np.concatenate([parts[t].T.ravel() for t in pattern.tail]) if pattern.tail else np.zeros(0)
    for j, step in enumerate(factor.chain):
        y = parts[pattern.chain[j]] = faces.apply(step.L_inverse, parts[pattern.chain[j]])
        for k, link in step.links.items():
            outer = pattern.chain[k]
            update = faces.apply(link, y)[:, None]
            parts[outer] = (
                parts[outer] - faces.sum_by(update, pattern.parents[j, k], parts[outer].shape[1])[:, 0]
            )
        if pattern.tail:
            tail -= _tail_times(system.couplings[j], step.entries, y)
    if pattern.tail:
        tail, _ = dpotrs(factor.tail, tail, lower=1)
        for r, t in enumerate(pattern.tail):
            parts[t] = tail[pattern.tail_slice(r)].reshape(-1, system.blocks[t].size).T
    for j in reversed(range(len(factor.chain))):
        step, block = factor.chain[j], pattern.chain[j]
        y = parts[block]
        if pattern.tail:
            y = y - _transposed_times(system.couplings[j], step.entries, tail)
        for k, link in step.links.items():
            y = y - faces.apply(faces.transposed(link), parts[pattern.chain[k]][:, pattern.parents[j, k]])
        parts[block] = faces.apply(faces.transposed(step.L_inverse), y)
    return np.concatenate([part.ravel() for part in parts])


def _tail_times(coupling: TailCoupling, entries: FloatArray, y: FloatArray) -> FloatArray:
    """Return ``E y``, shape (n_tail,)."""
    weights = np.einsum("sk,sk->k", entries, y[:, coupling.columns])
    return np.bincount(coupling.rows, weights=weights, minlength=coupling.n_tail)


def _transposed_times(coupling: TailCoupling, entries: FloatArray, x: FloatArray) -> FloatArray:
    """Return ``E'x``, shape (S, q)."""
    at, q = x[coupling.rows], coupling.n_levels
    return np.stack([np.bincount(coupling.columns, weights=row * at, minlength=q) for row in entries])


def border(factor: PenalizedFactor, coupling: FloatArray, XWX: FloatArray) -> Border:
    """Border the factor with fixed effects.

    Coefficients on their way to infinity (separated data) leave a Schur complement that is singular in
    floating point: its eigenvalues are kept away from zero.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the bordered system is indefinite.
    """
    solved = np.empty_like(coupling)
    for column in range(coupling.shape[1]):
        solved[:, column] = solve(factor, coupling[:, column])
    schur = XWX - coupling.T @ solved
    try:
        half = np.linalg.inv(np.linalg.cholesky(schur))
        return Border(coupling, solved, half.T @ half)
    except LinAlgError:
        values, vectors = np.linalg.eigh(0.5 * (schur + schur.T))
        floor = SMALLEST_EIGENVALUE * float(values[-1])
        if not values[0] > -floor:
            raise
        return Border(coupling, solved, vectors / np.maximum(values, floor) @ vectors.T)


def solve_bordered(
    factor: PenalizedFactor, border: Border, rhs: FloatArray, rhs_fixed: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solve for random and fixed effects."""
    u = solve(factor, rhs)
    gamma = border.inverse @ (rhs_fixed - border.coupling.T @ u)
    return u - border.solved @ gamma, gamma
