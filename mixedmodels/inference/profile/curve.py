"""Follow the profile of one parameter: constrained optima, steps along the curve, likelihood-ratio limits.

The objective is -2 log-likelihood; ``zeta = sign(value - estimate) sqrt(objective - minimum)``. By the
envelope theorem the derivative of the constrained minimum is the partial derivative at it: zeta comes with
its exact slope, and Newton's method finds limits in few refits. A refit starts on the tangent of the curve,
with the curvature of the last one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ConvergenceError
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.inference.profile.held import Held
from mixedmodels.optimization.minimum import Minimum
from mixedmodels.optimization.quasi_newton import minimize

#: Decrease of the objective that ends a refit, and the same relative to its size: limits to a millionth of a
#: standard error.
TOLERANCE, RELATIVE_TOLERANCE = 1e-9, 1e-13
#: Error of zeta at a limit.
ZETA_TOLERANCE = 1e-7
#: Width of a bracket, in standard errors, that holds nothing but a jump.
CLOSED = 1e-6
#: Refits in which a limit must be found.
MOST_REFITS = 60
#: Depth below the minimum at which the model was not at its optimum.
LOWER = 1e-4
#: Times its size by which the distance from the estimate may grow in one step.
GROWTH = 2.5
#: Increase of zeta, while the distance doubles, below which a profile is flat and will not get there ...
FLAT = 1e-3
#: ... if the distance is already that many standard errors.
FAR = 50.0
#: Free parameters smaller than this, in units of their size, start the next refit from that: the objective is
#: even in them, so that no gradient would lead away from zero.
SMALL, NUDGE = 0.02, 0.02
#: Share of an effect that is its own, not a function of those before it, up to which its correlations are
#: tried with the other sign too, and the share from which that look starts: near a singular covariance the
#: likelihood often has two optima, one for each sign, and no way from one to the other.
NEARLY_SINGULAR, TURNED = 0.3, 0.5
#: Evaluations of a refit, and of such a look.
MOST_EVALUATIONS, LOOK_EVALUATIONS = 200, 40


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The minimum of the objective with one parameter held.

    Attributes
    ----------
    place : float
        Where the parameter is held, on the scale it is followed on.
    objective : float
        The minimum.
    slope : float
        Its derivative in the place.
    zeta : float
        Signed root of its height above the unconstrained minimum.
    x : ndarray, shape (m,)
        Coordinates of the minimum, settled.
    inverse_hessian : ndarray, shape (m, m)
        Curvature of the search.
    tangent : ndarray, shape (m,)
        How the coordinates change with the place, to first order.
    """

    place: float
    objective: float
    slope: float
    zeta: float
    x: FloatArray
    inverse_hessian: FloatArray
    tangent: FloatArray

    @property
    def zeta_slope(self) -> float:
        """Derivative of zeta in the place; NaN at the estimate."""
        return self.slope / (2.0 * self.zeta) if self.zeta else math.nan


