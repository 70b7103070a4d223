"""Information criteria of a fit."""

from __future__ import annotations

import math


def akaike(loglik: float, npar: int) -> float:
    """Return ``-2 loglik + 2 npar`` (Akaike 1974)."""
    return -2.0 * loglik + 2.0 * npar


def schwarz(loglik: float, npar: int, nobs: int) -> float:
    """Return ``-2 loglik + npar log(nobs)`` (Schwarz 1978)."""
    return -2.0 * loglik + npar * math.log(nobs)
