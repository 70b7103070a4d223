"""Unbounded coordinates of parameters with bounds, for the optimiser."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray

# At an end of its interval a correlation makes a matrix singular. This far inside, relative to the width of
# the interval, a Cholesky factor of any size in use still exists.
INSIDE = 1e-9
#: Distance from an end, relative to the interval, below which a parameter is said to be at it.
AT_BOUND = 1e-6

Interval = tuple[float, float]


def to_line(value: FloatArray, interval: Interval) -> FloatArray:
    """Return the logit of where values lie in an interval; those at its ends a little inside."""
    low, high = interval
    share = np.clip((value - low) / (high - low), INSIDE, 1.0 - INSIDE)
    return np.asarray(np.log(share) - np.log1p(-share))


def from_line(free: FloatArray, interval: Interval) -> FloatArray:
    """Return values in an interval from their logits.

    Examples
    --------
    >>> from_line(to_line(np.array([0.5, -0.2]), (-1.0, 1.0)), (-1.0, 1.0)).round(12).tolist()
    [0.5, -0.2]
    """
    low, high = interval
    share = np.clip(0.5 + 0.5 * np.tanh(0.5 * free), INSIDE, 1.0 - INSIDE)
    return np.asarray(low + (high - low) * share)


def line_slope(free: FloatArray, interval: Interval) -> FloatArray:
    """Return the derivative of `from_line`."""
    low, high = interval
    return np.asarray((high - low) * 0.25 / np.cosh(np.clip(0.5 * free, -350.0, 350.0)) ** 2)


def at_ends(names: tuple[str, ...], values: FloatArray, interval: Interval) -> tuple[tuple[str, float], ...]:
    """Return name and value of the parameters at an end of an interval."""
    low, high = interval
    margin = AT_BOUND * (high - low)
    pairs = zip(names, values.tolist(), strict=True)
    return tuple((name, value) for name, value in pairs if not low + margin < value < high - margin)
