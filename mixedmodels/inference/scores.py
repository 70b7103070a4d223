"""Scores by cluster and observed information of all parameters: ``estfun(m)`` and ``information(m)``.

For a linear model with ``V = sigma^2 (Z Lambda Lambda' Z' + W^-1)`` in each cluster and ``e = y - X beta``,
the derivative of -2 log-likelihood in V is ``V^-1 - V^-1 e e' V^-1``; those in theta and sigma follow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.differences import hessian
from mixedmodels.engines.generalized.cluster_scores import cluster_problems, gradients
from mixedmodels.engines.generalized.hessian import natural_jacobian, natural_parameters
from mixedmodels.engines.generalized.problem import natural_to_psi
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.gee import GeeFit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.glm import GlmFit
from mixedmodels.fits.least_squares import LeastSquaresFit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.formula.design.theta import term_factors, theta_names, theta_slices
from mixedmodels.inference.clusters import clusters_of, level_covariance, relative_covariance
from mixedmodels.inference.plain_scores import (
    glm_information,
    glm_scores,
    least_squares_information,
    least_squares_scores,
    sums_by_cluster,
)
from mixedmodels.inference.structured_scores import (
    structured_information,
    structured_names,
    structured_parameters_of,
    structured_scores,
)

# Rows of one cluster beyond which its dense covariance is refused: 800 MB.
LARGEST_CLUSTER = 10_000
# Step of the differences of the scores, relative to a parameter or to its typical size: the cube root of the
# rounding error.
STEP = 6e-6


@advises
def estfun(fit: Fit, cluster: Any = None) -> pd.DataFrame:
    """Return the score of every cluster: derivatives of its log-likelihood in all parameters.

    Parameters
    ----------
    fit : Fit
        A linear or generalized linear model, with or without random effects or structured residuals; of a
        marginal model, whose clusters are its groups, these are the estimating functions of the coefficients.
    cluster : str or array_like, optional
        The clusters; by default the grouping factor that all others are nested in, or each row by itself
        without random effects.

    Returns
    -------
    DataFrame
        One row for each cluster, one column for each fixed effect, then theta, then sigma or the parameters
        of the family, all on their natural scale; parameters of structured residuals come before sigma.
        Columns sum to zero at a maximum of the likelihood inside the parameter space; of a linear model
        fitted by REML, or by least squares with n - p in its sigma, these are the scores of the likelihood
        too.

    Raises
    ------
    ControlError, DataError, NotAvailableError
        If the clusters are unknown, too few or not independent, or the fit is of another kind.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"), REML=False)
    >>> bool(abs(mm.estfun(m).sum()).max() < 1e-4)
    True
    """
    if isinstance(fit, GeeFit) and cluster is None:
        groups = [fit.groups.groups[code] for code in fit.problem.grouping.codes]
        return pd.DataFrame(fit.scores.scores, index=groups, columns=list(fit.design.x_names))
    clusters = clusters_of(_with_scores(fit), cluster)
    if isinstance(fit, (LeastSquaresFit, GlmFit)):
        by_row = least_squares_scores(fit) if isinstance(fit, LeastSquaresFit) else glm_scores(fit)
        values = sums_by_cluster(by_row, clusters.codes, clusters.size)
    elif isinstance(fit, GeneralizedFit):
        values = _generalized_scores(fit, clusters.codes, clusters.size)
    elif isinstance(fit, StructuredResiduals):
        _refuse_large(clusters.rows())
        values = structured_scores(fit, clusters.rows())
    else:
        values = _linear_scores(fit, clusters.rows(), _linear_parameters(fit))
    return pd.DataFrame(values, index=list(clusters.labels), columns=_names(fit))


@advises
def information(fit: Fit) -> pd.DataFrame:
    """Return the observed information: minus the Hessian of the log-likelihood in all parameters.

    Parameters
    ----------
    fit : Fit
        A linear or generalized linear model, with or without random effects or structured residuals.

    Returns
    -------
    DataFrame
        Rows and columns as the columns of :func:`estfun`.

    Raises
    ------
    NotAvailableError
        If the Hessian of a generalized model is singular, or a crossed linear model has too many rows for a
        dense covariance of them.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"), REML=False)
    >>> list(mm.information(m).index)
    ['(Intercept)', 'Days', 'Subject.(Intercept)', '.sigma']
    """
    names = _names(_with_scores(fit))
    if isinstance(fit, (LeastSquaresFit, GlmFit)):
        plain = least_squares_information(fit) if isinstance(fit, LeastSquaresFit) else glm_information(fit)
        return pd.DataFrame(plain, index=names, columns=names)
    if isinstance(fit, GeneralizedFit):
        return pd.DataFrame(_generalized_information(fit), index=names, columns=names)
    if isinstance(fit, StructuredResiduals):
        own = structured_parameters_of(fit)
        typical = np.concatenate([fit._standard_errors(), np.full(len(own) - len(fit.beta), 0.1)])
        structured = structured_information(fit, STEP * np.maximum(np.abs(own), typical))
        return pd.DataFrame(structured, index=names, columns=names)
    rows = _independent_rows(fit)
    at = _linear_parameters(fit)
    steps = STEP * np.maximum(np.abs(at), _typical(fit))
    values = -hessian(lambda x: _linear_scores(fit, rows, x).sum(axis=0), at, steps)
    return pd.DataFrame(values, index=names, columns=names)


def _with_scores(fit: Fit) -> Fit:
    """Return the fit if its kind has scores."""
    if isinstance(fit, GeneralizedFit) and fit.estimates.nAGQ == 0:
        raise NotAvailableError("nAGQ=0 maximises no likelihood in the fixed effects: fit with nAGQ=1.")
    if isinstance(fit, GlmFit) and fit.is_quasi:
        raise NotAvailableError(
            f"the {fit.family().name} family has no likelihood, and so no scores of its own; a family with "
            f"one is {fit.family().name.removeprefix('quasi')!r}."
        )
    if not isinstance(fit, (LinearFit, GeneralizedFit, LeastSquaresFit, GlmFit, StructuredResiduals)):
        raise NotAvailableError(
            f"scores and information are those of lmer, glmer, lm, glm, gls and mmrm, not of {shown(fit)} "
            "(penalized quasi-likelihood and estimating equations have no likelihood)."
        )
    return fit


def _names(fit: Fit) -> list[str]:
    if isinstance(fit, StructuredResiduals):
        return structured_names(fit)
    family = fit.family()
    last = (".sigma",) if family is None else family.phi_names
    return [*fit.design.x_names, *theta_names(fit.random), *last]


# Linear models.


def _linear_parameters(fit: Fit) -> FloatArray:
    return np.concatenate([fit.beta, fit.theta_values, [fit.sigma()]])


def _typical(fit: Fit) -> FloatArray:
    """Return a size of every parameter that its step must not fall below: a standard error, or 0.1."""
    return np.concatenate([fit._standard_errors(), np.full(len(fit.theta_values), 0.1), [fit.sigma()]])


def _independent_rows(fit: Fit) -> list[IntArray]:
    """Return the rows of each cluster, all rows as one where random effects are crossed."""
    try:
        return clusters_of(fit).rows()
    except NotAvailableError:
        return [np.arange(len(fit.y))]


def _linear_scores(fit: Fit, clusters: list[IntArray], at: FloatArray) -> FloatArray:
    """Return the scores of the clusters at parameters (beta, theta, sigma), shape (m, p + k + 1)."""
    _refuse_large(clusters)
    return np.array([_linear_score(fit, rows, at) for rows in clusters])


def _refuse_large(clusters: list[IntArray]) -> None:
    """Raise NotAvailableError for clusters of more rows than a dense covariance has."""
    largest = max(len(rows) for rows in clusters)
    if largest > LARGEST_CLUSTER:
        raise NotAvailableError(
            f"a cluster of {largest:,} rows is too large for a dense covariance (limit {LARGEST_CLUSTER:,})."
        )


def _linear_score(fit: Fit, rows: IntArray, at: FloatArray) -> FloatArray:
    """Return the score of one cluster."""
    rows = rows[fit.prior_weights[rows] > 0.0]
    p, k = len(fit.beta), len(fit.theta_values)
    beta, theta, sigma = at[:p], at[p : p + k], at[-1]
    X = fit.design.X[rows]
    e = fit.y[rows] - X @ beta
    if fit.design.offset is not None:
        e = e - fit.design.offset[rows]
    factors = term_factors(fit.random, theta)
    # 1. The relative covariance of the rows.
    factor = cho_factor(relative_covariance(fit, factors, fit.prior_weights, rows), lower=True)
    solved = cho_solve(factor, e)
    # 2. Derivative of -2 log-likelihood in V; those in sigma and in T of every term.
    D = cho_solve(factor, np.eye(len(rows))) - np.outer(solved, solved) / sigma**2
    score = np.empty(len(at))
    score[:p] = X.T @ solved / sigma**2
    score[-1] = (float(e @ solved) / sigma**2 - len(rows)) / sigma
    for term, T, part in zip(fit.random, factors, theta_slices(fit.random), strict=True):
        Z = term.Z[rows]
        dT = 2.0 * Z.T @ (D * level_covariance(term, rows)) @ Z @ T
        score[p:-1][part] = -0.5 * term.structure.pullback(theta[part], dT)
    return np.asarray(score)


# Generalized models.


def _generalized_scores(fit: GeneralizedFit, codes: IntArray, size: int) -> FloatArray:
    """Return the scores of the clusters in (beta, theta, phi)."""
    problem, estimates = fit.problem, fit.estimates
    psi = natural_to_psi(problem, natural_parameters(estimates))
    by_psi = -0.5 * gradients(cluster_problems(problem, codes, size), psi, estimates.nAGQ)
    natural = np.linalg.solve(natural_jacobian(problem, psi).T, by_psi.T).T
    return np.asarray(natural[:, _fixed_first(fit)], dtype=np.float64)


def _generalized_information(fit: GeneralizedFit) -> FloatArray:
    covariance = fit.hessian_covariance
    if covariance is None or not np.isfinite(covariance).all():
        raise NotAvailableError("The Hessian of the log-likelihood is singular: it has no inverse.")
    order = _fixed_first(fit)
    return np.asarray(np.linalg.inv(covariance[np.ix_(order, order)]), dtype=np.float64)


def _fixed_first(fit: Fit) -> IntArray:
    """Return the places of (beta, theta, phi) among (theta, beta, phi)."""
    k, p, f = len(fit.theta_values), len(fit.beta), len(fit.phi)
    return np.concatenate([np.arange(k, k + p), np.arange(k), np.arange(k + p, k + p + f)])
