"""Residuals of every type, and what leverage makes of them: standardized, studentized, Cook's distance."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.diagnostics.leverage import leverages_of
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.family_quantities import ResidualType
from mixedmodels.fits.fit import Fit

LeverageType = Literal["standardized", "studentized", "normalized"]
#: Types that are divided by sigma as they are.
_BY_SIGMA = ("standardized", "studentized", "normalized")
#: Share of its variance that a residual keeps below which it keeps none: the row is fitted exactly, and its
#: residual is rounding.
NOTHING_LEFT = 1e-10


def residuals(fit: Fit, type: ResidualType | LeverageType | None = None, scaled: bool = False) -> FloatArray:
    """Return residuals of a fit, shape (n,).

    Parameters
    ----------
    fit : Fit
        The fit.
    type : optional
        "response", "pearson", "deviance", "working", "standardized", "studentized" or "normalized"; by
        default response for a linear model and deviance for a generalized one. Of a model with structured
        residuals those of Pearson are divided by sigma, as nlme's; normalized ones are over their Cholesky
        factor.
    scaled : bool
        Whether to divide by sigma.

    Raises
    ------
    NotAvailableError
        If normalized residuals are asked for of a generalized model.
    ControlError
        If `type` is none of these, or residuals that are divided by sigma as they are shall be scaled.
    """
    chosen: Any = ("response" if fit.family() is None else "deviance") if type is None else type
    one_of("type", chosen, (*get_args(ResidualType), *get_args(LeverageType)))
    by_sigma = chosen in _BY_SIGMA or (chosen == "pearson" and fit.has_structured_residuals)
    if scaled and by_sigma:
        raise ControlError(f"{chosen} residuals are divided by sigma as they are; leave out scaled=True.")
    if chosen not in get_args(LeverageType):
        values = fit._raw_residuals(chosen)
        return values / fit.sigma() if scaled or by_sigma else values
    return {"standardized": rstandard, "studentized": rstudent, "normalized": normalized}[chosen](fit)


def normalized(fit: Fit) -> FloatArray:
    """Return residuals over the Cholesky factor of their covariance, shape (n,)."""
    if fit.family() is not None:
        raise NotAvailableError(
            "normalized residuals are those of linear models; type='standardized' goes with any."
        )
    return fit.normalized()


def rstandard(fit: Fit) -> FloatArray:
    """Return deviance residuals over their standard deviations, ``r / (sigma sqrt(1 - h))``, shape (n,).

    NaN where a row is fitted exactly, whatever its response.
    """
    return fit._raw_residuals("deviance") / (fit.sigma() * np.sqrt(_left(leverages_of(fit))))


def rstudent(fit: Fit) -> FloatArray:
    """Return studentized residuals, shape (n,), as lme4 and, without random effects, as R.

    Deviance and Pearson residuals r and s joined by leverage, ``sign(r) sqrt(r^2 + s^2 h / (1 - h))``
    (Williams 1987), over sigma. Of a mixed model sigma is that of the fit; of ``lm()``, and of ``glm()`` with
    an estimated dispersion, that of the fit without the row.
    """
    h = leverages_of(fit)
    left = _left(h)
    r, s = fit._raw_residuals("deviance"), fit._raw_residuals("pearson")
    joined = np.sign(r) * np.sqrt(r**2 + s**2 * h / left)
    return np.asarray(joined / _sigma_without_row(fit, r, left))


def cooks_distances(fit: Fit) -> FloatArray:
    """Return Cook's distance of each row at fixed covariance parameters, from its leverage, shape (n,).

    ``(s / (1 - h))^2 h / (sigma^2 p)`` for Pearson residual s, as lme4 and R.
    """
    h = leverages_of(fit)
    s = fit._raw_residuals("pearson") / (fit.sigma() * _left(h))
    p = len(fit.beta)
    return np.asarray(s**2 * h / p if p else np.full(len(h), np.nan))


def _left(h: FloatArray) -> FloatArray:
    """Return ``1 - h``, NaN where that is nothing but rounding."""
    left = 1.0 - h
    return np.where(left > NOTHING_LEFT, left, np.nan)


def _sigma_without_row(fit: Fit, r: FloatArray, left: FloatArray) -> FloatArray | float:
    """Return sigma of least squares without each row; of other fits sigma."""
    if fit.random or fit.test_df is None or fit.has_structured_residuals:
        return fit.sigma()
    df = fit.df_residual() - 1
    if df <= 0:
        return np.full(len(r), np.nan)
    counted = np.where(np.isnan(left), np.nan, r**2 / left)
    return np.sqrt(np.maximum(np.sum(r**2) - counted, 0.0) / df)
