"""Central differences: derivatives of functions, Jacobians and Hessians from exact gradients.

The error of a central difference with step h is of order h^2, that of rounding over h. Steps of known size
serve parameters without units (logarithms, correlations); for all others :func:`hessian_by_standard_errors`
finds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from mixedmodels.arrays import FloatArray

VectorFunction = Callable[[FloatArray], FloatArray]

#: Step in units of a standard error, for gradients that are exact: both errors are then below 1e-5.
STANDARD_ERROR_STEP = 1e-3
#: Bounds of such a step: relative to its parameter, whose rounding it must exceed, and relative to the
#: parameter or a tenth of its typical size, for standard errors that make no sense.
SMALLEST_STEP, LARGEST_STEP, TYPICAL_SHARE = 1e-9, 1e-2, 0.1
#: A step is taken again if the curvature that it finds asks for one so many times as long or as short ...
WRONG_STEP = 5.0
#: ... at most so often: a step far too long finds a curvature far too small, but still a better step.
MAX_TRIALS = 5


def derivative(function: VectorFunction, x: FloatArray, steps: FloatArray) -> FloatArray:
    """Return the derivatives of a function that works element by element, shape (n,).

    Parameters
    ----------
    function : callable
        From shape (n,) to (n,).
    x, steps : ndarray, shape (n,)
        Where, and half the distance of the two points there.

    Examples
    --------
    >>> derivative(np.exp, np.array([0.0, 1.0]), np.full(2, 1e-5)).round(8).tolist()
    [1.0, 2.71828183]
    """
    return (function(x + steps) - function(x - steps)) / (2.0 * steps)


def jacobian(function: VectorFunction, x: FloatArray, steps: FloatArray) -> FloatArray:
    """Return ``d function / d x_k`` along the last axis, shape (..., m) for m > 0.

    Parameters
    ----------
    function : callable
        From shape (m,) to an array of any one shape.
    x, steps : ndarray, shape (m,)
        Where, and half the distance of the two points along each axis.
    """
    columns = [_slope(function, x, k, float(steps[k])) for k in range(len(x))]
    return np.stack(columns, axis=-1)


def hessian(gradient: VectorFunction, x: FloatArray, steps: FloatArray) -> FloatArray:
    """Return the Hessian from the exact gradient, symmetric, shape (m, m)."""
    return _symmetric([_slope(gradient, x, k, float(steps[k])) for k in range(len(x))])


def hessian_by_standard_errors(
    gradient: VectorFunction,
    x: FloatArray,
    variances: FloatArray,
    typical: FloatArray,
    share: float = STANDARD_ERROR_STEP,
) -> FloatArray:
    """Return the Hessian of -2 log-likelihood from its exact gradient, whatever the units, shape (m, m).

    The step along each axis is in proportion to the standard error that the curvature found there implies.

    Parameters
    ----------
    gradient : callable
        The gradient, from shape (m,) to (m,).
    x : ndarray, shape (m,)
        Where.
    variances : ndarray, shape (m,)
        What is known of the squared standard errors; infinity where nothing is.
    typical : ndarray, shape (m,)
        Typical sizes of the parameters.
    share : float
        The step in units of a standard error.

    Examples
    --------
    >>> scale = np.array([1e6, 1e-6])
    >>> unknown = np.full(2, np.inf)
    >>> H = hessian_by_standard_errors(lambda x: 2.0 * x * scale**2, np.zeros(2), unknown, 1.0 / scale)
    >>> (H / scale / scale[:, None]).round(6).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    return _symmetric(curvature_columns(gradient, x, variances, typical, range(len(x)), share))


def curvature_columns(
    gradient: VectorFunction,
    x: FloatArray,
    variances: FloatArray,
    typical: FloatArray,
    places: Iterable[int],
    share: float = STANDARD_ERROR_STEP,
) -> list[FloatArray]:
    """Return some columns of the Hessian of :func:`hessian_by_standard_errors`, each of shape (m,)."""
    bounds = list(zip(*(limit.tolist() for limit in step_bounds(x, typical)), strict=True))
    return [_curved_column(gradient, x, k, float(variances[k]), bounds[k], share) for k in places]


def steps_by_standard_errors(x: FloatArray, variances: FloatArray, typical: FloatArray) -> FloatArray:
    """Return steps in proportion to standard errors, within bounds that their parameters set, shape (m,).

    Parameters
    ----------
    x, variances, typical : ndarray, shape (m,)
        As for :func:`hessian_by_standard_errors`.
    """
    smallest, largest = step_bounds(x, typical)
    return np.clip(STANDARD_ERROR_STEP * np.sqrt(np.maximum(variances, 0.0)), smallest, largest)


def step_bounds(x: FloatArray, typical: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and the largest step along each axis."""
    largest = LARGEST_STEP * np.maximum(np.abs(x), TYPICAL_SHARE * typical)
    return np.minimum(SMALLEST_STEP * np.abs(x), largest), largest


def _curved_column(
    gradient: VectorFunction,
    x: FloatArray,
    k: int,
    variance: float,
    bounds: tuple[float, float],
    share: float,
) -> FloatArray:
    """Return one column of a Hessian, the step being in proportion to the standard error that it finds."""
    size = _step(variance, bounds, share)
    for _ in range(MAX_TRIALS):
        column = _slope(gradient, x, k, size)
        wanted = _step(2.0 / column[k] if column[k] > 0.0 else math.inf, bounds, share)
        if size / WRONG_STEP <= wanted <= size * WRONG_STEP:
            break
        size = wanted
    return column


def _step(variance: float, bounds: tuple[float, float], share: float) -> float:
    return min(max(share * math.sqrt(max(variance, 0.0)), bounds[0]), bounds[1])


def _slope(function: VectorFunction, x: FloatArray, k: int, step: float) -> FloatArray:
    """Return the derivative along one axis."""
    shift = np.zeros(len(x))
    shift[k] = step
    return (function(x + shift) - function(x - shift)) / (2.0 * step)


def _symmetric(columns: list[FloatArray]) -> FloatArray:
    """Return a Hessian from its columns."""
    H = np.array(columns).reshape(len(columns), len(columns))
    return np.asarray(0.5 * (H + H.T))
