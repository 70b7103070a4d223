"""Which covariance and which degrees of freedom the tests of the fixed effects of a fit use."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.contrasts import Constant, FixedEffects
from mixedmodels.inference.robust import RobustCovariance, robust_covariance

#: Methods of degrees of freedom; "default" is Satterthwaite's for a linear mixed model, otherwise that of the
#: summary (residual where the dispersion is estimated, normal where it is known).
Ddf = Literal["default", "satterthwaite", "kenward-roger", "residual", "z"]


def fixed_effects(fit: Fit, ddf: Ddf = "default", vcov: Any = None) -> FixedEffects:
    """Return the fixed effects of a fit with the covariance and degrees of freedom that tests of them use.

    Parameters
    ----------
    fit : Fit
        The fit.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Degrees of freedom.
    vcov : {"CR0", ..., "CR3"}, RobustCovariance or array of shape (p, p), optional
        Another covariance of the fixed effects. A robust one brings its degrees of freedom with it, in place
        of `ddf`; with another matrix the tests are normal, or as the summary's of a fit without random
        effects.

    Raises
    ------
    ControlError
        If `ddf` is none of these.
    """
    one_of("ddf", ddf, ("default", "satterthwaite", "kenward-roger", "residual", "z"))
    if vcov is not None:
        return with_covariance(fit, vcov)
    df = _default_df(fit) if ddf == "default" else float(fit.df_residual()) if ddf == "residual" else np.inf
    return FixedEffects(fit.beta, _covariance(fit), Constant(df), tuple(fit.design.x_names))


def _default_df(fit: Fit) -> float:
    return np.inf if fit.test_df is None else fit.test_df


def _covariance(fit: Fit) -> FloatArray:
    return fit._fixed_covariance()


def with_covariance(fit: Fit, vcov: Any) -> FixedEffects:
    """Return the fixed effects with a covariance that was given: a robust one, its type or a matrix.

    Raises
    ------
    ControlError
        If `vcov` is none of these or of another size.
    """
    names, p = tuple(fit.design.x_names), len(fit.beta)
    if isinstance(vcov, str):
        vcov = robust_covariance(fit, vcov)
    if isinstance(vcov, RobustCovariance):
        return FixedEffects(fit.beta, vcov.to_numpy(), vcov.degrees, names)
    matrix = np.asarray(vcov, dtype=object)
    if matrix.shape != (p, p) or not np.isfinite(numbers := pd.to_numeric(matrix.ravel(), "coerce")).all():
        raise ControlError(
            f"vcov must be a type of robust covariance such as 'CR2', or a {p} x {p} matrix of numbers, such "
            "as vcov('CR2', cluster='g') returns."
        )
    return FixedEffects(
        fit.beta, np.asarray(numbers, dtype=np.float64).reshape(p, p), Constant(_default_df(fit)), names
    )
