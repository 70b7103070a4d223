"""Effective degrees of freedom of Poisson and Bernoulli models by refits, theta being estimated each time.

For counts Stein's identity of the Poisson distribution (Chen 1975) makes the penalty of the conditional AIC

    sum_i y_i (log mu_i(y) - log mu_i(y - e_i)),

unbiased whatever the estimator does; for zeros and ones the covariance of response and natural parameter is

    sum_i mu_i (1 - mu_i) (logit mu_i(y with y_i = 1) - logit mu_i(y with y_i = 0))

(Saefken, Kneib, van Waveren & Greven 2014, Electron. J. Statist. 8, 201-225; Efron 2004, J. Am. Stat. Assoc.
99). Each row takes one fit to a response that differs in that row alone; rows equal in everything share it.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import NotAvailableError
from mixedmodels.families.family import Family
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.inference.refits import attempt


def edf_by_refits(fit: MixedFit) -> float:
    """Return the effective degrees of freedom of the mean of a Poisson or Bernoulli model.

    Raises
    ------
    NotAvailableError
        If the family is another one, rows have weights or trials, or a response beside the one given cannot
        be fitted.
    """
    family = _family(fit)
    is_count = family.name == "poisson"
    rows, counts = _distinct_rows(fit)
    if is_count:
        rows, counts = rows[fit.y[rows] > 0.0], counts[fit.y[rows] > 0.0]
    natural = _natural(family, fit.linear_predictor)
    total = 0.0
    for i, count in zip(rows.tolist(), counts.tolist(), strict=True):
        beside = _natural(family, _refitted(fit, i, is_count).linear_predictor[[i]])[0]
        if is_count:
            total += count * fit.y[i] * (natural[i] - beside)
        else:
            mu = float(fit.mean[i])
            total += count * mu * (1.0 - mu) * _from_zero_to_one(natural[i], beside, float(fit.y[i]))
    return float(total)


def _from_zero_to_one(here: float, beside: float, y: float) -> float:
    """Return the natural parameter at a response of one less that at zero, `here` being at y."""
    return here - beside if y == 1.0 else beside - here


def _family(fit: MixedFit) -> Family:
    """Return the family, one that the identities are of."""
    family, weights = fit.family(), fit.prior_weights
    assert family is not None
    is_bernoulli = family.name == "binomial" and bool(np.isin(fit.y, (0.0, 1.0)).all())
    if family.name != "poisson" and not is_bernoulli:
        raise NotAvailableError(
            "the conditional AIC by refits is that of Poisson models and of responses of zeros and ones, not "
            f"of {family.name}{' with several trials' if family.name == 'binomial' else ''}; caic='known "
            "theta' serves all families."
        )
    if not np.isin(weights, (0.0, 1.0)).all():
        raise NotAvailableError(
            "the conditional AIC by refits needs rows of weight one; caic='known theta' takes any weights."
        )
    return family


def _distinct_rows(fit: MixedFit) -> tuple[IntArray, FloatArray]:
    """Return one row of each kind and how many there are; rows of zero weight are left out."""
    design = fit.design
    columns: list[FloatArray] = [fit.y[:, None], design.X]
    for term in fit.random:
        columns += [term.Z, term.codes[:, None].astype(np.float64)]
    if design.offset is not None:
        columns.append(design.offset[:, None])
    used = np.flatnonzero(fit.prior_weights > 0.0)
    table = np.column_stack(columns)[used]
    _, first, counts = np.unique(table, axis=0, return_index=True, return_counts=True)
    return used[first], counts.astype(np.float64)


def _natural(family: Family, eta: FloatArray) -> FloatArray:
    """Return the natural parameter: log mu of counts, logit mu of zeros and ones."""
    if family.link.name in ("log", "logit"):
        return eta
    mu = family.link.inverse(eta)
    return np.asarray(np.log(mu) if family.name == "poisson" else np.log(mu) - np.log1p(-mu))


def _refitted(fit: MixedFit, i: int, is_count: bool) -> Fit:
    """Return the fit to the response with one less in row i, or one and zero exchanged."""
    y = fit.y.copy()
    y[i] = y[i] - 1.0 if is_count else 1.0 - y[i]
    found = attempt(lambda: fit.refit(y))
    if isinstance(found, str):
        raise NotAvailableError(
            f"the conditional AIC by refits needs a fit with another response at row {fit.design.index[i]!r} "
            f"and there is none ({found.rstrip('.')}); caic='known theta' needs no further fits."
        )
    return found
