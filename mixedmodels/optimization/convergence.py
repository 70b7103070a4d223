"""The verdict on a fit, with its reasons in plain words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.optimization.report import ConvergenceReport

#: Largest Newton decrement of an optimum, in units of the objective (-2 log-likelihood): a tenth of a
#: thousandth of a standard error in every direction.
DECREMENT = 1e-8
#: The same relative to the size of the objective, where rounding rules.
RELATIVE_DECREMENT = 1e-12


def judge(
    terms: Sequence[RandomTerm],
    theta: FloatArray,
    decrement: float,
    objective: float,
    moving: FloatArray,
    message: str,
    rounding: float = 0.0,
) -> ConvergenceReport:
    """Return the verdict.

    Parameters
    ----------
    terms : sequence of RandomTerm
        Terms in design order.
    theta : ndarray, shape (n_theta,)
        Estimates in canonical form.
    decrement : float
        Newton decrement ``g'H^-1 g / 2``.
    objective : float
        Objective at `theta`.
    moving : ndarray, shape (n_theta,)
        Change of each parameter that a Newton step would still make, in standard errors.
    message : str
        Why the optimiser stopped.
    rounding : float
        Rounding of the objective; a smaller decrement means nothing.
    """
    reasons = boundary_reasons(terms, theta)
    if decrement > DECREMENT + RELATIVE_DECREMENT * abs(objective) + rounding:
        return ConvergenceReport(
            "not converged", decrement, (*_moving_reasons(terms, moving), message, *reasons)
        )
    return ConvergenceReport("boundary" if reasons else "converged", decrement, reasons)


def boundary_reasons(terms: Sequence[RandomTerm], theta: FloatArray) -> tuple[str, ...]:
    """Return one sentence for each variance or direction that is zero, or correlation at its bound."""
    reasons = []
    for term, part in zip(terms, theta_slices(terms), strict=True):
        if term.structure.is_unstructured and 0.0 not in theta[part].tolist():
            continue
        T = term.structure.factor(theta[part])
        for name, value in term.structure.bounds_reached(theta[part]):
            reasons.append(f"The {name} in ({term.expression}) is at its bound, {value:.4g}.")
        for i, column in enumerate(term.columns):
            if T[i, i] != 0.0:
                continue
            if not T[i, :i].any():
                reasons.append(f"The variance of {column} in ({term.expression}) is zero.")
            else:
                before = ", ".join(name for k, name in enumerate(term.columns[:i]) if T[i, k] != 0.0)
                reasons.append(
                    f"The effects of {column} in ({term.expression}) follow from those of {before}."
                )
    return tuple(reasons)


def _moving_reasons(terms: Sequence[RandomTerm], moving: FloatArray) -> tuple[str, ...]:
    k = int(np.argmax(np.abs(moving)))
    names = [
        f"{name} of ({term.expression})"
        for term in terms
        for name in term.structure.parameter_names(term.columns)
    ]
    return (
        f"The parameter {names[k]} still moves, by {abs(moving[k]):.1e} standard errors. "
        "Check whether the data identify it, simplify the term, or start from other values.",
    )
