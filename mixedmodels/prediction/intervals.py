"""Limits of predictions: confidence limits of means, and limits of responses yet to be seen.

Confidence limits are normal on the scale of the linear predictor, of t where the fit's tests are or degrees
of freedom are given, and carried to the scale of the response, where they keep their probability because the
mean moves one way with the linear predictor.

Prediction limits hold a response drawn at the row: random effects that the prediction conditions on with
their uncertainty, all others afresh, then the residual (or the distribution of the family). Those of a linear
model are exact given theta and sigma; of other models they are quantiles of simulated responses, a linear
predictor for each drawn from its own distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.covariance.by_correlation import ByCorrelation
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.families.family import Family
from mixedmodels.families.modelled_dispersion import rows_of
from mixedmodels.fits.family_quantities import response_mean
from mixedmodels.fits.fit import Fit, RandomRows
from mixedmodels.fits.gee import GeeFit
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.new_data import random_columns
from mixedmodels.formula.design.sparse_root import level_variances
from mixedmodels.formula.design.theta import term_factors, theta_parts
from mixedmodels.prediction.request import PredictionRequest

# Simulated responses of each row: the probability outside 95 % limits is known to 0.3 %, and less than that
# where the linear predictor, whose draws are evenly spread, matters most.
N_DRAWS = 4000
# The same numbers for the same question.
SEED = 20150101
# Draws held at once: 32 MB for each array.
DRAWS_AT_ONCE = 4_000_000


def fixed_variances(model: Fit, X: FloatArray) -> FloatArray:
    """Return the variances of ``X beta`` by the covariance that summaries use, shape (m,)."""
    return np.asarray(np.einsum("ij,jk,ik->i", X, model._fixed_covariance(), X, optimize=True))


def confidence_limits(
    model: Fit,
    eta: FloatArray,
    se: FloatArray,
    request: PredictionRequest,
    df: FloatArray | None = None,
    at: Family | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return lower and upper limits of means, on the scale asked for, each (m,); `df` may be by row.

    `at` is the family at the rows, by default that of the fit.
    """
    half = request.quantile(model.test_df, df) * se
    family = at or model.family()
    if request.type == "link" or family is None:
        return eta - half, eta + half
    ends = [response_mean(family, eta + sign * half, model.phi) for sign in (-1.0, 1.0)]
    return np.minimum(*ends), np.maximum(*ends)


def drawn_rows(
    model: Fit, newdata: Any, random: Sequence[RandomRows], masks: Sequence[BoolArray]
) -> list[RandomRows]:
    """Return the random-effects rows of what a prediction does not condition on, by term; none if nothing is.

    Parameters
    ----------
    model : Fit
        The fit.
    newdata : table or None
        New rows; None for those of the fit.
    random : sequence of (Z, codes)
        Random-effects rows by term.
    masks : sequence of ndarray
        Which coefficients of each term are conditioned on.
    """
    if all(mask.all() for mask in masks):
        return []
    columns = (
        [Z for Z, _ in random]
        if newdata is None
        else random_columns(model.design, newdata, model.theta_values)
    )
    return [
        (np.where(mask, 0.0, Z), codes) for Z, (_, codes), mask in zip(columns, random, masks, strict=True)
    ]


def relative_variances(model: Fit, rows: Sequence[RandomRows], theta: FloatArray) -> FloatArray | float:
    """Return the variances of random effects at some rows as theta has them, over sigma^2, shape (m,).

    Zero where no rows are given.
    """
    total: FloatArray | float = 0.0
    for term, T, (Z, codes) in zip(model.random, term_factors(model.random, theta), rows, strict=False):
        variance = ((Z @ T) ** 2).sum(axis=1)
        if term.relationship is not None:
            own = level_variances(term.relationship)
            variance = variance * np.where(codes < 0, 1.0, own[codes])
        total = total + variance
    return total + left_at_places(model.random, rows, theta)


def left_at_places(
    terms: Sequence[RandomTerm], rows: Sequence[RandomRows], theta: FloatArray
) -> FloatArray | float:
    """Return the variances of processes at new places given those of the fit, over sigma^2, shape (m,)."""
    total: FloatArray | float = 0.0
    for term, own, (Z, _) in zip(terms, theta_parts(terms, theta), rows, strict=False):
        if isinstance(term.structure, ByCorrelation) and term.structure.correlation.uses_coordinates:
            assert own is not None
            total = total + term.structure.variance_left(own, Z)
    return total


def noise_weights(weights: FloatArray) -> FloatArray:
    """Return the weights that the noise of responses has: those of rows of zero weight are 1."""
    return np.where(weights == 0.0, 1.0, weights)


def prediction_limits(
    model: Fit,
    eta: FloatArray,
    variances: FloatArray,
    weights: FloatArray,
    request: PredictionRequest,
    df: FloatArray | None = None,
    at: Family | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return limits of responses, each (m,).

    Parameters
    ----------
    model : Fit
        The fit.
    eta, variances : ndarray, shape (m,)
        Linear predictor and the variance of what it leaves out.
    weights : ndarray, shape (m,)
        Prior weights, numbers of trials included; rows of zero weight get the noise of weight 1.
    request : PredictionRequest
        Scale and level.
    df : ndarray, shape (m,), optional
        Degrees of freedom of each row; by default those of the request.
    at : Family, optional
        The family at the rows; by default that of the fit.

    Raises
    ------
    ControlError
        If a generalized model is asked for limits on the scale of the linear predictor.
    NotAvailableError
        If the family has no distribution.
    """
    family = at or model.family()
    weights = noise_weights(weights)
    if family is None:
        half = request.quantile(model.test_df, df) * np.sqrt(variances + model.sigma() ** 2 / weights)
        return eta - half, eta + half
    if request.type == "link":
        raise ControlError(
            "interval='prediction' is about responses, which a generalized model has on their own scale: "
            "add type='response'. interval='confidence' has limits of the linear predictor."
        )
    if isinstance(model, GeeFit) and not family.has_dispersion:
        model.refuse_draws()
    if family.is_quasi:
        raise NotAvailableError(
            f"the {family.name} family has no distribution to take prediction limits from."
        )
    return _simulated_limits(family, eta, np.sqrt(variances), weights, model.drawn_phi, request.level)


def _simulated_limits(
    family: Family, eta: FloatArray, sd: FloatArray, weights: FloatArray, phi: FloatArray, level: float
) -> tuple[FloatArray, FloatArray]:
    """Return quantiles of simulated responses; NaN where the linear predictor or the weight is missing."""
    rng = np.random.default_rng(SEED)
    limits = np.full((2, len(eta)), np.nan)
    tails = (0.5 - 0.5 * level, 0.5 + 0.5 * level)
    spread = ndtri((np.arange(N_DRAWS) + 0.5) / N_DRAWS)
    known = np.flatnonzero(np.isfinite(eta + sd + weights))
    size = max(1, DRAWS_AT_ONCE // N_DRAWS)
    for start in range(0, len(known), size):
        rows = known[start : start + size]
        drawn = eta[rows] + sd[rows] * spread[:, None]
        mu, w = family.link.inverse(drawn).ravel(), np.broadcast_to(weights[rows], drawn.shape).ravel()
        each = rows_of(family, np.tile(rows, N_DRAWS))
        y = each.simulate(rng, mu, w, phi).reshape(drawn.shape)
        limits[:, rows] = np.quantile(y, tails, axis=0, method="inverted_cdf")
    return limits[0], limits[1]
