"""The conditional Akaike information criterion: how well a model predicts new observations of its groups.

Its penalty counts what random effects contribute to the fit: the trace of the derivative of the fitted values
in the response. That of a linear mixed model takes in that theta was estimated from the same response (Greven
& Kneib 2010), that of a generalized one takes theta as known (Donohue, Overholser, Xu & Vaida 2011) unless
refits are asked for, from which Poisson and Bernoulli models have one that does not (Saefken et al. 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mixedmodels.absent_rows import AbsentRows
from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import LinearSolution, solve
from mixedmodels.families import log_constant
from mixedmodels.fits.criteria import akaike
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.linear_predictor import linear_predictor, random_effects
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.nonlinear import refuse_nonlinear
from mixedmodels.inference.conditional_aic_refits import edf_by_refits

# Step of a central difference of fitted values, beside the size of theta: its error is of the order of the
# square, rounding of that of its inverse.
STEP = 1e-4


@dataclass(frozen=True, slots=True)
class ConditionalAic:
    """The conditional AIC of a fit.

    Attributes
    ----------
    loglik : float
        Log-likelihood of the response given the random effects at their conditional modes.
    edf : float
        Effective degrees of freedom of the mean; parameters of the residual distribution come on top.
    caic : float
        ``-2 loglik + 2 (edf + parameters of the distribution)``.
    """

    loglik: float
    edf: float
    caic: float


def conditional_aic(fit: Fit, by_refits: bool = False) -> ConditionalAic:
    """Return the conditional AIC of a fit; the ordinary one where there are no random effects.

    Parameters
    ----------
    fit : Fit
        The fit.
    by_refits : bool
        Whether a generalized model counts by refits that theta is estimated.

    Raises
    ------
    NotAvailableError
        If refits are asked for of a family that has no identity for them.
    """
    refuse_nonlinear(fit, "the conditional AIC")
    if not isinstance(fit, MixedFit):
        n_phi = fit.npar - len(fit.beta)
        return ConditionalAic(fit.loglik(), float(fit.npar - n_phi), fit.aic())
    if isinstance(fit.data, AbsentRows):  # the fitted values and their derivatives are of rows
        return ConditionalAic(math.nan, math.nan, math.nan)
    if fit.has_structured_residuals:  # of which there is no count of what estimating them costs
        return ConditionalAic(fit.loglik(), math.nan, math.nan)
    if by_refits and not isinstance(fit, LinearFit):
        edf, loglik = edf_by_refits(fit), _family_log_likelihood(fit)
        return ConditionalAic(loglik, edf, akaike(loglik, edf))
    rows = fit.unscaled_variances(fit.design.X, [(t.Z, t.codes) for t in fit.random])
    edf = float(fit.row_information @ rows)
    if isinstance(fit, LinearFit):
        edf += _from_estimating_theta(fit)
        loglik, n_phi = _normal_log_likelihood(fit), 1
    else:
        loglik, n_phi = _family_log_likelihood(fit), len(fit.phi)
    return ConditionalAic(loglik, edf, akaike(loglik, edf + n_phi))


def _normal_log_likelihood(fit: LinearFit) -> float:
    """Return the log-density of the response about its fitted values."""
    w = fit.prior_weights[fit.prior_weights > 0.0]
    rss = float(np.sum(fit.prior_weights * (fit.y - fit.mean) ** 2))
    variance = fit.sigma() ** 2
    return float(-0.5 * (len(w) * np.log(2.0 * np.pi * variance) - np.log(w).sum() + rss / variance))


def _family_log_likelihood(fit: MixedFit) -> float:
    family = fit.family()
    assert family is not None
    constant = log_constant(fit.design, fit.y, fit.prior_weights, family)
    at = family.evaluate(fit.y, fit.linear_predictor, fit.prior_weights, fit.phi, constant=constant)
    return float(at.loglik.sum())


def _from_estimating_theta(fit: LinearFit) -> float:
    """Return what the trace of the derivative of the fitted values owes to theta, which the response moves.

    theta solves ``f_theta(theta, y) = 0``, f the criterion with sigma profiled out, so that
    ``d theta / dy = -B^-1 f_theta,y`` with B the Hessian of f; and ``f_y = 2 df W (y - fitted) / r^2``, r^2
    the penalized residual sum of squares, whose derivative in theta follows from those of fitted values, r^2.
    """
    moving = ~fit.parameter_covariance.left_out
    inverse_hessian = fit.parameter_covariance.of_theta_and_sigma()[:-1, :-1] / 2.0
    places = np.flatnonzero(moving).tolist()
    if not places:
        return 0.0
    changes = [_changes(fit, k) for k in places]
    fitted, rss = np.array([c[0] for c in changes]), np.array([c[1] for c in changes])
    r2, df = fit.estimates.solution.pwrss, fit.nobs() - len(fit.beta) if fit.is_reml else fit.nobs()
    residual = fit.y - fit.mean
    mixed = -2.0 * df / r2 * fit.prior_weights * (fitted + np.outer(rss / r2, residual))
    return float(-np.sum(inverse_hessian[np.ix_(places, places)] * (mixed @ fitted.T)))


def _changes(fit: LinearFit, k: int) -> tuple[FloatArray, float]:
    """Return the derivatives in element k of theta of the fitted values, (n,), and of r^2."""
    theta = fit.theta_values
    step = np.zeros(len(theta))
    step[k] = STEP * max(abs(theta[k]), fit.problem.scales[k])
    ends = [_solved(fit, fit.problem, theta + sign * step) for sign in (1.0, -1.0)]
    (above, r2_above), (below, r2_below) = ends
    return (above - below) / (2.0 * step[k]), (r2_above - r2_below) / (2.0 * step[k])


def _solved(fit: LinearFit, problem: LinearProblem, theta: FloatArray) -> tuple[FloatArray, float]:
    """Return fitted values and r^2 at theta."""
    found: LinearSolution = solve(problem, theta, fit.is_reml)
    b = random_effects(fit.random, theta, found.u)
    return linear_predictor(fit.design.X, found.beta, fit.design.offset, fit.random, b), found.pwrss
