"""Polygamma functions, and differences of log-gamma and polygamma functions that do not cancel.

SciPy evaluates polygamma functions through the Hurwitz zeta function, a microsecond a number. Here the
first three share one recurrence and one asymptotic series (Abramowitz & Stegun 1964, 6.3.5-6.4.14), in
array operations only.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from scipy.special import gammaln

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.kernels.family_rows import Four, rising_rows

Triple: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]
"""Three functions of one argument, such as digamma, trigamma and tetragamma, each of shape (n,)."""

# Above this argument the Stirling series below are exact to the last digit.
STIRLING_FROM = 50.0
# The recurrence raises an argument to at least this, where the series in x^-2 below reaches 1e-17.
_RECURRENCE_TO = 10
# Counts up to this are summed term by term: a dozen terms cost as much as the series do at both ends.
MOST_TERMS = 64.0
# Coefficients of x^-1, x^-2, ... in the asymptotic series.
_LOG_GAMMA = (1 / 12, 0.0, -1 / 360, 0.0, 1 / 1260, 0.0, -1 / 1680)
_DIGAMMA = (-1 / 2, -1 / 12, 0.0, 1 / 120, 0.0, -1 / 252, 0.0, 1 / 240)
_TRIGAMMA = (1.0, 1 / 2, 1 / 6, 0.0, -1 / 30, 0.0, 1 / 42, 0.0, -1 / 30)
_TETRAGAMMA = (0.0, -1.0, -1.0, -1 / 2, 0.0, 1 / 6, 0.0, -1 / 6, 0.0, 3 / 10)
# B_2k / (2k): digamma(x) = log x - 1 / (2x) - sum_k B_2k / (2k) x^-2k.
_BERNOULLI = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)


def polygammas(x: FloatArray) -> Triple:
    """Return digamma, trigamma and tetragamma of x > 0, to about 1e-15 of their largest term."""
    lift = np.where(x < _RECURRENCE_TO, float(_RECURRENCE_TO), 0.0)
    d0, d1, d2 = _asymptotic(x + lift)
    low = x < _RECURRENCE_TO
    if low.any():
        s0, s1, s2 = _recurrence(x[low])
        d0[low] -= s0
        d1[low] += s1
        d2[low] -= 2.0 * s2
    return d0, d1, d2


def _recurrence(x: FloatArray) -> Triple:
    """Return the sums of (x + j)^-1, (x + j)^-2 and (x + j)^-3 over the steps of the recurrence."""
    s0, s1, s2 = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    # From the smallest term to the largest, so that rounding stays below that of the last.
    for j in range(_RECURRENCE_TO - 1, -1, -1):
        r = 1.0 / (x + j)
        square = r * r
        s0 += r
        s1 += square
        s2 += square * r
    return s0, s1, s2


def _asymptotic(x: FloatArray) -> Triple:
    """Return the asymptotic series of the three functions for x >= 10."""
    r = 1.0 / x
    square = r * r
    t0, t1, t2 = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for k in range(len(_BERNOULLI), 0, -1):
        b = _BERNOULLI[k - 1]
        for total, coefficient in ((t0, b), (t1, 2 * k * b), (t2, 2 * k * (2 * k + 1) * b)):
            total += coefficient
            total *= square
    d0 = np.log(x) - 0.5 * r - t0
    d1 = r * (1.0 + 0.5 * r + t1)
    d2 = -square * (1.0 + r + t2)
    return d0, d1, d2


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
    large = s >= STIRLING_FROM
    if not large.any():
        return np.asarray(gammaln(y + s) - gammaln(s))
    out = np.empty_like(s)
    out[~large] = gammaln(y[~large] + s[~large]) - gammaln(s[~large])
    b, n = s[large], y[large]
    out[large] = (b - 0.5) * np.log1p(n / b) + n * np.log(b + n) - n + _series_difference(_LOG_GAMMA, b, n)
    return out


def polygamma_differences(y: FloatArray, s: FloatArray) -> Triple:
    """Return digamma, trigamma and tetragamma at y + s minus those at s, for y >= 0 and s > 0."""
    large = s >= STIRLING_FROM
    small = ~large
    out: Triple = (np.empty_like(s), np.empty_like(s), np.empty_like(s))
    if small.any():
        above, below = polygammas(y[small] + s[small]), polygammas(s[small])
        for target, high, low in zip(out, above, below, strict=True):
            target[small] = np.where(y[small] > 0.0, high - low, 0.0)
    if large.any():
        b, n = s[large], y[large]
        out[0][large] = np.log1p(n / b) + _series_difference(_DIGAMMA, b, n)
        out[1][large] = _series_difference(_TRIGAMMA, b, n)
        out[2][large] = _series_difference(_TETRAGAMMA, b, n)
    return out


def rising(y: FloatArray, s: FloatArray) -> Triple:
    """Return three derivatives in log(s) of log Gamma(y + s) - log Gamma(s)."""
    d0, d1, d2 = polygamma_differences(y, s)
    first = s * d0
    second = s * (s * d1)
    third = s * (s * (s * d2))
    return first, first + second, first + 3.0 * second + third


def rising_jet(y: FloatArray, s: FloatArray) -> Four:
    """Return log Gamma(y + s) - log Gamma(s) and its three derivatives in log(s).

    Of small whole counts as the sum of its terms, which neither cancels nor needs a series.
    """
    y, s = np.broadcast_arrays(y, s)
    is_few = (y <= MOST_TERMS) & (y == np.floor(y))
    if is_few.all():
        value, first, second, third = (part.reshape(y.shape) for part in rising_rows(y.ravel(), s.ravel()))
        return value, first, second, third
    found: Four = (log_gamma_difference(y, s), *rising(y, s))
    for target, part in zip(found, rising_rows(y[is_few], s[is_few]), strict=True):
        target[is_few] = part
    return found


def rising_jet_at(y: FloatArray, s: float | FloatArray) -> Four:
    """Return :func:`rising_jet`; for one s, small whole counts are looked up in a table."""
    is_few = (y <= MOST_TERMS) & (y == np.floor(y))
    if np.ndim(s) or not is_few.all() or y.size <= MOST_TERMS:
        return rising_jet(y, np.broadcast_to(s, y.shape))
    counts = np.arange(MOST_TERMS + 1.0)
    place = y.astype(np.intp)
    value, first, second, third = (part.take(place) for part in rising_rows(counts, np.full_like(counts, s)))
    return value, first, second, third


def gamma_normalizer(k: FloatArray) -> FloatArray:
    """Return k log k - k - log Gamma(k), accurate for large k."""
    k, back = _distinct(k)
    small, large = np.minimum(k, STIRLING_FROM), np.maximum(k, STIRLING_FROM)
    direct = small * np.log(small) - small - gammaln(small)
    stirling = 0.5 * np.log(large / (2.0 * np.pi)) - _series(_LOG_GAMMA, large)
    return np.asarray(np.where(k < STIRLING_FROM, direct, stirling)[back])


def log_minus_digamma(k: FloatArray) -> FloatArray:
    """Return log k - digamma(k), accurate for large k."""
    k, back = _distinct(k)
    small, large = np.minimum(k, STIRLING_FROM), np.maximum(k, STIRLING_FROM)
    direct = np.log(small) - polygammas(small)[0]
    return np.asarray(np.where(k < STIRLING_FROM, direct, -_series(_DIGAMMA, large))[back])


def _distinct(values: FloatArray) -> tuple[FloatArray, slice | IntArray]:
    """Return the one value of a constant array and an index that repeats it, else the array itself."""
    if len(values) > 1 and np.all(values == values[0]):
        return values[:1], np.zeros(len(values), dtype=np.intp)
    return values, slice(None)


def logistic(d: FloatArray) -> Triple:
    """Return 1 / (1 + exp(-d)), 1 / (1 + exp(d)) and log(1 + exp(d)), from one exponential."""
    e = np.exp(-np.abs(d))
    s = 1.0 / (1.0 + e)
    small = e * s
    positive = d > 0.0
    p, q = np.where(positive, s, small), np.where(positive, small, s)
    return p, q, np.maximum(d, 0.0) + np.log1p(e)
