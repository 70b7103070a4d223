"""What predictions of a linear mixed model owe to theta and sigma being estimates.

The variance v of a prediction is a function of (theta, sigma), whose estimates have covariance W. To first
order its estimate has variance ``g'W g`` for ``g = dv / d(theta, sigma)``, and Satterthwaite's degrees of
freedom are ``2 v^2 / g'W g``. A prediction of random effects moves with theta besides: ``d'W d`` for its own
derivative d is variance that v leaves out, and v at the estimates falls short of its value by as much again
(Kackar & Harville 1984, J. Am. Stat. Assoc. 79, 853-862; Prasad & Rao 1990, J. Am. Stat. Assoc. 85, 163-171).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.engines.linear.reml import solve
from mixedmodels.fits.fit import RandomRows
from mixedmodels.fits.joint_covariance import covariance_of_problem, row_variances
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.linear_predictor import contribution, random_effects

#: Step of a central difference beside the size of an element of theta: its error is of the order of the
#: square, rounding of that of its inverse.
STEP = 1e-4

#: Prediction and its variance over sigma^2 as functions of theta, each from (k,) to (m,).
Predicted = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, slots=True)
class Spread:
    """What predictions owe to estimated variances, by row.

    Attributes
    ----------
    added : ndarray, shape (m,)
        Variance to add.
    df : ndarray, shape (m,)
        Degrees of freedom; infinite where a variance owes nothing to estimates.
    """

    added: FloatArray
    df: FloatArray


def spread(fit: LinearFit, predicted: Predicted, conditions: BoolArray) -> Spread:
    """Return what predictions owe to the estimates of theta and sigma.

    Elements of theta at a boundary count as known.

    Parameters
    ----------
    fit : LinearFit
        The fit.
    predicted : callable
        Predictions and variances over sigma^2 at theta.
    conditions : ndarray of bool, shape (m,)
        Which rows condition on a random effect; others have the standard errors of the fixed effects' tests.
    """
    sigma, theta = fit.sigma(), fit.theta_values
    W = fit.parameter_covariance.of_theta_and_sigma()
    _, unscaled = predicted(theta)
    m = len(unscaled)
    d, g = np.zeros((len(W), m)), np.zeros((len(W), m))
    g[-1] = 2.0 * sigma * unscaled
    for k in np.flatnonzero(np.diagonal(W)[:-1] > 0.0).tolist():
        step = np.zeros(len(theta))
        step[k] = STEP * max(abs(theta[k]), fit.problem.scales[k])
        (eta_above, above), (eta_below, below) = predicted(theta + step), predicted(theta - step)
        d[k] = (eta_above - eta_below) / (2.0 * step[k])
        g[k] = sigma**2 * (above - below) / (2.0 * step[k])
    variances = sigma**2 * unscaled
    of_variance = np.einsum("km,kl,lm->m", g, W, g)
    known = of_variance <= 0.0
    df = np.where(known, np.inf, 2.0 * variances**2 / np.where(known, 1.0, of_variance))
    return Spread(np.where(conditions, 2.0 * np.einsum("km,kl,lm->m", d, W, d), 0.0), df)


def conditions_on_effects(random: Sequence[RandomRows], m: int) -> BoolArray:
    """Return which of m rows have a random effect of a level that was in the data."""
    found = np.zeros(m, dtype=bool)
    for Z, codes in random:
        found |= (codes >= 0) & Z.any(axis=1)
    return found


def predicted_rows(
    fit: LinearFit,
    X: FloatArray,
    random: Sequence[RandomRows],
    masks: Sequence[BoolArray],
    others: Callable[[FloatArray], FloatArray | float],
) -> Predicted:
    """Return prediction and variance of rows as functions of theta.

    Parameters
    ----------
    fit : LinearFit
        The fit.
    X : ndarray, shape (m, p)
        Fixed-effects rows.
    random : sequence of (Z, codes)
        Random-effects rows by term, zero where a prediction does not condition on a coefficient.
    masks : sequence of ndarray
        Which coefficients of each term are conditioned on.
    others : callable
        Further variance over sigma^2 at theta.
    """

    def predicted(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        at = solve(fit.problem, theta, fit.is_reml)
        eta = X @ at.beta
        effects = random_effects(fit.random, theta, at.u)
        for (Z, codes), b, mask in zip(random, effects, masks, strict=True):
            if mask.any():
                eta = eta + contribution(Z, codes, b)
        if any(mask.any() for mask in masks):
            variances = row_variances(covariance_of_problem(fit.problem, theta), X, random)
        else:
            variances = np.einsum("ij,jk,ik->i", X, at.unscaled_vcov, X, optimize=True)
        return eta, variances + others(theta)

    return predicted
