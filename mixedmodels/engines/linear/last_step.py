"""The end of a search that began next to an optimum, where one evaluation costs much.

The curvature is known at the first point (:mod:`mixedmodels.engines.linear.average_information`), so the step
from there is Newton's. A second gradient would only tell how good it was; the objective where it leads, which
the estimates need anyway, tells that too: with H off by a share e along the step, a decrement d decreases the
objective by d (1 - e) and leaves e^2 d. A search that is next to its optimum ends so with one inverse.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.reml import evaluation_at
from mixedmodels.engines.linear.search import Search
from mixedmodels.engines.linear.start import Point
from mixedmodels.optimization.canonical import canonical
from mixedmodels.optimization.minimum import Minimum

#: Decrement from which a step may be the last: a hundredth of a standard error and a half.
NEAR = 1e-4
#: Decrement that it may leave: 5e-5 standard errors of theta, beyond the fifth digit of a deviation that some
#: hundred levels tell from zero.
LEFT = 1e-9


def step_ahead(search: Search, at: Point, H: FloatArray) -> Minimum | None:
    """Return the end of the search if one step from a point is enough, its system solved ahead; else None.

    Parameters
    ----------
    search : Search
        The search.
    at : Point
        First point.
    H : ndarray, shape (n_theta, n_theta)
        Inverse Hessian there.
    """
    step = -H.dot(at.gradient)
    decrement = -0.5 * float(step @ at.gradient)
    if not 0.0 < decrement <= NEAR:
        return None
    free = at.free + step
    theta = canonical(search.problem.terms, starting.theta_of(search.problem, free))
    try:
        ahead = evaluation_at(search.problem, theta, search.REML, search.sigma)
    except np.linalg.LinAlgError:
        return None
    search.n_evaluations, search.rounding = search.n_evaluations + 1, at.rounding
    missed = ahead.objective - (at.objective - decrement)
    left = missed**2 / decrement
    if not left <= LEFT:
        return None
    search.ahead = (theta, ahead)
    path = ((at.free, at.objective), (free, ahead.objective))
    message = "one step leaves the objective no decrease"
    return Minimum(at.free, at.objective, at.gradient, H, left, 1, path, True, message)
