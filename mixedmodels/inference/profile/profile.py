"""Profile the likelihood of a mixed model: ``profile(m)``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import special

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError, DataWarning, NotAvailableError, warn
from mixedmodels.factorization.threads import threads_for
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.profile.curve import Curve, CurvePoint, LowerOptimum, trace
from mixedmodels.inference.profile.landscape import Landscape
from mixedmodels.inference.profile.limits import not_at_optimum
from mixedmodels.inference.profile.parameters import Parameter
from mixedmodels.inference.profile.result import Profile, ProfileCurve, ProfileScale
from mixedmodels.inference.profile.selection import selected
from mixedmodels.inference.profile.structured_landscape import landscape_of
from mixedmodels.progress import PATIENCE, Progress

#: Points on each side of the estimate, if the likelihood is quadratic: lme4's number.
POINTS = 8


@advises
def profile(
    model: Fit,
    which: str | int | Sequence[str | int] | None = None,
    *,
    alphamax: float = 0.01,
    REML: bool = False,
    scale: ProfileScale = "sd",
    signames: bool = True,
    progress: bool | None = None,
) -> Profile:
    """Profile the likelihood: hold each parameter at values around its estimate, refit all others.

    Parameters
    ----------
    model : fitted model
        From lmer(), glmer(), nlmer(), gls() or mmrm().
    which : str, int or sequence of them, optional
        Parameters, by name or number counted from 0; ``"beta_"`` is all fixed effects, ``"theta_"`` all
        others.
    alphamax : float
        One minus the joint confidence level of all parameters that the curves cover.
    REML : bool
        Whether to profile the REML criterion of a model fitted by REML, which has no fixed effects; by
        default the deviance of maximum likelihood is profiled, as in lme4.
    scale : {"sd", "log", "var"}
        Scale of standard deviations: themselves, their logarithms or variances.
    signames : bool
        Whether covariance parameters are named ``.sig01``, ``.sigma``, or ``sd_(Intercept)|Subject``.
    progress : bool, optional
        Whether to draw a bar; by default after three seconds where tqdm is installed and a terminal or
        notebook is there.

    Returns
    -------
    Profile
        ``zeta``, the signed root of the deviance increase, and all parameters along every curve. Ctrl-C
        returns the curves that are done, with a warning.

    Raises
    ------
    ControlError
        If there is no such parameter, or an option is out of its range.
    NotAvailableError
        If the model has no likelihood of what is asked for.
    ConvergenceError
        If a curve comes below the fit.

    References
    ----------
    Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, ch. 6.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"), REML=False)
    >>> curves = mm.profile(m)
    >>> curves.confint(".sigma").round(2).to_numpy().tolist()
    [[38.23, 67.66]]
    """
    one_of("REML", REML, (True, False))
    one_of("scale", scale, ("sd", "log", "var"))
    one_of("signames", signames, (True, False))
    if not isinstance(alphamax, (int, float)) or not 0.0 < alphamax < 1.0:
        raise ControlError(f"alphamax must lie between 0 and 1, such as 0.01, not {shown(alphamax)}.")
    if not isinstance(model, Fit):
        raise NotAvailableError(f"profile() needs a fitted model; {shown(model)} is none.")
    at = landscape_of(_fit_of_criterion(model, REML))
    chosen = _profiled(at, which, REML)
    # zeta of the joint region of all parameters.
    furthest = math.sqrt(float(special.chdtri(len(at.parameters), alphamax)))
    with threads_for(at.order):
        curves = _all_followed(at, chosen, furthest, progress)
    estimates = _estimates(at)
    # How a parameter is held is the search's matter, and cannot be pickled; what was found is without it.
    parameters = tuple(replace(p, hold=None, read=None) for p in at.parameters)
    found_of = dict(zip((p.name for p in at.parameters), parameters, strict=True))
    curves = tuple(replace(c, parameter=found_of[c.parameter.name]) for c in curves)
    found = Profile(curves, parameters, estimates, "REML" if REML else "ML", "sd", signames)
    return found if scale == "sd" else found.to_scale(scale)


def _fit_of_criterion(model: Fit, REML: bool) -> Fit:
    if not REML:
        return model.refitML()
    if not model.is_reml:
        raise NotAvailableError("the model was not fitted by REML; profile(m) takes maximum likelihood.")
    return model


def _profiled(at: Landscape, which: Any, REML: bool) -> list[Parameter]:
    """Return the parameters chosen; the REML criterion is a function of the covariance parameters only."""
    if not REML:
        return selected(at.parameters, which, "which")
    chosen = selected(at.parameters, "theta_" if which is None else which, "which")
    if any(p.kind == "fixed" for p in chosen):
        raise NotAvailableError(
            "the REML criterion is no function of the fixed effects; profile them with REML=False."
        )
    return chosen


def _estimates(at: Landscape) -> FloatArray:
    """Return all parameters at the optimum."""
    return np.array(
        [
            float(at.fit.beta[p.index]) if p.kind == "fixed" else p.scale.value(at.place(p, at.x))
            for p in at.parameters
        ]
    )


def _all_followed(
    at: Landscape, parameters: Sequence[Parameter], furthest: float, progress: bool | None
) -> tuple[ProfileCurve, ...]:
    """Return the curves of parameters; on Ctrl-C those that are done, if there are any."""
    curves: list[ProfileCurve] = []
    with Progress(len(parameters), progress, "profile", PATIENCE) as bar:
        try:
            for parameter in parameters:
                curves.append(_followed(at, parameter, furthest))
                bar.add()
        except KeyboardInterrupt:
            if not curves:
                raise
            done, total = len(curves), len(parameters)
            warn(f"profile interrupted: the curves of {done} of {total} parameters are done.", DataWarning)
    return tuple(curves)


def _followed(at: Landscape, parameter: Parameter, furthest: float) -> ProfileCurve:
    """Return the curve of one parameter on both sides of its estimate."""
    curve, delta = at.curve(parameter), furthest / POINTS
    try:
        below = trace(curve, -furthest, -delta)
        above = trace(curve, furthest, delta)
    except LowerOptimum as lower:
        raise not_at_optimum(at, curve, lower) from None
    points = [*reversed(below), curve.origin, *above]
    scale = parameter.scale
    return ProfileCurve(
        parameter,
        values=np.array([scale.value(p.place) for p in points]),
        zeta=np.array([p.zeta for p in points]),
        slopes=np.array([_slope(curve, p) for p in points]),
        along=np.array([_estimates(at) if p is curve.origin else at.values(curve.held, p) for p in points]),
    )


def _slope(curve: Curve, point: CurvePoint) -> float:
    """Return d zeta / d value; NaN at the estimate and where the scale has no slope."""
    rate = curve.held.parameter.scale.rate(point.place)
    return point.zeta_slope / rate if rate > 1e-8 else math.nan
