"""The last digits of an optimum: statistics to six digits need estimates closer than the objective can tell.

A search ends where its quadratic model promises no decrease that matters to the objective, and takes the
last step of that model all the same. What this leaves is small where the model was good, the search having
closed in on its end step by step. Where it was not, or where variances were set to zero after its end, a few
more steps bring the gradient down to its own rounding.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.differences import VectorFunction, hessian
from mixedmodels.optimization.minimum import NOISE, Minimum, Objective

with on_first_use():
    from mixedmodels.optimization import quasi_newton

#: Decrement that is left: a millionth of a standard error, less in every t statistic.
POLISHED = 1e-12
#: Least curvature, relative to the largest, along which a step is taken.
FLATTEST = 1e-6
#: Evaluations that these digits are worth.
MOST_EVALUATIONS = 10


def is_polished(found: Minimum) -> bool:
    """Tell whether the last step of a search leaves a decrement below `POLISHED`.

    The decrement falls again by the factor by which it fell before, or more: quasi-Newton steps converge
    superlinearly. The decrease of the last step but one stands for the decrement there.
    """
    if found.decrement <= POLISHED:
        return True
    if len(found.path) < 2:
        return False
    before = max(found.path[-2][1] - found.objective, NOISE * abs(found.objective))
    return found.decrement**2 <= POLISHED * before


def polished(function: Objective, x: FloatArray, found: Minimum) -> Minimum | None:
    """Return where a few more steps lead, None where they bring nothing.

    Parameters
    ----------
    function : callable
        Maps x to (objective, gradient).
    x : ndarray, shape (k,)
        Where the last step of the search led. Coordinates that are zero stay so.
    found : Minimum
        End of the search.
    """
    first = function(x)
    H = _within(found.inverse_hessian, x != 0.0)
    last = quasi_newton.minimize(
        function, x, H, first=first, tolerance=POLISHED, max_evaluations=MOST_EVALUATIONS
    )
    if not last.decrement < found.decrement:
        return None
    path = (*found.path, *last.path)
    return replace(
        last,
        x=last.x - last.inverse_hessian.dot(last.gradient),
        inverse_hessian=found.inverse_hessian,
        path=path,
    )


def observed_inverse(gradient: VectorFunction, x: FloatArray, step: float) -> FloatArray:
    """Return the inverse of the observed Hessian as the curvature of a search: positive definite.

    Directions in which the objective is flat or falls are as long as the flattest may be.
    """
    H = hessian(gradient, x, step * np.maximum(np.abs(x), 1.0))
    values, vectors = np.linalg.eigh(H)
    least = FLATTEST * max(float(np.abs(values).max()), np.finfo(np.float64).tiny)
    return np.asarray((vectors / np.maximum(np.abs(values), least)) @ vectors.T)


def _within(H: FloatArray, moving: BoolArray) -> FloatArray:
    """Return the inverse of the Hessian of the coordinates that move, with zeros for the others.

    Examples
    --------
    >>> _within(np.linalg.inv([[2.0, 1.0], [1.0, 3.0]]), np.array([True, False])).round(3).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    if moving.all():
        return H
    still, within = ~moving, np.zeros_like(H)
    across = H[still][:, moving]
    left = H[moving][:, moving] - across.T @ np.linalg.solve(H[still][:, still], across)
    within[np.outer(moving, moving)] = left.ravel()
    return within
