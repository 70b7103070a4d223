"""Where a minimiser stopped, and what all of them share: the form of an objective and its noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mixedmodels.arrays import FloatArray

Objective = Callable[[FloatArray], tuple[float, FloatArray]]

#: Relative rounding noise of an objective: differences below it say nothing, the slope decides.
NOISE = 1e-13
#: Why a search ends whose next step promises no decrease.
SETTLED = "the objective cannot decrease by more than the tolerance"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Minimum:
    """Where the minimiser stopped.

    Attributes
    ----------
    x : ndarray, shape (k,)
        Best point.
    objective : float
        Its objective.
    gradient : ndarray, shape (k,)
        Its gradient.
    inverse_hessian : ndarray, shape (k, k)
        Last quasi-Newton estimate.
    decrement : float
        ``g'Hg / 2`` with that estimate; what the last step leaves of it, where that ended the search.
    n_evaluations : int
        Evaluations of objective and gradient.
    path : tuple of (x, objective)
        Accepted points.
    converged : bool
        Whether the decrement fell below the tolerance, or the last step brings it there.
    message : str
        Why it stopped.
    """

    x: FloatArray
    objective: float
    gradient: FloatArray
    inverse_hessian: FloatArray
    decrement: float
    n_evaluations: int
    path: tuple[tuple[FloatArray, float], ...]
    converged: bool
    message: str
