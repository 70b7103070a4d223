"""Leverages: the diagonal of the matrix that maps the response to the fitted values."""

from __future__ import annotations

from mixedmodels.arrays import FloatArray
from mixedmodels.fits.mixed_fit import MixedFit


def leverages(fit: MixedFit) -> FloatArray:
    """Return ``diag(W^1/2 [Z X] C [Z X]' W^1/2)`` at fixed theta (Demidenko & Stukel 2005), shape (n,).

    C is the joint covariance of (b, beta) over sigma^2, W holds the weights of the rows.
    """
    rows = [(term.Z, term.codes) for term in fit.random]
    return fit.row_information * fit.unscaled_variances(fit.design.X, rows)
