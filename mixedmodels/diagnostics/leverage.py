"""Leverages: the diagonal of the matrix that maps the response to the fitted values."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.least_squares import least_squares_leverages
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.structured import StructuredFit


def leverages_of(fit: Fit) -> FloatArray:
    """Return the leverages of the rows of a fit at its covariance parameters, shape (n,).

    Those of a generalized model are of its last weighted least-squares problem.

    Parameters
    ----------
    fit : Fit
        The fit.
    """
    if isinstance(fit, MixedFit):
        return leverages(fit)
    if isinstance(fit, StructuredFit):
        return structured_leverages(fit)
    weights, family = fit.prior_weights, fit.family()
    if family is not None:
        weights = family.evaluate(fit.y, fit.linear_predictor, fit.prior_weights, fit.phi).information
    return least_squares_leverages(fit.design.X * np.sqrt(np.maximum(weights, 0.0))[:, None])


def structured_leverages(fit: StructuredFit) -> FloatArray:
    """Return variances of fitted values over those of the responses, shape (n,).

    ``x' (X' V^-1 X)^-1 x / v``, at most 1, which leaves ``1 - h`` of the variance v to the residual; factors
    that a covariance of the fixed effects has beside, such as n / (n - p), belong to no row.
    """
    X, e = fit.design.X, fit.residual_estimates
    return np.asarray(
        np.einsum("ij,jk,ik->i", X, e.unscaled_vcov, X) * fit.prior_weights / fit.relative_sd**2
    )


def leverages(fit: MixedFit) -> FloatArray:
    """Return ``diag(W^1/2 [Z X] C [Z X]' W^1/2)`` at fixed theta (Demidenko & Stukel 2005), shape (n,).

    C is the joint covariance of (b, beta) over sigma^2, W holds the weights of the rows.
    """
    rows = [(term.Z, term.codes) for term in fit.random]
    return fit.row_information * fit.unscaled_variances(fit.design.X, rows)
