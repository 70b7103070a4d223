"""Differences of log-gamma and polygamma functions that do not cancel."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from mixedmodels.arrays import FloatArray

# Above this argument the Stirling series below are exact to the last digit.
STIRLING_FROM = 50.0
# Coefficients of x^-1, x^-2, ... in the asymptotic series (Abramowitz & Stegun 6.1.40, 6.3.18, 6.4.12-14).
_LOG_GAMMA = (1 / 12, 0.0, -1 / 360, 0.0, 1 / 1260, 0.0, -1 / 1680)
_DIGAMMA = (-1 / 2, -1 / 12, 0.0, 1 / 120, 0.0, -1 / 252, 0.0, 1 / 240)
_TRIGAMMA = (1.0, 1 / 2, 1 / 6, 0.0, -1 / 30, 0.0, 1 / 42, 0.0, -1 / 30)
_TETRAGAMMA = (0.0, -1.0, -1.0, -1 / 2, 0.0, 1 / 6, 0.0, -1 / 6, 0.0, 3 / 10)


def _series(coefficients: tuple[float, ...], x: FloatArray) -> FloatArray:
    """Return sum_k c_k x^-k, k from 1."""
    inverse = 1.0 / x
    total = np.zeros_like(x)
    for c in reversed(coefficients):
        total = (total + c) * inverse
    return total


def _series_difference(coefficients: tuple[float, ...], s: FloatArray, y: FloatArray) -> FloatArray:
    """Return the series at s + y minus that at s, with a^k - b^k = (a - b) sum_j a^j b^(k-1-j)."""
    a, b = 1.0 / (s + y), 1.0 / s
    total = np.zeros_like(s)
    homogeneous, power = np.ones_like(s), np.ones_like(s)
    for c in coefficients:
        total = total + c * homogeneous
        power = power * b
        homogeneous = a * homogeneous + power
    return -y * a * b * total


def log_gamma_difference(y: FloatArray, s: FloatArray) -> FloatArray:
    """Return log Gamma(y + s) - log Gamma(s) for y >= 0, accurate for every s > 0."""
    small = np.minimum(s, STIRLING_FROM)
    large = np.maximum(s, STIRLING_FROM)
    direct = gammaln(y + small) - gammaln(small)
    stirling = (large - 0.5) * np.log1p(y / large) + y * np.log(large + y) - y
    stirling = stirling + _series_difference(_LOG_GAMMA, large, y)
    return np.asarray(np.where(s < STIRLING_FROM, direct, stirling))


def digamma_difference(y: FloatArray, s: FloatArray) -> FloatArray:
    """Return digamma(y + s) - digamma(s)."""
    small, large = np.minimum(s, STIRLING_FROM), np.maximum(s, STIRLING_FROM)
    stirling = np.log1p(y / large) + _series_difference(_DIGAMMA, large, y)
    return np.asarray(np.where(s < STIRLING_FROM, digamma(y + small) - digamma(small), stirling))


def trigamma_difference(y: FloatArray, s: FloatArray) -> FloatArray:
    """Return trigamma(y + s) - trigamma(s)."""
    small, large = np.minimum(s, STIRLING_FROM), np.maximum(s, STIRLING_FROM)
    direct = polygamma(1, y + small) - polygamma(1, small)
    return np.asarray(np.where(s < STIRLING_FROM, direct, _series_difference(_TRIGAMMA, large, y)))


def tetragamma_difference(y: FloatArray, s: FloatArray) -> FloatArray:
    """Return the second derivative of digamma at y + s minus that at s."""
    small, large = np.minimum(s, STIRLING_FROM), np.maximum(s, STIRLING_FROM)
    direct = polygamma(2, y + small) - polygamma(2, small)
    return np.asarray(np.where(s < STIRLING_FROM, direct, _series_difference(_TETRAGAMMA, large, y)))


def gamma_normalizer(k: FloatArray) -> FloatArray:
    """Return k log k - k - log Gamma(k), accurate for large k."""
    small, large = np.minimum(k, STIRLING_FROM), np.maximum(k, STIRLING_FROM)
    direct = small * np.log(small) - small - gammaln(small)
    stirling = 0.5 * np.log(large / (2.0 * np.pi)) - _series(_LOG_GAMMA, large)
    return np.asarray(np.where(k < STIRLING_FROM, direct, stirling))


def log_minus_digamma(k: FloatArray) -> FloatArray:
    """Return log k - digamma(k), accurate for large k."""
    small, large = np.minimum(k, STIRLING_FROM), np.maximum(k, STIRLING_FROM)
    direct = np.log(small) - digamma(small)
    return np.asarray(np.where(k < STIRLING_FROM, direct, -_series(_DIGAMMA, large)))
