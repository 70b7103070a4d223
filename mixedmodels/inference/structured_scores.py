"""Scores by cluster and observed information of models with structured residuals.

Parameters are beta, theta, those of the residual correlation and of the variance functions, and sigma. With
``V = sigma^2 (Z Lambda Lambda' Z' + R)`` the derivative of -2 log-likelihood in ``V / sigma^2`` is
``V^-1 - V^-1 e e' V^-1`` over sigma^2, pulled back to each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.differences import jacobian
from mixedmodels.engines.residual.model import Parameters, ResidualRows
from mixedmodels.engines.residual.objective import evaluation_at, natural_slopes
from mixedmodels.engines.residual.verdict import parameter_names
from mixedmodels.errors import NotAvailableError, listed
from mixedmodels.fits.structured import StructuredResiduals, residual_rows
from mixedmodels.formula.design.theta import term_factors, theta_slices
from mixedmodels.inference.clusters import level_covariance

#: Half the distance of the points of differences in free coordinates, which are of order one.
FREE_STEP = 1e-5
#: Change of a parameter with its coordinates below which it is at a bound, where nothing moves it.
LEAST_MOVE = 1e-7


@dataclass(frozen=True, slots=True)
class NaturalParameters:
    """Parameters of a model with structured residuals by kind.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Fixed effects.
    covariance : Parameters
        theta, rho and delta.
    sigma : float
        Residual standard deviation where variance functions are 1.
    """

    beta: FloatArray
    covariance: Parameters
    sigma: float


def structured_names(fit: StructuredResiduals) -> list[str]:
    """Return the names of all parameters."""
    return [*fit.design.x_names, *parameter_names(fit.residual_problem.model), ".sigma"]


def structured_parameters_of(fit: StructuredResiduals) -> FloatArray:
    """Return the estimates of all parameters, one after the other."""
    return np.concatenate([fit.beta, fit.residual_estimates.parameters.stacked, [fit.sigma()]])


def _split(fit: StructuredResiduals, at: FloatArray) -> NaturalParameters:
    p = len(fit.beta)
    return NaturalParameters(at[:p], fit.residual_problem.model.split(at[p:-1]), float(at[-1]))


def refuse_fitted_variances(fit: StructuredResiduals) -> None:
    """Raise NotAvailableError for variance functions of the fitted values."""
    if any(term.uses_fitted for term in fit.design.dispersion):
        raise NotAvailableError(
            "a variance function of the fitted values has no scores: the fit goes by fitted values of the "
            "step before and maximises no likelihood in the fixed effects."
        )


def structured_scores(fit: StructuredResiduals, clusters: list[IntArray]) -> FloatArray:
    """Return the scores of the clusters at the estimates, shape (m, p + k + 1).

    Raises
    ------
    NotAvailableError
        If variances go by fitted values.
    """
    refuse_fitted_variances(fit)
    at, rows = _split(fit, structured_parameters_of(fit)), residual_rows(fit.design)
    return np.array([_score(fit, rows, own, at) for own in clusters])


def _score(
    fit: StructuredResiduals, residual: ResidualRows, rows: IntArray, at: NaturalParameters
) -> FloatArray:
    """Return the score of one cluster."""
    rows = rows[fit.prior_weights[rows] > 0.0]
    own, X, sigma2 = residual.take(rows), fit.design.X[rows], at.sigma**2
    e = fit.y[rows] - X @ at.beta
    if fit.design.offset is not None:
        e = e - fit.design.offset[rows]
    # 1. The relative covariance of the rows.
    C, sd = _correlation(own, at.covariance.rho), _relative_sd(own, at.covariance.delta)
    scale = sd / np.sqrt(fit.prior_weights[rows])
    R = C * np.outer(scale, scale)
    factors, V = term_factors(fit.random, at.covariance.theta), R
    for term, T in zip(fit.random, factors, strict=True):
        ZT = term.Z[rows] @ T
        V = V + (ZT @ ZT.T) * level_covariance(term, rows)
    factor = cho_factor(V, lower=True)
    solved = cho_solve(factor, e)
    # 2. Derivative of -2 log-likelihood in V, and in everything that V is made of.
    D = cho_solve(factor, np.eye(len(rows))) - np.outer(solved, solved) / sigma2
    slopes = []
    for term, T, part in zip(fit.random, factors, theta_slices(fit.random), strict=True):
        Z = term.Z[rows]
        dT = 2.0 * Z.T @ (D * level_covariance(term, rows)) @ Z @ T
        slopes.append(term.structure.pullback(at.covariance.theta[part], dT))
    slopes.append(_by_rho(own, at.covariance.rho, D * np.outer(scale, scale)))
    dlog_sd = 2.0 * np.sum(D * R, axis=1)
    for f, delta, columns in zip(own.variances, at.covariance.delta, own.columns, strict=True):
        slopes.append(f.pullback(delta, columns, dlog_sd))
    in_sigma = (float(e @ solved) / sigma2 - len(rows)) / at.sigma
    return np.concatenate([X.T @ solved / sigma2, -0.5 * np.concatenate(slopes), [in_sigma]])


def _correlation(rows: ResidualRows, rho: FloatArray) -> FloatArray:
    """Return the correlations of the residuals of some rows."""
    C = np.eye(len(rows.codes))
    if rows.structure is not None:
        for own in _groups(rows):
            part = rows.structure.of_arm(int(rows.arms[own[0]]))
            at = rows.positions[own][None]
            C[np.ix_(own, own)] = rows.structure.structure.correlation(rho[part], at)[0]
    return C


def _by_rho(rows: ResidualRows, rho: FloatArray, dC: FloatArray) -> FloatArray:
    """Return the derivatives in the correlation parameters."""
    slopes = np.zeros(len(rho))
    if rows.structure is not None:
        for own in _groups(rows):
            part = rows.structure.of_arm(int(rows.arms[own[0]]))
            at = rows.positions[own][None]
            slopes[part] += rows.structure.structure.pullback(rho[part], at, dC[np.ix_(own, own)][None])
    return slopes


def _groups(rows: ResidualRows) -> list[IntArray]:
    """Return the rows of each residual group."""
    return [np.flatnonzero(rows.codes == code) for code in np.unique(rows.codes).tolist()]


def _relative_sd(rows: ResidualRows, delta: tuple[FloatArray, ...]) -> FloatArray:
    """Return relative standard deviations of some rows."""
    log_sd = np.zeros(len(rows.codes))
    for f, own, columns in zip(rows.variances, delta, rows.columns, strict=True):
        log_sd += f.log_sd(own, columns)
    return np.exp(log_sd)


def structured_information(fit: StructuredResiduals, steps: FloatArray) -> FloatArray:
    """Return the observed information of all parameters, by differences of the exact score.

    Those in parameters of the residuals, which have bounds, are taken in the optimiser's coordinates.

    Parameters
    ----------
    fit : StructuredResiduals
        The fit.
    steps : ndarray, shape (p + k + 1,)
        Half the distances of the points of differences in the others.

    Raises
    ------
    NotAvailableError
        If variances go by fitted values, or a parameter of the residuals is at its bound.
    """
    refuse_fitted_variances(fit)
    model, at = fit.residual_problem.model, structured_parameters_of(fit)
    own = slice(len(fit.beta) + model.n_theta, len(at) - 1)
    free = fit.residual_estimates.free[model.n_theta :]

    def moved(x: FloatArray) -> FloatArray:
        shifted = x.copy()
        coordinates = np.concatenate([fit.residual_estimates.free[: model.n_theta], x[own]])
        shifted[own] = model.natural(coordinates).stacked[model.n_theta :]
        return shifted

    x, steps = at.copy(), steps.copy()
    x[own], steps[own] = free, FREE_STEP
    H = -jacobian(lambda z: total_score(fit, moved(z)), x, steps)
    J = jacobian(moved, x, steps)[own, own]
    size = np.abs(J).sum(axis=1)
    if (size < LEAST_MOVE).any():
        names = structured_names(fit)[own]
        still = [name for name, own_size in zip(names, size, strict=True) if own_size < LEAST_MOVE]
        raise NotAvailableError(f"{listed(still)} is at a bound of its range, where there is no information.")
    if len(J):
        H[:, own] = np.linalg.solve(J.T, H[:, own].T).T
    return np.asarray(0.5 * (H + H.T))


def total_score(fit: StructuredResiduals, at: FloatArray) -> FloatArray:
    """Return the score of all rows at any parameters, through the engine's cross-products."""
    problem, own = fit.residual_problem, _split(fit, at)
    found = evaluation_at(problem, own.covariance, False, np.empty(0))
    R = np.linalg.inv(problem.basis.R_inverse)
    gamma = R @ own.beta - problem.projection
    v, sigma2 = np.append(-gamma, 1.0), own.sigma**2
    solved = found.S @ v
    slopes = natural_slopes(problem, replace(found, gamma=gamma, sigma2=sigma2), False)
    model, theta = problem.model, own.covariance.theta
    by_theta = [
        term.structure.pullback(theta[part], basis.C.T @ dT)
        for term, basis, part, dT in zip(
            model.terms, model.bases, model.theta_parts, slopes.factors, strict=True
        )
    ]
    covariance = np.concatenate([*by_theta, slopes.rho, *slopes.delta])
    in_sigma = (float(v @ solved) / sigma2 - problem.n) / own.sigma
    return np.concatenate([R.T @ solved[:-1] / sigma2, -0.5 * covariance, [in_sigma]])
