"""Wald intervals of every parameter from the Hessian of the objective, each on a scale without bounds.

Standard deviations and parameters of the family on the logarithmic (or their own unbounded) scale,
correlations on Fisher's z: limits stay inside the range and are never missing. A parameter estimated at its
bound, where no quadratic describes the likelihood, gets its likelihood-ratio limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from mixedmodels.arrays import FloatArray
from mixedmodels.inference.profile.landscape import Landscape, inverse_of
from mixedmodels.inference.profile.limits import Limits, profile_limits
from mixedmodels.inference.profile.parameters import Parameter

#: A correlation this near to its bound has no quadratic around it.
AT_BOUND = 1e-6
#: Half-width of an interval of the logarithm of a deviation above which there is none: a factor of 20,000.
WIDEST = 10.0


def wald_limits(at: Landscape, parameters: Sequence[Parameter], level: float) -> Limits:
    """Return Wald limits of covariance parameters and parameters of the family."""
    covariance = interior_covariance(at)
    z = float(special.ndtri((1.0 + level) / 2.0))
    values, notes = np.empty((len(parameters), 2)), []
    for k, parameter in enumerate(parameters):
        place, a = at.place(parameter, at.x), at.rates(parameter)
        reach = z * math.sqrt(max(float(a @ covariance @ a), 0.0))
        if _is_at_bound(at, parameter, place) or (parameter.kind == "sd" and reach > WIDEST * place):
            own = profile_limits(at, [parameter], level)
            values[k] = own.values[0]
            notes.append(
                f"{parameter.label} is estimated at its bound or as good as there, where a Wald interval "
                "means nothing: its limits are those of the likelihood ratio."
            )
            continue
        values[k] = _unbounded_limits(parameter, place, reach)
    return Limits(values, tuple(notes))


def interior_covariance(at: Landscape) -> FloatArray:
    """Return the covariance of the coordinates, those at a boundary held there, shape (m, m)."""
    moving = np.flatnonzero(~((at.x == 0.0) & (at.sizes > 0.0)))
    covariance = np.zeros(at.hessian.shape)
    hessian = at.hessian[np.ix_(moving, moving)]
    covariance[np.ix_(moving, moving)] = 2.0 * inverse_of(hessian, at.sizes[moving])
    return covariance


def _is_at_bound(at: Landscape, parameter: Parameter, place: float) -> bool:
    """Tell whether a deviation is zero, or a correlation at its bound or beside a deviation of zero."""
    if parameter.kind == "sd":
        return place == 0.0
    if parameter.kind != "cor" or math.isinf(parameter.scale.high):
        return False
    is_free = float(np.abs(at.rates(parameter)).max()) > 0.0
    return not is_free or math.cos(place) < AT_BOUND


def _unbounded_limits(parameter: Parameter, place: float, reach: float) -> tuple[float, float]:
    """Return limits from a half-width on the scale of the profile, moved to a scale without bounds."""
    scale = parameter.scale
    if parameter.kind == "sd":
        factor = math.exp(reach / place)
        return place / factor, place * factor
    if parameter.kind == "cor" and math.isfinite(scale.high):
        # sin(angle) = tanh(z), so that dz / d angle = 1 / cos(angle).
        z, half = math.atanh(math.sin(place)), reach / math.cos(place)
        return scale.value(math.asin(math.tanh(z - half))), scale.value(math.asin(math.tanh(z + half)))
    if parameter.kind == "sigma":
        factor = math.exp(reach)
        return scale.value(place) / factor, scale.value(place) * factor
    return scale.value(place - reach), scale.value(place + reach)
