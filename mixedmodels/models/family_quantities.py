"""Residuals and scale of generalized models, from family, response and linear predictor."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.families.family import Family
from mixedmodels.models.fitted_model import ResidualType


def response_scale(family: Family, phi: FloatArray) -> float:
    """Return the square root of the dispersion, 1 for families without one."""
    return float(np.sqrt(phi[0])) if family.has_dispersion else 1.0


def residuals(
    family: Family,
    type: ResidualType,
    y: FloatArray,
    eta: FloatArray,
    weights: FloatArray,
    phi: FloatArray,
) -> FloatArray:
    """Return residuals of a generalized model, shape (n,).

    Deviance residuals are the signed roots of the rows' deviances, Pearson residuals are divided by the
    root of the variance function but not by the dispersion, working residuals are on the scale of eta
    (McCullagh & Nelder 1989, section 2.4).
    """
    mu, slope = family.link.derivatives(eta)[:2]
    difference = y - mu
    if type == "response":
        return difference
    if type == "working":
        return difference / slope
    if type == "deviance":
        return np.sign(difference) * np.sqrt(family.deviance(y, mu, weights, phi))
    scale = response_scale(family, phi)
    return scale * difference * np.sqrt(weights / family.variance(mu, phi))
