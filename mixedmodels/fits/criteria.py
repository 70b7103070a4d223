"""Information criteria of a fit."""

from __future__ import annotations

import math

import numpy as np

from mixedmodels.arrays import FloatArray


def akaike(loglik: float, npar: float) -> float:
    """Return ``-2 loglik + 2 npar`` (Akaike 1974)."""
    return -2.0 * loglik + 2.0 * npar


def schwarz(loglik: float, npar: int, nobs: int) -> float:
    """Return ``-2 loglik + npar log(nobs)`` (Schwarz 1978)."""
    return -2.0 * loglik + npar * math.log(nobs)


def akaike_small_sample(loglik: float, npar: int, nobs: int) -> float:
    """Return AIC corrected for small samples, ``AIC + 2k(k + 1)/(n - k - 1)`` (Hurvich & Tsai 1989).

    Infinite where there are not more observations than parameters and one.
    """
    left = nobs - npar - 1
    return akaike(loglik, npar) + 2.0 * npar * (npar + 1) / left if left > 0 else math.inf


def akaike_weights(criteria: FloatArray) -> FloatArray:
    """Return ``exp(-delta / 2)`` divided by its sum; NaN where a criterion is not defined."""
    finite = np.isfinite(criteria)
    best = criteria[finite].min() if finite.any() else 0.0
    likelihood = np.exp(-0.5 * (np.where(np.isnan(criteria), np.nan, criteria) - best))
    return np.asarray(likelihood / np.nansum(likelihood))
