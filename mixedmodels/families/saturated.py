"""Deviance of families whose best-fitting mean is not the observed value."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.families.family import Family

# Every other step halves the bracket: 120 exhaust the digits of a double.
MAX_ITERATIONS = 120
# Gain of the log-likelihood, by the quadratic model, that is no longer worth a step.
NEGLIGIBLE_GAIN = 1e-14
SMALLEST_BRACKET = 1e-9


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

    The best one is sought in [low, high], once for each distinct pair of response and weight; by row where
    each has its own phi, shape (n_phi, n).

    Returns
    -------
    ndarray, shape (n,)
    """
    if phi.ndim > 1:
        best = _largest_loglik(family, y, weights, phi, low, high)
        return np.asarray(np.maximum(2.0 * (best - family.evaluate(y, eta, weights, phi).loglik), 0.0))
    pairs, positions = np.unique(np.column_stack([y, weights]), axis=0, return_inverse=True)
    best = _largest_loglik(family, pairs[:, 0], pairs[:, 1], phi, low, high)[positions.ravel()]
    current = family.evaluate(y, eta, weights, phi).loglik
    return np.asarray(np.maximum(2.0 * (best - current), 0.0))


def _largest_loglik(
    family: Family, y: FloatArray, weights: FloatArray, phi: FloatArray, low: float, high: float
) -> FloatArray:
    """Return the largest log-likelihood of each row over eta in [low, high].

    Newton steps, with bisection of the bracket wherever they leave it or the surface is convex, and
    every other time to make sure that the bracket shrinks.
    """
    below, above = np.full(len(y), low), np.full(len(y), high)
    eta = 0.5 * (below + above)
    for iteration in range(MAX_ITERATIONS):
        rows = family.evaluate(y, eta, weights, phi)
        rises = rows.d1 > 0.0
        below, above = np.where(rises, eta, below), np.where(rises, above, eta)
        concave = rows.d2 < 0.0
        step = rows.d1 / np.where(concave, -rows.d2, 1.0)
        if np.all(concave & (np.abs(step * rows.d1) < NEGLIGIBLE_GAIN) | (above - below < SMALLEST_BRACKET)):
            break
        moved = eta + step
        newton = concave & (moved > below) & (moved < above) & (iteration % 2 == 0)
        eta = np.where(newton, moved, 0.5 * (below + above))
    return family.evaluate(y, eta, weights, phi).loglik
