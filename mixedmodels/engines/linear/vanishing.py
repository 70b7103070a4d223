"""Where the residual variance is so small beside the others' that cross-products lose it."""

from __future__ import annotations

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem

#: Share of the mean square of the response below which the residual variance asks for this algorithm.
SMALL_SHARE = 1e-8
#: The same where there are as many random effects as rows, and it may run to zero.
SATURATED_SHARE = 1e-3
#: Largest number of elements of Z written out, and of columns.
MAX_ELEMENTS, MAX_EFFECTS = 5_000_000, 1_500


class ResidualVanishes(Exception):
    """Tell that a search has come where cross-products lose the residual variance.

    Parameters
    ----------
    free : ndarray
        The point, relative to its residual deviation.
    sigma : float
        That deviation.
    """

    def __init__(self, free: FloatArray, sigma: float) -> None:
        self.free = free
        self.sigma = sigma
        super().__init__("the residual variance is small beside the others")


def is_small(problem: LinearProblem, sigma2: float) -> bool:
    """Tell whether a residual variance asks for the rows themselves, and the model is of a size for it."""
    total = problem.equations.rss / problem.n
    if sigma2 > SATURATED_SHARE * total:
        return False
    return sigma2 < smallest_variance(problem)


def smallest_variance(problem: LinearProblem) -> float:
    """Return the residual variance below which the rows themselves are asked; 0 where there are too many."""
    total = problem.equations.rss / problem.n
    n_effects = sum(term.size * term.n_levels for term in problem.terms)
    rows = len(problem.terms[0].codes)
    if n_effects > MAX_EFFECTS or n_effects * rows > MAX_ELEMENTS:
        return 0.0
    return (SATURATED_SHARE if n_effects >= problem.n - problem.p else SMALL_SHARE) * total
