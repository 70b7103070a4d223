"""The conditional mode of the random effects: penalized nonlinear least squares, all clusters at once.

The mode u of a cluster minimises ``sum_i w_i (y_i - mu_i(u))^2 + u'u``, by Newton steps on the exact Hessian
where it is positive definite and on Gauss and Newton's where it is not, halved until the sum falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.engines.nonlinear.row_sums import RowSums, parameters_at, row_sums, solved
from mixedmodels.errors import ConvergenceError

#: Newton steps after which there is no mode, and halvings of one.
MAX_STEPS, MAX_HALVINGS = 100, 30
#: Share of the decrease that the slope promises, which a step must have.
DECREASE = 1e-4
#: Step, relative to u and a residual, that is nothing, and one that is the last: it leaves its square.
NO_STEP, LAST_STEP = 1e-10, 1e-6
#: Decrement, relative to the sum of squares, that the sum is too coarse to show: residuals are differences.
ROUNDING = 1e-12
#: Steps so small that are taken: each squares what is left, until the slope itself is rounding.
LAST_STEPS = 3
#: Eigenvalue of the exact Hessian too small to trust; Gauss and Newton's has none below one.
LEAST_CURVATURE = 1e-3


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Mode:
    """The mean and its derivatives at random effects u.

    Attributes
    ----------
    u : ndarray, shape (C, q)
        Spherical random effects by cluster.
    mu, e : ndarray, shape (n,)
        Means and residuals.
    G, H : ndarray, shape (K, n) and (K, K, n)
        First and second derivatives of the mean in its parameters.
    rows : RowSums
        Their sums over each cluster.
    rss : ndarray, shape (C,)
        Penalized sum of squares of each cluster, infinite where it is no number.
    """

    u: FloatArray
    mu: FloatArray
    e: FloatArray
    G: FloatArray
    H: FloatArray
    rows: RowSums
    rss: FloatArray

    @property
    def derivatives(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Residuals, and first and second derivatives of the mean."""
        return self.e, self.G, self.H


def at_effects(problem: NonlinearProblem, T: FloatArray, fixed: FloatArray, u: FloatArray) -> Mode:
    """Return the mean and its derivatives at u (C, q); clusters whose mean is not finite are infinitely bad.

    Parameters
    ----------
    problem : NonlinearProblem
        The problem.
    T : ndarray, shape (S, S)
        Factors of all terms.
    fixed : ndarray, shape (K, n)
        What the fixed effects give to each parameter.
    u : ndarray, shape (C, q)
        Spherical random effects.
    """
    phi = parameters_at(problem, T, fixed, u)
    with np.errstate(all="ignore"):
        mu, G, H = problem.mean.hessian(phi)
        e = problem.y - mu
        rows = row_sums(problem, T, u, e, G, H)
    rss = rows.rss
    return Mode(u, mu, e, G, H, rows, np.where(np.isfinite(rss), rss, np.inf))


def find_mode(problem: NonlinearProblem, T: FloatArray, fixed: FloatArray, start: FloatArray) -> Mode:
    """Return the conditional mode, from a start (C, q).

    Raises
    ------
    ConvergenceError
        If the mean is not finite where the search begins, or the search does not end.
    """
    at = at_effects(problem, T, fixed, start)
    if not np.isfinite(at.rss).all():
        at = at_effects(problem, T, fixed, np.where(np.isfinite(at.rss)[:, None], start, 0.0))
        if not np.isfinite(at.rss).all():
            raise ConvergenceError("the mean is not finite at some rows.")
    settled = 0
    for _ in range(MAX_STEPS):
        step, decrement, is_exact = _newton_step(at)
        settled += int((decrement <= ROUNDING * at.rss).all())
        size = float((np.abs(step) / (residual_size(problem, at) + np.abs(at.u))).max(initial=0.0))
        if settled > LAST_STEPS or size <= NO_STEP:
            return at
        new = _stepped(problem, T, fixed, at, step, decrement)
        if new is None:
            break
        at = new
        if is_exact and size <= LAST_STEP:
            break
    else:
        raise ConvergenceError("the conditional mode of the random effects was not found.")
    return at


def residual_size(problem: NonlinearProblem, at: Mode) -> float:
    """Return the size of a residual: spherical effects are in its units."""
    return float(np.sqrt(max(at.rss.sum() / problem.n, np.finfo(np.float64).tiny)))


def _newton_step(at: Mode) -> tuple[FloatArray, FloatArray, bool]:
    """Return the step (C, q), its decrement (C,), and whether it is Newton's in every cluster."""
    K, slope = at.rows.K, at.rows.slope
    towards = solved(K, slope)
    is_exact = towards is not None
    if towards is None:
        bad = np.linalg.eigvalsh(K)[:, :1] < LEAST_CURVATURE
        K = np.where(bad[:, :, None], at.rows.Omega, K)
        towards = np.asarray(np.linalg.solve(K, slope[:, :, None])[:, :, 0], dtype=np.float64)
    return -towards, np.einsum("cq,cq->c", towards, slope), is_exact


def _stepped(
    problem: NonlinearProblem,
    T: FloatArray,
    fixed: FloatArray,
    at: Mode,
    step: FloatArray,
    decrement: FloatArray,
) -> Mode | None:
    """Return the point after the step, halved where a cluster's sum does not fall; None if one never does."""
    length = np.ones(len(step))
    for _ in range(MAX_HALVINGS):
        new = at_effects(problem, T, fixed, at.u + length[:, None] * step)
        worse: BoolArray = new.rss > at.rss - DECREASE * length * decrement
        worse &= decrement > ROUNDING * at.rss
        worse |= ~np.isfinite(new.rss)
        if not worse.any():
            return new
        length = np.where(worse, length / 2.0, length)
    return None
