"""Autocovariances of ARMA processes."""

from __future__ import annotations

import numpy as np

from mixedmodels.covariance.residual.partial_autocorrelation import Numbers


def arma_autocovariances(phi: Numbers, theta: Numbers, n_lags: int) -> Numbers:
    """Return the autocovariances of an ARMA process of unit innovations at lags 0 to `n_lags`.

    The Yule-Walker equations of Brockwell and Davis (1991, section 3.3): for k <= p,
    ``g_k - sum_j phi_j g_|k-j| = sum_j theta_j psi_{j-k}``, then the recursion in k.

    Examples
    --------
    >>> arma_autocovariances(np.array([]), np.array([0.5]), 2).tolist()
    [1.25, 0.5, 0.0]
    """
    p, q = len(phi), len(theta)
    kind = np.result_type(phi, theta, np.float64)
    # 1. The moving average's share of each covariance.
    ma = np.concatenate([[1.0], theta]).astype(kind)
    psi = np.zeros(q + 1, dtype=kind)
    for j in range(q + 1):
        reach = min(j, p)
        psi[j] = ma[j] + phi[:reach] @ psi[j - reach : j][::-1]
    share = np.zeros(max(n_lags, p, q) + 1, dtype=kind)
    for k in range(q + 1):
        share[k] = ma[k:] @ psi[: q + 1 - k]
    # 2. The first p + 1 covariances together.
    A = np.eye(p + 1, dtype=kind)
    for k in range(p + 1):
        for j in range(1, p + 1):
            A[k, abs(k - j)] -= phi[j - 1]
    g = np.zeros(len(share), dtype=kind)
    g[: p + 1] = np.linalg.solve(A, share[: p + 1])
    # 3. The others one after the other.
    for k in range(p + 1, len(g)):
        g[k] = phi @ g[k - p : k][::-1] + share[k]
    return np.asarray(g[: n_lags + 1])
