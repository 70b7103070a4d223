"""Cholesky factor of the penalized system, solutions with it, and its border of fixed effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

from mixedmodels.arrays import FloatArray
from mixedmodels.factorization.weighted.coupling import (
    apply_by_level,
    subtract_schur,
    tail_times,
    transposed_times,
)
from mixedmodels.factorization.weighted.penalized_system import (
    PenalizedSystem,
    SphericalRows,
    working_products,
)
from mixedmodels.factorization.weighted.row_sums import sum_rows
from mixedmodels.factorization.weighted.scalar_system import ScalarSystem
from mixedmodels.kernels import faces

# Smallest eigenvalue of a Schur complement relative to its largest: half the digits of a double.
SMALLEST_EIGENVALUE = 1e-10
# Rounding error of a Schur complement relative to what it was subtracted from.
ROUNDING = 1e-10


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Eliminated:
    """One eliminated chain block.

    Attributes
    ----------
    L_inverse : ndarray, shape (S, S, q)
        Inverse of the Cholesky factor of the diagonal faces left after the earlier eliminations.
    links : dict
        ``links[k]``, shape (S_k, S, q): later chain block k against this one, times ``L^-T``.
    entries : ndarray, shape (S, m)
        The tail against this block, times ``L^-T``.
    """

    L_inverse: FloatArray
    links: dict[int, FloatArray]
    entries: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PenalizedFactor:
    """Cholesky factor of Omega.

    Attributes
    ----------
    system : PenalizedSystem
        The pattern.
    zeta : SphericalRows
        ``Lambda'z_i``.
    chain : tuple of Eliminated
        Eliminated blocks, in order.
    tail : ndarray, shape (n_tail, n_tail)
        Lower Cholesky factor of the tail.
    log_det : float
        ``log|Omega|``.
    values : ndarray or None
        What `chain` holds, as the compiled loops take it.
    """

    system: PenalizedSystem
    zeta: SphericalRows
    chain: tuple[Eliminated, ...]
    tail: FloatArray
    log_det: float
    values: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Border:
    """The fixed effects bordering Omega.

    Attributes
    ----------
    coupling : ndarray, shape (p, sum q S)
        ``B = X'WZ Lambda``.
    solved : ndarray, shape (p, sum q S)
        ``B Omega^-1``.
    inverse : ndarray, shape (p, p)
        Inverse of the Schur complement ``X'WX - B Omega^-1 B'``.
    """

    coupling: FloatArray
    solved: FloatArray
    inverse: FloatArray


def factorize(system: PenalizedSystem, zeta: SphericalRows, W: FloatArray) -> PenalizedFactor:
    """Factor Omega for row weights W.

    Raises
    ------
    numpy.linalg.LinAlgError
        If Omega is not positive definite, which takes negative weights.
    """
    if system.scalar is not None:
        return _factorize_scalar(system, system.scalar, zeta, W)
    pattern = system.pattern
    # 1. Refill Z'WZ on the scale of u.
    A = working_products(system, zeta, W)
    tail, links = A.tail, dict(A.links)
    chain: list[Eliminated] = []
    log_det = 0.0
    # 2. Eliminate the chain, innermost block first: each loses what those nested in it take away, is factored
    #    level by level, and takes its own part from the tail.
    for j, face in enumerate(A.faces):
        faces.add_identity(face)
        entries = A.entries[j] if pattern.tail else np.zeros((len(face), 0))
        for i, inner in enumerate(chain):
            _subtract_inner(system, inner, (i, j), face, links, entries)
        L_inverse, block_log_det = _inverse_factor(face)
        scaled = {
            k: faces.product(link, faces.transposed(L_inverse)) for (i, k), link in links.items() if i == j
        }
        if pattern.tail:
            entries = apply_by_level(system.couplings[j], L_inverse, entries)
            subtract_schur(system.couplings[j], entries, tail)
        chain.append(Eliminated(L_inverse, scaled, entries))
        log_det += block_log_det
    # 3. The tail, dense.
    if pattern.tail:
        np.einsum("ii->i", tail)[...] += 1.0
        tail = _factorize_tail(tail)
        log_det += 2.0 * float(np.log(tail.diagonal()).sum())
    return PenalizedFactor(system, zeta, tuple(chain), tail, log_det)


def _factorize_tail(tail: FloatArray) -> FloatArray:
    """Return the lower Cholesky factor of a tail, in its place."""
    tail, info = dpotrf(tail, lower=1, clean=1, overwrite_a=1)
    if info != 0:
        raise LinAlgError("the penalized system is not positive definite")
    return tail


def _factorize_scalar(
    system: PenalizedSystem, scalar: ScalarSystem, zeta: SphericalRows, W: FloatArray
) -> PenalizedFactor:
    """Factor Omega of random intercepts by the compiled loops."""
    found = scalar.loops.eliminate(np.ascontiguousarray(W), scalar.scales(zeta))
    if found is None:
        raise LinAlgError("a face is not positive definite")
    values, tail, log_det = found
    if len(tail):
        for parts, coupling in zip(scalar.split(values), system.couplings, strict=True):
            if coupling.is_dense:
                dense = parts[2].reshape(coupling.n_levels, coupling.n_tail)
                tail = dsyrk(-1.0, dense.T, beta=1.0, c=tail, lower=1, overwrite_c=1)
        tail = _factorize_tail(tail)
        log_det += 2.0 * float(np.log(tail.diagonal()).sum())
    if not np.isfinite(log_det):
        # BLAS may let what is not a number pass.
        raise LinAlgError("the penalized system is not positive definite")
    return scalar_factor(system, scalar, zeta, values, tail, log_det)


def scalar_factor(
    system: PenalizedSystem,
    scalar: ScalarSystem,
    zeta: SphericalRows,
    values: FloatArray,
    tail: FloatArray,
    log_det: float,
) -> PenalizedFactor:
    """Return a factor that the compiled loops have found."""
    chain = tuple(Eliminated(*parts) for parts in scalar.split(values))
    return PenalizedFactor(system, zeta, chain, tail, log_det, values)


def _inverse_factor(face: FloatArray) -> tuple[FloatArray, float]:
    """Return the inverses of the Cholesky factors of the faces, and their log-determinants' sum."""
    if len(face) > 1:
        L = faces.cholesky(face)
        return faces.lower_inverse(L), faces.log_det(L)
    if not face.min() > 0.0:
        raise LinAlgError("a face is not positive definite")
    return 1.0 / np.sqrt(face), float(np.log(face).sum())


