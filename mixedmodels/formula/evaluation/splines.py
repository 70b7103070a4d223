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
    return _values(_basis(knots, degree), x, knots)


def natural_spline(x: FloatArray, knots: SplineKnots, intercept: bool) -> FloatArray:
    """Return the basis of natural cubic splines: second derivative zero at and beyond the boundary.

    R takes the B-spline basis and projects it, by the QR decomposition of its second derivatives at
    the boundary, on the functions whose second derivatives vanish there.
    """
    cubic = _basis(knots, 3)
    first = 0 if intercept else 1
    curvature = _values(cubic, np.array(knots.boundary), knots, 2)[:, first:]
    Q, _ = scipy.linalg.qr(curvature.T)
    return _linear_beyond(x, cubic, knots)[:, first:] @ Q[:, 2:]


def _basis(knots: SplineKnots, degree: int) -> BSpline:
    """Return all B-splines of a degree as one vector-valued spline."""
    from scipy.interpolate import BSpline  # deferred: its import costs 0.1 s, and few models have splines

    sequence = np.sort([*knots.boundary * (degree + 1), *knots.inner])
    return BSpline(sequence, np.eye(len(sequence) - degree - 1), degree, extrapolate=True)


def _values(basis: BSpline, x: FloatArray, knots: SplineKnots, derivative: int = 0) -> FloatArray:
    """Return the splines, or a derivative of theirs, at `x`.

    Where inner knots coincide with the upper boundary the intervals there are empty; the boundary belongs
    to the last interval that is not, which begins just below it.
    """
    high = knots.boundary[1]
    if high in knots.inner:
        x = np.where(x == high, np.nextafter(high, -np.inf), x)
    return np.asarray(basis(x, nu=derivative), dtype=np.float64)


def _linear_beyond(x: FloatArray, cubic: BSpline, knots: SplineKnots) -> FloatArray:
    """Return the basis at `x`, continued by its tangents outside the boundary."""
    nearest = np.clip(x, *knots.boundary)
    values = _values(cubic, nearest, knots)
    outside = nearest != x
    if outside.any():
        beyond = np.flatnonzero(outside)
        values[beyond] += _values(cubic, nearest[beyond], knots, 1) * (x - nearest)[beyond, None]
    return values
