"""Residuals and scale of generalized models, from family, response and linear predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.differences import derivative

if TYPE_CHECKING:
    from mixedmodels.families.family import Family

ResidualType = Literal["response", "pearson", "deviance", "working"]

# Step of central differences: the cube root of the rounding error.
DIFFERENCE_STEP = 6e-6


def response_scale(family: Family, phi: FloatArray) -> float:
    """Return the square root of the dispersion, 1 for families without one."""
    return float(np.sqrt(phi[0])) if family.has_dispersion else 1.0


def response_mean(family: Family, eta: FloatArray, phi: FloatArray) -> FloatArray:
    """Return E(y) at linear predictor `eta`, a zero part of the family included."""
    return family.response_mean(family.link.inverse(eta), phi)


def response_slope(family: Family, eta: FloatArray, phi: FloatArray) -> FloatArray:
    """Return dE(y)/d eta; by central differences for a family with a zero part."""
    mu, slope = family.link.derivatives(eta)[:2]
    if np.array_equal(family.response_mean(mu, phi), mu, equal_nan=True):
        return slope
    step = DIFFERENCE_STEP * (1.0 + np.abs(eta))
    return derivative(lambda at: response_mean(family, at, phi), eta, step)


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
    mu = family.link.inverse(eta)
    difference = y - family.response_mean(mu, phi)
    if type == "response":
        return difference
    if type == "working":
        return difference / response_slope(family, eta, phi)
    if type == "deviance":
        return np.sign(difference) * np.sqrt(family.deviance(y, mu, weights, phi))
    return difference * pearson_factor(family, mu, weights, phi)


def pearson_factor(family: Family, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
    """Return what turns residuals into Pearson residuals: the root of weight by variance, shape (n,)."""
    variance = family.variance(mu, phi) * family.variance_inflation(weights, phi)
    # A mean that rounds to the end of its range leaves no variance, and the response lies on it.
    precision = np.divide(weights, variance, out=np.zeros_like(variance), where=variance > 0.0)
    return np.asarray(response_scale(family, phi) * np.sqrt(precision))
