"""Log-likelihood terms of rows and their derivatives, one pass each."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from mixedmodels.arrays import FloatArray

Four: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
"""A function of the rows with what belongs to it, each of shape (n,)."""


def logit_rows_numpy(y: FloatArray, eta: FloatArray, weights: FloatArray) -> Four:
    """Return terms ``n (y eta - log(1 + exp(eta)))``, d1, -d2 and -d3 in eta, with one exponential a row.

    With e = exp(-|eta|) and s = 1 / (1 + e), the smaller of mu and 1 - mu is e s and the larger s: both
    keep full relative accuracy.
    """
    e = np.exp(-np.abs(eta))
    s = 1.0 / (1.0 + e)
    small = e * s
    positive = eta > 0.0
    p, q = np.where(positive, s, small), np.where(positive, small, s)
    v = weights * (s * small)
    loglik = weights * (y * eta - np.maximum(eta, 0.0) - np.log1p(e))
    return loglik, weights * (y * q - (1.0 - y) * p), v, v * (q - p)


def rising_rows_numpy(counts: FloatArray, s: FloatArray) -> Four:
    """Return ``log Gamma(y + s) - log Gamma(s)`` for whole y >= 0, and three derivatives in log(s).

    As the sum of ``log(s + k)`` over k < y, with ``t = s / (s + k)``: t, t (1 - t) and t (1 - t)(1 - 2 t).
    """
    value, first, second, third = (np.zeros_like(s) for _ in range(4))
    for k in range(int(counts.max(initial=0.0)) - 1, -1, -1):
        rows = np.flatnonzero(counts > k)
        total = s[rows] + k
        t, rest = s[rows] / total, k / total
        value[rows] += np.log(total)
        first[rows] += t
        second[rows] += t * rest
        third[rows] += t * rest * (rest - t)
    return value, first, second, third


def beta_binomial_rows_numpy(
    y: FloatArray, eta: FloatArray, weights: FloatArray, phi: float, in_phi: bool
) -> tuple[FloatArray, ...] | None:
    """Return None: families/beta_binomial.py has the formulas, and is asked wherever loops know nothing.

    Compiled, for the logit, whole counts up to 64 and no vanishing shapes: the terms of the rows without
    binomial coefficients and three derivatives in eta, or (`in_phi`) their derivative in log(phi) and the
    slopes of the first two in it.
    """
    return None


__all__ = [
    "Four",
    "beta_binomial_rows",
    "beta_binomial_rows_numpy",
    "logit_rows",
    "logit_rows_numpy",
    "rising_rows",
    "rising_rows_numpy",
]

try:
    from mixedmodels.kernels._family_rows import beta_binomial_rows, logit_rows, rising_rows
except ImportError:
    logit_rows, rising_rows = logit_rows_numpy, rising_rows_numpy
    beta_binomial_rows = beta_binomial_rows_numpy
