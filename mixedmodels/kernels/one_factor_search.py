"""The search of a linear mixed model with one grouping factor, from its start to its optimum, compiled.

The readable search of :mod:`mixedmodels.engines.linear.fit` is its twin, and takes over wherever something is
out of the ordinary: a system that is not positive definite, a residual variance that vanishes, a search that
stalls.
"""

from __future__ import annotations

from typing import TypeAlias

from mixedmodels.arrays import FloatArray

__all__ = ["COMPILED", "MAX_PARAMETERS", "End", "Last", "search_one_factor"]

#: Most covariance parameters of a compiled search.
MAX_PARAMETERS = 32


#: Where the last step leads, if all diagonals of the factors are positive there: theta, (k,), the smallest
#: deviation in units of its scale, the objective, sigma, the penalized sum of squares, log|L|^2, log|R_X|^2,
#: beta, (p,), its unscaled covariance, (p, p), and the spherical effects, (q, S).
Last: TypeAlias = tuple[
    FloatArray, float, float, float, float, float, float, FloatArray, FloatArray, FloatArray
]
#: Free coordinates x, (k,), the objective there, its gradient, the inverse Hessian, the decrement, the
#: accepted points with their objectives, the objective at every point of the search, evaluations of Fisher
#: scoring before it, rounding of the objective at the last point, the objective far off, the smallest
#: deviation at x in units of its scale, and what is found where the last step leads.
End: TypeAlias = tuple[
    FloatArray,
    float,
    FloatArray,
    FloatArray,
    float,
    tuple[tuple[FloatArray, float], ...],
    list[float],
    int,
    float,
    list[float],
    float,
    "Last | None",
]

try:
    from mixedmodels.kernels._one_factor_search import search_one_factor
except ImportError:
    COMPILED = False
else:
    COMPILED = True