def _subtract_inner(
    system: PenalizedSystem,
    inner: Eliminated,
    position: tuple[int, int],
    face: FloatArray,
    links: dict[tuple[int, int], FloatArray],
    entries: FloatArray,
) -> None:
    """Subtract from chain block j what the elimination of block i < j, nested in it, takes away."""
    i, j = position
    parent = system.parents[i, j]
    mine = inner.links[j]
    face -= sum_rows(parent, faces.product(mine, faces.transposed(mine)))
    for k in inner.links:
        if k > j:
            update = faces.product(inner.links[k], faces.transposed(mine))
            links[j, k] = links[j, k] - sum_rows(parent, update)
    if system.couplings:
        update = apply_by_level(system.couplings[i], mine, inner.entries)
        entries -= sum_rows(system.lifts[i, j], update)


def solve(factor: PenalizedFactor, rhs: FloatArray) -> FloatArray:
    """Return ``Omega^-1 rhs``; shape (..., sum q S)."""
    system, pattern = factor.system, factor.system.pattern
    leading = rhs.shape[:-1]
    if system.scalar is not None and factor.values is not None:
        return _solve_scalar(system.scalar, factor.values, factor.tail, rhs)
    if not pattern.tail and len(factor.chain) == 1:
        L_inverse = factor.chain[0].L_inverse
        y = _apply(L_inverse, rhs.reshape(*leading, len(L_inverse), -1))
        return _apply(faces.transposed(L_inverse), y).reshape(rhs.shape)
    parts = [
        rhs[..., where].reshape(*leading, block.size, -1)
        for block, where in zip(system.blocks, system.slices, strict=True)
    ]
    tail = _forward(factor, parts)
    if pattern.tail:
        solved, _ = dpotrs(factor.tail, tail.T, lower=1)
        tail = solved.T
        for r, t in enumerate(pattern.tail):
            levels = tail[..., pattern.tail_slice(r)].reshape(*leading, -1, system.blocks[t].size)
            parts[t] = np.swapaxes(levels, -1, -2)
    _backward(factor, parts, tail)
    return np.concatenate([part.reshape(*leading, -1) for part in parts], axis=-1)


