"""A binomial response that never varies within a level: the variance of its effects has no finite estimate.

With q levels of which a share a has successes only and the others failures only, a random intercept of
ever larger variance gives every level the one or the other, with probabilities that tend to a and 1 - a: the
likelihood tends to exp(-q H(a)), with H the entropy. With an intercept alone every finite variance is worse,
because it also gives mixed levels some probability. Quadrature of too few nodes has values beyond that bound.
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.factorization.blocks import Block

# Families of successes among trials.
_BINOMIAL = ("binomial", "betabinomial")
# Distance from the bound, relative to it, that is rounding.
ROUNDING = 1e-9


def infinite_variance(
    problem: GeneralizedProblem, objective: float, varies: tuple[bool, ...], is_close: bool
) -> str:
    """Return a sentence if the variance of a random intercept has no finite estimate, else nothing.

    Parameters
    ----------
    problem : GeneralizedProblem
        The data.
    objective : float
        -2 log-likelihood at the optimum found.
    varies : tuple of bool
        Whether the effects of each block have a variance there.
    is_close : bool
        Whether more quadrature nodes have the same optimum.
    """
    if problem.family.name not in _BINOMIAL:
        return ""
    for k, block in enumerate(problem.system.blocks):
        if not varies[k] or block.size > 1 or block.columns[0] is not None:
            continue
        bound = limit_of_infinite_variance(problem, k)
        if bound is None:
            continue
        beyond = objective >= bound - ROUNDING * abs(bound) or problem.n_fixed <= 1
        if beyond or not is_close:
            return _sentence(problem, block, bound)
    return ""


def limit_of_infinite_variance(problem: GeneralizedProblem, k: int) -> float | None:
    """Return -2 log-likelihood as the variance of the intercepts of block k grows without end.

    Returns
    -------
    float or None
        None if the response varies within some level, or no level has more than one trial.
    """
    sums = problem.system.sums[k]
    # Nearly always the level of the first row tells.
    of_first = problem.y[(sums.index == sums.index[0]) & (problem.weights > 0.0)]
    if len(of_first) and of_first.min() < 1.0 and of_first.max() > 0.0:
        return None
    trials, successes = (
        np.bincount(sums.index, weights=values, minlength=sums.size)
        for values in (problem.weights, problem.weights * problem.y)
    )
    seen = trials > 0.0
    ones, zeros = successes[seen] == trials[seen], successes[seen] == 0.0
    if not (ones | zeros).all() or not (trials > 1.0).any():
        return None
    return _twice_entropy(ones) - 2.0 * problem.log_constant


def never_varies(problem: GeneralizedProblem) -> bool:
    """Tell whether the response of a binomial model with random intercepts varies within no level at all."""
    block = problem.system.blocks[0]
    is_open = problem.family.name in _BINOMIAL and block.size == 1 and block.columns[0] is None
    return is_open and limit_of_infinite_variance(problem, 0) is not None


def _twice_entropy(ones: FloatArray) -> float:
    share, q = float(np.mean(ones)), len(ones)
    return -2.0 * q * float(xlogy(share, share) + xlogy(1.0 - share, 1.0 - share))


def _sentence(problem: GeneralizedProblem, block: Block, bound: float) -> str:
    others = "" if problem.n_fixed > 1 else f", and -2 log-likelihood falls towards {bound:.4f}, its bound"
    return (
        f"The variance of (Intercept) in (1 | {block.group}) has no finite estimate: the response is the "
        f"same in all rows of each level of {block.group}. The larger the variance the higher the likelihood"
        f"{others}; the estimates and their standard errors say only where the search stopped."
    )
