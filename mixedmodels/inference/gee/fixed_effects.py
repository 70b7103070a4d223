"""Which covariance and degrees of freedom the tests of a marginal model use."""

from __future__ import annotations

import numpy as np

from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.gee import GeeFit
from mixedmodels.inference.contrasts import Constant, FixedEffects
from mixedmodels.inference.gee.covariance import checked_type, covariance_matrix, sandwich_degrees


def gee_fixed_effects(fit: GeeFit, ddf: str, vcov: str | None) -> FixedEffects:
    """Return the coefficients with the covariance and degrees of freedom of their tests.

    Parameters
    ----------
    fit : GeeFit
        The fit.
    ddf : {"default", "z", "residual", "satterthwaite"}
        Normal tests, as by default; t tests with the number of groups less that of coefficients; or
        Satterthwaite's method.
    vcov : str or None
        Type of the covariance, by default that of the fit.

    Raises
    ------
    ControlError
        If there is no such type.
    NotAvailableError
        If the method is for other models.
    """
    kind = fit.cov_type if vcov is None else checked_type(vcov, "vcov")
    covariance = fit._fixed_covariance() if vcov is None else covariance_matrix(fit, kind)
    names = tuple(fit.design.x_names)
    if ddf == "satterthwaite":
        return FixedEffects(fit.beta, covariance, sandwich_degrees(fit, kind), names)
    if ddf == "residual":
        left = "the number of groups less that of coefficients as degrees of freedom"
        return FixedEffects(fit.beta, covariance, Constant(float(fit.df_residual()), left), names)
    if ddf in ("default", "z"):
        return FixedEffects(fit.beta, covariance, Constant(np.inf), names)
    raise NotAvailableError(
        f"ddf={ddf!r} is for linear models; a marginal model has 'z', 'residual' (groups less coefficients) "
        "and 'satterthwaite'."
    )
