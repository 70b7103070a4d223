"""Whitening of a series without gaps by the banded Cholesky factor of an ARMA process: O(T) for T rows.

Beyond the first p rows the autoregression is taken out, ``W_t = X_t - phi_1 X_{t-1} - ...``; what is left is
a moving average, whose covariance has q diagonals (Brockwell & Davis 1991, section 8.7).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cholesky_banded, lapack

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.arma_covariance import arma_autocovariances


def without_autoregression(phi: FloatArray, x: FloatArray) -> FloatArray:
    """Return W of series X, rows first: ``A X``."""
    p, T = len(phi), len(x)
    w = x.copy()
    for k in range(1, p + 1 if p < T else 1):
        w[p:] -= phi[k - 1] * x[p - k : T - k]
    return w


def without_autoregression_pullback(phi: FloatArray, dw: FloatArray) -> FloatArray:
    """Return the gradient in X of a function whose gradient in W is `dw`: ``A' dw``."""
    p, T = len(phi), len(dw)
    dx = dw.copy()
    for k in range(1, p + 1 if p < T else 1):
        dx[p - k : T - k] -= phi[k - 1] * dw[p:]
    return dx


def with_autoregression(phi: FloatArray, w: FloatArray) -> FloatArray:
    """Return X of W, one row after the other."""
    p = len(phi)
    x = w.copy()
    for t in range(p, len(w)):
        x[t] += phi @ x[t - p : t][::-1]
    return x


def banded_factor(phi: FloatArray, theta: FloatArray, T: int) -> FloatArray:
    """Return the Cholesky factor of the covariance of W for X of variance 1, by diagonals, shape (b + 1, T).

    Raises
    ------
    numpy.linalg.LinAlgError
        If the process is at the end of stationarity.
    """
    p, q = len(phi), len(theta)
    ma = np.concatenate([[1.0], theta])
    g = arma_autocovariances(phi, theta, max(p + q, 1))
    band = np.zeros((min(max(p, q + 1), T), T))
    for d in range(len(band)):
        later = slice(p, T - d)  # both rows are beyond the first p
        if d <= q:
            band[d, later] = ma[: q + 1 - d] @ ma[d:]
        for i in range(min(p, T - d)):
            band[d, i] = g[d] if i + d < p else _cross(phi, g, d) if d <= q else 0.0
    return np.asarray(cholesky_banded(band / g[0], lower=True))


def _cross(phi: FloatArray, g: FloatArray, d: int) -> float:
    """Return the covariance of X with the W that is `d` rows later."""
    return float(g[d] - sum(phi[k - 1] * g[abs(d - k)] for k in range(1, len(phi) + 1)))


def solve_factor(factor: FloatArray, rows: FloatArray, transposed: bool = False) -> FloatArray:
    """Return ``L^-1 rows``, or ``L^-T rows``, of a banded factor."""
    solved, info = lapack.dtbtrs(factor, rows, uplo="L", trans="T" if transposed else "N")
    if info:
        raise np.linalg.LinAlgError("a diagonal element of the factor is zero")
    return np.asarray(solved)


def times_factor(factor: FloatArray, rows: FloatArray) -> FloatArray:
    """Return ``L rows`` of a banded factor."""
    T = len(rows)
    found = np.zeros_like(rows)
    for d, diagonal in enumerate(factor):
        found[d:] += diagonal[: T - d, None] * rows[: T - d]
    return found
