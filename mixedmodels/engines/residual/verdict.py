"""What is to be thought of where a search ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.identification import (
    NAMED,
    Redundant,
    flat_directions,
    held_parameters,
    information,
    knows_information,
    null_directions,
    tells_apart,
)
from mixedmodels.engines.residual.model import CovarianceModel, Parameters
from mixedmodels.engines.residual.objective import Evaluation
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.formula.design.theta import theta_names
from mixedmodels.optimization.convergence import DECREMENT, RELATIVE_DECREMENT, boundary_reasons
from mixedmodels.optimization.minimum import Minimum
from mixedmodels.optimization.report import ConvergenceReport

#: Parameters of one kind that are named at most.
MOST_NAMED = 4


def judged(
    problem: ResidualProblem,
    at: Evaluation,
    found: Minimum,
    hessian: FloatArray,
    redundant: Redundant | None = None,
) -> ConvergenceReport:
    """Return the verdict on the end of a search.

    Parameters
    ----------
    problem : ResidualProblem
        The problem.
    at : Evaluation
        The objective at the estimates.
    found : Minimum
        End of the search.
    hessian : ndarray, shape (k, k)
        Expected Hessian near it in the coordinates of the search, which are of order one: what cannot be told
        apart there cannot be anywhere.
    redundant : Redundant, optional
        Parameters that were held because the covariance does not need them.
    """
    held = () if redundant is None else redundant.held
    reasons = bound_reasons(problem.model, at.at, held)
    names = parameter_names(problem.model)
    if found.decrement > DECREMENT + RELATIVE_DECREMENT * abs(found.objective):
        moving = np.abs(found.inverse_hessian @ found.gradient)
        scale = np.sqrt(np.maximum(2.0 * found.inverse_hessian.diagonal(), np.finfo(np.float64).tiny))
        k = int(np.argmax(moving / scale))
        still = (
            f"The parameter {names[k]} still moves, by {moving[k] / scale[k]:.1e} standard errors. Check "
            "whether the data identify it, or choose a simpler structure."
        )
        reasons = (still, found.message, *reasons)
        if redundant is None:
            return ConvergenceReport("not converged", found.decrement, reasons)
    if redundant is not None:
        flat = flat_reasons(problem.model, redundant.directions, held, at.free)
        return ConvergenceReport("not identified", found.decrement, (*flat, *reasons))
    directions = np.empty((0, 0)) if reasons else _flat_at_end(problem, at, hessian)
    if directions.shape[1]:
        flat = flat_reasons(problem.model, directions, held_parameters(problem.model, directions))
        return ConvergenceReport("not identified", found.decrement, flat)
    return ConvergenceReport("boundary" if reasons else "converged", found.decrement, reasons)


def parameter_names(model: CovarianceModel) -> tuple[str, ...]:
    """Return the names of theta, rho and delta."""
    rho = () if model.structure is None else model.structure.parameter_names()
    delta = [f"{f.name}.{name}" for f in model.variances for name in f.parameter_names()]
    return (*theta_names(model.terms), *rho, *delta)


def bound_reasons(model: CovarianceModel, at: Parameters, held: Sequence[int] = ()) -> tuple[str, ...]:
    """Return one sentence for each parameter at an end of its range, save random effects that are held."""
    theta = at.theta.copy()
    theta[[k for k in held if k < model.n_theta]] = 1.0
    found: list[str] = list(boundary_reasons(model.terms, theta))
    bounds: list[tuple[str, float]] = []
    if model.structure is not None:
        bounds += model.structure.bounds_reached(at.rho)
    for f, delta in zip(model.variances, at.delta, strict=True):
        bounds += f.bounds_reached(delta)
    found += [f"The residual parameter {name} is at its bound, {value:.4g}." for name, value in bounds]
    return tuple(found)


def _flat_at_end(problem: ResidualProblem, at: Evaluation, hessian: FloatArray) -> FloatArray:
    """Return directions along which the objective is flat where a search ended, (k, d)."""
    if problem.crossed is None and (tells_apart(hessian) or not len(hessian)):
        return np.empty((len(hessian), 0))
    if not knows_information(problem):
        return null_directions(problem, hessian)
    H = information(problem, at)
    return np.empty((len(H), 0)) if tells_apart(H) else flat_directions(problem, at, H)


def flat_reasons(
    model: CovarianceModel, directions: FloatArray, held: Sequence[int], at: FloatArray | None = None
) -> tuple[str, ...]:
    """Return a sentence for each parameter that others can stand for, or that the data say nothing about."""
    names = parameter_names(model)
    # Column j moves the j-th held parameter by one, the others held not at all.
    by_held = directions @ np.linalg.inv(directions[list(held)])
    found = []
    for k, direction in zip(held, by_held.T, strict=True):
        involved = np.flatnonzero(np.abs(direction) > NAMED * np.abs(direction).max()).tolist()
        if involved == [k]:
            found.append(f"The data say nothing about {names[k]}.")
            continue
        kept = "" if at is None else f" {names[k]} is held at 0." if at[k] == 0.0 else f" {names[k]} is held."
        found.append(
            f"The data cannot tell {_named(model, involved)} apart from each other and from the residual "
            f"variance: the objective is flat along a combination of them.{kept} Leave one of them out."
        )
    return tuple(found)


def _named(model: CovarianceModel, parameters: Sequence[int]) -> str:
    """Return the names of parameters, those of the residual correlation with its name."""
    names, rho = parameter_names(model), model.rho_part
    correlations = [names[k] for k in parameters if rho.start <= k < rho.stop]
    others = [
        [names[k] for k in parameters if k < rho.start],
        [names[k] for k in parameters if k >= rho.stop],
    ]
    own = []
    if model.structure is not None and correlations:
        own = [f"{_few(correlations)} of {model.structure.structure.name}"]
    return ", ".join([*map(_few, filter(None, others[:1])), *own, *map(_few, filter(None, others[1:]))])


def _few(names: Sequence[str]) -> str:
    """Return some of many names."""
    more = len(names) - MOST_NAMED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:MOST_NAMED])} and {more} more"
