"""Leverages: the diagonal of the matrix that maps the response to the fitted values."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.least_squares import least_squares_leverages
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.mixed_model_equations import joint_system, row_variances
from mixedmodels.formula.design.design import Design


def leverages_of(fit: Fit) -> FloatArray:
    """Return the leverages of the rows of a fit at its covariance parameters, shape (n,).

    Those of a generalized model are of its last weighted least-squares problem.

    Parameters
    ----------
    fit : Fit
        The fit.
    """
    if isinstance(fit, MixedFit):
        return leverages(fit.design, fit.theta_values, fit.row_information)
    weights, family = fit.prior_weights, fit.family()
    if family is not None:
        weights = family.evaluate(fit.y, fit.linear_predictor, fit.prior_weights, fit.phi).information
    return least_squares_leverages(fit.design.X * np.sqrt(np.maximum(weights, 0.0))[:, None])


def leverages(design: Design, theta: FloatArray, weights: FloatArray) -> FloatArray:
    """Return ``diag(W^1/2 [Z X] C [Z X]' W^1/2)`` at fixed theta (Demidenko & Stukel 2005), shape (n,).

    Parameters
    ----------
    design : Design
        The model's arrays.
    theta : ndarray, shape (k,)
        Covariance parameters.
    weights : ndarray, shape (n,)
        Weights of the rows.
    """
    system = joint_system(design.X, design.random, theta, weights)
    return weights * row_variances(system, design.X, [(t.Z, t.codes) for t in design.random])
