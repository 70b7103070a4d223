"""Scores by row and observed information of models without random effects: of ``lm`` and ``glm``.

Of a linear model in (beta, sigma), with weights w and ``e = y - X beta``: ``x_i w_i e_i / sigma^2`` and
``w_i e_i^2 / sigma^3 - 1 / sigma``. Of a generalized one in (beta, phi), from the derivatives of its family.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.glm.newton import GlmPoint, negative_hessian
from mixedmodels.fits.glm import GlmFit
from mixedmodels.fits.least_squares import LeastSquaresFit


def sums_by_cluster(rows: FloatArray, codes: IntArray, size: int) -> FloatArray:
    """Return the sums of rows of shape (n, m) over each cluster, shape (size, m)."""
    sums = np.zeros((size, rows.shape[1]))
    np.add.at(sums, codes, rows)
    return sums


def least_squares_scores(fit: LeastSquaresFit) -> FloatArray:
    """Return the scores of the rows in (beta, sigma), shape (n, p + 1)."""
    e, w, sigma = fit.y - fit.mean, fit.prior_weights, fit.sigma()
    in_sigma = w * e**2 / sigma**3 - (w > 0.0) / sigma
    return np.column_stack([fit.design.X * (w * e / sigma**2)[:, None], in_sigma])


def least_squares_information(fit: LeastSquaresFit) -> FloatArray:
    """Return the observed information in (beta, sigma), shape (p + 1, p + 1)."""
    X, w, sigma = fit.design.X, fit.prior_weights, fit.sigma()
    e = fit.y - fit.mean
    mixed = 2.0 * (X.T @ (w * e)) / sigma**3
    in_sigma = 3.0 * float(w @ e**2) / sigma**4 - fit.nobs() / sigma**2
    return np.block([[X.T @ (w[:, None] * X) / sigma**2, mixed[:, None]], [mixed, in_sigma]])


def glm_scores(fit: GlmFit) -> FloatArray:
    """Return the scores of the rows in (beta, phi), shape (n, p + n_phi)."""
    family, eta, w = fit.family(), fit.linear_predictor, fit.prior_weights
    in_beta = fit.design.X * family.evaluate(fit.y, eta, w, fit.phi).d1[:, None]
    if not len(fit.phi):
        return np.asarray(in_beta)
    in_free = family.phi_derivatives(fit.y, eta, w, fit.phi).loglik
    return np.column_stack([in_beta, in_free.T / family.phi_natural_derivative(fit.phi)])


def glm_information(fit: GlmFit) -> FloatArray:
    """Return the observed information in (beta, phi), shape (p + n_phi, p + n_phi).

    The derivatives in phi are those in its free coordinates carried over, exact where its score is zero.
    """
    family, eta, w = fit.family(), fit.linear_predictor, fit.prior_weights
    rows = family.evaluate(fit.y, eta, w, fit.phi, observed=True)
    point = GlmPoint(fit.beta, fit.phi, eta, rows, fit.estimates.loglik)
    H = negative_hessian(fit.y, w, fit.design.X, family, point, -rows.d2)
    if not len(fit.phi):
        return H
    free = np.concatenate([np.ones(len(fit.beta)), family.phi_natural_derivative(fit.phi)])
    return np.asarray(H / np.outer(free, free))
