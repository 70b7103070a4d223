"""Where else a linear mixed model may have its optimum: starts for further looks.

A likelihood of a few small groups often has two optima or more: one at which an effect is noise, of a
variance near zero and a large residual, and one at which it is signal, of a variance far above a small
residual. The further lie tens or thousands of residual deviations away, more where columns far from zero make
the effects of one term nearly collinear, and no local information leads there from the first.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.step_sizes import START_SIZE
from mixedmodels.formula.design.theta import column_scales

with on_first_use():
    from mixedmodels.engines.linear import start as starting

#: Standard deviations of every effect, in residual standard deviations, from which a further look starts:
#: those of the orthogonal columns of a term ...
SIZES = (0.04, 100.0, 1000.0)
#: ... and those of its own columns, which puts the effects of a term into another proportion: for one
#: grouping factor, whose evaluations cost microseconds, where no optimum was found yet, or where effects may
#: reproduce the response: optima of nearly one height stand beside each other there.
OWN_SIZES = (10.0, 2.0)
#: Sizes, as of ``SIZES``, with which effects of a structured term start correlated, and how far from none
#: towards either end of its range the correlation is, in the coordinate of a search: an arcsine for one of a
#: range.
CORRELATED_SIZES, STRONG = (100.0, 0.1), 1.3
#: Elements of theta, all the same: yet another proportion, that of the units in which columns are given.
SAME = 2.0
#: Those at which the objective alone, for one evaluation each, may betray a lower optimum far off.
FAR_SIZES = (30.0, 1000.0)


def further_starts(problem: LinearProblem, every: bool, data: bool) -> Iterator[tuple[FloatArray, bool]]:
    """Yield the thetas from which further looks start: every one, or those worth their time.

    With each, whether Fisher scoring leads on from there: it soon forgets in what proportion effects were.
    The start that the data give is among them where a search has not begun there.
    """
    if data:
        yield starting.first_theta(problem), True
    for size in SIZES[:2] if problem.n_theta == 1 else SIZES:
        yield starting.first_theta(problem, size / START_SIZE), True
    if problem.n_theta == 1:
        return
    if has_shared_correlation(problem):
        for size in CORRELATED_SIZES:
            yield _correlated(problem, size, STRONG), True
            yield _correlated(problem, size, -STRONG), True
    yield all_alike(problem, SAME), False
    if every or len(problem.pattern.blocks) == 1 or may_be_saturated(problem):
        for size in OWN_SIZES:
            yield own_columns(problem, size), True


def far_points(problem: LinearProblem) -> Iterator[FloatArray]:
    """Yield thetas at which an objective below that of an optimum betrays a lower one."""
    for size in FAR_SIZES:
        yield starting.first_theta(problem, size / START_SIZE)


def all_alike(problem: LinearProblem, size: float) -> FloatArray:
    """Return the theta whose elements are all the same, but for correlations: those are none.

    At the end of its range a correlation has no gradient, and no search leaves it.
    """
    theta = np.full(problem.n_theta, size)
    for term, part in problem.parts:
        if not term.structure.is_unstructured:
            theta[part] = np.where(term.structure.is_lower_bound(), size, term.structure.start())
    return theta


def own_columns(problem: LinearProblem, size: float) -> FloatArray:
    """Return the theta at which every effect of the user's columns has one size and no correlation."""
    theta = starting.first_theta(problem, size / START_SIZE)
    for term, part in problem.parts:
        if term.structure.is_unstructured:
            theta[part] = term.structure.pullback(theta[part], np.diag(size * column_scales(term)))
    return theta


def has_shared_correlation(problem: LinearProblem) -> bool:
    """Tell whether one correlation joins effects of deviations of their own, as ``cs()`` has it.

    Without one of the effects it may be another: optima with a deviation at zero stand beside each other.
    """
    return any(
        not term.structure.is_unstructured
        and 1 < sum(term.structure.is_lower_bound()) < part.stop - part.start
        for term, part in problem.parts
    )


def without_a_deviation(problem: LinearProblem, theta: FloatArray) -> Iterator[FloatArray]:
    """Yield thetas at which a structured term lacks a deviation and its others are strongly correlated.

    Near an optimum of that kind the objective is not far above that at `theta`.
    """
    for term, part in problem.parts:
        structure, is_bounded = term.structure, np.array(term.structure.is_lower_bound())
        if structure.is_unstructured or is_bounded.all():
            continue
        for place in np.flatnonzero(is_bounded):
            for end in (STRONG, -STRONG):
                free = structure.to_free(theta[part])
                free[place], free[~is_bounded] = 0.0, end
                moved = theta.copy()
                moved[part] = structure.from_free(free)
                yield moved


def _correlated(problem: LinearProblem, size: float, side: float) -> FloatArray:
    """Return the theta of effects of a size, those of structured terms strongly correlated."""
    theta = starting.first_theta(problem, size / START_SIZE)
    for term, part in problem.parts:
        structure, is_bounded = term.structure, np.array(term.structure.is_lower_bound())
        if not structure.is_unstructured:
            free = structure.to_free(theta[part])
            theta[part] = structure.from_free(free + side * ~is_bounded)
    return theta


def may_be_saturated(problem: LinearProblem) -> bool:
    """Tell whether fixed and random effects are enough to reproduce any response.

    The likelihood of such a model need not have a maximum: it may rise without end as the residual variance
    goes to zero.
    """
    return problem.p + sum(term.size * term.n_levels for term in problem.terms) >= problem.n
