"""The estimating equations at one point: residuals, derivatives of means, score and information of beta.

Liang & Zeger (1986, Biometrika 73, 13-22): with ``V_i = phi A_i^1/2 W_i^-1/2 R_i W_i^-1/2 A_i^1/2`` of group
i, A its variances, W its weights and R its working correlation, beta solves
``sum_i D_i' V_i^-1 (y_i - mu_i) = 0``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.gee.correlation.structure import Whitening
from mixedmodels.engines.gee.problem import GeeProblem
from mixedmodels.engines.gee.variance import variance, variance_slope


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MeanPoint:
    """Means at one beta.

    Attributes
    ----------
    eta, mu, v : ndarray, shape (n,)
        Linear predictor, mean, variance function.
    r : ndarray, shape (n,)
        Pearson residuals ``(y - mu) / v^1/2``, without weights and scale.
    D : ndarray, shape (n, p)
        Derivatives of mu in beta over ``v^1/2``.
    """

    eta: FloatArray
    mu: FloatArray
    v: FloatArray
    r: FloatArray
    D: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WhiteRows:
    """Rows made independent and of equal variance by the working covariance, at scale 1.

    Attributes
    ----------
    D : ndarray, shape (n, p)
        Derivatives of the means.
    r : ndarray, shape (n,)
        Residuals.
    """

    D: FloatArray
    r: FloatArray


def mean_point(problem: GeeProblem, beta: FloatArray) -> MeanPoint:
    """Return means, residuals and derivatives at beta."""
    eta = problem.X @ beta + problem.offset
    mu, slope, *_ = problem.family.link.derivatives(eta)
    v = variance(problem.family, mu)
    root = np.sqrt(v)
    D = problem.X * (slope / root)[:, None]
    return MeanPoint(eta, mu, v, (problem.y - mu) / root, D)


def whitened(problem: GeeProblem, point: MeanPoint, whiten: Whitening) -> WhiteRows:
    """Return the rows of a point, whitened."""
    root = np.sqrt(problem.weights)[:, None]
    white = whiten(np.column_stack([point.D * root, point.r[:, None] * root]))
    return WhiteRows(white[:, :-1], white[:, -1])


def scale_estimate(problem: GeeProblem, r: FloatArray) -> float:
    """Return phi: the weighted mean of squared Pearson residuals."""
    return float(problem.weights @ r**2 / problem.weights.sum())


def variance_share(problem: GeeProblem, point: MeanPoint) -> FloatArray:
    """Return ``v' / v^1/2``, which times D is the derivative of ``log v`` in beta, shape (n,)."""
    return np.asarray(variance_slope(problem.family, point.mu) / np.sqrt(point.v))
