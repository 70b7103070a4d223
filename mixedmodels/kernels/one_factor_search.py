"""The search of a linear mixed model with one grouping factor, from its start to its optimum, compiled.

The readable search of :mod:`mixedmodels.engines.linear.fit` is its twin, and takes over wherever something is
out of the ordinary: a system that is not positive definite, a residual variance that vanishes, a search that
stalls.
"""

from __future__ import annotations

from typing import TypeAlias

from mixedmodels.arrays import FloatArray

__all__ = ["COMPILED", "MAX_PARAMETERS", "End", "search_one_factor"]

#: Most covariance parameters of a compiled search.
MAX_PARAMETERS = 32


#: Free coordinates x, (k,), the objective there, its gradient, the inverse Hessian, the decrement, the
#: accepted points with their objectives, the objective at every point of the search, evaluations of Fisher
#: scoring before it, rounding of the objective at the last point, the objective far off.
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
]

try:
    from mixedmodels.kernels._one_factor_search import search_one_factor
except ImportError:
    COMPILED = False
else:
    COMPILED = True
