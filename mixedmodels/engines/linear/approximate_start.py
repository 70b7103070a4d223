"""An approximate optimum for crossed factors that needs no large dense matrix, to start from.

A partially factorized mean-field approximation (Ghandwani, Ghosh, Hastie & Owen 2023, arXiv:2307.12378;
Goplerud, Papaspiliopoulos & Zanella 2023, arXiv:2312.13148): levels of the large factors are taken as
conditionally independent, here after the largest factor is eliminated exactly, and small factors are kept
whole (:mod:`mixedmodels.engines.linear.bordered_blocks`). Conditional variances come from that; random
effects and the residual sum of squares are those of the model itself, by conjugate gradients. Fisher scoring
with these moments settles within 0.01 units of the objective from the optimum where factors are well crossed,
and within 1.5 where they are confounded (a department and its teachers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.bordered_blocks import Arrow, build_arrow, by_level
from mixedmodels.engines.linear.gradient import BlockMoments, joined_moments
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.start import Point
from mixedmodels.engines.linear.system import Equations
from mixedmodels.factorization.blocks import block_factor
from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix
from mixedmodels.factorization.heavy_levels import Split
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.kernels import faces

#: Seconds of one core that the approximation takes, and for each entry of the coupling besides.
CALL_SECONDS, ENTRY_SECONDS = 0.01, 2.5e-7
#: Seconds of one evaluation for each row of a dense tail, cubed; and how many evaluations are saved at least.
DENSE_SECONDS, SAVED = 5e-11, 3.0
#: Scoring ends when a step promises less than this, or after so many steps.
SETTLED, MAX_STEPS = 0.01, 12
#: Size, in units of its scale, that a standard deviation keeps: at zero the gradient says nothing.
LEAST_SIZE = 0.01
#: Squared error of the random effects, in residual variances, that ends the conjugate gradients.
SOLVED, MAX_GRADIENTS = 1e-6, 100
#: Least share of the information on small factors left when the large ones are taken out, and a ridge.
LEAST_LEFT, RIDGE = 0.02, 1e-10


def is_expensive(problem: LinearProblem) -> bool:
    """Tell whether the evaluations that the approximation saves cost more than it does: a large tail."""
    pattern, tail = problem.pattern, problem.equations.A.tail
    if not pattern.chain or not pattern.tail or any(b.precision is not None for b in pattern.blocks):
        return False
    entries = sum(
        pattern.blocks[c].size * len(coupling.rows)
        for c, coupling in zip(pattern.chain, pattern.couplings, strict=True)
    )
    if isinstance(tail, SparseMatrix):
        seconds = tail.layout.fronts.seconds
    else:
        seconds = DENSE_SECONDS * float(pattern.n_tail) ** 3
    return SAVED * seconds > CALL_SECONDS + ENTRY_SECONDS * entries


def approximate_theta(problem: LinearProblem, REML: bool, sigma: float | None) -> FloatArray:
    """Return theta near the optimum.

    Parameters
    ----------
    problem : LinearProblem
        A problem whose evaluations are expensive.
    REML : bool
        Which criterion; it decides the divisor of the residual variance only.
    sigma : float or None
        Fixed residual standard deviation.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the approximation breaks down.
    """
    equations = problem.equations
    arrow = build_arrow(equations.pattern, equations.A)
    df = problem.n - problem.p if REML else problem.n
    theta = starting.first_theta(problem)
    x = np.zeros(arrow.middle.n_effects + len(arrow.core_core))
    for _ in range(MAX_STEPS):
        free = starting.free_of(problem, theta)
        T = starting.factors_of(problem, free)
        factor = factor_arrow(arrow, [block_factor(block, T) for block in equations.pattern.blocks])
        at = effects(factor, equations, df, sigma, x)
        x, moments = at.x, approximate_moments(factor, at, equations.split)
        point = Point(free, math.nan, starting.free_gradient(problem, free, moments), moments, math.nan)
        theta = starting.scored_theta(problem, point)
        if abs(float(point.gradient @ (starting.free_of(problem, theta) - free))) < 2.0 * SETTLED:
            break
    least = LEAST_SIZE * problem.scales
    return np.where(boundaries(problem.terms) & (np.abs(theta) < least), least, theta)


@dataclass(frozen=True, slots=True)
class Faces:
    """Diagonal faces ``D = T'AT + I`` of one block and what belongs to them.

    Attributes
    ----------
    T : ndarray, shape (S, S)
        Factor.
    P, W, inverse : ndarray, shape (S, S, q)
        ``T D^-1 T'``, ``T D^-1`` and ``D^-1``.
    """

    T: FloatArray
    P: FloatArray
    W: FloatArray
    inverse: FloatArray


@dataclass(frozen=True, slots=True)
class ArrowFactor:
    """Factored approximation at one theta.

    Attributes
    ----------
    arrow : Arrow
        Cross-products.
    lead : Faces
        The leading block.
    middle : tuple of Faces
        The middle blocks after its elimination.
    T_core : ndarray, shape (c, c)
        Factors of the core along the diagonal, identity for the fixed effects.
    V_core : ndarray, shape (m, m)
        Inverse of the core after everything else.
    L_fixed : ndarray, shape (p, p)
        Cholesky factor of the fixed effects after the leading block: known, as far as variances go.
    H : ndarray, shape (n_middle, m)
        ``D^-1 M'`` with M the core against the middle.
    """

    arrow: Arrow
    lead: Faces
    middle: tuple[Faces, ...]
    T_core: FloatArray
    V_core: FloatArray
    L_fixed: FloatArray
    H: FloatArray

    def scaled(self, x: FloatArray, *, transposed: bool) -> FloatArray:
        """Return ``Lambda x`` or ``Lambda'x``, x being effects of middle, core and fixed effects."""
        out = np.empty_like(x)
        for (_, where), face in zip(self.arrow.middle, self.middle, strict=True):
            T = face.T if transposed else face.T.T
            out[where] = (x[where].reshape(-1, len(T)) @ T).ravel()
        n = self.arrow.middle.n_effects
        out[n:] = (self.T_core.T if transposed else self.T_core) @ x[n:]
        return out

    def times(self, x: FloatArray) -> FloatArray:
        """Return what the leading block leaves of the model's own matrix, times x; nothing approximate."""
        arrow, n, m = self.arrow, self.arrow.middle.n_effects, len(self.V_core)
        b = self.scaled(x, transposed=False)
        middle = arrow.within @ b[:n] + arrow.core_middle.T @ b[n:]
        core = arrow.core_middle @ b[:n] + arrow.core_core @ b[n:]
        lost = from_lead(arrow, faces.apply(self.lead.P, to_lead(arrow, b)))
        out = self.scaled(np.concatenate((middle, core)) - lost, transposed=True)
        out[: n + m] += x[: n + m]
        return out

    def precondition(self, r: FloatArray) -> FloatArray:
        """Return the inverse of the approximation times r."""
        n, m = self.H.shape
        z = np.empty_like(r)
        z[n : n + m] = self.V_core @ (r[n : n + m] - self.H.T @ r[:n])
        if len(self.L_fixed):
            z[n + m :] = cho_solve((self.L_fixed, True), r[n + m :], check_finite=False)
        for (_, where), face in zip(self.arrow.middle, self.middle, strict=True):
            z[where] = faces.apply(face.inverse, r[where].reshape(-1, len(face.T)).T).T.ravel()
        z[:n] -= self.H @ z[n : n + m]
        return z


