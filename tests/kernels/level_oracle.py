"""What the kernels of mixedmodels.kernels.levels compute, by dense algebra, one level at a time.

The arguments are those of the kernels, which the module describes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy.special import expit

from mixedmodels.arrays import FloatArray, IntArray

#: Squared length of a Newton step at which a mode is exact, as in pirls.py.
DECREMENT = 1e-22
#: Below this a step that no longer shrinks is rounding error.
ROUNDING = 1e-14
#: Largest change of eta in a Newton step that needs no line search: both families have |W'| <= W, so that
#: along such a step the Hessian grows by a factor below exp(0.5) < 2, and the step goes uphill.
SHORT = 0.5
#: Beyond this the exponential of the Poisson mean is clamped.
LARGEST_EXPONENT = 700.0
MAX_STEPS = 200


def level_modes(
    kind: int,
    y: FloatArray,
    weights: FloatArray,
    fixed: FloatArray,
    Z: FloatArray,
    T: FloatArray,
    starts: IntArray,
    u: FloatArray,
    found: FloatArray,
    half: FloatArray,
) -> tuple[bool, float, float, float]:
    """Find the conditional mode of every level.

    Parameters
    ----------
    kind, y, weights, Z, T, starts
        The model; see the module.
    fixed : ndarray, shape (n,)
        Linear predictor without the random effects.
    u : ndarray, shape (q, S)
        Where to start; holds the modes afterwards.
    found, half : ndarray
        Filled; see the module.

    Returns
    -------
    found : bool
        Whether all modes were found; if not, the arrays hold nothing of use.
    loglik : float
        Sum of the log-likelihood terms at the mode, without their constants.
    squares : float
        ``|u|^2``.
    log_det : float
        ``log|Omega|``.
    """
    loglik = log_det = 0.0
    for level, rows in enumerate(_levels(starts)):
        data = (y[rows], weights[rows])
        zeta = Z[rows] @ T
        found[0, rows] = fixed[rows] + zeta @ u[level]
        previous = np.inf
        for _ in range(MAX_STEPS):
            found[1:, rows] = _derivatives(kind, *data, found[0, rows])
            omega = zeta.T @ (found[2, rows, None] * zeta) + np.eye(len(T))
            half[level] = np.linalg.inv(np.linalg.cholesky(omega))
            score = zeta.T @ found[1, rows] - u[level]
            step = half[level].T @ (half[level] @ score)
            squared, size = float(step @ score), 1.0 + float(u[level] @ u[level])
            if squared <= DECREMENT * size or (squared <= ROUNDING * size and squared > 0.25 * previous):
                break
            previous = squared

            def penalized(trial: FloatArray, eta: FloatArray, data: tuple[FloatArray, FloatArray]) -> float:
                return float(trial @ trial - 2.0 * _log_likelihood(kind, *data, eta).sum())

            before = penalized(u[level], found[0, rows], data)
            while np.abs(zeta @ step).max(initial=0.0) > SHORT and not (
                penalized(u[level] + step, fixed[rows] + zeta @ (u[level] + step), data) < before
            ):
                step *= 0.5
            u[level] += step
            found[0, rows] = fixed[rows] + zeta @ u[level]
        loglik += float(_log_likelihood(kind, *data, found[0, rows]).sum())
        log_det -= 2.0 * float(np.log(np.diagonal(half[level])).sum())
    return bool(np.isfinite(loglik)), loglik, float((u * u).sum()), log_det


def level_gradient(
    Z: FloatArray,
    T: FloatArray,
    starts: IntArray,
    u: FloatArray,
    found: FloatArray,
    half: FloatArray,
    shift: FloatArray,
    omega: FloatArray,
    residual: FloatArray,
    dT: FloatArray,
) -> None:
    """Complete the gradient of an objective at the conditional modes.

    Leverages and the movement of the mode as in laplace_gradient.py, which has the formulas.

    Parameters
    ----------
    Z, T, starts, u, found, half
        The model and its modes; see the module.
    shift : ndarray, shape (q, S), or (0, S)
        Derivative of the objective in the mode u at fixed eta; empty for the Laplace approximation, zero.
    omega : ndarray, shape (q, S, S), or (0, S, S)
        Its derivative in Omega; empty for the Laplace approximation, ``Omega^-1``.
    residual : ndarray, shape (n,)
        Its derivative in eta at fixed mode and Omega; afterwards the total one.
    dT : ndarray, shape (S, S)
        Its derivative in T at fixed eta, mode and Omega; afterwards the total one, in the lower triangle.
    """
    for level, rows in enumerate(_levels(starts)):
        zeta = Z[rows] @ T
        inverse = half[level].T @ half[level]
        direct, pull = (omega[level], shift[level].copy()) if len(omega) else (inverse, np.zeros(len(T)))
        _, d1, W, slope = found[:, rows]
        effects = zeta @ direct
        through_W = np.einsum("is,is->i", zeta, effects) * slope
        adjoint = inverse @ (pull + zeta.T @ through_W)
        residual[rows] += through_W - W * (zeta @ adjoint)
        dT += np.outer(Z[rows].T @ residual[rows], u[level]) + np.outer(Z[rows].T @ d1, adjoint)
        dT += 2.0 * Z[rows].T @ (W[:, None] * effects)


def level_nodes(
    kind: int,
    y: FloatArray,
    weights: FloatArray,
    Z: FloatArray,
    T: FloatArray,
    starts: IntArray,
    u: FloatArray,
    found: FloatArray,
    half: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    signs: FloatArray,
    shift: FloatArray,
    omega: FloatArray,
    residual: FloatArray,
    factors: FloatArray,
) -> float:
    """Integrate over the effects of every level by adaptive quadrature at the conditional modes.

    The formulas are those of quadrature.py.

    Parameters
    ----------
    kind, y, weights, Z, T, starts, u, found, half
        The model and its modes; see the module.
    nodes, log_weights, signs : ndarray, shapes (K, S), (K,), (K,)
        The rule.
    shift, omega, residual, factors : ndarray, shapes (q, S), (q, S, S), (n,), (S, S)
        Filled with what :func:`level_gradient` completes; `factors` must hold zeros.

    Returns
    -------
    float
        Sum over levels of the log of the sum over nodes, without the determinant and the constants; not
        finite if a sparse rule gives a negative integral.
    """
    total = 0.0
    squares = 0.5 * np.einsum("ks,ks->k", nodes, nodes)
    for level, rows in enumerate(_levels(starts)):
        C, zeta = half[level].T, Z[rows] @ T
        moved = u[level] + nodes @ C.T
        eta = found[0, rows] + nodes @ (zeta @ C).T
        data = (y[rows], weights[rows])
        terms = _log_likelihood(kind, *data, eta).sum(axis=1) + log_weights + squares
        terms -= 0.5 * np.einsum("ks,ks->k", moved, moved)
        p = signs * np.exp(terms - terms.max())
        if not p.sum() > 0.0:
            return float("inf")
        total += float(terms.max() + np.log(p.sum()))
        p /= p.sum()
        weighted = p[:, None] * _derivatives(kind, *data, eta)[0]
        by_level = Z[rows].T @ weighted.T @ nodes
        residual[rows] = -2.0 * weighted.sum(axis=0)
        shift[level] = 2.0 * p @ moved + zeta.T @ residual[rows]
        K = T.T @ by_level - moved.T @ (p[:, None] * nodes)
        lower = np.tril(K.T @ C)
        middle = lower + np.tril(lower, -1).T + np.eye(len(T))
        omega[level] = C @ middle @ C.T
        factors -= 2.0 * by_level @ C.T
    return total


def _levels(starts: IntArray) -> Iterator[slice]:
    """Yield the rows of each level."""
    for first, last in pairwise(starts):
        yield slice(int(first), int(last))


def _log_likelihood(kind: int, y: FloatArray, weights: FloatArray, eta: FloatArray) -> FloatArray:
    if kind == 0:
        return np.asarray(weights * (y * eta - np.logaddexp(0.0, eta)))
    t = np.clip(eta, -LARGEST_EXPONENT, LARGEST_EXPONENT)
    return np.asarray(weights * (y * t - np.exp(t)))


def _derivatives(kind: int, y: FloatArray, weights: FloatArray, eta: FloatArray) -> FloatArray:
    """Return d1, W and dW / d eta, one after the other."""
    if kind == 0:
        p, q = expit(eta), expit(-eta)
        W = weights * p * q
        return np.array([weights * (y * q - (1.0 - y) * p), W, W * (q - p)])
    mean = weights * np.exp(np.clip(eta, -LARGEST_EXPONENT, LARGEST_EXPONENT))
    return np.array([weights * y - mean, mean, mean])
