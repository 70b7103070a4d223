"""The usual search of a Laplace approximation with one grouping factor, in one compiled call.

It takes the steps of the readable search in :mod:`mixedmodels.engines.generalized.search`, which is asked
wherever this one has nothing to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.kernels import levels_search
from mixedmodels.optimization.minimum import SETTLED, Minimum
from mixedmodels.optimization.watch import tell_of_search

if TYPE_CHECKING:
    from mixedmodels.kernels._levels_search import LevelObjective

#: Rows up to which a search takes no time in which it should be watched, or interrupted.
MAX_ROWS = 100_000


def is_usual(problem: GeneralizedProblem) -> bool:
    """Tell whether the compiled search knows a model: rows sorted by the level of one factor."""
    return (
        levels_search.COMPILED
        and problem.by_level is not None
        and len(problem.y) <= MAX_ROWS
        and problem.n_theta + problem.n_fixed <= levels_search.MAX_PARAMETERS
        and problem.by_level.Z.shape[1] <= levels_search.MAX_COEFFICIENTS
        and all(term.structure.is_unstructured for term in problem.terms)
    )


def level_objective(problem: GeneralizedProblem, u: FloatArray | None) -> LevelObjective:
    """Return the compiled objective of a usual model, the search for its modes starting at u, or at zero."""
    rows = problem.by_level
    assert rows is not None
    start = np.zeros((len(rows.starts) - 1, rows.Z.shape[1])) if u is None else u.copy()
    return levels_search.LevelObjective(
        rows.kind, problem.y, problem.weights, problem.log_constant, rows.Z, rows.starts,
        np.ascontiguousarray(problem.fixed_basis.T), problem.offset, tuple(t.size for t in problem.terms),
        start,
    )  # fmt: skip


def compiled_search(
    objective: LevelObjective,
    scale: FloatArray,
    start: tuple[FloatArray, float, FloatArray, FloatArray],
    tolerance: float,
    max_step: float,
) -> Minimum | None:
    """Minimise an objective over (theta, gamma); None where the readable search is to be asked.

    Parameters
    ----------
    objective : LevelObjective
        Of a usual model.
    scale : ndarray, shape (m,)
        Sizes of the parameters, in units of which the search runs.
    start : (x, objective, gradient, inverse Hessian)
        Where the search starts, in units of `scale`.
    tolerance, max_step : float
        As for :func:`~mixedmodels.optimization.quasi_newton.minimize`.
    """
    x, value, gradient, H = start
    end = objective.search(scale, x, H, value, gradient, tolerance, max_step)
    if end is None:
        return None
    x, value, gradient, H, decrement, path, tried = end
    tell_of_search(tried)
    return Minimum(x, value, gradient, H, decrement, len(tried), path, True, SETTLED)