def from_lead(arrow: Arrow, v: FloatArray) -> FloatArray:
    """Return the rows of middle, core and fixed effects against the leading block, times v, shape (S, q)."""
    core = arrow.core_lead.reshape(len(arrow.core_lead), v.size) @ v.ravel()
    return np.concatenate((arrow.E @ v.T.ravel(), core))


def to_lead(arrow: Arrow, x: FloatArray) -> FloatArray:
    """Return the transpose of these rows times x, shape (S, q)."""
    S, q = arrow.sizes[arrow.lead]
    n = arrow.middle.n_effects
    return np.asarray((arrow.E.T @ x[:n]).reshape(q, S).T + np.tensordot(x[n:], arrow.core_lead, axes=1))


def _factored(A: FloatArray, T: FloatArray) -> Faces:
    D = faces.congruence(A, T)
    faces.add_identity(D)
    inverse = faces.gram(faces.lower_inverse(faces.cholesky(D)))
    W = np.einsum("ik,kjl->ijl", T, inverse)
    return Faces(T, np.einsum("ikl,jk->ijl", W, T), W, inverse)


def factor_arrow(arrow: Arrow, factors: Sequence[FloatArray]) -> ArrowFactor:
    """Factor the approximation for relative covariance factors T, one for each block of the pattern."""
    # 1. The leading block, exactly.
    lead = _factored(arrow.faces[arrow.lead], factors[arrow.lead])
    # 2. Each middle block less what the leading one takes from it, its levels taken for independent.
    middle = []
    for b, pairs in zip(arrow.middle.blocks, arrow.lead_pairs, strict=True):
        half = faces.product(pairs.values, lead.P[:, :, pairs.first])
        lost = faces.product(half, faces.transposed(pairs.values))
        A = arrow.faces[b] - faces.sum_by(lost, pairs.second, arrow.sizes[b][1])
        middle.append(_factored(A, factors[b]))
    # 3. Core and fixed effects less what the leading block takes: K, and M against the middle.
    m = arrow.core.n_effects
    half = faces.right_product(arrow.core_lead, lead.P)
    T = _core_factor(arrow, factors)
    K = T.T @ (arrow.core_core - by_level(half) @ by_level(arrow.core_lead).T) @ T
    M = T[:m, :m].T @ (arrow.core_middle[:m] - (arrow.E @ by_level(half[:m]).T).T)
    # 4. The middle eliminated from the core, level by level.
    H, MT = np.empty((arrow.middle.n_effects, m)), np.empty_like(M)
    for (b, where), face in zip(arrow.middle, middle, strict=True):
        S, q = arrow.sizes[b]
        own = M[:, where].reshape(m, q, S)
        MT[:, where] = (own @ face.T).reshape(m, q * S)
        H[where] = np.einsum("bil,clb->lic", face.W, own).reshape(q * S, m)
    L_fixed = np.asarray(np.linalg.cholesky(K[m:, m:]), dtype=np.float64)
    return ArrowFactor(arrow, lead, tuple(middle), T, _core_inverse(K[:m, :m], MT @ H), L_fixed, H)


