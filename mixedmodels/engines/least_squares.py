"""Weighted linear least squares by an orthogonal factorization: the linear model, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from mixedmodels.arrays import FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LeastSquaresEstimates:
    """Estimates of a linear model ``y = X beta + offset + e``, ``Var(e_i) = sigma^2 / w_i``.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Coefficients.
    fitted : ndarray, shape (n,)
        Fitted values, offset included.
    effects : ndarray, shape (p,)
        ``Q' W^(1/2) (y - offset)`` of the factorization ``W^(1/2) X = Q R``: the square of an element is what
        its column adds to the sum of squares explained by the columns before it.
    unscaled_vcov : ndarray, shape (p, p)
        ``(X'WX)^-1``.
    leverage : ndarray, shape (n,)
        Diagonal of the hat matrix, ``diag(Q Q')``.
    rss : float
        Weighted residual sum of squares.
    df_residual : int
        Rows of positive weight minus p.
    sigma : float
        ``sqrt(rss / df_residual)``; NaN where no degree of freedom is left.
    loglik : float
        Log-likelihood at beta and the maximum likelihood estimate of sigma, ``sqrt(rss / n)``.
    """

    beta: FloatArray
    fitted: FloatArray
    effects: FloatArray
    unscaled_vcov: FloatArray
    leverage: FloatArray
    rss: float
    df_residual: int
    sigma: float
    loglik: float


def fit_least_squares(
    y: FloatArray, X: FloatArray, weights: FloatArray, offset: FloatArray | None
) -> LeastSquaresEstimates:
    """Fit a linear model by weighted least squares.

    Parameters
    ----------
    y, weights : ndarray, shape (n,)
        Response and prior weights; a row of weight zero does not count.
    X : ndarray, shape (n, p)
        Model matrix, of full column rank in the rows that count.
    offset : ndarray, shape (n,), or None
        Known part of the mean.

    References
    ----------
    Golub & Van Loan (2013), Matrix Computations, 4th ed., section 5.3.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.column_stack([np.ones(4), np.arange(4.0)])
    >>> fit = fit_least_squares(np.array([1.0, 3.0, 5.0, 8.0]), X, np.ones(4), None)
    >>> fit.beta.round(3).tolist(), fit.df_residual
    ([0.8, 2.3], 2)
    """
    root, known = np.sqrt(weights), 0.0 if offset is None else offset
    rows = X * root[:, None]
    # Columns of unit length: their units decide nothing, not even the rounding.
    lengths = np.sqrt(np.einsum("ij,ij->j", rows, rows))
    Q, R = np.linalg.qr(rows / lengths)
    effects = Q.T @ (root * (y - known))
    inverse = solve_triangular(R, np.eye(len(R))) / lengths[:, None] if len(R) else R
    beta = inverse @ effects
    fitted = X @ beta + known
    rss = float(np.sum(weights * (y - fitted) ** 2))
    n = int(np.count_nonzero(weights > 0.0))
    df_residual = n - X.shape[1]
    return LeastSquaresEstimates(
        beta=beta,
        fitted=fitted,
        effects=effects,
        unscaled_vcov=inverse @ inverse.T,
        leverage=np.einsum("ij,ij->i", Q, Q),
        rss=rss,
        df_residual=df_residual,
        sigma=float(np.sqrt(rss / df_residual)) if df_residual > 0 else float("nan"),
        loglik=_log_likelihood(rss, n, weights),
    )


def least_squares_leverages(rows: FloatArray) -> FloatArray:
    """Return the diagonal of the hat matrix of weighted rows ``W^(1/2) X`` of full rank, shape (n,)."""
    lengths = np.sqrt(np.einsum("ij,ij->j", rows, rows))
    Q = np.linalg.qr(rows / lengths)[0]
    return np.asarray(np.einsum("ij,ij->i", Q, Q))


def _log_likelihood(rss: float, n: int, weights: FloatArray) -> float:
    """Return the normal log-likelihood, sigma at its maximum; infinite where nothing is left over."""
    if rss == 0.0:
        return float("inf")
    log_weights = float(np.log(weights[weights > 0.0]).sum())
    return float(0.5 * (log_weights - n * (1.0 + np.log(2.0 * np.pi * rss / n))))


def reml_log_likelihood(estimates: LeastSquaresEstimates, weights: FloatArray) -> float:
    """Return minus half the REML criterion of a linear model, sigma at its maximum.

    The criterion is that of a linear mixed model without random effects, ``log|X'WX|`` included.
    """
    N, rss = estimates.df_residual, estimates.rss
    log_weights = float(np.log(weights[weights > 0.0]).sum())
    log_det = -float(np.linalg.slogdet(estimates.unscaled_vcov)[1]) if len(estimates.beta) else 0.0
    return float(0.5 * (log_weights - log_det - N * (1.0 + np.log(2.0 * np.pi * rss / N))))
