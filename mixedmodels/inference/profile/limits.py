"""Likelihood-ratio limits of parameters, each found by refits, and what is to be said of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ConvergenceError, DataWarning, warn
from mixedmodels.factorization.threads import threads_for
from mixedmodels.inference.profile.curve import Curve, LowerOptimum, limit
from mixedmodels.inference.profile.landscape import Landscape
from mixedmodels.inference.profile.parameters import Parameter
from mixedmodels.progress import PATIENCE, Progress


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of several parameters.

    Attributes
    ----------
    values : ndarray, shape (m, 2)
        Lower and upper limits.
    notes : tuple of str
        One sentence for each interval that ends where the likelihood has not fallen enough.
    """

    values: FloatArray
    notes: tuple[str, ...]


def profile_limits(
    at: Landscape, parameters: Sequence[Parameter], level: float, progress: bool | None = None
) -> Limits:
    """Return where -2 log-likelihood has risen by the quantile of `level`, on both sides.

    On Ctrl-C limits that are not found are NaN, with a warning; there is no result where none is found.

    Raises
    ------
    ConvergenceError
        If a profile comes below the optimum it started from.
    """
    zeta = float(special.ndtri((1.0 + level) / 2.0))
    values, notes = np.full((len(parameters), 2), np.nan), []
    total = 2 * len(parameters)
    with threads_for(at.order), Progress(total, progress, "confint", PATIENCE) as bar:
        try:
            for k, parameter in enumerate(parameters):
                curve = at.curve(parameter)
                for side, signed in enumerate((-zeta, zeta)):
                    values[k, side], note = _one_limit(at, curve, signed)
                    notes += [note] if note else []
                    bar.add()
        except KeyboardInterrupt:
            if not bar.done:
                raise
            notes.append(f"Interrupted: {bar.done} of {total} limits are found, and the others are NaN.")
            warn(f"confint i{notes[-1][1:]}", DataWarning)
    return Limits(values, tuple(notes))


def _one_limit(at: Landscape, curve: Curve, zeta: float) -> tuple[float, str]:
    """Return one limit, and a sentence if the profile does not get there."""
    parameter = curve.held.parameter
    try:
        found = limit(curve, zeta)
    except LowerOptimum as lower:
        raise not_at_optimum(at, curve, lower) from None
    scale = parameter.scale
    value = scale.end(found.place) if math.isinf(found.place) else scale.value(found.place)
    if found.reached:
        return value, ""
    side = "lower" if zeta < 0.0 else "upper"
    if math.isinf(found.place) and (scale.ends is None or math.isinf(value)):
        return value, (
            f"The {side} limit of {parameter.label} is {value:g}: the likelihood does not fall far enough, "
            "however far the parameter goes."
        )
    if found.place not in (scale.low, scale.high):
        return value, (
            f"The {side} limit of {parameter.label} lies beyond {value:.4g}, where the likelihood can no "
            "longer be computed."
        )
    return value, (
        f"The interval of {parameter.label} reaches its bound {value:.4g}: the likelihood there is within "
        "the limit."
    )


def not_at_optimum(at: Landscape, curve: Curve, lower: LowerOptimum) -> ConvergenceError:
    """Return the error for a fit whose profile came below it, with where to fit from."""
    parameter = curve.held.parameter
    return ConvergenceError(
        f"The fit is not at its optimum: with {parameter.label} = {lower.value:.6g} the objective is "
        f"{lower.point.objective:.6f}, below {at.objective:.6f} of the fit, so that intervals around the "
        f"estimates would mean nothing. {at.way_out(curve.held, lower.point)}"
    )