def _core_factor(arrow: Arrow, factors: Sequence[FloatArray]) -> FloatArray:
    T = np.eye(len(arrow.core_core))
    for b, where in arrow.core:
        T[where, where] = np.kron(np.eye(arrow.sizes[b][1]), factors[b])
    return T


def _core_inverse(K: FloatArray, lost: FloatArray) -> FloatArray:
    """Return the inverse of ``K - lost + I``.

    Taking levels for independent may lose more than there is, so some of K is kept in every direction.
    """
    if not len(K):
        return K
    root = np.linalg.cholesky(K + RIDGE * (1.0 + K.trace()) * np.eye(len(K)))
    half = np.linalg.solve(root, lost)
    shares, vectors = np.linalg.eigh(np.linalg.solve(root, half.T))
    U = root @ vectors
    return np.linalg.inv((U * np.maximum(1.0 - shares, LEAST_LEFT)) @ U.T + np.eye(len(K)))


@dataclass(frozen=True, slots=True)
class Effects:
    """Solution of the model's own equations.

    Attributes
    ----------
    x : ndarray, shape (n_middle + c,)
        Spherical effects of the middle and the core, then fixed effects.
    lead : ndarray, shape (S, q)
        Spherical effects of the leading block.
    sigma2 : float
        Residual variance.
    """

    x: FloatArray
    lead: FloatArray
    sigma2: float


def effects(
    factor: ArrowFactor, equations: Equations, df: int, sigma: float | None, x: FloatArray
) -> Effects:
    """Solve for the effects, from x on, and the residual variance."""
    arrow, rhs = factor.arrow, equations.rhs
    lead = rhs.Z[arrow.lead]
    half = faces.apply(factor.lead.P, lead)
    raw = [rhs.Z[b].T.ravel() for b in (*arrow.middle.blocks, *arrow.core.blocks)]
    border = factor.scaled(np.concatenate([*raw, rhs.X]) - from_lead(arrow, half), transposed=True)
    variance = equations.rss / df if sigma is None else sigma**2
    x, left = conjugate_gradients(factor, border, x, SOLVED * variance)
    pwrss = equations.rss - float(np.vdot(lead, half)) - float(x @ (border + left))
    b = factor.scaled(x, transposed=False)
    u = faces.apply(faces.transposed(factor.lead.W), lead - to_lead(arrow, b))
    return Effects(x, u, pwrss / df if sigma is None else sigma**2)


