"""Fit a linear mixed model: start, optimise, put into canonical form, judge."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.looks import (
    far_points,
    further_starts,
    has_shared_correlation,
    may_be_saturated,
    without_a_deviation,
)
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import objective_and_gradient
from mixedmodels.engines.linear.search import (
    MAX_SCORING_STEPS,
    MOST_EVALUATIONS,
    SCORING_GAIN,
    TOLERANCE,
    NoResidualLeft,
    Search,
    compiled,
)
from mixedmodels.engines.linear.step_sizes import RESIDUAL_ROUNDING
from mixedmodels.engines.linear.vanishing import ResidualVanishes, is_small
from mixedmodels.factorization.threads import threads_for
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.optimization.canonical import (
    NEAR_ZERO,
    OBJECTIVE_ROUNDING,
    PROBE,
    canonical,
    is_saddle,
    with_exact_zeros,
)
from mixedmodels.optimization.convergence import judge
from mixedmodels.optimization.minimum import Minimum
from mixedmodels.optimization.polish import POLISHED, is_polished, observed_inverse, polished
from mixedmodels.optimization.report import OptimizationReport

with on_first_use():
    from mixedmodels.engines.linear import (
        approximate_start,
        average_information,
        last_step,
        saturated,
        small_residual,
    )
    from mixedmodels.engines.linear import start as starting
    from mixedmodels.optimization import quasi_newton

if TYPE_CHECKING:
    from mixedmodels.engines.linear.start import Point

#: Escapes from saddles before the fit is left as it is.
MAX_ESCAPES = 3
#: In a model no larger than this, or with fewer rows than this for each effect, further looks are cheap or
#: needed. They are taken if a variance ends below this size, in
#: units of its scale, or if the search was longer than this: second basins were seen nowhere else.
FEW_PARAMETERS, FEW_EFFECTS, ROWS_PER_EFFECT = 15, 1000, 2
INTERIOR, HARD_EVALUATIONS = 0.2, 30
#: The same where deviations share a correlation, which without one of them may be another: and how little
#: above the optimum the objective without one and with a strong correlation may be. Of 306 random models 15
#: had a lower optimum of that kind, of the 99 that are inside by both rules none.
WELL_INSIDE, NEARLY_AS_LOW = 0.4, 10.0
#: Decreases at which a further look pauses, and how many times what it has before it may still be missing: it
#: goes on only if it may come lower than what is found.
LOOK_TOLERANCES = ((1e-2, 30.0), (1e-5, 1.0))
#: Times as much may be missing where deviations run to zero beside a correlation: along their roots the
#: objective is flat there.
WARY = 30.0
#: Distance of two pauses, relative to theta and its scale, that are one place.
SAME_PLACE = 0.03
#: Decrement of a look that ends in no optimum and does not count.
LOOK_DECREMENT = 1e-3
#: Points with a small residual that a search tries where it is known what they lead to, and what is said
#: where no search ends.
MAX_SMALL = 5
NO_RESIDUAL = "the objective only falls on as the residual variance goes to zero"
#: Evaluations after which a further look ends, and a search that has no optimum to find.
LOOK_EVALUATIONS, ENDLESS_EVALUATIONS = 400, 100
#: Share of the sum of squares that a residual keeps where effects could reproduce the response: below it
#: rounding speaks. A fit that ends within a thousand times it while the objective falls by more than this for
#: every e-fold of all deviations has no optimum there.
LEAST_RESIDUAL, NEARLY, ENDLESS_SLOPE = 1e-8, 1e-3, 1e-4
#: Legs of the way down a flat valley, each with the curvature where it begins, and the distance over which
#: that is observed.
MAX_VALLEY_LEGS, VALLEY_STEP = 5, 1e-4
#: Size, in units of its scale, that a zero diagonal is given to start a search from it.
OFF_ZERO = 0.1


#: Where a search began: where the data say, where the user says, at the optimum of a fit to a like response.
Origin = Literal["data", "user", "like fit"]


def fit_linear(
    problem: LinearProblem,
    REML: bool,
    start: FloatArray | None = None,
    *,
    sigma: float | None = None,
    inverse_hessian: FloatArray | None = None,
    y: FloatArray | None = None,
    looks: bool = True,
) -> LinearEstimates:
    """Fit by REML or maximum likelihood.

    Parameters
    ----------
    problem : LinearProblem
        From :func:`~mixedmodels.engines.linear.problem.linear_problem`.
    REML : bool
        Which criterion.
    start : ndarray, shape (n_theta,), optional
        Starting theta; by default chosen from the data.
    sigma : float, optional
        Fixed residual standard deviation; by default estimated.
    inverse_hessian : ndarray, shape (n_theta, n_theta), optional
        Curvature at `start`, from the fit to a like response; by default the expected one.
    y : ndarray, shape (n,), optional
        The response, for models whose residual variance is so small that cross-products lose it.
    looks : bool
        Whether a suspicious optimum is compared with what further starts lead to.

    Raises
    ------
    DataError
        If `y` does not vary within the levels of the random effects.
    numpy.linalg.LinAlgError
        If the equations are singular.
    """
    search = Search(problem, REML, sigma, looks=looks, ceiling=_ceiling(problem, REML, sigma))
    if y is None or sigma is not None:
        return _fit_cross_products(search, start, inverse_hessian)
    search.has_rows = True
    try:
        estimates = _fit_cross_products(search, start, inverse_hessian)
    except ResidualVanishes as vanishing:
        estimates = small_residual.fit_separated(problem, y, REML, vanishing.free, vanishing.sigma)
        if may_be_saturated(problem) and not search.has_looked:
            estimates = _with_a_residual(search, estimates, "data" if start is None else "user")
    except np.linalg.LinAlgError:
        if start is not None or not is_small(problem, 0.0):
            raise
        first = starting.free_of(problem, starting.first_theta(problem))
        estimates = small_residual.fit_separated(
            problem, y, REML, first, math.sqrt(problem.equations.rss / problem.n)
        )
    if math.isinf(search.ceiling) or not saturated.can_look(problem):
        return estimates
    return saturated.with_zero_residual_tried(problem, y, REML, estimates, partial(_vanishing_from, search))


def _fit_cross_products(
    search: Search, start: FloatArray | None, inverse_hessian: FloatArray | None
) -> LinearEstimates:
    """Fit from the cross-products alone."""
    began = time.perf_counter()
    with threads_for(max(search.problem.equations.A.dense_order, search.problem.n_theta)):
        found = _first_search(search, start, inverse_hessian)
        origin: Origin = "data" if start is None else "user" if inverse_hessian is None else "like fit"
        if found is None or (search.looks and _is_suspicious(search, found, origin)):
            found = _best_of_looks(search, found, origin)
        theta, found = _to_last_digits(search, *_off_saddle(search, found, None if search.looks else start))
        return _estimates(search, theta, found, time.perf_counter() - began)


def _vanishing_from(search: Search, theta: FloatArray) -> ResidualVanishes | None:
    """Return where a search from theta comes to a residual variance too small for cross-products."""
    search.has_rows, search.n_beyond, search.most_evaluations = True, 0, LOOK_EVALUATIONS
    try:
        _search_from(search, theta)
    except ResidualVanishes as vanishing:
        return vanishing
    except (np.linalg.LinAlgError, NoResidualLeft):
        pass
    return None


def _with_a_residual(search: Search, estimates: LinearEstimates, origin: Origin) -> LinearEstimates:
    """Return the better of a fit with a small residual variance and the lowest optimum with a larger one."""
    began, search.has_rows, search.most_small = time.perf_counter(), False, MAX_SMALL
    known = estimates.solution.objective if estimates.convergence.is_optimum else math.inf
    found = _lowest_look(search, None, origin, known)
    if found is None:
        return estimates
    theta, found = _off_saddle(search, found)
    looked = _estimates(search, theta, found, time.perf_counter() - began)
    # That the likelihood has no bound holds whichever optimum stands for it.
    return looked if estimates.convergence.is_optimum else saturated.without_bound(search.problem, looked)


def _ceiling(problem: LinearProblem, REML: bool, sigma: float | None) -> float:
    """Return the rounding of the objective at the least residual, infinite where none can vanish."""
    if sigma is not None or not may_be_saturated(problem):
        return math.inf
    return RESIDUAL_ROUNDING * (problem.n - problem.p if REML else problem.n) / LEAST_RESIDUAL


def _is_suspicious(search: Search, found: Minimum, origin: Origin) -> bool:
    """Tell whether further looks are worth their time."""
    problem = search.problem
    n_effects = sum(term.size * term.n_levels for term in problem.terms)
    few = problem.n_theta <= FEW_PARAMETERS or problem.n < ROWS_PER_EFFECT * n_effects
    if not few or n_effects > FEW_EFFECTS:
        return False
    is_full = problem.p + n_effects >= problem.n
    if origin == "user" or search.n_evaluations > HARD_EVALUATIONS or is_full:
        return True
    end = search.end_at(found)
    smallest = starting.smallest_deviation(problem, found.x) if end is None else end.smallest
    if smallest < INTERIOR:
        return True
    if has_shared_correlation(problem):
        theta = canonical(problem.terms, starting.theta_of(problem, found.x))
        beside = without_a_deviation(problem, theta)
        near = found.objective + NEARLY_AS_LOW
        if smallest < WELL_INSIDE or any(search.objective(point) < near for point in beside):
            return True
    return any(value < found.objective for value in _far_values(search))


def _far_values(search: Search) -> Iterator[float]:
    """Yield the objective at points far off, which a compiled search has asked on its way."""
    for value in search.far:
        search.n_evaluations += 1
        yield value
    if not search.far:
        yield from map(search.objective, far_points(search.problem))


def _first_search(
    search: Search, start: FloatArray | None, inverse_hessian: FloatArray | None
) -> Minimum | None:
    """Return the optimum next to the start, or None if the objective falls on as the residual vanishes."""
    try:
        found = _search_from_data(search) if start is None else _search_from(search, start, inverse_hessian)
    except NoResidualLeft:
        return None
    return None if _is_endless(search, found) else found


def _best_of_looks(search: Search, found: Minimum | None, origin: Origin) -> Minimum:
    """Return the lowest of an optimum and what further starts lead to."""
    # On their way looks may pass where cross-products lose the residual; only where they end counts.
    has_rows, search.has_rows = search.has_rows, False
    found = _lowest_look(search, found, origin)
    search.has_rows, search.has_looked = has_rows, True
    if found is None:
        return _endless(search)
    search.at(found.x)
    return found


def _lowest_look(
    search: Search, found: Minimum | None, origin: Origin, known: float = math.inf
) -> Minimum | None:
    """Return the lowest of an optimum, if there is one, and what further starts lead to below `known`."""
    for theta, scored in further_starts(search.problem, every=found is None, data=origin != "data"):
        with suppress(np.linalg.LinAlgError, NoResidualLeft):
            again = _look(search, theta, scored, known if found is None else found.objective)
            found = found if again is None else again
    return found


def _endless(search: Search) -> Minimum:
    """Return where the search from the data stands when the residual is as good as gone: no optimum."""
    search.n_beyond, search.most_evaluations = -MOST_EVALUATIONS, ENDLESS_EVALUATIONS
    found = _search_from_data(search)
    falls = abs(float(found.x @ found.gradient))
    return replace(found, decrement=max(found.decrement, falls), converged=False, message=NO_RESIDUAL)


def _look(search: Search, theta: FloatArray, scored: bool, objective: float) -> Minimum | None:
    """Return the optimum that a start leads to, or None once it cannot be lower than `objective`."""
    free = starting.free_of(search.problem, theta)
    end = compiled(search, scored, free)
    if end is not None:
        return end if end.objective < objective else None
    search.n_beyond, search.n_small, search.most_evaluations = 0, 0, LOOK_EVALUATIONS
    at = search.at(free)
    if at.rounding > search.ceiling:
        return None
    search_on = _search_scored if scored else _search
    found = search_on(search, at, tolerance=LOOK_TOLERANCES[0][0])
    if _is_where_another_was(search, found):
        return None
    wary = WARY if has_shared_correlation(search.problem) else 1.0
    for (tolerance, trust), following in zip(
        LOOK_TOLERANCES, (*LOOK_TOLERANCES[1:], (TOLERANCE, 0.0)), strict=True
    ):
        if found.objective - wary * trust * max(found.decrement, tolerance) > objective:
            return None
        first = (found.objective, found.gradient)
        # A look that has paused is near an optimum, or falls on so slowly that the next pause comes soon.
        search.n_small = 0
        found = _minimized(search, found.x, found.inverse_hessian, first, _tolerance(first[0], following[0]))
    settled = found.decrement < LOOK_DECREMENT and not _is_endless(search, found)
    return found if settled and found.objective < objective else None


def _is_where_another_was(search: Search, found: Minimum) -> bool:
    """Tell whether a look has paused where another did, which has gone on from there."""
    problem = search.problem
    theta = canonical(problem.terms, starting.theta_of(problem, found.x))
    near = SAME_PLACE * (np.abs(theta) + problem.scales)
    if any((np.abs(theta - other) <= near).all() for other in search.paused):
        return True
    search.paused.append(theta)
    return False


def _is_endless(search: Search, found: Minimum) -> bool:
    """Tell whether the objective only falls on as the residual variance vanishes."""
    if math.isinf(search.ceiling):
        return False
    at = search.at(found.x)
    return at.rounding > NEARLY * search.ceiling and float(at.free @ at.gradient) < -ENDLESS_SLOPE


def _search_from_data(search: Search) -> Minimum:
    """Minimise from a start that the data give."""
    problem = search.problem
    found = compiled(search, scored=True)
    if found is not None:
        return found
    if approximate_start.is_expensive(problem):
        # Where the approximation breaks down the plain start serves.
        with suppress(np.linalg.LinAlgError):
            return _search_near(
                search, approximate_start.approximate_theta(problem, search.REML, search.sigma)
            )
    first = starting.free_of(problem, starting.first_theta(problem))
    return _search_scored(search, search.at(first))


def _search_scored(search: Search, best: Point, tolerance: float = TOLERANCE) -> Minimum:
    """Minimise from a point, Fisher scoring while that gains much."""
    problem = search.problem
    for _ in range(MAX_SCORING_STEPS):
        new = search.at(starting.free_of(problem, starting.scored_theta(problem, best)))
        gain = best.objective - new.objective if new.rounding <= search.ceiling else 0.0
        best = new if gain > 0.0 else best
        if gain < SCORING_GAIN:
            break
    return _search(search, best, tolerance=tolerance)


def _search_near(search: Search, theta: FloatArray) -> Minimum:
    """Minimise from a theta close to the optimum, with the Hessian there if it is."""
    problem = search.problem
    search.n_evaluations += 1
    free = starting.free_of(problem, theta)
    at, H = average_information.curved_point(problem, free, search.REML, search.sigma)
    if float(at.gradient @ H @ at.gradient) > 2.0 * SCORING_GAIN:
        return _search_scored(search, at)
    if not is_small(problem, at.sigma2):
        found = last_step.step_ahead(search, at, H)
        if found is not None:
            return found
    # The step after the last evaluation is taken unseen; its objective is compared with what it promised.
    return _search(search, at, H, closing=POLISHED)


def _search_from(search: Search, theta: FloatArray, inverse_hessian: FloatArray | None = None) -> Minimum:
    """Minimise from a given theta, moved off zero where the gradient says nothing."""
    free = starting.free_of(search.problem, starting.off_zero(search.problem, theta, OFF_ZERO))
    found = compiled(search, scored=False, start=free)
    return _search(search, search.at(free), inverse_hessian) if found is None else found


def _search(
    search: Search,
    at: Point,
    inverse_hessian: FloatArray | None = None,
    tolerance: float = TOLERANCE,
    closing: float = 0.0,
) -> Minimum:
    """Minimise from a point, with the expected Hessian there as first curvature unless one is given."""
    H = starting.inverse_hessian(search.problem, at) if inverse_hessian is None else inverse_hessian
    first, tolerance = (at.objective, at.gradient), _tolerance(at.objective, tolerance)
    return _minimized(search, at.free, H, first, tolerance, closing)


def _minimized(
    search: Search,
    x: FloatArray,
    H: FloatArray,
    first: tuple[float, FloatArray],
    tolerance: float,
    closing: float = 0.0,
) -> Minimum:
    return quasi_newton.minimize(
        search.in_free,
        x,
        H,
        first=first,
        tolerance=tolerance,
        max_evaluations=search.most_evaluations,
        noise=lambda: search.rounding,
        closing=closing,
    )


def _tolerance(objective: float, tolerance: float = TOLERANCE) -> float:
    """Return a tolerance increased by the rounding of the objective."""
    return tolerance + OBJECTIVE_ROUNDING * abs(objective)


def _off_saddle(
    search: Search, found: Minimum, start: FloatArray | None = None
) -> tuple[FloatArray, Minimum]:
    """Return theta in canonical form with exact zeros, after leaving any saddle on the boundary.

    A variance that is zero at `start` too, where the search began beside it, has come back: it is not asked
    again.
    """
    end = search.end_at(found)
    if end is not None and end.last is not None and end.last.smallest >= NEAR_ZERO:
        return end.last.theta, found
    theta, value = _with_exact_zeros(search, found)
    if _is_in_valley(search, theta):
        found = _down_valley(search, theta, found)
        theta, value = _with_exact_zeros(search, found)
    for _ in range(MAX_ESCAPES):
        if (start is not None and not (start[theta == 0.0]).any()) or not _is_at_saddle(search, theta):
            break
        again = _search_from(search, theta)
        if again.objective >= value:
            break
        found = again
        theta, value = _with_exact_zeros(search, found)
    return theta, found


def _to_last_digits(search: Search, theta: FloatArray, found: Minimum) -> tuple[FloatArray, Minimum]:
    """Return an optimum with the digits that statistics need, where its search left them open."""
    if not found.converged or search.is_ahead(theta) or (is_polished(found) and 0.0 not in theta.tolist()):
        return theta, found
    last = polished(search.in_free, starting.free_of(search.problem, theta), found)
    if last is None:
        return theta, found
    return canonical(search.problem.terms, starting.theta_of(search.problem, last.x)), last


def _is_in_valley(search: Search, theta: FloatArray) -> bool:
    """Tell whether a deviation is nearly zero and is not: what lies below it may turn at hardly any cost."""
    near = np.abs(theta) < NEAR_ZERO * search.problem.scales
    if not near.any() or len(theta) > FEW_PARAMETERS:
        return False
    return bool((near & (theta != 0.0) & boundaries(search.problem.terms)).any())


def _down_valley(search: Search, theta: FloatArray, found: Minimum) -> Minimum:
    """Return where steps with the observed curvature lead: the expected one knows of no flat valley."""
    free = starting.free_of(search.problem, theta)
    search.most_evaluations = LOOK_EVALUATIONS
    for _ in range(MAX_VALLEY_LEGS):
        H = observed_inverse(lambda x: search.in_free(x)[1], free, VALLEY_STEP)
        first = search.in_free(free)
        again = _minimized(search, free, H, first, TOLERANCE)
        if not again.objective <= found.objective:
            break
        gain, found, free = found.objective - again.objective, again, again.x
        if gain <= _tolerance(found.objective):
            break
    return found


def _with_exact_zeros(search: Search, found: Minimum) -> tuple[FloatArray, float]:
    """Return the canonical theta and its objective.

    The last quasi-Newton step, too short to matter to the objective, is taken all the same: it squares the
    relative error that the estimates still have.
    """
    problem = search.problem
    last = starting.theta_of(problem, found.x - found.inverse_hessian.dot(found.gradient))
    theta = canonical(problem.terms, last)
    return with_exact_zeros(search.objective, problem.terms, theta, problem.scales, found.objective)


def _is_at_saddle(search: Search, theta: FloatArray) -> bool:
    """Tell whether the objective falls when a variance that is zero grows."""
    problem = search.problem
    off = starting.off_zero(problem, theta, PROBE)
    if off is theta or np.array_equal(off, theta):
        return False
    search.n_evaluations += 1
    _, gradient = objective_and_gradient(problem, off, search.REML, search.sigma)
    return is_saddle(problem.terms, theta, problem.scales, gradient)


def _estimates(search: Search, theta: FloatArray, found: Minimum, seconds: float) -> LinearEstimates:
    problem = search.problem
    at, decrement = search.solve(theta), found.decrement
    step = found.inverse_hessian.dot(found.gradient)
    last = 0.5 * float(found.gradient.dot(step))
    if at.objective > found.objective + _tolerance(found.objective):
        theta = canonical(problem.terms, starting.theta_of(problem, found.x))
        at = search.solve(theta)
        decrement = max(decrement, last)
    # Where the last step was taken unseen, it brings the gradient down as the decrement, which is its square.
    shrunk = math.sqrt(decrement / last) if 0.0 < decrement < last else 1.0
    # The inverse Hessian of -2 log-likelihood is half a covariance: this is a standard error.
    unit = np.sqrt(2.0 * found.inverse_hessian.diagonal())
    report = OptimizationReport(
        method="BFGS with exact gradient",
        n_evaluations=search.n_evaluations,
        seconds=seconds,
        gradient_norm=shrunk * max(map(abs, (found.gradient * unit).tolist()), default=0.0),
        points=found.path,
        parameters_at=partial(_theta_at, problem),
        message=found.message,
    )
    moving = shrunk * step / unit
    return LinearEstimates(
        theta=theta,
        solution=at,
        REML=search.REML,
        inverse_hessian=found.inverse_hessian,
        optimization=report,
        convergence=judge(
            problem.terms, theta, decrement, at.objective, moving, found.message, search.rounding
        ),
    )


def _theta_at(problem: LinearProblem, free: FloatArray) -> FloatArray:
    """Return theta at free coordinates, when a report of the search is asked for it."""
    return starting.theta_of(problem, free)
