"""Leverages: the diagonal of the matrix that maps the response to the fitted values."""

from __future__ import annotations

from mixedmodels.arrays import FloatArray
from mixedmodels.fits.mixed_model_equations import joint_system, row_variances
from mixedmodels.formula.design.design import Design


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
