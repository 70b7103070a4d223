"""Covariance matrices of structured residuals: of all levels of time, and of the rows of one group."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.formula.design.residual import ResidualDesign
from mixedmodels.formula.design.theta import term_factors
from mixedmodels.inference.clusters import relative_covariance


def level_covariances(fit: StructuredResiduals) -> dict[str, pd.DataFrame]:
    """Return the covariance matrix of the residuals at all levels of time, by arm.

    Prior weights and functions of ``dispersion=`` count as 1; a level that an arm does not have is NaN.

    Parameters
    ----------
    fit : StructuredResiduals
        The fit.

    Raises
    ------
    NotAvailableError
        If residuals have no levels of time: they are independent, or go by coordinates.
    """
    residual = fit.design.residual
    if residual is None or residual.structure.uses_coordinates:
        raise NotAvailableError(
            "a covariance matrix of visits is that of residuals by levels of time, such as 'us(visit | "
            "subject)'; covariance() gives that of the rows of one group."
        )
    m = int(residual.positions.max()) + 1
    names = list(residual.levels) or [str(k) for k in range(m)]
    sd, rho = _level_sd(fit, residual, m), fit.residual_estimates.parameters.rho
    found = {}
    for arm, name in enumerate(residual.arm_names):
        C = residual.structure.correlation(rho[residual.parameters.of_arm(arm)], np.arange(m)[None])[0]
        V = fit.sigma() ** 2 * C * np.outer(sd[arm], sd[arm])
        found[name] = pd.DataFrame(V, index=names, columns=names)
    return found


def _level_sd(fit: StructuredResiduals, residual: ResidualDesign, m: int) -> FloatArray:
    """Return relative standard deviations of the levels in each arm, (arms, m), NaN without rows."""
    sd = np.full((len(residual.arm_names), m), np.nan)
    arms = residual.arms[residual.codes]
    log_sd = np.zeros(len(arms))
    if residual.variance is not None:
        delta = fit.residual_estimates.parameters.delta[0]
        log_sd = residual.variance.function.log_sd(delta, residual.variance.columns)
    sd[arms, residual.positions] = np.exp(log_sd)
    # Without standard deviations by level those of an arm are all one, at levels that it does not have too.
    if residual.variance is None or residual.variance.function.n_parameters < len(residual.arm_names):
        sd[:] = np.nanmax(sd, axis=1, keepdims=True)
    return sd


def group_covariance(fit: StructuredResiduals, group: object) -> pd.DataFrame:
    """Return the covariance of the responses of one residual group, random effects included, by their rows.

    Parameters
    ----------
    fit : StructuredResiduals
        The fit.
    group : str
        Name of the group.

    Raises
    ------
    ControlError
        If there is no such group.
    NotAvailableError
        If the residuals have no groups.
    """
    residual = fit.design.residual
    if residual is None:
        raise NotAvailableError("the residuals of this model have no groups: residual= names them.")
    if str(group) not in residual.groups:
        raise ControlError(f"{residual.group_name} has no level {shown(group)}.")
    rows = np.flatnonzero((residual.codes == residual.groups.index(str(group))) & (fit.prior_weights > 0.0))
    rows = rows[np.argsort(residual.positions[rows], kind="stable")] if residual.positions.ndim == 1 else rows
    factors = term_factors(fit.random, fit.theta_values)
    V = fit.sigma() ** 2 * relative_covariance(fit, factors, fit.prior_weights, rows)
    labels = list(fit.design.index[rows])
    if residual.levels and residual.positions.ndim == 1:
        labels = [residual.levels[k] for k in residual.positions[rows].tolist()]
    return pd.DataFrame(V, index=labels, columns=labels)
