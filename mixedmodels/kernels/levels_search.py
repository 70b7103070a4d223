"""The search of a Laplace approximation with one grouping factor, compiled; arguments as in levels.py.

``minimize`` over the objective of :mod:`mixedmodels.engines.generalized.by_level` is its twin, and takes over
where a level has no regular mode or the search is out of the ordinary.

constant : float
    Part of the log-likelihood that depends on no parameter.
Q : ndarray, shape (p, n)
    Orthonormal columns of the fixed effects, one a row.
offset : ndarray, shape (n,)
    Known part of the linear predictor.
sizes : tuple of int
    Coefficients of each term.
scale, x, gradient : ndarray, shape (k,)
    Scales of (theta, gamma), where the search begins in units of them, and the gradient there.
u : ndarray, shape (q, S)
    Where the search for the modes begins; where it ended.
H : ndarray, shape (k, k)
    Inverse Hessian to begin with.
value, tolerance, max_step : float
    Objective at the start; the decrement that ends the search; the longest step.
"""

from __future__ import annotations

from typing import TypeAlias

from mixedmodels.arrays import FloatArray

__all__ = ["COMPILED", "MAX_COEFFICIENTS", "MAX_EVALUATIONS", "MAX_PARAMETERS", "End", "search_levels"]

#: Most coefficients of a level, parameters and evaluations of a compiled search.
MAX_COEFFICIENTS, MAX_PARAMETERS, MAX_EVALUATIONS = 8, 32, 128
#: x, the objective there, its gradient, the inverse Hessian, the decrement, the accepted points with their
#: objectives, the objective at every point of the search.
End: TypeAlias = tuple[
    FloatArray, float, FloatArray, FloatArray, float, tuple[tuple[FloatArray, float], ...], list[float]
]

try:
    from mixedmodels.kernels._levels_search import search_levels
except ImportError:
    COMPILED = False
else:
    COMPILED = True
