"""Levenberg and Marquardt's method for a few parameters (Marquardt 1963, SIAM J. Appl. Math. 11(2))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray

#: Damping at first, and beyond which no step goes down any more.
FIRST_DAMPING, MOST_DAMPING = 1e-3, 1e10
#: Relative change of the sum of squares at which a search is settled.
SETTLED = 1e-12
#: Share of the trace that keeps a parameter without effect from an infinite step.
TINY = 1e-12
#: Steps of one search.
MOST_STEPS = 200


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LeastSquares:
    """Where a search for a least sum of squares ended.

    Attributes
    ----------
    at : ndarray, shape (d,)
        Parameters.
    rss : float
        Sum of squares.
    settled : bool
        Whether it is a minimum; False where steps ran out, or the sum is not finite at the start.
    """

    at: FloatArray
    rss: float
    settled: bool


def least_squares(
    residuals: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
    start: FloatArray,
    most_steps: int = MOST_STEPS,
) -> LeastSquares:
    """Return the minimum of a sum of squares that is found from a start.

    Parameters
    ----------
    residuals : callable
        Parameters to residuals, shape (n,), and their derivatives, shape (n, d).
    start : ndarray, shape (d,)
        Where to begin.
    most_steps : int
        Steps to try.
    """
    at = start
    r, J = residuals(at)
    rss, damping = float(r @ r), FIRST_DAMPING
    if not (np.isfinite(rss) and np.isfinite(J).all()):
        return LeastSquares(at, rss, False)
    for _ in range(most_steps):
        normal = J.T @ J
        sizes = np.diag(normal) + TINY * np.trace(normal)
        step = np.linalg.lstsq(normal + damping * np.diag(sizes), -(J.T @ r), rcond=None)[0]
        r_ahead, J_ahead = residuals(at + step)
        new = float(r_ahead @ r_ahead)
        if not (new <= rss and np.isfinite(J_ahead).all()):
            if damping > MOST_DAMPING:
                return LeastSquares(at, rss, True)
            damping *= 10.0
            continue
        settled = rss - new <= SETTLED * rss
        at, r, J, rss, damping = at + step, r_ahead, J_ahead, new, 0.1 * damping
        if settled:
            return LeastSquares(at, rss, True)
    return LeastSquares(at, rss, False)
