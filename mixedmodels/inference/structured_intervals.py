"""Confidence intervals of a model with structured residuals, from the observed information.

Each covariance parameter is normal on a scale without bounds: the optimiser's own where that moves one
parameter alone, logarithms of standard deviations, Fisher's z of correlations that move together (as nlme's
``intervals``). Fixed effects have limits of t with the degrees of freedom of their tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.differences import jacobian
from mixedmodels.engines.residual.model import CovarianceModel
from mixedmodels.engines.residual.verdict import parameter_names
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.inference.contrasts import contrast_tests, quantiles
from mixedmodels.inference.covariance_parameters import deviation_parts, deviations
from mixedmodels.inference.fixed_effects import fixed_effects

#: Half the distance of first differences in free coordinates.
STEP = 1e-5
#: Share of a column of a Jacobian off its diagonal from which a coordinate moves several parameters.
SHARED = 1e-6


@dataclass(frozen=True, slots=True)
class StructuredLimits:
    """Limits of all parameters.

    Attributes
    ----------
    names : tuple of str
        Fixed effects, then covariance parameters, sigma last.
    n_fixed : int
        Number of fixed effects.
    values : ndarray, shape (parameters, 2)
        Lower and upper limits; NaN at a bound.
    """

    names: tuple[str, ...]
    n_fixed: int
    values: FloatArray


def structured_limits(fit: StructuredResiduals, level: float) -> StructuredLimits:
    """Return the limits of all parameters of a fit."""
    fixed = fixed_effects(fit)
    at = contrast_tests(fixed, np.eye(len(fit.beta)))
    half = quantiles(at.df, level) * at.se
    z = float(quantiles(np.array([np.inf]), level)[0])
    random, residual = _random_limits(fit, z), _residual_limits(fit, z)
    names = [f"{name}|{group}" for group, name in deviation_parts(fit.random)]
    own = parameter_names(fit.residual_problem.model)[len(fit.theta_values) :]
    values = np.vstack([np.column_stack([fit.beta - half, fit.beta + half]), random, residual])
    return StructuredLimits((*fit.design.x_names, *names, *own, ".sigma"), len(fit.beta), values)


def _covariance(fit: StructuredResiduals) -> tuple[FloatArray, BoolArray]:
    """Return the covariance of all free coordinates and log sigma^2, and which are not at a bound."""
    at = fit.observed_covariance_information
    moving = np.append(at.moving, True)
    W = np.zeros((len(moving), len(moving)))
    W[np.ix_(moving, moving)] = at.W
    return W, moving


def _random_limits(fit: StructuredResiduals, z: float) -> FloatArray:
    """Return limits of standard deviations and correlations of the random effects."""
    if not fit.random:
        return np.empty((0, 2))
    model, free = fit.residual_problem.model, fit.residual_estimates.free
    parts = deviation_parts(fit.random)
    is_correlation = np.array([name.startswith("cor") for _, name in parts])

    def unbounded(x: FloatArray) -> FloatArray:
        scale = np.array([fit.sigma() * np.exp(0.5 * x[-1])])
        values = deviations(fit.random, model.natural(x[:-1]).theta[None], scale)[0]
        with np.errstate(divide="ignore", invalid="ignore"):  # at a bound there is no such scale
            return np.asarray(np.where(is_correlation, np.arctanh(values), np.log(np.abs(values))))

    x = np.append(free, 0.0)
    W, _ = _covariance(fit)
    with np.errstate(invalid="ignore"):
        J, centre = jacobian(unbounded, x, np.full(len(x), STEP)), unbounded(x)
        half = z * np.sqrt(np.einsum("ij,jk,ik->i", J, W, J))
        ends = np.column_stack([centre - half, centre + half])
        return np.asarray(np.where(is_correlation[:, None], np.tanh(ends), np.exp(ends)))


def _residual_limits(fit: StructuredResiduals, z: float) -> FloatArray:
    """Return limits of residual correlations, of variance functions, and of sigma."""
    model, free = fit.residual_problem.model, fit.residual_estimates.free
    W, moving = _covariance(fit)
    first = model.n_theta
    half = z * np.sqrt(W.diagonal())
    half[~moving] = np.nan
    natural, J = _natural(model, free), _jacobian(model, free)
    own = slice(first, len(free))
    lower, upper = (
        _natural(model, np.append(free[:first], free[own] + sign * half[own])) for sign in (-1.0, 1.0)
    )
    shared = np.abs(J - np.diag(J.diagonal())).sum(axis=1) > SHARED * np.abs(J).sum(axis=1)
    se = np.sqrt(np.einsum("ij,jk,ik->i", J, W[own, own], J))
    inside = shared & (np.abs(natural) < 1.0)
    centre = np.arctanh(np.where(inside, natural, 0.0))
    by_z = z * se / (1.0 - np.where(inside, natural, 0.0) ** 2)
    plain = shared & ~inside
    lower = np.where(plain, natural - z * se, np.where(inside, np.tanh(centre - by_z), lower))
    upper = np.where(plain, natural + z * se, np.where(inside, np.tanh(centre + by_z), upper))
    ends = np.column_stack([np.minimum(lower, upper), np.maximum(lower, upper)])
    sigma = fit.sigma() * np.exp(0.5 * np.array([-half[-1], half[-1]]))
    return np.vstack([ends, sigma])


def _natural(model: CovarianceModel, free: FloatArray) -> FloatArray:
    """Return the natural parameters of the residuals."""
    at = model.natural(free)
    return np.concatenate([at.rho, *at.delta])


def _jacobian(model: CovarianceModel, free: FloatArray) -> FloatArray:
    """Return the derivatives of the natural parameters of the residuals in their free coordinates."""
    first = model.n_theta
    own = free[first:]
    if not len(own):
        return np.empty((0, 0))
    return jacobian(lambda x: _natural(model, np.append(free[:first], x)), own, np.full(len(own), STEP))
