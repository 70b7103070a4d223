"""Unconstrained quasi-Newton minimisation with an exact gradient (BFGS; Nocedal & Wright 2006, ch. 3, 6).

The inverse Hessian is dense and given by the caller at the start: a good one makes the unit step right from
the first iteration, so that nearly every evaluation is an accepted point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ConvergenceError
from mixedmodels.optimization.minimum import NOISE, SETTLED, Minimum, Objective
from mixedmodels.optimization.watch import Watch, current_watch

#: Sufficient decrease and curvature of the strong Wolfe conditions, the usual values for quasi-Newton steps.
DECREASE, CURVATURE = 1e-4, 0.9
#: Slopes above it have squares that overflow: no step can be made of them.
STEEPEST = 1e150
# The product of two slopes may overflow: that step is then infinitely long, and is cut.
_far_from_flat = np.errstate(over="ignore", invalid="ignore")
#: Evaluations after which a line search gives up.
MAX_LINE_SEARCH = 30
#: Steps in a row that neither decrease the objective nor the decrement, after which a search gives up.
MAX_STALLS = 4


@dataclass(slots=True, eq=False, repr=False)
class _Counted:
    """The objective with a count; a point that cannot be computed is infinitely bad."""

    function: Objective
    noise: Callable[[], float] | None = None
    watch: Watch | None = field(default_factory=current_watch)
    n: int = 0

    def __post_init__(self) -> None:
        if self.watch is not None:
            self.watch.begin_search()

    def __call__(self, x: FloatArray) -> tuple[float, FloatArray]:
        self.n += 1
        value, gradient = self._evaluate(x)
        if self.watch is not None:
            self.watch.evaluated(value)
        return value, gradient

    def stepped(self, decrement: float, tolerance: float) -> None:
        """Tell whoever watches how far the search is."""
        if self.watch is not None:
            self.watch.stepped(decrement, tolerance)

    def _evaluate(self, x: FloatArray) -> tuple[float, FloatArray]:
        try:
            value, gradient = self.function(x)
        except (ConvergenceError, np.linalg.LinAlgError, FloatingPointError, OverflowError):
            return math.inf, np.zeros_like(x)
        steepest = float(np.abs(gradient).max(initial=0.0))
        if not (math.isfinite(value) and steepest < STEEPEST):
            return math.inf, np.zeros_like(x)
        return value, gradient

    def rounding(self, value: float) -> float:
        """Return the rounding of a value of the objective near the last one."""
        return NOISE * max(1.0, abs(value)) + (0.0 if self.noise is None else self.noise())


@_far_from_flat
def minimize(
    fun_and_gradient: Objective,
    start: FloatArray,
    inverse_hessian: FloatArray,
    *,
    first: tuple[float, FloatArray] | None = None,
    tolerance: float = 1e-9,
    max_evaluations: int = 1000,
    max_step: float = math.inf,
    noise: Callable[[], float] | None = None,
    is_lost: Callable[[FloatArray, FloatArray, float], bool] | None = None,
    closing: float = 0.0,
) -> Minimum:
    """Minimise a smooth function from its value and gradient.

    Parameters
    ----------
    fun_and_gradient : callable
        Maps x to (objective, gradient); may raise ``LinAlgError`` where it is not defined.
    start : ndarray, shape (k,)
        First point; the function must be finite there.
    inverse_hessian : ndarray, shape (k, k)
        Estimate of the inverse Hessian at the start, positive definite.
    first : (float, ndarray), optional
        Objective and gradient at the start, if they are known already.
    tolerance : float
        Stop when the decrement ``g'Hg / 2``, the decrease a Newton step promises, is below it.
    max_evaluations : int
        Stop after so many evaluations.
    max_step : float
        Largest change of any coordinate in one step.
    noise : callable, optional
        Returns the rounding of the last value of the objective beyond ``NOISE``; by default there is none.
    is_lost : callable, optional
        Tells from an accepted point, its gradient and its decrement that going on is of no use.
    closing : float
        Stop also where the next step, which is left to the caller, brings the decrement below this, if it
        falls by the factor by which the whole step before it brought it down: quasi-Newton steps converge
        superlinearly. Zero never stops so.

    Examples
    --------
    >>> found = minimize(lambda x: (float(x @ x), 2 * x), np.array([3.0]), np.eye(1))
    >>> found.converged
    True
    """
    function = _Counted(fun_and_gradient, noise)
    x, H = np.array(start, dtype=np.float64), np.array(inverse_hessian, dtype=np.float64)
    f, g = function(x) if first is None else first
    path = [(x, f)]
    message, restarted, stalls, least = "evaluations exhausted", False, 0, math.inf
    before, left = 0.0, math.inf
    while function.n < max_evaluations:
        direction = -H.dot(g)
        slope = float(direction.dot(g))
        if slope > 0.0:
            H = _positive(H)
            direction = -H.dot(g)
            slope = float(direction.dot(g))
        function.stepped(-slope / 2.0, tolerance)
        end, left = _end(-slope / 2.0, before, tolerance, closing)
        if end:
            message = end
            break
        longest = max_step if math.isinf(max_step) else max_step / float(np.abs(direction).max())
        trial = _line_search(function, x, f, direction, slope, longest)
        if trial is None:
            if restarted:
                message = "no step along the search direction decreases the objective"
                break
            H, restarted = np.array(inverse_hessian, dtype=np.float64), True
            continue
        restarted = False
        step, new_f, new_gradient = trial
        before = -slope / 2.0 if new_f < f and np.array_equal(step, direction) else 0.0
        least = min(least, -slope / 2.0)
        stalls = stalls + 1 if new_f >= f and -slope / 2.0 > least else 0
        H = updated(H, step, new_gradient - g)
        x, f, g = x + step, new_f, new_gradient
        path.append((x, f))
        if is_lost is not None and is_lost(x, g, 0.5 * float(g.dot(H).dot(g))):
            message = "the search leads nowhere"
            break
        if stalls == MAX_STALLS:
            message = "the objective no longer decreases beyond its rounding"
            break
    if (H.diagonal() < 0.0).any():  # rounding, where a parameter runs to the end of its range
        H = _positive(H)
    decrement = left if left <= closing else float(g.dot(H).dot(g)) / 2.0
    converged = abs(decrement) <= max(tolerance, closing)
    return Minimum(x, f, g, H, decrement, function.n, tuple(path), converged, message)


def _end(decrement: float, before: float, tolerance: float, closing: float) -> tuple[str, float]:
    """Return why a search ends at a decrement, empty if it goes on, and what the next step leaves of it."""
    if decrement <= tolerance:
        return SETTLED, decrement
    left = decrement**2 / before if before > 0.0 else math.inf
    return "one more step leaves the objective no decrease" if left <= closing else "", left


def _positive(H: FloatArray) -> FloatArray:
    """Return H with the absolute values of its eigenvalues: the step then descends."""
    values, vectors = np.linalg.eigh(H)
    return np.asarray((vectors * np.abs(values)) @ vectors.T)


def updated(H: FloatArray, step: FloatArray, change: FloatArray) -> FloatArray:
    """Return the BFGS update of the inverse Hessian H; H itself where the curvature is not positive."""
    curvature = float(step.dot(change))
    if curvature <= 1e-12 * math.sqrt(float(step.dot(step)) * float(change.dot(change))):
        return H
    Hy = H.dot(change)
    # The update is v w' + w v' with v = step / curvature.
    w = 0.5 * (1.0 + float(change.dot(Hy)) / curvature) * step - Hy
    half = (step / curvature)[:, None] * w
    return np.asarray(H + half + half.T)


def _line_search(
    function: _Counted,
    x: FloatArray,
    f: float,
    direction: FloatArray,
    slope: float,
    longest: float,
) -> tuple[FloatArray, float, FloatArray] | None:
    """Return (step, objective, gradient) of a point with enough decrease and flattening, or None."""
    low, low_f, low_slope = 0.0, f, slope
    high: float | None = None
    high_f, high_slope = math.inf, 0.0
    best: tuple[FloatArray, float, FloatArray] | None = None
    noise = function.rounding(f)
    t = min(1.0, longest)
    for _ in range(MAX_LINE_SEARCH):
        # 1. Try a step t; it will do if the objective falls enough, or is flat to within its rounding.
        step = t * direction
        new_f, new_g = function(x + step)
        new_slope = float(new_g.dot(direction))
        decreased = new_f <= f + DECREASE * t * slope or (
            new_f <= f + noise and abs(new_slope) <= CURVATURE * abs(slope)
        )
        if decreased and (best is None or new_f < best[1]):
            best = (step, new_f, new_g)
        # 2. Too long: an upper end of the bracket. Flat enough: done. Too short: its lower end.
        if not decreased or new_f > low_f + noise:
            high, high_f, high_slope = t, new_f, new_slope
        elif abs(new_slope) <= -CURVATURE * slope:
            return step, new_f, new_g
        else:
            if new_slope > 0.0:
                high, high_f, high_slope = low, low_f, low_slope
            low, low_f, low_slope = t, new_f, new_slope
            if high is None and t >= longest:
                return best
        # 3. Go on further out until there is a bracket, then inside it.
        t = (
            min(4.0 * t, longest)
            if high is None
            else _between(low, low_f, low_slope, high, high_f, high_slope)
        )
        if t in (low, high) or (high is not None and abs(high - low) * np.abs(direction).max() < 1e-15):
            break
    return best


def _between(a: float, fa: float, ga: float, b: float, fb: float, gb: float) -> float:
    """Return the minimiser of the cubic through two points, kept well inside the interval."""
    width = b - a
    if not math.isfinite(fb):
        return a + 0.1 * width
    d = ga + gb - 3.0 * (fa - fb) / (a - b)
    radicand = d * d - ga * gb
    t = a + 0.5 * width
    if radicand >= 0.0:
        root = math.copysign(math.sqrt(radicand), width)
        denominator = gb - ga + 2.0 * root
        if denominator != 0.0:
            t = b - width * (gb + root - d) / denominator
    fraction = (t - a) / width
    return a + min(max(fraction, 0.1), 0.9) * width
