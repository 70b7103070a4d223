"""Bases of regression splines: B-splines and natural cubic splines, column for column R's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg

from mixedmodels.arrays import FloatArray

if TYPE_CHECKING:
    from scipy.interpolate import BSpline


@dataclass(frozen=True, slots=True)
class SplineKnots:
    """Inner knots (increasing) and the two boundary knots of a basis."""

    inner: tuple[float, ...]
    boundary: tuple[float, float]


def spline_knots(
    x: FloatArray,
    inner: tuple[float, ...] | None,
    count: int,
    boundary: tuple[float, ...] | None,
) -> SplineKnots:
    """Return the knots given, or `count` quantiles of the values of `x` within the boundary."""
    low, high = (float(x.min()), float(x.max())) if boundary is None else boundary
    if inner is None:
        inside = x[(x >= low) & (x <= high)]
        inner = tuple(np.quantile(inside, np.linspace(0, 1, count + 2)[1:-1]).tolist()) if count else ()
    return SplineKnots(tuple(sorted(inner)), (low, high))


def b_spline(x: FloatArray, knots: SplineKnots, degree: int) -> FloatArray:
    """Return the full B-spline basis, shape (n, number of inner knots + degree + 1).

    Outside the boundary the outermost polynomials go on, as R's do (with a warning there).
    """
    return np.asarray(_basis(knots, degree)(x), dtype=np.float64)


def natural_spline(x: FloatArray, knots: SplineKnots, intercept: bool) -> FloatArray:
    """Return the basis of natural cubic splines: second derivative zero at and beyond the boundary.

    R takes the B-spline basis and projects it, by the QR decomposition of its second derivatives at
    the boundary, on the functions whose second derivatives vanish there.
    """
    cubic = _basis(knots, 3)
    boundary = np.array(knots.boundary)
    first = 0 if intercept else 1
    curvature = cubic.derivative(2)(boundary)[:, first:]
    Q, _ = scipy.linalg.qr(curvature.T)
    return _linear_beyond(x, cubic, boundary)[:, first:] @ Q[:, 2:]


def _basis(knots: SplineKnots, degree: int) -> BSpline:
    """Return all B-splines of a degree as one vector-valued spline."""
    from scipy.interpolate import BSpline  # deferred: its import costs 0.1 s, and few models have splines

    low, high = knots.boundary
    sequence = np.array([low] * (degree + 1) + list(knots.inner) + [high] * (degree + 1))
    return BSpline(sequence, np.eye(len(sequence) - degree - 1), degree, extrapolate=True)


def _linear_beyond(x: FloatArray, cubic: BSpline, boundary: FloatArray) -> FloatArray:
    """Return the basis at `x`, continued by its tangents outside the boundary."""
    nearest = np.clip(x, *boundary)
    values = np.asarray(cubic(nearest), dtype=np.float64)
    outside = nearest != x
    if outside.any():
        beyond = np.flatnonzero(outside)
        values[beyond] += cubic.derivative(1)(nearest[beyond]) * (x - nearest)[beyond, None]
    return values
