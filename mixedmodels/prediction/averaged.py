"""Population-averaged means: the mean of the response over the distribution of the random effects.

At one row the random effects enter through ``z'b`` alone, which is normal with variance ``z' Sigma z``
whatever their number, so that the average over all of them is an integral in one dimension. The trapezoidal
rule over the normal density is exact to rounding once its step is fine against the standard deviation
(Trefethen & Weideman 2014, SIAM Review 56, 385-458).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.differences import jacobian
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.families.family import Family
from mixedmodels.fits.family_quantities import response_mean
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.formula.design.new_data import random_columns
from mixedmodels.formula.design.theta import term_factors
from mixedmodels.prediction.predict import fixed_rows, labelled, refuse_for_training_rows, row_labels
from mixedmodels.prediction.request import PredictionRequest

# The normal density beyond this many standard deviations is below rounding.
REACH = 9.0
# Largest step between nodes, and largest step times the standard deviation of z'b: the nearest pole of an
# inverse link is pi away (logit), and exp(-2 pi^2 / 0.6) is rounding.
STEP, STEP_TIMES_SD = 0.25, 0.6
# Step of the differences in the parameters, in standard errors.
PARAMETER_STEP = 1e-4
# Links under which a mean runs to infinity at a finite linear predictor, so that a normal average has none.
WITH_POLES = ("inverse", "1/mu^2")


@dataclass(frozen=True, slots=True)
class AverageRows:
    """Rows to average at.

    Attributes
    ----------
    X : ndarray, shape (m, p)
        Fixed-effects rows.
    offset : ndarray, shape (m,)
        Known part of the linear predictor.
    Z : tuple of ndarray, each (m, S)
        Random-effects rows of each term.
    """

    X: FloatArray
    offset: FloatArray
    Z: tuple[FloatArray, ...]


def average_rows(fit: Fit, newdata: Any = None, offset: Any = None) -> AverageRows:
    """Return the rows of the fit, or new ones, which need not name the groups.

    `offset` stands in place of the offset argument of the fit at new rows.

    Raises
    ------
    DataError
        If a variable is missing.
    """
    if newdata is None:
        design = fit.design
        known = np.zeros(design.n_rows) if design.offset is None else design.offset
        return AverageRows(design.X, known, tuple(term.Z for term in fit.random))
    X, total, _ = fixed_rows(fit, newdata, offset=offset)
    return AverageRows(X, total, random_columns(fit.design, newdata) if fit.random else ())


def averaged_mean(fit: Fit, rows: AverageRows, parameters: FloatArray) -> FloatArray:
    """Return the population-averaged mean at rows and parameters (theta, beta, phi), shape (m,).

    Raises
    ------
    NotAvailableError
        If levels are related by a given covariance, so that they have no common variance, or the link has a
        pole.
    """
    k, p, family = len(fit.theta_values), len(fit.beta), fit.family()
    eta = rows.X @ parameters[k : k + p] + rows.offset
    if family is None:
        return eta
    variance = np.zeros(len(eta))
    for term, T, Z in zip(fit.random, term_factors(fit.random, parameters[:k]), rows.Z, strict=True):
        if term.relationship is not None:
            raise NotAvailableError(
                f"the levels of {term.group} have a covariance that was given, each level its own variance: "
                "there is no population of levels to average over."
            )
        variance += ((Z @ T) ** 2).sum(axis=1)
    return population_mean(family, eta, np.sqrt(variance), parameters[k + p :])


def population_mean(family: Family, eta: FloatArray, sd: FloatArray, phi: FloatArray) -> FloatArray:
    """Return ``E(y)`` at ``eta + sd z``, z standard normal, shape (m,).

    Parameters
    ----------
    family : Family
        Distribution of the response.
    eta, sd : ndarray, shape (m,)
        Fixed part of the linear predictor and standard deviation of the random part.
    phi : ndarray, shape (n_phi,)
        Parameters of the family.

    Raises
    ------
    NotAvailableError
        If the mean is infinite at a finite linear predictor.
    """
    largest = float(sd.max(initial=0.0))
    if largest == 0.0:
        return response_mean(family, eta, phi)
    if family.link.name in WITH_POLES:
        raise NotAvailableError(
            f"under the {family.link.name} link a normal random effect reaches means of infinity: the "
            "population-averaged mean does not exist. A log link has one."
        )
    step = min(STEP, STEP_TIMES_SD / largest)
    # The integrand of a log link, exp(sd z) times the density, is centred at z = sd.
    reach = REACH + (largest if family.link.name == "log" else 0.0)
    half = int(np.ceil(reach / step))
    mean = np.zeros(len(eta))
    for node in step * np.arange(-half, half + 1):
        density = step * np.exp(-0.5 * node**2) / np.sqrt(2.0 * np.pi)
        mean += density * response_mean(family, eta + sd * node, phi)
    return mean


def natural_estimates(fit: Fit) -> tuple[FloatArray, FloatArray]:
    """Return (theta, beta, phi) and their covariance, zero where a parameter is taken as known."""
    at = np.concatenate([fit.theta_values, fit.beta, fit.phi])
    covariance = np.zeros((len(at), len(at)))
    full = fit.hessian_covariance if isinstance(fit, GeneralizedFit) else None
    if full is not None:
        return at, np.nan_to_num(full)
    fixed = slice(len(fit.theta_values), len(fit.theta_values) + len(fit.beta))
    covariance[fixed, fixed] = fit._fixed_covariance()
    return at, covariance


def delta_jacobian(
    function: Callable[[FloatArray], FloatArray], at: FloatArray, covariance: FloatArray
) -> FloatArray:
    """Return the derivatives of a function of the parameters, shape (m, n_parameters).

    By central differences with steps in proportion to standard errors, or to parameters where these are far
    smaller, as under separation; zero for parameters without a standard error.

    Parameters
    ----------
    function : callable
        Of the parameters, returning shape (m,).
    at : ndarray
        The parameters.
    covariance : ndarray
        Their covariance.
    """
    se = np.sqrt(np.diagonal(covariance))
    moving = np.flatnonzero(se)

    def of_moving(x: FloatArray) -> FloatArray:
        whole = at.copy()
        whole[moving] = x
        return function(whole)

    J = np.zeros((len(function(at)), len(at)))
    if len(moving):
        sizes = np.minimum(se[moving], np.maximum(1.0, np.abs(at[moving])))
        J[:, moving] = jacobian(of_moving, at[moving], PARAMETER_STEP * sizes)
    return J


def predict_average(fit: Fit, newdata: Any, request: PredictionRequest) -> pd.Series | pd.DataFrame:
    """Return population-averaged predictions, with standard errors and limits by the delta method on request.

    Parameters
    ----------
    fit : Fit
        The fit.
    newdata : table or None
        Rows to predict, which need not name the groups; those of the fit by default.
    request : PredictionRequest
        What is asked for; limits are symmetric on the scale of the link.

    Raises
    ------
    ControlError
        If limits of responses are asked for.
    """
    if request.interval == "prediction":
        raise ControlError(
            "an average over the random effects has interval='confidence'; limits of responses of new groups "
            "are predict(re_form='0', interval='prediction')."
        )
    if request.type == "disp":
        raise ControlError("type='disp' has no random effects to average over: leave out re_form='average'.")
    if request.df == "satterthwaite":
        raise ControlError(
            "df='satterthwaite' is for predictions of linear models, whose average over the random effects "
            "is re_form='0'."
        )
    if newdata is None:
        refuse_for_training_rows(request)
    rows, family = average_rows(fit, newdata, request.offset), fit.family()

    def value(parameters: FloatArray) -> FloatArray:
        mean = averaged_mean(fit, rows, parameters)
        return mean if family is None else family.link.link(mean)

    at, covariance = natural_estimates(fit)
    index = fit.design.index if newdata is None else row_labels(newdata, len(rows.X))
    eta = value(at)
    link = None if request.type == "link" or family is None else family.link
    columns = {"fit": eta if link is None else averaged_mean(fit, rows, at)}
    if request.se_fit or request.interval is not None:
        J = delta_jacobian(value, at, covariance)
        se = np.sqrt(np.einsum("ij,jk,ik->i", J, covariance, J))
        if request.se_fit:
            columns["se_fit"] = se if link is None else se * np.abs(link.derivatives(eta)[1])
        if request.interval is not None:
            half = request.quantile(fit.test_df) * se
            ends = [end if link is None else link.inverse(end) for end in (eta - half, eta + half)]
            columns |= {"lower": np.minimum(*ends), "upper": np.maximum(*ends)}
    return labelled(fit, columns, index, newdata is None, request.na_action)
