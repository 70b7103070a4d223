"""The distribution of the studentized range (Tukey): the largest difference of k means over a pooled error.

By two quadratures, for many quantiles at once; the tail itself is integrated, so that small probabilities
keep their digits. Degrees of freedom need not be whole numbers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy
from scipy import special

from mixedmodels.arrays import FloatArray
from mixedmodels.inference.contrasts import quantiles

# Nodes over the position of the largest of k normal deviates, and half of the width they cover: beyond it
# the density is below rounding.
POSITION_NODES = 96
POSITION_WIDTH = 9.0
# Nodes over the logarithm of the error's scale, and the probability left out at either end.
SCALE_NODES = 160
SCALE_TAIL = 1e-17


def upper_tail(q: FloatArray, groups: float, df: float) -> FloatArray:
    """Return P(Q > q), shape (m,).

    Parameters
    ----------
    q : ndarray, shape (m,)
        Quantiles; NaN gives NaN.
    groups : float
        Number of means, k; no whole number in an approximation of Dunnett's distribution.
    df : float
        Degrees of freedom of the error; infinite for a known one.
    """
    q = np.asarray(q, dtype=np.float64)
    if np.isinf(df):
        return _normal_range_tail(q, groups)
    scale, mass = _error_scales(float(df))
    tails = _normal_range_tail(q[:, None] * scale, groups)
    return np.asarray(np.minimum(tails @ mass, 1.0))


def quantile(probability: float, groups: float, df: float) -> float:
    """Return q with P(Q <= q) equal to `probability`."""

    def excess(q: float) -> float:
        return float(upper_tail(np.array([q]), groups, df)[0]) - (1.0 - probability)

    # Between one test and Bonferroni's bound for all pairs.
    outside, pairs = 1.0 - probability, 0.5 * groups * (groups - 1.0)
    low, high = (np.sqrt(2.0) * float(quantiles(np.array([df]), 1.0 - outside / n)[0]) for n in (1.0, pairs))
    return float(scipy.optimize.brentq(excess, low * (1.0 - 1e-9), high * (1.0 + 1e-9), xtol=1e-11))


@lru_cache(maxsize=4)
def _nodes(count: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of Gauss-Legendre quadrature over (-1, 1)."""
    x, w = np.polynomial.legendre.leggauss(count)
    return np.asarray(x), np.asarray(w)


@lru_cache(maxsize=64)
def _error_scales(df: float) -> tuple[FloatArray, FloatArray]:
    """Return nodes of the scale s of the error, df s^2 being chi-square, and their probabilities."""
    low = 0.5 * np.log(2.0 * special.gammaincinv(0.5 * df, SCALE_TAIL))
    high = 0.5 * np.log(special.chdtri(df, SCALE_TAIL))
    x, w = _nodes(SCALE_NODES)
    log_chi = 0.5 * (high - low) * x + 0.5 * (high + low)
    log_density = (
        np.log(2.0) + df * log_chi - 0.5 * np.exp(2.0 * log_chi)
        - 0.5 * df * np.log(2.0) - special.gammaln(0.5 * df)
    )  # fmt: skip
    return np.exp(log_chi) / np.sqrt(df), 0.5 * (high - low) * w * np.exp(log_density)


def _normal_range_tail(w: FloatArray, groups: float) -> FloatArray:
    """Return the probability that the range of `groups` normal deviates exceeds w, of w's shape.

    With z the largest deviate, ``k int phi(z) (Phi(z)^(k-1) - (Phi(z) - Phi(z - w))^(k-1)) dz``.
    """
    x, weight = _nodes(POSITION_NODES)
    z = 0.5 * w[..., None] + POSITION_WIDTH * x
    largest, lowest = special.ndtr(z), special.ndtr(z - w[..., None])
    n = groups - 1
    with np.errstate(divide="ignore"):  # a share of 1 has a logarithm of minus infinity: the whole power goes
        lost = -np.expm1(n * np.log1p(-np.minimum(lowest / np.maximum(largest, 1e-300), 1.0)))
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    return np.asarray(np.minimum(groups * POSITION_WIDTH * (density * largest**n * lost) @ weight, 1.0))
