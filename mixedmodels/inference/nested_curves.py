"""Whether the curve of one fitted model is a special case of that of another.

Two means cannot be compared by their texts. What can be tried is whether the larger model has the curve of
the smaller one: by least squares, its parameters where the smaller one's are, and moved away from there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.pooled import pooled_least_squares, population_parameters
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.nonlinear import CurveFit

#: Share of the variation of a curve that another one of the same kind may leave.
LEFT = 1e-6
#: Standard errors by which parameters of the smaller model are moved, one up, the next down.
MOVES = (0.0, 0.5, -0.5)


def curves_not_nested(models: Sequence[Fit], names: Sequence[str]) -> dict[int, str]:
    """Return a sentence for the place of each model that is not seen to have the curves of the one before.

    Parameters
    ----------
    models : sequence of Fit
        Fits by increasing number of parameters.
    names : sequence of str
        What they are called.
    """
    return {
        i: f"No test of {names[i]} against {names[i - 1]}, whose curve is no special case of its own."
        for i in range(1, len(models))
        if not has_curves_of(models[i - 1], models[i])
    }


def has_curves_of(small: Fit, large: Fit) -> bool:
    """Tell whether a model has the curves of another, as far as can be seen; True where neither has any."""
    if not (isinstance(small, CurveFit) or isinstance(large, CurveFit)):
        return True
    if repr(small.family()) != repr(large.family()) or small.npar >= large.npar:
        return True
    signs = np.where(np.arange(len(small.beta)) % 2 == 0, 1.0, -1.0)
    se = np.nan_to_num(small._standard_errors())
    return all(_is_reached(large, _predictor(small, small.beta + move * signs * se)) for move in MOVES)


def _predictor(fit: Fit, beta: FloatArray) -> FloatArray:
    """Return the curve, or the linear predictor, without random effects at fixed effects, shape (n,)."""
    if isinstance(fit, CurveFit):
        own, K = fit.nonlinear, len(fit.nonlinear.mean.parameters)
        return own.mean.value(population_parameters(own.design.X, own.fixed_parameter, K, beta))
    eta = fit.design.X @ beta
    return eta if fit.design.offset is None else eta + fit.design.offset


def _is_reached(fit: Fit, curve: FloatArray) -> bool:
    """Tell whether a model can have a curve, shape (n,)."""
    if not np.isfinite(curve).all():
        return True
    total = float(np.sum((curve - curve.mean()) ** 2)) + float(np.finfo(np.float64).eps * np.sum(curve**2))
    if isinstance(fit, CurveFit):
        own = fit.nonlinear
        found = pooled_least_squares(own.mean, own.design.X, own.fixed_parameter, curve, fit.beta)
        return found.rss <= LEFT * total
    y = curve if fit.design.offset is None else curve - fit.design.offset
    rest = y - fit.design.X @ np.linalg.lstsq(fit.design.X, y, rcond=None)[0]
    return float(rest @ rest) <= LEFT * total
