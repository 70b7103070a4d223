"""The usual search of a model with one grouping factor in one compiled call: same start, same steps.

The readable search in :mod:`mixedmodels.engines.linear.fit` is what it is held against; it is asked wherever
this one has nothing to say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.looks import FAR_SIZES
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import LinearSolution, spherical_by_term
from mixedmodels.engines.linear.step_sizes import (
    LARGEST_FACTOR,
    LEAST_CURVATURE,
    LEAST_FACTOR,
    RESIDUAL_ROUNDING,
    START_SIZE,
)
from mixedmodels.engines.linear.system import solve_one_factor
from mixedmodels.engines.linear.term_moments import LEAST_SHARE
from mixedmodels.engines.linear.vanishing import smallest_variance
from mixedmodels.kernels import one_factor_search
from mixedmodels.optimization.canonical import OBJECTIVE_ROUNDING
from mixedmodels.optimization.minimum import SETTLED, Minimum
from mixedmodels.optimization.watch import tell_of_search

#: Random effects up to which a search takes no time in which it should be watched, or interrupted.
MAX_EFFECTS = 100_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CompiledEnd:
    """Where a compiled search ended.

    Attributes
    ----------
    found : Minimum
        The optimum, as the readable search gives it.
    n_evaluations : int
        Evaluations of the objective, those of Fisher scoring among them.
    rounding : float
        Of the objective at the last point.
    far : list of float
        Objective at the points of :func:`~mixedmodels.engines.linear.looks.far_points`.
    smallest : float
        Smallest diagonal element of any T at the optimum found, in units of its scale.
    last : LastStep or None
        Where the last step leads, if all diagonals are positive there.
    """

    found: Minimum
    n_evaluations: int
    rounding: float
    far: list[float]
    smallest: float
    last: LastStep | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LastStep:
    """Where the last quasi-Newton step of a search leads, and the estimates there.

    Attributes
    ----------
    theta : ndarray, shape (n_theta,)
        Covariance parameters, all diagonals positive.
    smallest : float
        Smallest diagonal element of any T there, in units of its scale.
    solution : LinearSolution
        The estimates.
    """

    theta: FloatArray
    smallest: float
    solution: LinearSolution


def is_usual(problem: LinearProblem) -> bool:
    """Tell whether the compiled search knows the terms of a model."""
    return (
        one_factor_search.COMPILED
        and problem.solver is solve_one_factor
        and problem.n_theta <= one_factor_search.MAX_PARAMETERS
        and problem.pattern.blocks[0].n_effects <= MAX_EFFECTS
        and all(term.structure.is_unstructured for term in problem.terms)
    )


def compiled_search(
    problem: LinearProblem,
    REML: bool,
    scoring: tuple[int, float],
    tolerance: float,
    start: FloatArray | None = None,
) -> CompiledEnd | None:
    """Minimise from a start; None where the readable search is to be asked.

    Parameters
    ----------
    problem : LinearProblem
        A usual one, its residual variance free.
    REML : bool
        Which criterion.
    scoring : (int, float)
        Most steps of Fisher scoring, and what each must gain for another.
    tolerance : float
        Decrement that ends the search, beside the rounding of the objective.
    start : ndarray, shape (n_theta,), optional
        Free coordinates; by default those that the data give, and the points far off are asked beside them.
    """
    A, rhs, sizes = problem.equations.A, problem.equations.rhs, tuple(t.size for t in problem.terms)
    log_weights, log_det_R2 = problem.sum_log_weights, problem.fixed_basis.log_det_R2
    constant = (log_det_R2 if REML else 0.0) - log_weights
    first = _start(sizes) if start is None else start
    far_off = tuple(size / START_SIZE for size in FAR_SIZES) if start is None else ()
    end = one_factor_search.search_one_factor(
        A.faces[0], A.XZ[0], rhs.Z[0], A.XX, rhs.X, problem.equations.rss,
        sizes, first, problem.n - problem.p if REML else problem.n, REML, LEAST_SHARE,
        (constant, RESIDUAL_ROUNDING, smallest_variance(problem),
         LEAST_FACTOR, LARGEST_FACTOR, LEAST_CURVATURE),
        scoring, (tolerance, OBJECTIVE_ROUNDING), far_off,
        (_outward(problem), problem.scales, problem.fixed_basis.R_inverse, problem.projection),
    )  # fmt: skip
    if end is None:
        return None
    x, objective, gradient, H, decrement, path, tried, n_scored, rounding, far, smallest, last = end
    tell_of_search(tried)
    found = Minimum(x, objective, gradient, H, decrement, len(tried), path, True, SETTLED)
    return CompiledEnd(found, n_scored + len(tried), rounding, far, smallest, _last_step(problem, last))


def _last_step(problem: LinearProblem, last: one_factor_search.Last | None) -> LastStep | None:
    """Return where the last step leads, if the search tells."""
    if last is None:
        return None
    theta, smallest, objective, sigma, pwrss, log_det, log_det_fixed, beta, vcov, u = last
    is_its_own = len(problem.terms) == 1 and problem.terms[0].relationship is None
    effects = (u,) if is_its_own else spherical_by_term(problem, (u.T,))
    log_det_fixed += problem.fixed_basis.log_det_R2
    solution = LinearSolution(beta, effects, sigma, objective, pwrss, vcov, log_det, log_det_fixed)
    return LastStep(theta, smallest, solution)


def _outward(problem: LinearProblem) -> FloatArray:
    """Return the way from the orthogonal columns to the user's, of all terms in one matrix, (S, S)."""
    inverses = [basis.inverse for basis in problem.column_bases]
    return inverses[0] if len(inverses) == 1 else np.asarray(block_diag(*inverses))


def _start(sizes: tuple[int, ...]) -> FloatArray:
    """Return the free coordinates of effects of ``START_SIZE`` on orthogonal columns, as first_theta()."""
    parts = []
    for size in sizes:
        for j in range(size):
            parts += [START_SIZE] + [0.0] * (size - 1 - j)
    return np.array(parts)
