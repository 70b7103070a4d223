"""Jackknife covariances: what becomes of the coefficients where one group is left out."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.gee.correlation.structure import NotPositiveDefinite, WorkingCorrelation
from mixedmodels.engines.gee.estimates import GeeSolution
from mixedmodels.engines.gee.fit import solve_gee
from mixedmodels.engines.gee.problem import GeeProblem
from mixedmodels.engines.gee.verdict import OutsideRange
from mixedmodels.errors import ConvergenceError


def jackknife_factor(problem: GeeProblem, correlation: WorkingCorrelation) -> float:
    """Return the factor of squared changes: the share of groups beyond the number of parameters.

    As geepack, which counts the scale as one, estimated or not (Yan & Fine 2004).
    """
    m = problem.n_groups
    return float(m - problem.X.shape[1] - len(correlation.labels) - 1) / m


def jackknife(
    problem: GeeProblem, correlation: WorkingCorrelation, solution: GeeSolution, scale: float | None
) -> FloatArray:
    """Return the covariance from a fit without each group, shape (p, p).

    Raises
    ------
    ConvergenceError
        If a fit without a group has no solution.
    """
    changes = []
    for group in range(problem.n_groups):
        try:
            left = solve_gee(problem.without_group(group), correlation, solution.beta, scale, solution.alpha)
        except (OutsideRange, NotPositiveDefinite, np.linalg.LinAlgError):
            raise ConvergenceError(
                "the jackknife refits the model without each group, and one of these fits has no solution; "
                "'one-step jackknife' needs no refits."
            ) from None
        changes.append(left.beta - solution.beta)
    change = np.array(changes)
    return np.asarray(jackknife_factor(problem, correlation) * change.T @ change)