def _solve_scalar(scalar: ScalarSystem, values: FloatArray, L: FloatArray, rhs: FloatArray) -> FloatArray:
    """Solve by the compiled loops."""
    found, tail = scalar.loops.forward(values, np.ascontiguousarray(rhs.reshape(-1, rhs.shape[-1]).T))
    if len(L):
        tail = np.ascontiguousarray(dpotrs(L, tail, lower=1)[0])
    scalar.loops.backward(values, found, tail)
    return found.T.reshape(rhs.shape)


def _forward(factor: PenalizedFactor, parts: list[FloatArray]) -> FloatArray:
    """Eliminate the chain from the right-hand sides, in place; return that of the tail."""
    system, pattern = factor.system, factor.system.pattern
    leading = parts[0].shape[:-2]
    tails = [np.swapaxes(parts[t], -1, -2).reshape(*leading, -1) for t in pattern.tail]
    tail = tails[0] if len(tails) == 1 else np.concatenate(tails or [np.zeros(0)], axis=-1)
    for j, step in enumerate(factor.chain):
        y = parts[pattern.chain[j]] = _apply(step.L_inverse, parts[pattern.chain[j]])
        for k, link in step.links.items():
            outer = pattern.chain[k]
            parts[outer] = parts[outer] - sum_rows(system.parents[j, k], _apply(link, y))
        if pattern.tail:
            tail = tail - tail_times(system.couplings[j], step.entries, y)
    return tail


def _backward(factor: PenalizedFactor, parts: list[FloatArray], tail: FloatArray) -> None:
    """Substitute back through the chain, in place."""
    system, pattern = factor.system, factor.system.pattern
    for j in reversed(range(len(factor.chain))):
        step, y = factor.chain[j], parts[pattern.chain[j]]
        if pattern.tail:
            y = y - transposed_times(system.couplings[j], step.entries, tail)
        for k, link in step.links.items():
            outer = parts[pattern.chain[k]].take(system.parents[j, k].index, axis=-1)
            y = y - _apply(faces.transposed(link), outer)
        parts[pattern.chain[j]] = _apply(faces.transposed(step.L_inverse), y)


def _apply(A: FloatArray, v: FloatArray) -> FloatArray:
    """Return ``A_l v_l`` for every level; shapes (a, k, q) and (..., k, q)."""
    if A.shape[1] == 1:
        return np.asarray(A[:, 0] * v)
    return np.asarray(np.einsum("ikl,...kl->...il", A, v))


def border(factor: PenalizedFactor, coupling: FloatArray, XWX: FloatArray) -> Border:
    """Border the factor with fixed effects.

    Coefficients on their way to infinity (separated data) leave a Schur complement that is singular in
    floating point: its eigenvalues are kept away from zero.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the bordered system is indefinite.
    """
    if not len(XWX):
        return Border(coupling, coupling, XWX)
    solved = solve(factor, coupling)
    schur = XWX - coupling @ solved.T
    half, info = dpotrf(schur, lower=1, clean=1)
    if info == 0:
        return Border(coupling, solved, inverse_of(half))
    values, vectors = np.linalg.eigh(0.5 * (schur + schur.T))
    # Weights over many decades cancel in the difference: so much of X'WX may be rounding error.
    rounding = ROUNDING * float(np.abs(XWX).max())
    floor = max(SMALLEST_EIGENVALUE * float(values[-1]), SMALLEST_EIGENVALUE * rounding)
    if not values[0] > -rounding or floor == 0.0:
        raise LinAlgError("the system bordered with fixed effects is indefinite")
    return Border(coupling, solved, vectors / np.maximum(values, floor) @ vectors.T)


def inverse_of(L: FloatArray) -> FloatArray:
    """Return ``(L L')^-1``, both halves; the upper half of L must hold zeros."""
    lower, _ = dpotri(L, lower=1)
    inverse = lower + lower.T
    np.einsum("ii->i", inverse)[...] *= 0.5
    return np.asarray(inverse)


def solve_bordered(
    factor: PenalizedFactor, border: Border, rhs: FloatArray, rhs_fixed: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solve for random and fixed effects."""
    u = solve(factor, rhs)
    gamma = border.inverse @ (rhs_fixed - border.coupling @ u)
    return u - gamma @ border.solved, gamma
