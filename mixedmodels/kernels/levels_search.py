"""A Laplace approximation with one grouping factor, compiled: its gradient, and the search for its optimum.

:mod:`mixedmodels.engines.generalized.by_level` and ``minimize`` are its twins, and take over where a level
has no regular mode or the search is out of the ordinary: ``gradient`` and ``search`` return None there. What
``LevelObjective`` is made of, beside the arguments named in levels.py:

constant : float
    Part of the log-likelihood that depends on no parameter.
Q : ndarray, shape (p, n)
    Orthonormal columns of the fixed effects, one a row.
offset : ndarray, shape (n,)
    Known part of the linear predictor.
sizes : tuple of int
    Coefficients of each term.
u : ndarray, shape (q, S)
    Where the search for the modes begins; overwritten with those of the last point.

``value`` gives objective and gradient at (theta, gamma), ``fixed_inverse`` the inverse of ``X'WX - B Omega^-1
B'`` at the last point, of the columns of Q, ``hessian`` the columns of the Hessian by central differences as
:func:`mixedmodels.differences.curvature_columns`, and of one effect a level ``second_derivatives`` the
Hessian itself by its formula. ``without_random_effects`` takes scoring steps of the model without them from
linear predictors `eta`: coefficients after `n_steps`, score and information of the rows there, and -2
log-likelihood where a further step gains less than `gain`.

What ``search`` takes:

scale, x, gradient : ndarray, shape (k,)
    Scales of (theta, gamma), where the search begins in units of them, and the gradient there.
H : ndarray, shape (k, k)
    Inverse Hessian to begin with.
value, tolerance, max_step : float
    Objective at the start; the decrement that ends the search; the longest step.
"""

from __future__ import annotations

from typing import TypeAlias

from mixedmodels.arrays import FloatArray

__all__ = ["COMPILED", "MAX_COEFFICIENTS", "MAX_PARAMETERS", "End", "LevelObjective"]

#: Most coefficients of a level, and parameters of a compiled search.
MAX_COEFFICIENTS, MAX_PARAMETERS = 8, 32
#: x, the objective there, its gradient, the inverse Hessian, the decrement, the accepted points with their
#: objectives, the objective at every point of the search.
End: TypeAlias = tuple[
    FloatArray, float, FloatArray, FloatArray, float, tuple[tuple[FloatArray, float], ...], list[float]
]

try:
    from mixedmodels.kernels._levels_search import LevelObjective
except ImportError:
    COMPILED = False
else:
    # A build that is older than this file knows less.
    COMPILED = hasattr(LevelObjective, "second_derivatives")
