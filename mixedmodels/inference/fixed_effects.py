"""Which covariance and which degrees of freedom the tests of the fixed effects of a fit use."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.contrasts import Constant, FixedEffects

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
    vcov : optional
        Another covariance of the fixed effects.

    Raises
    ------
    ControlError
        If `ddf` is none of these.
    """
    one_of("ddf", ddf, ("default", "satterthwaite", "kenward-roger", "residual", "z"))
    df = _default_df(fit) if ddf == "default" else float(fit.df_residual()) if ddf == "residual" else np.inf
    return FixedEffects(fit.beta, _covariance(fit), Constant(df), tuple(fit.design.x_names))


def _default_df(fit: Fit) -> float:
    return np.inf if fit.test_df is None else fit.test_df


def _covariance(fit: Fit) -> FloatArray:
    return fit._fixed_covariance()
