"""A partially factorized mean-field approximation of crossed factors, factored at one theta.

The largest factor is eliminated exactly; after it the levels of the large factors are taken as conditionally
independent, and small factors are kept whole (:mod:`mixedmodels.engines.linear.bordered_blocks`). It gives
conditional variances, and preconditions conjugate gradients for the model's own equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.bordered_blocks import Arrow, by_level
from mixedmodels.kernels import faces

#: Most steps of the conjugate gradients.
MAX_GRADIENTS = 100
#: Least share of the information on small factors left when the large ones are taken out, and a ridge.
LEAST_LEFT, RIDGE = 0.02, 1e-10


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
