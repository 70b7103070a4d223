"""The usual search of a Laplace approximation with one grouping factor, in one compiled call.

It takes the steps of the readable search in :mod:`mixedmodels.engines.generalized.search`, which is asked
wherever this one has nothing to say.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.kernels import levels_search
from mixedmodels.optimization.quasi_newton import SETTLED, Minimum
from mixedmodels.optimization.watch import current_watch

#: Rows up to which a search takes no time in which it should be watched, or interrupted.
MAX_ROWS = 100_000


def is_usual(problem: GeneralizedProblem) -> bool:
    """Tell whether the compiled search knows a model: rows sorted by the level of one factor."""
    return (
        levels_search.COMPILED
        and problem.by_level is not None
        and len(problem.y) <= MAX_ROWS
        and problem.n_theta + problem.n_fixed <= levels_search.MAX_PARAMETERS
        and problem.system.blocks[0].size <= levels_search.MAX_COEFFICIENTS
        and all(term.structure.is_unstructured for term in problem.terms)
    )


def compiled_search(
    problem: GeneralizedProblem,
    scale: FloatArray,
    u: FloatArray,
    start: tuple[FloatArray, float, FloatArray, FloatArray],
    tolerance: float,
    max_step: float,
) -> Minimum | None:
    """Minimise the Laplace objective over (theta, gamma); None where the readable search is to be asked.

    Parameters
    ----------
    problem : GeneralizedProblem
        A usual one.
    scale : ndarray, shape (m,)
        Sizes of the parameters, in units of which the search runs.
    u : ndarray, shape (q, S)
        Where the search for the modes starts; overwritten with those of the last point.
    start : (x, objective, gradient, inverse Hessian)
        Where the search starts, in units of `scale`.
    tolerance, max_step : float
        As for :func:`~mixedmodels.optimization.quasi_newton.minimize`.
    """
    rows = problem.by_level
    assert rows is not None
    x, value, gradient, H = start
    end = levels_search.search_levels(
        rows.kind, problem.y, problem.weights, problem.log_constant, rows.Z, rows.starts,
        np.ascontiguousarray(problem.fixed_basis.T), problem.offset, tuple(t.size for t in problem.terms),
        scale, u, x, H, value, gradient, tolerance, max_step,
    )  # fmt: skip
    if end is None:
        return None
    x, value, gradient, H, decrement, path, tried = end
    watch = current_watch()
    if watch is not None:
        watch.begin_search()
        for objective in tried:
            watch.evaluated(objective)
    return Minimum(x, value, gradient, H, decrement, len(tried), path, True, SETTLED)