@dataclass(frozen=True, slots=True)
class Curve:
    """The profile of one parameter, to be followed from its estimate.

    Attributes
    ----------
    held : Held
        The likelihood with the parameter held.
    origin : CurvePoint
        The optimum of the model.
    step : float
        Change of place that raises zeta by 1, near the origin.
    sizes : ndarray, shape (m,)
        Size of every coordinate that has its boundary at zero, 0 for others.
    bases : tuple of ndarray, each (S, S)
        Of each term what makes its columns orthogonal, ``Z = Q L``.
    ceiling : CurvePoint or None
        For a correlation, the lowest point at which one of the deviations is zero: there the correlation can
        be anything, so that its profile is nowhere higher.
    """

    held: Held
    origin: CurvePoint
    step: float
    sizes: FloatArray
    bases: tuple[FloatArray, ...]
    ceiling: CurvePoint | None = None

    def at(self, place: float, near: CurvePoint) -> CurvePoint:
        """Return the constrained minimum at a place that a point nearby leads to."""
        found = self._found(near.x + (place - near.place) * near.tangent, place, near)
        if not math.isfinite(found.objective):
            found = self._found(near.x, place, near)
        return self._point(found, place, near)

    def lowest(self, point: CurvePoint) -> CurvePoint:
        """Return a constrained minimum, or the lower one that correlations of the other sign lead to."""
        for turned in self._turned(point.x):
            # The curvature here is that of another optimum, and of one too narrow to leave.
            wide = replace(point, inverse_hessian=self.origin.inverse_hessian)
            found = self._found(turned, point.place, wide, LOOK_EVALUATIONS)
            if found.objective < point.objective - TOLERANCE:
                point = self._point(found, point.place, point)
        return point

    def _point(self, found: Minimum, place: float, near: CurvePoint) -> CurvePoint:
        """Return what is known of a constrained minimum, no higher than the ceiling."""
        if self.ceiling is not None and found.objective > self.ceiling.objective:
            zeta = self._zeta(place, self.ceiling.objective)
            return replace(self.ceiling, place=place, slope=0.0, zeta=zeta)
        x = self.held.settle(found.x, place)
        tangent = (x - near.x) / (place - near.place) if place != near.place else near.tangent
        zeta, slope = self._zeta(place, found.objective), self.held.slope(x, place)
        return CurvePoint(place, found.objective, slope, zeta, x, found.inverse_hessian, tangent)

    def _found(self, x: FloatArray, place: float, near: CurvePoint, most: int = MOST_EVALUATIONS) -> Minimum:
        """Return the constrained minimum that a start leads to, zeros being left."""
        small = np.abs(x) < SMALL * self.sizes
        return minimize(
            lambda x: self.held.value(x, place),
            self.held.settle(np.where(small, NUDGE * self.sizes, x), place),
            near.inverse_hessian,
            tolerance=TOLERANCE + RELATIVE_TOLERANCE * abs(near.objective),
            max_evaluations=most,
        )

    def _turned(self, x: FloatArray) -> Iterator[FloatArray]:
        """Yield starts with correlations of the other sign, if there may be a second optimum."""
        terms = self.held.surface.terms
        for term, part, L in zip(terms, theta_slices(terms), self.bases, strict=True):
            if not term.structure.is_unstructured or term.size == 1:
                continue
            now, at_first = (L @ term.structure.factor(z[part]) for z in (x, self.origin.x))
            for i in range(1, term.size):
                if is_nearly_singular(now[i], i) or is_nearly_singular(at_first[i], i):
                    turned = x.copy()
                    own = np.asarray(np.linalg.solve(L, turned_row(now, i)), dtype=np.float64)
                    turned[part] = term.structure.pullback(x[part], own)
                    yield turned

    def _zeta(self, place: float, objective: float) -> float:
        root = math.sqrt(max(objective - self.origin.objective, 0.0))
        return root if place >= self.origin.place else -root


def is_nearly_singular(row: FloatArray, i: int) -> bool:
    """Tell whether coefficient i is hardly more than a function of those before it."""
    return bool(abs(row[i]) <= NEARLY_SINGULAR * np.linalg.norm(row))


def turned_row(T: FloatArray, i: int) -> FloatArray:
    """Return a factor with the correlations of coefficient i turned round."""
    turned = T.copy()
    turned[i, :i] *= -1.0
    turned[i, i] = TURNED * np.linalg.norm(T[i])
    return turned


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a profile reaches a value of zeta.

    Attributes
    ----------
    place : float
        Where, on the scale the parameter is followed on; its bound, or infinity, where it does not get there;
        the last place that could be computed where the likelihood is lost on the way.
    reached : bool
        Whether it does.
    point : CurvePoint
        The last minimum found on the way.
    """

    place: float
    reached: bool
    point: CurvePoint


@dataclass(slots=True)
class _Bracket:
    """Between what points a limit lies.

    Attributes
    ----------
    inner : CurvePoint
        The furthest minimum that has not reached zeta.
    outer : float or None
        The nearest place that is too far.
    is_crossed : bool
        Whether zeta was larger there; False where the likelihood cannot be followed so far.
    """

    inner: CurvePoint
    outer: float | None = None
    is_crossed: bool = False


def limit(curve: Curve, zeta: float) -> Limit:
    """Return where the profile reaches `zeta`, by Newton's method kept inside a bracket."""
    sign, scale = math.copysign(1.0, zeta), curve.held.parameter.scale
    bound = scale.high if sign > 0.0 else scale.low
    if curve.origin.place == bound:
        return Limit(bound, False, curve.origin)
    bracket = _Bracket(curve.origin)
    place = _within(curve.origin.place + zeta * curve.step, bound, sign)
    for _ in range(MOST_REFITS):
        point = _refit(curve, place, bracket.inner)
        if point is not None and abs(point.zeta - zeta) < ZETA_TOLERANCE:
            point = curve.lowest(point)
            bracket.outer = None
        if point is None:
            bracket.outer, bracket.is_crossed = place, False
            place = 0.5 * (bracket.inner.place + place)
        elif abs(point.zeta - zeta) < ZETA_TOLERANCE:
            return Limit(place, True, point)
        else:
            flat = bracket.outer is None and _is_flat(curve, bracket.inner, point)
            _narrow(bracket, point, zeta)
            if flat or bracket.inner.place == bound:
                break
            place = _next_place(curve, point, zeta, bracket, bound)
        if bracket.outer is not None and abs(bracket.outer - bracket.inner.place) < CLOSED * curve.step:
            break
    if bracket.outer is None:
        return Limit(bound, False, bracket.inner)
    # Where a bracket closes upon a larger zeta, the profile jumps from one optimum to another.
    return Limit(bracket.inner.place, bracket.is_crossed, bracket.inner)


