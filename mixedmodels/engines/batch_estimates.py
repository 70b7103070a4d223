"""What fits of many responses together leave, whatever the engine."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BatchEstimates:
    """Estimates of R responses.

    Attributes
    ----------
    theta : ndarray, shape (R, k)
        Covariance parameters.
    beta, se : ndarray, shape (R, p)
        Fixed effects and their standard errors.
    sigma, objective : ndarray, shape (R,)
        Residual standard deviations; REML criteria or -2 log-likelihoods.
    at_boundary : ndarray of bool, shape (R,)
        Whether a variance or a direction is exactly zero.
    settled : ndarray of bool, shape (R,)
        Whether the optimum was found; the other fields mean nothing where it was not.
    """

    theta: FloatArray
    beta: FloatArray
    se: FloatArray
    sigma: FloatArray
    objective: FloatArray
    at_boundary: BoolArray
    settled: BoolArray


def unsettled(k: int, p: int, R: int) -> BatchEstimates:
    """Return the record of R responses of which none was fitted."""
    none = np.zeros(R, dtype=bool)
    theta, beta, se, sigma, objective = (np.full(shape, np.nan) for shape in ((R, k), (R, p), (R, p), R, R))
    return BatchEstimates(theta, beta, se, sigma, objective, none, none.copy())


def scattered(estimates: BatchEstimates, which: IntArray, R: int) -> BatchEstimates:
    """Return the record of R responses, those of `which` fitted."""
    if len(which) == R:
        return estimates
    full = unsettled(estimates.theta.shape[1], estimates.beta.shape[1], R)
    for field in fields(full):
        getattr(full, field.name)[which] = getattr(estimates, field.name)
    return full
