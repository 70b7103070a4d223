"""Counts that are whole, about which there is nothing to say, and the logarithms of binomial coefficients."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from mixedmodels.arrays import FloatArray

__all__ = [
    "are_whole",
    "are_whole_numpy",
    "log_choose",
    "log_choose_numpy",
    "proportions",
    "proportions_numpy",
]

#: The largest number whose neighbours are whole too.
LARGEST = 2.0**53


def are_whole_numpy(values: FloatArray, most: float) -> bool:
    """Tell whether all values are whole numbers from 0 to `most`."""
    return bool(((values >= 0.0) & (values <= min(most, LARGEST)) & (values == np.floor(values))).all())


def proportions_numpy(successes: FloatArray, failures: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Return proportions of successes, 0 without trials, and trials; None unless all counts are whole."""
    if not (are_whole_numpy(successes, LARGEST) and are_whole_numpy(failures, LARGEST)):
        return None
    trials = successes + failures
    return successes / np.where(trials > 0.0, trials, 1.0), trials


def log_choose_numpy(y: FloatArray, trials: FloatArray) -> FloatArray:
    """Return log C(n, ny) for proportions y among n trials, shape (n,), continued by gamma functions.

    Zero wherever y is 0 or 1, which spares the gamma functions for 0/1 data.
    """
    constant = np.zeros_like(y)
    mixed = (y > 0.0) & (y < 1.0) & (trials > 0.0)
    if mixed.any():
        n, successes = trials[mixed], trials[mixed] * y[mixed]
        constant[mixed] = gammaln(n + 1.0) - gammaln(successes + 1.0) - gammaln(n - successes + 1.0)
    return constant


try:
    from mixedmodels.kernels._whole_counts import are_whole, log_choose, proportions
except ImportError:
    are_whole, log_choose, proportions = are_whole_numpy, log_choose_numpy, proportions_numpy