def _narrow(bracket: _Bracket, point: CurvePoint, zeta: float) -> None:
    """Move the end of the bracket on whose side a point is."""
    if math.copysign(1.0, zeta) * (zeta - point.zeta) > 0.0:
        bracket.inner = point
    else:
        bracket.outer, bracket.is_crossed = point.place, True


def _refit(curve: Curve, place: float, near: CurvePoint) -> CurvePoint | None:
    """Return the constrained minimum, None where the likelihood cannot be followed."""
    try:
        point = curve.at(place, near)
    except (np.linalg.LinAlgError, ConvergenceError, OverflowError):
        return None
    if point.objective < curve.origin.objective - LOWER:
        raise LowerOptimum(curve.held.parameter.scale.value(place), point)
    return point if math.isfinite(point.objective) else None


class LowerOptimum(Exception):
    """A profile has come below the optimum that it started from."""

    def __init__(self, value: float, point: CurvePoint) -> None:
        super().__init__()
        self.value, self.point = value, point


def _next_place(curve: Curve, point: CurvePoint, zeta: float, bracket: _Bracket, bound: float) -> float:
    """Return the next place to try: Newton's, or one between the ends of the bracket."""
    sign, slope, inner = math.copysign(1.0, zeta), point.zeta_slope, bracket.inner.place
    newton = point.place + (zeta - point.zeta) / slope if slope > 0.0 else math.nan
    if bracket.outer is not None:
        inside = sign * (newton - inner) > 0.0 and sign * (bracket.outer - newton) > 0.0
        return newton if inside else 0.5 * (inner + bracket.outer)
    furthest = curve.origin.place + GROWTH * (inner - curve.origin.place)
    if not sign * (newton - inner) > 0.0 or sign * (newton - furthest) > 0.0:
        newton = furthest
    return _within(newton, bound, sign)


def _within(place: float, bound: float, sign: float) -> float:
    return min(place, bound) if sign > 0.0 else max(place, bound)


def _is_flat(curve: Curve, before: CurvePoint, point: CurvePoint) -> bool:
    """Tell whether zeta hardly grows any more, far from the estimate."""
    origin = curve.origin.place
    is_far = abs(point.place - origin) > FAR * curve.step
    doubled = abs(point.place - origin) > 1.9 * abs(before.place - origin)
    return is_far and doubled and abs(point.zeta) - abs(before.zeta) < FLAT


def trace(curve: Curve, furthest: float, delta: float) -> list[CurvePoint]:
    """Return points of the curve on one side, about `delta` of zeta apart, until zeta passes `furthest`.

    The sign of `furthest` and `delta` is that of the side. The curve ends earlier at a bound.
    """
    sign, scale = math.copysign(1.0, furthest), curve.held.parameter.scale
    bound, near = scale.high if sign > 0.0 else scale.low, curve.origin
    points: list[CurvePoint] = []
    step = delta * curve.step
    while sign * near.zeta < sign * furthest and near.place != bound and len(points) < MOST_REFITS:
        place = _within(near.place + step, bound, sign)
        point = _refit(curve, place, near)
        if point is None:
            break
        point = curve.lowest(point)
        points.append(point)
        slope = point.zeta_slope
        longest = GROWTH * abs(step)
        step = sign * min(abs(delta / slope), longest) if slope > 0.0 else sign * longest
        near = point
    return points
