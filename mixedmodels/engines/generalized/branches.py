"""Where to look for the conditional mode under a link whose inverse has two branches.

mu = eta^2 is the same on either side of zero, and a count above zero keeps eta from crossing it. A level
whose rows lie on both sides of zero then has a mode between any two of the places where one of its rows
crosses, and Newton's steps lead to one of them. The best point of a grid leads to the highest.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.problem import GeneralizedProblem, Parameters
from mixedmodels.factorization.weighted.penalized_system import spherical_to_rows
from mixedmodels.factorization.weighted.row_sums import sum_rows

# Spherical effects that are tried: beyond six a prior allows none.
GRID = np.linspace(-6.0, 6.0, 49)


def highest_on_grid(problem: GeneralizedProblem, parameters: Parameters) -> FloatArray | None:
    """Return, for every level, the effect of a grid whose penalized log-likelihood is highest.

    None where zero leads there: where no level has rows on both sides of zero; and where levels depend on
    each other or have several effects, which no grid of this kind covers.
    """
    blocks = problem.system.blocks
    if len(blocks) > 1 or blocks[0].size > 1 or blocks[0].relationship is not None:
        return None
    fixed = problem.fixed_basis @ parameters.gamma + problem.offset
    if not _has_both_sides(problem, fixed):
        return None
    sums, q = problem.system.sums[0], blocks[0].n_levels
    best, highest = np.zeros(q), np.full(q, -np.inf)
    for u in GRID:
        eta = fixed + spherical_to_rows(problem.system, parameters.zeta, np.full(q, u))
        loglik = problem.evaluate(eta, parameters.phi).loglik
        penalized = sum_rows(sums, np.where(np.isnan(loglik), -np.inf, loglik)) - 0.5 * u * u
        best = np.where(penalized > highest, u, best)
        highest = np.maximum(penalized, highest)
    return best


def _has_both_sides(problem: GeneralizedProblem, fixed: FloatArray) -> bool:
    """Tell whether the fixed part puts rows of one level on both sides of zero."""
    sums = problem.system.sums[0]
    above, below = (sum_rows(sums, side.astype(np.float64)) for side in (fixed > 0.0, fixed < 0.0))
    return bool((np.minimum(above, below) > 0.0).any())
