"""Looks from other starts than the usual one, for an optimum that is lower."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import Layout, Optimum
from mixedmodels.engines.generalized.search import (
    TOLERANCE,
    first_inverse,
    from_start,
    joint_fit,
    profile_fit,
)
from mixedmodels.engines.generalized.second_starts import exchanged_starts, is_same_basin, other_starts
from mixedmodels.engines.generalized.unbounded import has_edge
from mixedmodels.engines.generalized.verdict import (
    has_stopped_moving,
    is_regular,
    is_steep,
    polished,
)
from mixedmodels.errors import ConvergenceError

# Gain, relative to the objective, that is no rounding error.
RELATIVE_GAIN = 1e-11
# Gain of a second start worth leaving the first optimum for.
SMALLEST_GAIN = 1e-5
# How far above the optimum a look elsewhere may end roughly and still be followed to its own.
WITHIN_REACH = 50.0
# Decrement at which a look from another start ends, unless it has come lower.
LOOK_TOLERANCE = 0.05
# Evaluations of one look; of all looks since the last gain, and how often those of the first search if these
# are more.
LOOK_EVALUATIONS, LOOKS_EVALUATIONS, TIMES_THE_SEARCH = 100, 150, 2
# Times that other starts are asked for.
MOST_ROUNDS = 3


def after_looks(evaluator: Evaluator, layout: Layout, optimum: Optimum) -> Optimum:
    """Return the lowest optimum that other starts lead to; a new one may suggest further starts."""
    if is_steep(optimum) and has_edge(evaluator.problem):
        # The fixed effects themselves lead there, and will from everywhere.
        return optimum
    optimum = _after_exchanges(evaluator, layout, optimum)
    tried: list[FloatArray] = []
    # Evaluations that looks may take together without a gain.
    allowed = left = max(LOOKS_EVALUATIONS, TIMES_THE_SEARCH * optimum.n_evaluations)
    for _ in range(MOST_ROUNDS):
        was_optimum = is_optimum(evaluator, optimum)
        starts = other_starts(evaluator.problem, optimum.psi, layout.scale, was_optimum)
        new = [start for start in starts if not any(np.array_equal(start, other) for other in tried)]
        if not new:
            break
        for start in new:
            if left <= 0:
                return optimum
            before = optimum
            optimum = better(evaluator, layout, before, start, min(left, LOOK_EVALUATIONS))
            has_gained = optimum.psi is not before.psi
            if has_gained and not was_optimum and is_optimum(evaluator, optimum):
                # Where the approximation has poles, looks further out are led to them.
                return optimum
            left = allowed if has_gained else left - (optimum.n_evaluations - before.n_evaluations)
        tried += new
    return optimum


def _after_exchanges(evaluator: Evaluator, layout: Layout, optimum: Optimum) -> Optimum:
    """Return the optimum, or the lower one in which terms without variation have that of others.

    Each is searched for at once: the way over the fixed effects of nAGQ = 0 leads away from it.
    """
    if len(evaluator.problem.terms) == 1 or evaluator.nAGQ == 0 or not is_optimum(evaluator, optimum):
        return optimum
    for psi in exchanged_starts(evaluator.problem, optimum.psi):
        evaluator.forget()
        try:
            first = evaluator(psi)
            H = first_inverse(evaluator, layout, psi)
            end = joint_fit(evaluator, layout, psi, H, 1, first=first, most=LOOK_EVALUATIONS)
            optimum = lower_of(evaluator, optimum, end)
        except (np.linalg.LinAlgError, ConvergenceError):
            continue
        finally:
            evaluator.forget()
    return optimum


def better(
    evaluator: Evaluator, layout: Layout, optimum: Optimum, start: FloatArray, most: int = LOOK_EVALUATIONS
) -> Optimum:
    """Return the optimum, or the lower one that another start leads to, found exactly only if it is lower.

    A search that takes more than `most` evaluations leads nowhere.
    """
    was_optimum = is_optimum(evaluator, optimum)
    # A start means the same whatever was found before: modes are searched from zero.
    evaluator.forget()
    try:
        again = from_start(evaluator, layout, start, LOOK_TOLERANCE, most)
        if again.found.converged and (not was_optimum or _is_promising(evaluator, layout, optimum, again)):
            again = _finished_look(evaluator, layout, again, optimum)
        return lower_of(evaluator, optimum, again)
    except (np.linalg.LinAlgError, ConvergenceError):
        return optimum
    finally:
        # Nor do modes where a look has ended say anything of those where others begin.
        evaluator.forget()


def lower_of(evaluator: Evaluator, optimum: Optimum, other: Optimum) -> Optimum:
    """Return the lower of two ends of searches, or that which is an optimum, with the evaluations of both."""
    gain = RELATIVE_GAIN * abs(optimum.objective) + SMALLEST_GAIN
    is_one = is_optimum(evaluator, other)
    evaluator.forget()
    is_better = other.objective < optimum.objective - gain
    if is_one != is_optimum(evaluator, optimum):
        is_better = is_one
    n_evaluations = optimum.n_evaluations + other.n_evaluations
    return replace(other if is_better else optimum, n_evaluations=n_evaluations)


def _is_promising(evaluator: Evaluator, layout: Layout, optimum: Optimum, look: Optimum) -> bool:
    """Tell whether a rough look may end lower than an optimum: it has ended elsewhere, and not far above.

    The decrement of a look in a valley promises little.
    """
    if look.objective < optimum.objective - SMALLEST_GAIN:
        return True
    is_low = look.objective < optimum.objective + WITHIN_REACH
    return is_low and not is_same_basin(evaluator.problem, layout.scale, optimum.psi, look.psi)


def is_optimum(evaluator: Evaluator, optimum: Optimum) -> bool:
    """Tell whether a search has ended, and not where the Laplace approximation runs to minus infinity."""
    if not (optimum.found.converged or has_stopped_moving(optimum)):
        return False
    return evaluator.problem.has_one_mode or is_regular(evaluator.mode_at(optimum.psi))


def _finished_look(evaluator: Evaluator, layout: Layout, look: Optimum, known: Optimum) -> Optimum:
    """Go on from where a rough search ended to the optimum, unless it turns out to be the known one.

    Where a search broke down none is known: an optimum may lie nearby.
    """
    problem, scale = evaluator.problem, layout.scale
    is_higher = look.objective > known.objective and is_optimum(evaluator, known)

    def is_known(psi: FloatArray) -> bool:
        return is_higher and is_same_basin(problem, scale, known.psi, psi)

    if evaluator.nAGQ == 0:
        return profile_fit(evaluator, layout, look.psi, TOLERANCE)
    first = look.objective, look.found.gradient / layout.scale
    H, n = look.inverse_hessian, look.n_evaluations
    end = joint_fit(evaluator, layout, look.psi, H, n, first=first, most=LOOK_EVALUATIONS, is_known=is_known)
    is_lower = end.objective < known.objective - SMALLEST_GAIN
    return polished(evaluator, layout, end) if is_lower and not has_stopped_moving(end) else end
