"""Deviance of families whose best-fitting mean is not the observed value."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.families.family import Family

# The interval halves each time: 60 halvings exhaust the digits of a double.
_HALVINGS = 60


def deviance_by_search(
    family: Family,
    y: FloatArray,
    eta: FloatArray,
    weights: FloatArray,
    phi: FloatArray,
    low: float,
    high: float,
) -> FloatArray:
    """Return twice the log-likelihood ratio of each row against its own best linear predictor.

    The best one is found by bisection on the score in [low, high], once for each distinct pair of
    response and weight.

    Returns
    -------
    ndarray, shape (n,)
    """
    pairs, positions = np.unique(np.column_stack([y, weights]), axis=0, return_inverse=True)
    best = _largest_loglik(family, pairs[:, 0], pairs[:, 1], phi, low, high)[positions.ravel()]
    current = family.evaluate(y, eta, weights, phi).loglik
    return np.asarray(np.maximum(2.0 * (best - current), 0.0))


def _largest_loglik(
    family: Family, y: FloatArray, weights: FloatArray, phi: FloatArray, low: float, high: float
) -> FloatArray:
    """Return the largest log-likelihood of each row over eta in [low, high]."""
    below, above = np.full(len(y), low), np.full(len(y), high)
    for _ in range(_HALVINGS):
        middle = 0.5 * (below + above)
        rises = family.evaluate(y, middle, weights, phi).d1 > 0.0
        below, above = np.where(rises, middle, below), np.where(rises, above, middle)
    return family.evaluate(y, 0.5 * (below + above), weights, phi).loglik
