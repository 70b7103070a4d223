"""Confidence intervals from bootstrap replicates (Efron & Tibshirani 1993; Davison & Hinkley 1997)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy import special

from mixedmodels.arrays import FloatArray

IntervalType = Literal["percentile", "basic", "bca", "shortest"]


def percentile(replicates: FloatArray, level: float) -> tuple[float, float]:
    """Return the quantiles of the replicates, shape (R,), that leave equal tails."""
    return _quantiles(replicates, np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0]))


def basic(replicates: FloatArray, level: float, estimate: float) -> tuple[float, float]:
    """Return the percentile interval mirrored at the estimate."""
    lower, upper = percentile(replicates, level)
    return 2.0 * estimate - upper, 2.0 * estimate - lower


def shortest(replicates: FloatArray, level: float) -> tuple[float, float]:
    """Return the shortest interval that holds the share `level` of the replicates."""
    ordered = np.sort(replicates)
    n = len(ordered)
    inside = min(math.ceil(level * n), n)
    if not inside:
        return math.nan, math.nan
    widths = ordered[inside - 1 :] - ordered[: n - inside + 1]
    first = int(np.argmin(widths))
    return float(ordered[first]), float(ordered[first + inside - 1])


def bias_corrected(
    replicates: FloatArray, level: float, estimate: float, jackknife: FloatArray
) -> tuple[float, float]:
    """Return the bias-corrected and accelerated interval (Efron 1987).

    Parameters
    ----------
    replicates : ndarray, shape (R,)
        Bootstrap replicates.
    level : float
        Confidence level.
    estimate : float
        Estimate from the data.
    jackknife : ndarray, shape (m,)
        Estimates with one cluster left out at a time, which give the acceleration.
    """
    if not len(replicates):
        return math.nan, math.nan
    # Replicates equal to the estimate (a variance of zero) count half.
    below = float(np.mean(replicates < estimate) + 0.5 * np.mean(replicates == estimate))
    if not 0.0 < below < 1.0:
        return math.nan, math.nan
    z0 = float(special.ndtri(below))
    influence = jackknife.mean() - jackknife
    size = float(np.sum(influence**2))
    acceleration = float(np.sum(influence**3)) / (6.0 * size**1.5) if size > 0.0 else 0.0
    z = z0 + special.ndtri(np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0]))
    return _quantiles(replicates, special.ndtr(z0 + z / (1.0 - acceleration * z)))


def _quantiles(replicates: FloatArray, shares: FloatArray) -> tuple[float, float]:
    """Return quantiles at the order statistics (R + 1) p, between which they are interpolated."""
    if not len(replicates):
        return math.nan, math.nan
    lower, upper = np.quantile(replicates, shares, method="weibull")
    return float(lower), float(upper)
