"""The usual course of a fit with one effect for each level, compiled: start, search, looks at the optimum.

:func:`mixedmodels.engines.generalized.start.starting_values`,
:func:`mixedmodels.engines.generalized.search.from_start` and
:func:`mixedmodels.engines.generalized.exactness.exactness` are its twins, and take over where anything is
out of the ordinary: ``course`` returns None there. What it takes:

objective : LevelObjective
    Of the model, see levels_search.py; left at the optimum, with the conditional modes in ``u``.
scale : ndarray, shape (1 + p,)
    Typical sizes of (theta, gamma).
start : (int, int, float, float)
    Scoring steps to the start; most of them to the optimum without random effects, and the gain at which it
    is near enough; the smallest deviation to start from, in standard errors of an effect.
steps : (float, float, float, float)
    Decrement that ends the rough search; relative change of theta beyond which curvatures are computed
    afresh; decrement that ends the search; longest step.
nodes, log_weights, signs
    A rule of quadrature, as in levels.py.
"""

from __future__ import annotations

from typing import TypeAlias

from mixedmodels.arrays import FloatArray
from mixedmodels.kernels.levels_search import End

__all__ = ["COMPILED", "Course", "Look", "course"]

#: -2 log-likelihood by the rule at the optimum, its gradient in units of `scale`, and the move in standard
#: errors that it asks for.
Look: TypeAlias = tuple[float, FloatArray, float]
#: The end of the search in units of `scale`, the evaluations of it all, -2 log-likelihood without random
#: effects, the look by the rule, whether a binomial response varies within no level, the linear predictor,
#: the inverse of the information about gamma, and the Hessian in (theta, gamma).
Course: TypeAlias = tuple[End, int, float, Look, bool, FloatArray, FloatArray, FloatArray]

try:
    from mixedmodels.kernels._levels_course import course
except ImportError:
    COMPILED = False
else:
    COMPILED = True
