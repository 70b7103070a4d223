"""Models whose effects can reproduce any response: whether the likelihood has a maximum, and where.

With as many effects as rows the residual variance may run to zero. Where the covariance stays of full rank
the likelihood has a limit there, an optimum at a residual variance of zero. Where it loses rank, because a
correlation of one or a variance of zero leaves fewer effects that still fit every row, the likelihood rises
without end. Such edges lie far from any start that the data suggest: looks from small residual variances
find them, whatever optimum with a residual there may be beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.looks import all_alike, may_be_saturated
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.separated_rows import separate_rows
from mixedmodels.engines.linear.small_residual import (
    SeparatedSearch,
    fit_separated_from,
    unbounded,
)
from mixedmodels.engines.linear.start import first_theta, free_of
from mixedmodels.engines.linear.step_sizes import START_SIZE
from mixedmodels.engines.linear.vanishing import ResidualVanishes
from mixedmodels.optimization.report import ConvergenceReport

#: Elements of theta, all alike as a user would write a start but for correlations, from which searches over
#: cross-products may run to where the residual vanishes; residual deviations, in units of that of the
#: response, at which looks begin with effects in proportions drawn for each.
CONSTANTS = (30.0, 10.0, 3.0, 1.0, 0.1)
DRAWN = (0.003, 0.03)
#: How much lower an optimum must be than what is found.
LOWER = 1e-6
#: Rows up to which looks are taken: each costs a hundred dense evaluations.
MOST_ROWS = 60


def can_look(problem: LinearProblem) -> bool:
    """Tell whether a model may be saturated and is of a size for looks."""
    return may_be_saturated(problem) and len(problem.terms[0].codes) <= MOST_ROWS


def with_zero_residual_tried(
    problem: LinearProblem,
    y: FloatArray,
    REML: bool,
    estimates: LinearEstimates,
    vanishing_from: Callable[[FloatArray], ResidualVanishes | None],
) -> LinearEstimates:
    """Return the lowest optimum there is, with the verdict that it is none where the likelihood has no bound.

    Parameters
    ----------
    problem : LinearProblem
        The problem.
    y : ndarray, shape (n,)
        Its response.
    REML : bool
        Which criterion.
    estimates : LinearEstimates
        Where other searches came to.
    vanishing_from : callable
        Returns where a search from a theta comes to a residual variance too small for cross-products.
    """
    rows, reason = separate_rows(problem, y), unbounded(problem)
    if not rows.is_saturated:
        return estimates
    if not REML and rows.n_within:
        return without_bound(problem, estimates)
    search = SeparatedSearch(problem, rows, REML)
    for x in _starts(search, vanishing_from):
        if reason in estimates.convergence.reasons:
            break
        with suppress(np.linalg.LinAlgError):
            look = fit_separated_from(search, x)
            if reason in look.convergence.reasons:
                return without_bound(problem, estimates)
            if look.convergence.is_optimum and look.solution.objective < estimates.solution.objective - LOWER:
                estimates = look
    return estimates


def _starts(
    search: SeparatedSearch, vanishing_from: Callable[[FloatArray], ResidualVanishes | None]
) -> Iterator[FloatArray]:
    """Yield points from which the residual variance may run to zero."""
    problem = search.problem
    for size in CONSTANTS:
        vanishing = vanishing_from(all_alike(problem, size))
        if vanishing is not None:
            yield search.point(vanishing.free, vanishing.sigma)
    for seed, last in enumerate(DRAWN):
        theta = _drawn_theta(problem, np.random.default_rng(seed))
        yield np.append(free_of(problem, theta), last)


def _drawn_theta(problem: LinearProblem, rng: np.random.Generator) -> FloatArray:
    """Return a theta with deviations within a factor of ten of the response's and any correlations."""
    theta = first_theta(problem, 1.0 / START_SIZE)
    for k, (term, part) in enumerate(problem.parts):
        if term.structure.is_unstructured:
            T = np.tril(rng.standard_normal((term.size, term.size)), -1)
            T += np.diag(10.0 ** rng.uniform(-1.0, 1.0, term.size))
            theta[part] = term.structure.pullback(theta[part], problem.column_bases[k].inverse @ T)
        else:
            size = 10.0 ** rng.uniform(-1.0, 1.0)
            theta[part] *= np.where(term.structure.is_lower_bound(), size, 1.0)
    return theta


def without_bound(problem: LinearProblem, estimates: LinearEstimates) -> LinearEstimates:
    """Return estimates with the verdict that the likelihood has no maximum."""
    report, reason = estimates.convergence, unbounded(problem)
    if reason in report.reasons:
        return estimates
    verdict = ConvergenceReport("not converged", report.decrement, (reason, *report.reasons))
    return replace(estimates, convergence=verdict)
