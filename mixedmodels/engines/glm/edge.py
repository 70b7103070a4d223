"""Maximise a likelihood whose maximum lies where the range of the link ends: an active-set Newton method.

With the identity link a Poisson mean cannot fall below 0, with the log link a probability cannot exceed 1.
The likelihood of a count of zero, or of a success, is finite there and still rises, so that the maximum may
have rows at the end of their range. These are held at it, and Newton steps taken in the coefficients that are
left, until no row held pulls away from the end (Nocedal & Wright 2006, Numerical Optimization, section 16.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.engines.glm.newton import (
    DECREMENT_TOLERANCE,
    LARGEST_PHI_STEP,
    MAX_HALVINGS,
    MAX_ITERATIONS,
    ROUNDING,
    STALLED_TOLERANCE,
    GlmPoint,
    evaluate_point,
    negative_hessian,
    score,
    solve_positive,
)
from mixedmodels.engines.glm.recession import null_space
from mixedmodels.engines.glm.tail_signs import tail_signs
from mixedmodels.families.family import Family
from mixedmodels.optimization.report import ConvergenceReport

# Distance from the end of the range, relative to the largest predictor, at which rows are held: at the end
# itself the likelihood has no derivatives.
AT_END = 1e-11
# Decrement below which Newton's step is tried.
CLOSE = 0.1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EdgeProblem:
    """The data of a generalized linear model some of whose rows may reach the end of their range.

    Attributes
    ----------
    y, weights, offset, constant : ndarray, shape (n,)
        As in :mod:`~mixedmodels.engines.glm.newton`.
    Q : ndarray, shape (n, p)
        Orthonormal basis of the columns of X.
    family : Family
        Family and link.
    sign : ndarray, shape (n,)
        On which side of its predictor the end of a row lies: 1 above, -1 below, 0 for rows that lose without
        bound towards it.
    end : ndarray, shape (n,)
        The predictor at the end.
    """

    y: FloatArray
    weights: FloatArray
    Q: FloatArray
    offset: FloatArray
    family: Family
    constant: FloatArray
    sign: FloatArray
    end: FloatArray

    def gap(self, eta: FloatArray) -> FloatArray:
        """Return how far rows are from their end; infinity for those without one."""
        return np.where(self.sign == 0.0, np.inf, (self.end - eta) * self.sign)

    def at(self, beta: FloatArray, phi: FloatArray) -> GlmPoint:
        """Return the point with these parameters."""
        return evaluate_point(
            self.y, self.weights, self.Q, self.offset, self.family, self.constant, beta, phi
        )


def edge_problem(
    y: FloatArray,
    weights: FloatArray,
    Q: FloatArray,
    offset: FloatArray,
    family: Family,
    constant: FloatArray,
) -> EdgeProblem | None:
    """Return the problem if there are rows that may reach the end of their range, else None."""
    tails, link = family.tails(y), family.link
    sign = tail_signs(tails, link, at_infinity=False) - tail_signs(tails, link, at_infinity=True)
    sign[weights == 0.0] = 0
    if not sign.any() or not link.is_monotone:
        return None
    with np.errstate(divide="ignore"):
        ends = link.link(np.array([0.0, 1.0]))
    end = np.where(sign == 0, 0.0, np.where(tails.to_zero, ends[0], ends[1]))
    return EdgeProblem(y, weights, Q, offset, family, constant, sign.astype(np.float64), end)


def climb_along_edge(problem: EdgeProblem, point: GlmPoint) -> tuple[GlmPoint, int, ConvergenceReport]:
    """Return the maximum reached from `point`, the number of steps and the verdict."""
    held = problem.gap(point.eta) <= _reach(point)
    for iteration in range(1, MAX_ITERATIONS + 1):
        # 1. The Newton step that leaves the rows held where they are.
        step, decrement = _step(problem, point, held)
        following, blocking = _search(problem, point, step)
        stuck = following is None or decrement <= DECREMENT_TOLERANCE
        if following is not None:
            point, held = following, held | blocking
        if not stuck:
            continue
        # 2. At the best point with these rows held: let go of those that pull away from the end.
        pull, gain = _pull(problem, point, held)
        limit = STALLED_TOLERANCE * (1.0 + abs(point.loglik))
        if gain <= limit:
            return point, iteration, _verdict(problem, held, max(decrement, gain), decrement <= limit)
        held = held & ((problem.Q @ pull) * problem.sign >= 0.0)
    return point, MAX_ITERATIONS, _verdict(problem, held, decrement, False)


def _reach(point: GlmPoint) -> float:
    return 2.0 * AT_END * (1.0 + float(np.abs(point.eta).max()))


def _step(problem: EdgeProblem, point: GlmPoint, held: BoolArray) -> tuple[FloatArray, float]:
    """Return the step in (beta, free phi) that keeps the rows held, and its decrement.

    That of Fisher scoring, and close to the maximum Newton's, where the Hessian is positive definite: rows
    with means near their end make the expected information so much larger that scoring crawls.
    """
    p, n_phi = problem.Q.shape[1], len(point.phi)
    Z = null_space(problem.Q[held])
    free = np.zeros((p + n_phi, Z.shape[1] + n_phi))
    free[:p, : Z.shape[1]], free[p:, Z.shape[1] :] = Z, np.eye(n_phi)
    data = (problem.y, problem.weights, problem.Q, problem.family, point)
    gradient = free.T @ score(*data)

    def step_by(information: FloatArray) -> tuple[FloatArray, float, bool]:
        H = free.T @ negative_hessian(*data, np.where(held, 0.0, information)) @ free
        own = solve_positive(H, gradient)
        return free @ own, 0.5 * float(gradient @ own), bool(dpotrf(H)[1] == 0)

    step, decrement, _ = step_by(point.rows.information)
    if decrement < CLOSE:
        newton, of_newton, is_definite = step_by(-point.rows.d2)
        if is_definite:
            return newton, of_newton
    return step, decrement


def _search(problem: EdgeProblem, point: GlmPoint, step: FloatArray) -> tuple[GlmPoint | None, BoolArray]:
    """Return a better point along the step, None if there is none, and the rows it brings to their end."""
    p = problem.Q.shape[1]
    gap, speed = problem.gap(point.eta), (problem.Q @ step[:p]) * problem.sign
    ahead = (speed > 0.0) & (gap > _reach(point))
    room = float(((gap[ahead] - 0.5 * _reach(point)) / speed[ahead]).min(initial=np.inf))
    length = min(1.0, room)
    free = problem.family.phi_to_free(point.phi) if len(point.phi) else point.phi
    in_phi = np.clip(step[p:], -LARGEST_PHI_STEP, LARGEST_PHI_STEP)
    for _ in range(MAX_HALVINGS):
        phi = problem.family.phi_from_free(free + length * in_phi) if len(free) else point.phi
        trial = problem.at(point.beta + length * step[:p], phi)
        if trial.loglik >= point.loglik - ROUNDING * (1.0 + abs(point.loglik)):
            return trial, ahead & (problem.gap(trial.eta) <= _reach(point))
        length *= 0.5
    return None, np.zeros(len(gap), dtype=bool)


def _pull(problem: EdgeProblem, point: GlmPoint, held: BoolArray) -> tuple[FloatArray, float]:
    """Return the direction of ascent that the rows held allow, and what it promises; zero at a maximum.

    The gradient is split in a part that pushes rows held against their end and what is left of it.
    """
    from scipy.optimize import nnls

    gradient = problem.Q.T @ point.rows.d1
    towards = problem.Q[held] * problem.sign[held, None]
    if len(towards):
        gradient = gradient - towards.T @ nnls(towards.T, gradient)[0]
    H = problem.Q.T @ (problem.Q * np.where(held, 0.0, point.rows.information)[:, None])
    curvature = max(float(np.trace(H)) / len(H), np.finfo(np.float64).tiny)
    return gradient, 0.5 * float(gradient @ gradient) / curvature


def _verdict(problem: EdgeProblem, held: BoolArray, decrement: float, is_best: bool) -> ConvergenceReport:
    """Return the verdict on a point with rows held at the end of their range."""
    link, n = problem.family.link, int(np.count_nonzero(held))
    if not is_best:
        reason = f"The likelihood still rises near the end of the range of the {link.name} link."
        return ConvergenceReport("not converged", decrement, (reason,))
    if not n:
        return ConvergenceReport("converged", decrement, ())
    ends = " and ".join(f"{mean:.3g}" for mean in np.unique(link.inverse(problem.end[held])))
    reason = (
        f"The fitted means of {n} row{'s' if n > 1 else ''} are {ends}, the end of what the {link.name} link "
        "allows: standard errors do not hold for coefficients that move them."
    )
    return ConvergenceReport("boundary", decrement, (reason,))
