"""Solve estimating equations: a step for beta, then scale and correlation by moments, in turns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.gee.correlation.structure import (
    NotPositiveDefinite,
    Whitening,
    WorkingCorrelation,
)
from mixedmodels.engines.gee.equations import MeanPoint, mean_point, scale_estimate, whitened
from mixedmodels.engines.gee.estimates import GeeSolution
from mixedmodels.engines.gee.problem import GeeProblem
from mixedmodels.engines.gee.variance import in_range
from mixedmodels.engines.gee.verdict import OutsideRange, verdict
from mixedmodels.engines.glm.newton import solve_positive
from mixedmodels.engines.orthonormal import orthonormalize
from mixedmodels.errors import ConvergenceError

MAX_ITERATIONS = 300
# Halvings of a step until it is rounding.
MAX_HALVINGS = 40
# Largest step at the end: in standard errors of a combination of coefficients, relative to phi, and in alpha.
TOLERANCE = 1e-10
# A step no smaller than the one before is rounding, once it is as small as this.
ROUNDING = 1e-8


def solve_gee(
    problem: GeeProblem,
    correlation: WorkingCorrelation,
    beta: FloatArray,
    scale: float | None = None,
    alpha: FloatArray | None = None,
) -> GeeSolution:
    """Return the solution of the estimating equations.

    Parameters
    ----------
    problem : GeeProblem
        The rows.
    correlation : WorkingCorrelation
        How they are taken to be correlated.
    beta : ndarray, shape (p,)
        Where to begin.
    scale : float, optional
        Scale, where it is known.
    alpha : ndarray, shape (q,), optional
        Working correlation to begin from; by default zero.

    Raises
    ------
    OutsideRange
        If the moment estimates of alpha are no correlation matrix.
    ConvergenceError
        If means or variances are no numbers where the steps lead.
    """
    basis = orthonormalize(problem.X, None)
    inner = replace(problem, X=basis.Q)
    state = _start(inner, correlation, basis.Q.T @ (problem.X @ beta), scale, alpha)
    last, moved, decrement, iteration = np.inf, np.inf, np.inf, 0
    while moved > TOLERANCE and iteration < MAX_ITERATIONS:
        iteration += 1
        following, decrement = _next(inner, correlation, state, scale)
        moved = _distance(state, following, decrement)
        state = following
        if moved <= ROUNDING and moved >= last:
            break
        last = moved
    if state.wanted is not None:
        raise OutsideRange(state.wanted, state.group)
    report = verdict(moved, decrement, iteration)
    return GeeSolution(basis.R_inverse @ state.gamma, state.alpha, state.phi, iteration, report)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _State:
    """One point of the search.

    Attributes
    ----------
    gamma : ndarray, shape (p,)
        Coefficients of the orthonormal columns.
    point : MeanPoint
        Means and residuals at gamma.
    alpha : ndarray, shape (q,)
        Parameters of the working correlation.
    whiten : callable
        W at alpha.
    phi : float
        Scale.
    wanted : ndarray, shape (q,), or None
        Moment estimates of alpha where they are no correlation matrix, so that alpha is short of them.
    group : int
        A group that they give no correlation matrix.
    """

    gamma: FloatArray
    point: MeanPoint
    alpha: FloatArray
    whiten: Whitening
    phi: float
    wanted: FloatArray | None = None
    group: int = -1


def _start(
    problem: GeeProblem,
    correlation: WorkingCorrelation,
    gamma: FloatArray,
    scale: float | None,
    alpha: FloatArray | None,
) -> _State:
    point = _at(problem, gamma)
    if point is None:
        raise ConvergenceError(
            "at the coefficients of start= some mean or its variance is no number (it overflows, or is at "
            "the end of its range); leave start= out, or begin nearer to the data."
        )
    phi = scale_estimate(problem, point.r) if scale is None else scale
    alpha = np.zeros(len(correlation.labels)) if alpha is None else alpha
    return _State(gamma, point, alpha, correlation.whitening(problem, alpha), phi)


def _next(
    problem: GeeProblem, correlation: WorkingCorrelation, state: _State, scale: float | None
) -> tuple[_State, float]:
    """Return the next point, and the decrement ``g' A^-1 g / 2`` of the step for beta."""
    # 1. A step for beta at the correlation and scale as they are.
    rows = whitened(problem, state.point, state.whiten)
    g = rows.D.T @ rows.r
    step = solve_positive(rows.D.T @ rows.D, g)
    gamma, point = _stepped(problem, state.gamma, step)
    # 2. The scale, then the correlation, at the new residuals.
    phi = scale_estimate(problem, point.r) if scale is None else scale
    alpha = correlation.estimate(problem, point.r, phi, state.alpha)
    return _inside(problem, correlation, state.alpha, alpha, gamma, point, phi), float(g @ step) / (2.0 * phi)


def _stepped(problem: GeeProblem, gamma: FloatArray, step: FloatArray) -> tuple[FloatArray, MeanPoint]:
    """Return the first of the points at 1, 1/2, 1/4, ... of a step whose means have a variance.

    Raises
    ------
    ConvergenceError
        If there is none.
    """
    for _ in range(MAX_HALVINGS):
        point = _at(problem, gamma + step)
        if point is not None:
            return gamma + step, point
        step = 0.5 * step
    raise ConvergenceError(
        "the coefficients run to where a mean or its variance is no number (it overflows, or is at the end "
        "of its range). Take another working correlation, such as 'independence', whose robust standard "
        "errors hold as well, or give start=."
    )


def _at(problem: GeeProblem, gamma: FloatArray) -> MeanPoint | None:
    """Return means and residuals at gamma, None where they are no numbers."""
    if not in_range(problem.family, problem.X @ gamma + problem.offset):
        return None
    with np.errstate(all="ignore"):
        point = mean_point(problem, gamma)
        # Sums of squares, which the equations are made of.
        size = float(np.vdot(point.r, point.r) + np.vdot(point.D, point.D))
    return point if np.isfinite(size) else None


def _inside(
    problem: GeeProblem,
    correlation: WorkingCorrelation,
    before: FloatArray,
    wanted: FloatArray,
    gamma: FloatArray,
    point: MeanPoint,
    phi: float,
) -> _State:
    """Return the point with the moment estimates of alpha, or short of them where they are no correlation."""
    group, alpha = -1, wanted
    for _ in range(MAX_HALVINGS):
        try:
            whiten = correlation.whitening(problem, alpha)
            return _State(gamma, point, alpha, whiten, phi, None if group < 0 else wanted, group)
        except NotPositiveDefinite as error:
            group, alpha = error.group, 0.5 * (before + alpha)
    return _State(gamma, point, before, correlation.whitening(problem, before), phi, wanted, group)


def _distance(before: _State, after: _State, decrement: float) -> float:
    """Return how far a step went: in standard errors of beta, relative to the scale, and in alpha."""
    in_alpha = float(np.abs(after.alpha - before.alpha).max(initial=0.0))
    return max(float(np.sqrt(2.0 * decrement)), abs(after.phi / before.phi - 1.0), in_alpha)
