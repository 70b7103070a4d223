"""What is to be thought of where a search ended: the exact Hessian there, a last step, the verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.differences import hessian
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.engines.nonlinear.search import Searched
from mixedmodels.errors import ConvergenceError
from mixedmodels.formula.design.theta import theta_names
from mixedmodels.optimization.convergence import DECREMENT, RELATIVE_DECREMENT, boundary_reasons
from mixedmodels.optimization.minimum import Minimum
from mixedmodels.optimization.report import ConvergenceReport

#: Steps of the Hessian in units of standard errors: what they neglect and what they lose to rounding, both
#: some 1e-7 of a curvature, are alike.
STEP = 5e-4
#: Eigenvalue of the Hessian, scaled to unit diagonal, below which its direction is flat: ten times that.
FLAT = 3e-6
#: Share of a flat direction from which a parameter is named.
NAMED = 0.3
#: Decrement that is left: a hundred-millionth of a standard error.
LAST_DECREMENT = 1e-16
#: Newton steps at the end of a search, with the exact Hessian there: they move it by less than it is known.
LAST_STEPS = 2


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class End:
    """The end of a search.

    Attributes
    ----------
    x : ndarray, shape (m,)
        Coordinates.
    objective : float
        Objective there.
    scaled_gradient : ndarray, shape (m,)
        Gradient in units of standard errors.
    decrement : float
        Newton decrement with the exact Hessian; infinite where that is not positive definite.
    covariance : ndarray, shape (m, m), or None
        Covariance of theta, beta and other coordinates; None where the Hessian is not positive definite.
    flat : ndarray, shape (m,), or None
        A direction along which the objective is flat.
    falling : ndarray, shape (m,), or None
        A direction along which it falls on both sides.
    """

    x: FloatArray
    objective: float
    scaled_gradient: FloatArray
    decrement: float
    covariance: FloatArray | None
    flat: FloatArray | None
    falling: FloatArray | None


def end_of_search(objective: Searched, found: Minimum) -> End:
    """Take the last steps of a search, with the exact Hessian of the coordinates that move."""
    coordinates = objective.coordinates
    x, value = found.x.copy(), found.objective
    moving = np.ones(len(x), dtype=bool)
    moving[: coordinates.n_theta] = coordinates.theta(x) != 0.0
    H = _hessian(objective, x, moving)
    values, vectors, size = _scaled(H)
    for step_number in range(LAST_STEPS + 1):
        slope = objective.gradient(x)[moving]
        if values[0] <= FLAT:
            break
        step = np.zeros(len(x))
        step[moving] = -np.linalg.solve(H, slope)
        decrement = -0.5 * float(slope @ step[moving])
        if decrement <= LAST_DECREMENT or step_number == LAST_STEPS:
            break
        new = _value(objective, x + step)
        if not new <= value + DECREMENT:
            break
        x, value = x + step, new
    scaled = np.zeros(len(x))
    scaled[moving] = slope / size
    if values[0] <= FLAT:
        direction = np.zeros(len(x))
        direction[moving] = vectors[:, 0]
        is_flat = abs(values[0]) <= FLAT
        decrement = decrement_off(values, vectors, slope / size)
        return End(x, value, scaled, decrement, None, direction if is_flat else None,
                   None if is_flat else direction)  # fmt: skip
    return End(x, value, scaled, decrement, _covariance(objective, x, H, moving), None, None)


def _hessian(objective: Searched, x: FloatArray, moving: BoolArray) -> FloatArray:
    """Return the Hessian of the coordinates that move, from differences of the gradient."""

    def slope(own: FloatArray) -> FloatArray:
        at = x.copy()
        at[moving] = own
        return objective.gradient(at)[moving]

    return hessian(slope, x[moving], np.full(int(moving.sum()), STEP))


def _scaled(H: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return eigenvalues and vectors of the Hessian scaled to unit diagonal, and the scale."""
    size = np.sqrt(np.maximum(np.abs(H.diagonal()), np.finfo(np.float64).tiny))
    values, vectors = np.linalg.eigh(H / size / size[:, None])
    return values, vectors, size


def decrement_off(values: FloatArray, vectors: FloatArray, slope: FloatArray) -> float:
    """Return the Newton decrement along the directions that are not flat."""
    curved = values > FLAT
    along = vectors[:, curved].T @ slope
    # Where the mean has run off, slopes are beyond what can be squared: an infinite decrement is no optimum.
    with np.errstate(over="ignore"):
        return 0.5 * float((along * along / values[curved]).sum())


def _value(objective: Searched, x: FloatArray) -> float:
    try:
        return objective.value(x)
    except (ConvergenceError, np.linalg.LinAlgError):
        return float("inf")


def _covariance(objective: Searched, x: FloatArray, H: FloatArray, moving: BoolArray) -> FloatArray:
    """Return twice the inverse Hessian, of theta and beta in their own units."""
    coordinates, k = objective.coordinates, objective.coordinates.n_theta
    inside = np.zeros((len(x), len(x)))
    inside[np.ix_(moving, moving)] = 2.0 * np.linalg.inv(H)
    total = k + len(coordinates.origin)
    A = np.eye(len(x))
    step = np.eye(len(x))[:k] * STEP
    for j in range(k):
        A[:k, j] = (coordinates.theta(x + step[j]) - coordinates.theta(x - step[j])) / (2.0 * STEP)
    A[k:total, k:total] = coordinates.B
    return np.asarray(A @ inside @ A.T)


def judged(
    problem: NonlinearProblem, theta: FloatArray, end: End, message: str, others: tuple[str, ...] = ("sigma",)
) -> ConvergenceReport:
    """Return the verdict on the end of a search.

    Parameters
    ----------
    problem : NonlinearProblem
        The problem.
    theta : ndarray, shape (k,)
        Covariance parameters there.
    end : End
        The end.
    message : str
        Why the search stopped.
    others : tuple of str
        Names of the coordinates after theta and beta.
    """
    reasons, names = boundary_reasons(problem.terms, theta), _names(problem, others)
    if end.falling is not None:
        what = f"The objective falls on both sides along {_named(names, end.falling)}; start elsewhere."
        return ConvergenceReport("not converged", end.decrement, (what, *reasons))
    if end.decrement > DECREMENT + RELATIVE_DECREMENT * abs(end.objective):
        k = int(np.argmax(np.abs(end.scaled_gradient)))
        still = (
            f"The parameter {names[k]} still moves. Check whether the data identify it, give other "
            "starting values, or take random effects out."
        )
        return ConvergenceReport("not converged", end.decrement, (still, message, *reasons))
    if end.flat is not None:
        what = f"The likelihood is flat along {_named(names, end.flat)}."
        return ConvergenceReport("not identified", end.decrement, (what, *reasons))
    return ConvergenceReport("boundary" if reasons else "converged", end.decrement, reasons)


def _names(problem: NonlinearProblem, others: tuple[str, ...]) -> list[str]:
    """Return names of the coordinates."""
    fixed = [problem.mean.parameters[k] for k in problem.fixed_parameter.tolist()]
    return [*theta_names(problem.terms), *fixed, *others]


def _named(names: list[str], direction: FloatArray) -> str:
    """Return the parameters that have most of a direction."""
    largest = np.abs(direction) >= NAMED * np.abs(direction).max()
    chosen = dict.fromkeys(name for name, is_in in zip(names, largest, strict=False) if is_in)
    return " and ".join(chosen)
