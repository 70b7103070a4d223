"""What is to be thought of where a search ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.model import CovarianceModel, Parameters
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.errors import listed
from mixedmodels.formula.design.theta import theta_names
from mixedmodels.optimization.convergence import DECREMENT, RELATIVE_DECREMENT, boundary_reasons
from mixedmodels.optimization.quasi_newton import Minimum
from mixedmodels.optimization.report import ConvergenceReport

#: Eigenvalue of the expected information, scaled to unit diagonal, below which its direction is flat: the
#: derivatives it is made of are good to ten digits, and their squares enter.
FLAT = 1e-9
#: The same above which it is not flat beyond doubt, whatever rows it is of.
FAR_FROM_FLAT = 1e-6
#: Information about one parameter, of the whole sample, below which the data say nothing of it.
NOTHING = 1e-12
#: Share of a flat direction from which a parameter is named.
NAMED = 0.3


def judged(
    problem: ResidualProblem, at: Parameters, found: Minimum, hessian: FloatArray
) -> ConvergenceReport:
    """Return the verdict on the end of a search.

    Parameters
    ----------
    problem : ResidualProblem
        The problem.
    at : Parameters
        The estimates.
    found : Minimum
        End of the search.
    hessian : ndarray, shape (k, k)
        Expected Hessian near it in the coordinates of the search, which are of order one: what cannot be told
        apart there cannot be anywhere.
    """
    reasons = bound_reasons(problem.model, at)
    names = parameter_names(problem.model)
    if found.decrement > DECREMENT + RELATIVE_DECREMENT * abs(found.objective):
        moving = np.abs(found.inverse_hessian @ found.gradient)
        scale = np.sqrt(np.maximum(2.0 * found.inverse_hessian.diagonal(), np.finfo(np.float64).tiny))
        k = int(np.argmax(moving / scale))
        still = (
            f"The parameter {names[k]} still moves, by {moving[k] / scale[k]:.1e} standard errors. Check "
            "whether the data identify it, or choose a simpler structure."
        )
        return ConvergenceReport("not converged", found.decrement, (still, found.message, *reasons))
    if not reasons:
        flat = flat_directions(problem, hessian)
        if flat:
            return ConvergenceReport("not identified", found.decrement, flat)
    return ConvergenceReport("boundary" if reasons else "converged", found.decrement, reasons)


def parameter_names(model: CovarianceModel) -> tuple[str, ...]:
    """Return the names of theta, rho and delta."""
    rho = () if model.structure is None else model.structure.parameter_names()
    delta = [f"{f.name}.{name}" for f in model.variances for name in f.parameter_names()]
    return (*theta_names(model.terms), *rho, *delta)


def bound_reasons(model: CovarianceModel, at: Parameters) -> tuple[str, ...]:
    """Return one sentence for each parameter at an end of its range."""
    found: list[str] = list(boundary_reasons(model.terms, at.theta))
    bounds: list[tuple[str, float]] = []
    if model.structure is not None:
        bounds += model.structure.bounds_reached(at.rho)
    for f, delta in zip(model.variances, at.delta, strict=True):
        bounds += f.bounds_reached(delta)
    found += [f"The residual parameter {name} is at its bound, {value:.4g}." for name, value in bounds]
    return tuple(found)


def tells_apart(H: FloatArray) -> bool:
    """Tell whether a Hessian is far from flat along every direction."""
    scale = np.sqrt(np.maximum(H.diagonal(), 0.0))
    if not (scale > 0.0).all():
        return False
    return bool(np.linalg.eigvalsh(H / np.multiply.outer(scale, scale)).min(initial=1.0) > FAR_FROM_FLAT)


def flat_directions(problem: ResidualProblem, H: FloatArray) -> tuple[str, ...]:
    """Return what to say where parameters cannot be told apart, or where the data say nothing of one."""
    names = parameter_names(problem.model)
    diagonal = H.diagonal()
    unknown = [name for name, own in zip(names, diagonal, strict=True) if own <= NOTHING * problem.n]
    if unknown:
        return (f"The data say nothing about {listed(unknown)}.",)
    scale = np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(H / np.multiply.outer(scale, scale))
    return tuple(_flat(names, v) for value, v in zip(values, vectors.T, strict=True) if value < FLAT)


def _flat(names: Sequence[str], direction: FloatArray) -> str:
    involved = [name for name, share in zip(names, np.abs(direction), strict=True) if share > NAMED]
    return (
        f"The data cannot tell {listed(involved)} apart from each other and from the residual variance: the "
        "objective is flat along a combination of them. Leave one of them out."
    )
