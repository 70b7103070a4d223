"""The algebra of tests of fixed effects with n x n matrices, from a fitted model's arrays: the slow way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.models.linear import LinearMixedModel

Array = np.ndarray

STEP = 1e-3


@dataclass(frozen=True)
class Dense:
    """V and its derivatives in variances, covariances and correlations, the residual variance last."""

    y: Array
    X: Array
    V: Array
    first: list[Array]
    second: list[list[Array]]

    @property
    def inverse(self) -> Array:
        return np.linalg.inv(self.V)

    @property
    def fixed(self) -> Array:
        return np.linalg.inv(self.X.T @ self.inverse @ self.X)

    @property
    def projection(self) -> Array:
        A = self.inverse @ self.X
        return self.inverse - A @ self.fixed @ A.T


def natural(structure, theta: Array, sigma: float) -> tuple[Array, Callable[[Array], Array]]:
    """Return natural parameters of one term and the function that makes the covariance of them."""
    T = sigma * structure.factor(theta)
    C, S = T @ T.T, structure.size
    if structure.is_unstructured:
        rows, columns = np.tril_indices(S)

        def symmetric(gamma: Array) -> Array:
            M = np.zeros((S, S))
            M[rows, columns] = M[columns, rows] = gamma
            return M

        return C[rows, columns], symmetric
    if structure.name == "diag":
        return (sigma * theta) ** 2, lambda gamma: np.diag(np.broadcast_to(gamma, (S,)))
    n_sd = structure.n_sd
    if structure.name == "cs" and structure.homogeneous:
        # Linear in one variance and one covariance.
        variance, rho = (sigma * theta[0]) ** 2, theta[1]
        ones = np.ones((S, S))
        return np.array(
            [variance, variance * rho]
        ), lambda gamma: gamma[0] * np.eye(S) + gamma[1] * (ones - np.eye(S))
    start = np.append((sigma * theta[:n_sd]) ** 2, theta[n_sd:])

    def covariance(gamma: Array) -> Array:
        sd = np.broadcast_to(np.sqrt(gamma[:n_sd]), (S,))
        lags = np.abs(np.subtract.outer(np.arange(S), np.arange(S)))
        R = gamma[-1] ** (lags if structure.name == "ar1" else np.minimum(lags, 1)) if S > 1 else np.eye(1)
        return R * np.multiply.outer(sd, sd)

    return start, covariance


def dense(model: LinearMixedModel) -> Dense:
    """Return V and its derivatives at the estimates."""
    d, sigma = model.design, model.sigma()
    w = np.ones(len(model.y)) if d.weights is None else d.weights
    keep = w > 0
    y = model.y - (0.0 if d.offset is None else d.offset)
    G0 = np.diag(1.0 / w[keep])
    V, first, second = sigma**2 * G0, [], []
    for term, part in zip(d.random, theta_slices(d.random), strict=True):
        levels = np.eye(term.n_levels)
        K = levels if term.relationship is None else term.relationship @ term.relationship.T
        rows = np.einsum("ns,nl->nls", term.Z, levels[term.codes])[keep]

        def spread(C: Array, rows=rows, K=K) -> Array:
            return np.einsum("nls,lk,st,mkt->nm", rows, K, C, rows, optimize=True)

        gamma, C = natural(term.structure, model.theta_values[part], sigma)
        V = V + spread(C(gamma))
        D, DD = derivatives(C, gamma)
        place = len(first)
        first += [spread(M) for M in D]
        for row in second:
            row += [np.zeros_like(V)] * len(D)
        second += [[np.zeros_like(V)] * place + [spread(M) for M in row] for row in DD]
    n_parameters = len(first) + 1
    for row in second:
        row.append(np.zeros_like(V))
    second.append([np.zeros_like(V)] * n_parameters)
    return Dense(y[keep], d.X[keep], V, [*first, G0], second)


def derivatives(C: Callable[[Array], Array], gamma: Array) -> tuple[list[Array], list[list[Array]]]:
    """Return first and second derivatives of a smooth matrix by differences of the fourth order."""
    size = np.abs(gamma)
    h = STEP * np.maximum(size, 0.1 * size.max() or 1.0)
    unit = np.eye(len(gamma)) * h

    def along(f: Callable[[Array], Array], k: int) -> Callable[[Array], Array]:
        def slope(g: Array) -> Array:
            e = unit[k]
            return (8 * (f(g + e) - f(g - e)) - (f(g + 2 * e) - f(g - 2 * e))) / (12 * h[k])

        return slope

    slopes = [along(C, k) for k in range(len(gamma))]
    return [f(gamma) for f in slopes], [[along(f, k)(gamma) for k in range(len(gamma))] for f in slopes]


def variance_covariance(at: Dense, REML: bool) -> Array:
    """Return the covariance of the natural parameters, from the observed information."""
    Vi, P, Phi = at.inverse, at.projection, at.fixed
    e = at.y - at.X @ (Phi @ at.X.T @ Vi @ at.y)
    Py = Vi @ e
    M = P if REML else Vi
    k = len(at.first)
    H = np.empty((k, k))
    for i in range(k):
        for j in range(k):
            Vij = at.second[i][j]
            H[i, j] = np.trace(M @ Vij) - np.trace(M @ at.first[i] @ M @ at.first[j])
            H[i, j] += 2 * Py @ at.first[i] @ P @ at.first[j] @ Py - Py @ Vij @ Py
    return 2 * np.linalg.inv(H)


def satterthwaite(at: Dense, L: Array, REML: bool) -> Array:
    """Return the degrees of freedom of every row of L."""
    B = at.inverse @ at.X @ at.fixed
    changes = [B.T @ G @ B for G in at.first]
    g = np.array([[row @ J @ row for J in changes] for row in L])
    v = np.einsum("ip,pq,iq->i", L, at.fixed, L)
    return 2 * v**2 / np.einsum("ik,kl,il->i", g, variance_covariance(at, REML), g)


@dataclass(frozen=True)
class DenseKenwardRoger:
    """Kenward and Roger's adjusted covariance and what their tests are made of, as their paper has it."""

    Phi: Array
    adjusted: Array
    P: list[Array]
    W: Array

    def test(self, L: Array) -> tuple[float, float]:
        """Return degrees of freedom and factor of F, from its approximate mean and variance."""
        Phi, q = self.Phi, len(L)
        Theta = L.T @ np.linalg.solve(L @ Phi @ L.T, L)
        moves = [Theta @ Phi @ P @ Phi for P in self.P]
        A1 = sum(
            w * np.trace(a) * np.trace(b)
            for row, a in zip(self.W, moves, strict=True)
            for w, b in zip(row, moves, strict=True)
        )
        A2 = sum(
            w * np.trace(a @ b)
            for row, a in zip(self.W, moves, strict=True)
            for w, b in zip(row, moves, strict=True)
        )
        B = (A1 + 6 * A2) / (2 * q)
        g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
        c = np.array([g, q - g, q + 2 - g]) / (3 * q + 2 * (1 - g))
        mean = 1 / (1 - A2 / q)
        variance = 2 / q * (1 + c[0] * B) / ((1 - c[1] * B) ** 2 * (1 - c[2] * B))
        rho = variance / (2 * mean**2)
        df = 4 + (q + 2) / (q * rho - 1)
        return df, df / (mean * (df - 2))


def kenward_roger(at: Dense) -> DenseKenwardRoger:
    """Return their quantities."""
    Vi, X, Phi, k = at.inverse, at.X, at.fixed, len(at.first)
    A = Vi @ X
    P = [-A.T @ G @ A for G in at.first]
    information, Q = np.empty((k, k)), {}
    for i in range(k):
        for j in range(k):
            Q[i, j] = A.T @ at.first[i] @ Vi @ at.first[j] @ A
            information[i, j] = np.trace(Vi @ at.first[i] @ Vi @ at.first[j])
            information[i, j] += np.trace(Phi @ P[i] @ Phi @ P[j]) - 2 * np.trace(Phi @ Q[i, j])
    W = 2 * np.linalg.inv(information)
    R = [[A.T @ at.second[i][j] @ A for j in range(k)] for i in range(k)]
    bias = sum(W[i, j] * (Q[i, j] - P[i] @ Phi @ P[j] - 0.25 * R[i][j]) for i in range(k) for j in range(k))
    return DenseKenwardRoger(Phi, Phi + 2 * Phi @ bias @ Phi, P, W)
