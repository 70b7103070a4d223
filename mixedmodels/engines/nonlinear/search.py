"""The search for the least value of an objective: quasi-Newton steps, exact zeros, starts beside saddles."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.coordinates import Coordinates
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.optimization.canonical import PROBE, canonical, is_saddle, with_exact_zeros
from mixedmodels.optimization.minimum import Minimum
from mixedmodels.optimization.quasi_newton import minimize

#: Sizes of random effects, in units of residuals: a search begins with the first that has a mode.
FIRST_SIZES = (1.0, 0.3, 0.1)
#: Decrease of the objective that ends a search: a Newton step with the exact Hessian follows.
TOLERANCE = 1e-10
#: Largest change of a coordinate in one step: they are in units of what the data tell.
MAX_STEP = 5.0
#: Searches that begin beside a variance left at zero though the objective falls away from it.
MAX_RESTARTS = 3
#: Decrease by which another search has found another optimum.
LOWER = 1e-6


class Searched(Protocol):
    """An objective of covariance parameters, fixed effects and others."""

    coordinates: Coordinates

    def value(self, x: FloatArray) -> float:
        """Return the objective."""

    def value_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Return the objective and its gradient."""

    def gradient(self, x: FloatArray) -> FloatArray:
        """Return the gradient."""


def sized(problem: NonlinearProblem, scales: FloatArray) -> FloatArray:
    """Return theta of uncorrelated effects of given sizes."""
    parts = []
    for term, part in zip(problem.terms, theta_slices(problem.terms), strict=True):
        start, bounds = term.structure.start(), np.array(term.structure.is_lower_bound(), dtype=bool)
        parts.append(np.where(bounds, start * scales[part], start))
    return np.concatenate([np.empty(0), *parts])


def search(objective: Searched, start: FloatArray) -> Minimum:
    """Return the optimum from a start, variances that are as good as zero exactly zero."""
    found = _minimum(objective, start)
    for _ in range(MAX_RESTARTS):
        found = _with_exact_zeros(objective, found)
        beside = _beside_saddle(objective, found)
        if beside is None:
            break
        again = _minimum(objective, beside)
        if again.objective > found.objective - LOWER:
            break
        found = again
    return found


def _minimum(objective: Searched, start: FloatArray) -> Minimum:
    """Return where the quasi-Newton method leads from a start."""
    problem, n_theta = objective.coordinates.problem, objective.coordinates.n_theta
    levels = np.concatenate([np.full(t.structure.n_theta, float(t.n_levels)) for t in problem.terms])
    variances = np.concatenate([0.25 / levels, np.full(len(start) - n_theta, 0.5)])
    return minimize(
        objective.value_and_gradient, start, np.diag(variances), tolerance=TOLERANCE, max_step=MAX_STEP
    )


def _moved(objective: Searched, found: Minimum, theta: FloatArray) -> FloatArray:
    """Return the coordinates of an optimum with another theta."""
    coordinates, x = objective.coordinates, found.x.copy()
    x[: coordinates.n_theta] = coordinates.at(theta, coordinates.origin)[: coordinates.n_theta]
    return x


def _with_exact_zeros(objective: Searched, found: Minimum) -> Minimum:
    """Return the optimum in canonical form, its nearly zero variances exactly zero."""
    coordinates, problem = objective.coordinates, objective.coordinates.problem
    theta = canonical(problem.terms, coordinates.theta(found.x))
    theta, value = with_exact_zeros(
        lambda theta: objective.value(_moved(objective, found, theta)),
        problem.terms, theta, coordinates.scales, found.objective,
    )  # fmt: skip
    return replace(found, x=_moved(objective, found, theta), objective=value)


def _beside_saddle(objective: Searched, found: Minimum) -> FloatArray | None:
    """Return a start beside variances that are zero though the objective falls away from them, or None."""
    coordinates, terms = objective.coordinates, objective.coordinates.problem.terms
    theta = coordinates.theta(found.x)
    bounds = np.concatenate([np.array(t.structure.is_lower_bound(), dtype=bool) for t in terms])
    zero = bounds & (theta == 0.0)
    if not zero.any():
        return None
    x = found.x.copy()
    x[: len(zero)] = np.where(zero, PROBE, x[: len(zero)])
    slope = objective.gradient(x)[: len(zero)] / coordinates.scales
    if not is_saddle(terms, theta, coordinates.scales, slope):
        return None
    x[: len(zero)] = np.where(zero, FIRST_SIZES[1], x[: len(zero)])
    return x