def conjugate_gradients(
    factor: ArrowFactor, border: FloatArray, x: FloatArray, tolerance: float
) -> tuple[FloatArray, FloatArray]:
    """Return a solution of what the leading block leaves of the equations, and its residual."""
    r = border - factor.times(x)
    z = d = factor.precondition(r)
    size = float(r @ z)
    for _ in range(MAX_GRADIENTS):
        if size <= tolerance:
            break
        Ad = factor.times(d)
        step = size / float(d @ Ad)
        x, r = x + step * d, r - step * Ad
        z = factor.precondition(r)
        before, size = size, float(r @ z)
        d = z + (size / before) * d
    return x, r


def approximate_moments(
    factor: ArrowFactor, at: Effects, split: Split | None = None
) -> tuple[BlockMoments, ...]:
    """Return the moments of every block, split ones as a whole: approximate variances, exact effects."""
    arrow = factor.arrow
    u, n = {arrow.lead: at.lead}, arrow.middle.n_effects
    T = {arrow.lead: factor.lead.T}
    for (b, where), face in zip(arrow.middle, factor.middle, strict=True):
        u[b], T[b] = at.x[where].reshape(-1, len(face.T)).T, face.T
    for b, where in arrow.core:
        S, _ = arrow.sizes[b]
        u[b] = at.x[n:][where].reshape(-1, S).T
        T[b] = factor.T_core[where, where][:S, :S]
    variances = conditional_variances(factor)
    moments = tuple(_moments(T[b], variances[b], u[b], at.sigma2) for b in range(len(arrow.sizes)))
    return moments if split is None else joined_moments(split, moments)


def _moments(T: FloatArray, V: FloatArray, u: FloatArray, sigma2: float) -> BlockMoments:
    S, q = u.shape
    second = u @ u.T / sigma2
    return BlockMoments(np.linalg.solve(T.T, 2.0 * (q * np.eye(S) - V.sum(axis=2) - second)), V, second)


def conditional_variances(factor: ArrowFactor) -> dict[int, FloatArray]:
    """Return ``Var(u_l | y, beta) / sigma^2`` in the approximation, by block, each (S, S, q)."""
    arrow, m = factor.arrow, len(factor.V_core)
    # 1. Middle blocks: their own inverse and what comes back through the core.
    variances = {}
    G, across = factor.H @ factor.V_core, np.empty_like(factor.H)
    N = np.zeros_like(factor.lead.P)
    for (b, where), face, pairs in zip(arrow.middle, factor.middle, arrow.lead_pairs, strict=True):
        S, q = arrow.sizes[b]
        own = G[where].reshape(q, S, m)
        V = face.inverse + np.einsum("lic,ljc->ijl", own, factor.H[where].reshape(q, S, m))
        half = faces.product(faces.congruence(V, face.T.T)[:, :, pairs.second], pairs.values)
        N += faces.sum_by(faces.product(faces.transposed(pairs.values), half), pairs.first, N.shape[2])
        across[where] = (face.T @ own).reshape(q * S, m)
        variances[b] = V
    # 2. The leading block, through middle and core (Takahashi's recursion).
    if m:
        N += _through_core(factor, across)
    W = factor.lead.W
    variances[arrow.lead] = factor.lead.inverse + faces.product(faces.transposed(W), faces.product(N, W))
    # 3. The core.
    for b, where in arrow.core:
        S, q = arrow.sizes[b]
        variances[b] = np.einsum("lilj->ijl", factor.V_core[where, where].reshape(q, S, q, S))
    return variances


def _through_core(factor: ArrowFactor, across: FloatArray) -> FloatArray:
    """Return what the core adds to ``[E; C]_l' V [E; C]_l`` of the leading block, shape (S, S, q)."""
    arrow, m = factor.arrow, len(factor.V_core)
    S, q = arrow.sizes[arrow.lead]
    T, C = factor.T_core[:m, :m], arrow.core_lead[:m]
    half = 0.5 * np.tensordot(T @ factor.V_core @ T.T, C, axes=1)
    half -= (arrow.E.T @ (across @ T.T)).reshape(q, S, m).transpose(2, 1, 0)
    product = faces.cross_gram(half, C)
    return product + faces.transposed(product)
