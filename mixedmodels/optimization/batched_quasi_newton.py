"""The quasi-Newton method of :mod:`mixedmodels.optimization.quasi_newton` on many problems at once.

All problems take a step together, each along its own direction; those that are done leave. The line search
only shortens steps: where a step was too short the curvature it found is not positive or small, and the next
one is longer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.optimization.minimum import NOISE
from mixedmodels.optimization.quasi_newton import DECREASE

#: Maps points (k, R) and which problems they are of, shape (R,), to objectives (R,) and gradients (k, R); an
#: objective that cannot be computed is infinite.
BatchObjective = Callable[[FloatArray, IntArray], tuple[FloatArray, FloatArray]]

#: Shortest part of a step that is tried.
SHORTEST = 1e-6
#: A step along which the curvature is not positive was too short: the next is longer by this factor.
LONGER = 4.0
#: Cosine between a step and the change of the gradient below which the curvature counts as not positive.
LEAST_COSINE = 1e-12


@dataclass(frozen=True, slots=True)
class BatchMinimum:
    """Where the minimisation of each problem stopped.

    Attributes
    ----------
    x, gradient : ndarray, shape (k, R)
        Best points and their gradients.
    objective, decrement : ndarray, shape (R,)
        Objectives; ``g'Hg / 2``.
    inverse_hessian : ndarray, shape (k, k, R)
        Last quasi-Newton estimates.
    converged : ndarray of bool, shape (R,)
        Whether the decrement fell below the tolerance.
    """

    x: FloatArray
    objective: FloatArray
    gradient: FloatArray
    inverse_hessian: FloatArray
    decrement: FloatArray
    converged: BoolArray


@dataclass(slots=True)
class _Active:
    """The problems that are not done: who they are, where they stand and how long their next step is."""

    which: IntArray
    x: FloatArray
    f: FloatArray
    g: FloatArray
    H: FloatArray
    t: FloatArray

    def keep(self, mask: BoolArray) -> None:
        self.which, self.f, self.t = self.which[mask], self.f[mask], self.t[mask]
        self.x, self.g, self.H = self.x[:, mask], self.g[:, mask], self.H[:, :, mask]


def minimize_batch(
    function: BatchObjective,
    start: FloatArray,
    inverse_hessian: FloatArray,
    first: tuple[FloatArray, FloatArray],
    tolerance: FloatArray,
    max_evaluations: int,
) -> BatchMinimum:
    """Minimise R smooth functions from their values and gradients.

    Parameters
    ----------
    function : callable
        See :data:`BatchObjective`.
    start : ndarray, shape (k, R)
        First points.
    inverse_hessian : ndarray, shape (k, k, R)
        Estimates of the inverse Hessians there, positive definite.
    first : (ndarray, ndarray), shapes (R,) and (k, R)
        Objectives and gradients there.
    tolerance : ndarray, shape (R,)
        Each stops when its decrement ``g'Hg / 2`` is below it.
    max_evaluations : int
        All stop after so many.
    """
    R = start.shape[1]
    found = BatchMinimum(
        start.copy(), first[0].copy(), first[1].copy(), inverse_hessian.copy(), np.full(R, np.inf),
        np.zeros(R, dtype=bool),
    )  # fmt: skip
    active = _Active(
        np.arange(R), start.copy(), first[0].copy(), first[1].copy(), inverse_hessian.copy(), np.ones(R)
    )
    for _ in range(max_evaluations + 1):
        direction = -np.einsum("ijr,jr->ir", active.H, active.g)
        slope = np.einsum("ir,ir->r", direction, active.g)
        done = -0.5 * slope <= tolerance[active.which]
        stuck = ~np.isfinite(active.f) | (slope > 0.0) | (active.t < SHORTEST)
        _store(found, active, slope, done & ~stuck)
        left = ~(done | stuck)
        if not left.all():
            active.keep(left)
            direction, slope = direction[:, left], slope[left]
        if not len(active.which):
            break
        _step(function, active, direction, slope)
    return found


def _store(found: BatchMinimum, active: _Active, slope: FloatArray, converged: BoolArray) -> None:
    """Write down where the active problems stand."""
    which = active.which
    found.x[:, which], found.objective[which], found.gradient[:, which] = active.x, active.f, active.g
    found.inverse_hessian[:, :, which] = active.H
    found.decrement[which], found.converged[which] = -0.5 * slope, converged


def _step(function: BatchObjective, active: _Active, direction: FloatArray, slope: FloatArray) -> None:
    """Try one step of every active problem: take it, or make the next one shorter."""
    # 1. Try.
    step = active.t * direction
    f, g = function(active.x + step, active.which)
    noise = NOISE * np.maximum(1.0, np.abs(active.f))
    accepted = np.isfinite(f) & (f <= active.f + DECREASE * active.t * slope + noise)
    # 2. Shorten what was rejected: the minimiser of the parabola through value, slope and new value.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shorter = -0.5 * slope * active.t / ((f - active.f) / active.t - slope)
    shorter = np.clip(np.nan_to_num(shorter, nan=0.0), 0.1 * active.t, 0.5 * active.t)
    active.t = np.where(accepted, 1.0, shorter)
    # 3. Take what was accepted, and what it says about the curvature.
    change = np.where(accepted, g - active.g, 0.0)
    active.H = _updated(active.H, step, change, accepted)
    active.x = np.where(accepted, active.x + step, active.x)
    active.f = np.where(accepted, f, active.f)
    active.g = np.where(accepted, g, active.g)


def _updated(H: FloatArray, step: FloatArray, change: FloatArray, accepted: BoolArray) -> FloatArray:
    """Return the BFGS updates of the accepted; H, for a longer step, where the curvature is not positive."""
    curvature = np.einsum("ir,ir->r", step, change)
    sizes = np.einsum("ir,ir->r", step, step) * np.einsum("ir,ir->r", change, change)
    curved = accepted & (curvature > LEAST_COSINE * np.sqrt(sizes))
    safe = np.where(curved, curvature, 1.0)
    Hy = np.einsum("ijr,jr->ir", H, change)
    w = 0.5 * (1.0 + np.einsum("ir,ir->r", change, Hy) / safe) * step - Hy
    half = (step / safe)[:, None] * w[None]
    new = H + half + half.transpose(1, 0, 2)
    return np.where(curved, new, np.where(accepted, LONGER * H, H))
