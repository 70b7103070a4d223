"""The deviance of small mixed models from dense matrices, minimised by SciPy: an independent route.

Nothing of the package is used but the matrices of the design.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize


def dense_deviance(y, X, Zs, covariances, sigma, beta=None):
    """Return -2 log-likelihood of a linear mixed model, beta at its best unless given.

    Parameters
    ----------
    y, X : ndarray
        Response and fixed-effects matrix.
    Zs : sequence of (codes, Z)
        Levels of the rows and columns of every term.
    covariances : sequence of ndarray
        Covariance of one level of every term.
    sigma : float
        Residual standard deviation.
    """
    V = sigma**2 * np.eye(len(y))
    for (codes, Z), S in zip(Zs, covariances, strict=True):
        V += (Z @ S @ Z.T) * (codes[:, None] == codes)
    L = np.linalg.cholesky(V)
    e, A = np.linalg.solve(L, y), np.linalg.solve(L, X)
    if beta is None:
        beta = np.linalg.lstsq(A, e, rcond=None)[0]
    r = e - A @ beta
    return float(2.0 * np.log(np.diag(L)).sum() + r @ r + len(y) * np.log(2.0 * np.pi))


def least(function, start, tries=4):
    """Return the least value of a smooth function, by simplex and quasi-Newton steps in turn."""
    x, best = np.asarray(start, dtype=float), np.inf
    for _ in range(tries):
        found = optimize.minimize(function, x, method="BFGS", options={"gtol": 1e-7})
        x = found.x
        if found.fun > best - 1e-9:
            return min(found.fun, best)
        best = found.fun
    return best
