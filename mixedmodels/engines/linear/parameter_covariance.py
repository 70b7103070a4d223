"""How well the variance parameters of a linear mixed model are known, and how Cov(beta) moves with them.

The covariance of the parameters is twice the inverse Hessian of the criterion that was minimised. sigma is
profiled out of the criterion f(theta); in the coordinates (theta, eta), eta being the logarithm of sigma^2
over its profiled value, the Hessian of the criterion of both is block-diagonal,

    [ f''(theta)   0  ]
    [     0        df ]      df = n - p for REML, n for ML,

so that the joint covariance needs the Hessian of f alone. It comes from central differences of the exact
gradient, and the same evaluations give the derivatives of the covariance of the fixed effects. Contrasts of
the fixed effects take all of it through quadratic forms that do not depend on the coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.covariance.jacobian import factor_jacobian
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import evaluation
from mixedmodels.engines.linear.small_residual import (
    ZERO_SHARE,
    Derivatives,
    around_separated,
)
from mixedmodels.engines.linear.vanishing import is_small
from mixedmodels.factorization.threads import threads_for

#: Distance of the inner points of a central difference, in units of the coordinate, and what the differences
#: over it and over twice it count (Richardson): the error is its fourth power, and the rounding of a gradient
#: divided by it.
STEP = 2e-3
POINTS = ((1.0, 4.0 / 3.0), (2.0, -1.0 / 3.0))
#: Least eigenvalue of a Hessian scaled to unit diagonal. Below it differences do not tell a curvature from
#: none: a direction along which the criterion is flat counts as unknown.
LEAST_CURVATURE = 1e-8
#: A coordinate that moves the covariance of the random effects by less than this share of its factor is at a
#: boundary.
STILL = 1e-8

#: Share of the deviation that the rows of one level tell from none, below which a deviation counts as small.
SMALL = 0.1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ParameterCovariance:
    """Covariance of the variance parameters, and derivatives of the covariance of the fixed effects in them.

    Parameters at a boundary are left out, as if they were known: a variance of zero, a correlation at its
    bound, what is said about the random effects that have no variance. There criterion and covariance are
    stationary in them.

    Attributes
    ----------
    covariance : ndarray, shape (m, m)
        Of the m coordinates: those of theta that were not left out, and one for sigma.
    to_parameters : ndarray, shape (k + 1, m)
        Derivatives of theta and sigma in them, k the length of theta.
    left_out : ndarray of bool, shape (k,)
        Elements of theta that were left out.
    root : ndarray, shape (p, p)
        A matrix A with ``Cov(beta) = A'A``: contrasts known far better than others keep their digits in it.
    changes : ndarray, shape (m, p, p)
        ``N_k`` with ``d Cov(beta) = A' N_k A`` along coordinate k.
    """

    covariance: FloatArray
    to_parameters: FloatArray
    left_out: BoolArray
    root: FloatArray
    changes: FloatArray

    def of_theta_and_sigma(self) -> FloatArray:
        """Return the joint covariance of theta and sigma, zero for what was left out, (k + 1, k + 1)."""
        return np.asarray(self.to_parameters @ self.covariance @ self.to_parameters.T)


def parameter_covariance(
    problem: LinearProblem, theta: FloatArray, sigma: float, REML: bool, y: FloatArray
) -> ParameterCovariance:
    """Return the covariance of the variance parameters at an optimum.

    Parameters
    ----------
    problem : LinearProblem
        The problem.
    theta : ndarray, shape (k,)
        Covariance parameters relative to sigma.
    sigma : float
        Residual standard deviation.
    REML : bool
        Which criterion was minimised.
    y : ndarray, shape (n,)
        Response, for models whose residual variance is so small that cross-products lose it.
    """
    with threads_for(problem.equations.A.dense_order):
        if is_small(problem, sigma**2):
            return _from_rows(problem, theta, sigma, REML, y)
        return _from_cross_products(problem, theta, sigma, REML)


def covariance_root(
    problem: LinearProblem, theta: FloatArray, sigma: float, REML: bool, y: FloatArray
) -> FloatArray:
    """Return A with ``Cov(beta) = A'A``, shape (p, p); parameters as for :func:`parameter_covariance`."""
    if is_small(problem, sigma**2):
        x, _, derivatives = around_separated(problem, y, REML, theta, sigma)
        return _root(problem, derivatives(x)[1])
    at = evaluation(problem, starting.factors_of(problem, starting.free_of(problem, theta)), REML)
    return _root(problem, at.system.fixed_root.T / sigma)


def _from_cross_products(
    problem: LinearProblem, theta: FloatArray, sigma: float, REML: bool
) -> ParameterCovariance:
    """Return it from the profiled criterion."""

    def derivatives(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        at = evaluation(problem, starting.factors_of(problem, x), REML)
        gradient = starting.free_gradient(problem, x, at.system.moments())
        own_sigma = math.sqrt(at.system.sigma2)
        return (
            gradient,
            at.system.fixed_root.T / own_sigma,
            np.append(starting.theta_of(problem, x), own_sigma),
        )

    free = starting.free_of(problem, theta)
    moving, at = _moving(problem, free), derivatives(free)
    H, changes, to_parameters = _differences(derivatives, free, at, _units(problem, free), moving)
    # The last coordinate is eta: it moves the covariance by itself and sigma by half of itself.
    m, df = len(H), problem.n - problem.p if REML else problem.n
    covariance = np.zeros((m + 1, m + 1))
    covariance[:m, :m] = 2.0 * _inverse(H)
    covariance[m, m] = 2.0 / df
    by_eta = np.append(np.zeros(len(theta)), sigma / 2.0)
    return ParameterCovariance(
        covariance,
        np.column_stack([to_parameters, by_eta]),
        ~moving,
        _root(problem, at[1]),
        np.concatenate([changes, np.eye(problem.p)[None]]),
    )


def _from_rows(
    problem: LinearProblem, theta: FloatArray, sigma: float, REML: bool, y: FloatArray
) -> ParameterCovariance:
    """Return it from a criterion of theta and sigma that asks the rows."""
    x, is_logarithm, derivatives = around_separated(problem, y, REML, theta, sigma)
    is_positive = is_logarithm or x[-1] ** 2 > ZERO_SHARE
    moving, at = np.append(_moving(problem, x[:-1]), is_positive), derivatives(x)
    units = np.append(_units(problem, x[:-1]), 1.0 if is_logarithm else x[-1])
    H, changes, to_parameters = _differences(derivatives, x, at, units, moving)
    return ParameterCovariance(2.0 * _inverse(H), to_parameters, ~moving[:-1], _root(problem, at[1]), changes)


def _root(problem: LinearProblem, R: FloatArray) -> FloatArray:
    """Return A with ``Cov(beta) = A'A``; ``R'R`` is the inverse covariance of the orthonormal effects."""
    return np.asarray(np.linalg.inv(R).T @ problem.fixed_basis.R_inverse.T)


def _differences(
    derivatives: Derivatives,
    x: FloatArray,
    at: tuple[FloatArray, FloatArray, FloatArray],
    units: FloatArray,
    moving: BoolArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return central differences along the coordinates that move, m of them.

    Returns
    -------
    hessian : ndarray, shape (m, m)
        Of the criterion.
    changes : ndarray, shape (m, p, p)
        Of the covariance of the fixed effects, in units of itself.
    to_parameters : ndarray, shape (k + 1, m)
        Of theta and sigma.
    """
    _, R, parameters = at

    def relative(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        gradient, R_there, parameters = derivatives(x)
        change = R @ np.linalg.inv(R_there)
        return gradient, change @ change.T, parameters

    coordinates = np.flatnonzero(moving).tolist()
    m = len(coordinates)
    H, changes = np.empty((m, m)), np.empty((m, *R.shape))
    to_parameters = np.empty((len(parameters), m))
    for i, k in enumerate(coordinates):
        gradient, changes[i], to_parameters[:, i] = _along(relative, x, k, STEP * units[k])
        H[i] = gradient[moving]
    return (H + H.T) / 2.0, changes, to_parameters


def _along(derivatives: Derivatives, x: FloatArray, k: int, step: float) -> list[FloatArray]:
    """Return the derivatives of what `derivatives` gives in coordinate k, to the fourth order of the step."""
    slopes: list[list[FloatArray]] = []
    for distance, weight in POINTS:
        move = np.zeros(len(x))
        move[k] = distance * step
        above, below = derivatives(x + move), derivatives(x - move)
        slopes.append([weight * (a - b) / (2.0 * move[k]) for a, b in zip(above, below, strict=True)])
    return [near + far for near, far in zip(*slopes, strict=True)]


def _inverse(H: FloatArray) -> FloatArray:
    """Return the inverse of a Hessian; what it is flat or falling along becomes as good as unknown."""
    scale = np.sqrt(np.maximum(np.abs(H.diagonal()), np.finfo(np.float64).tiny))
    values, vectors = np.linalg.eigh(H / np.multiply.outer(scale, scale))
    root = vectors / scale[:, None] / np.sqrt(np.maximum(values, LEAST_CURVATURE))
    return np.asarray(root @ root.T)


def _moving(problem: LinearProblem, free: FloatArray) -> BoolArray:
    """Tell along which free coordinates the covariance of the random effects moves at all, shape (k,)."""
    moving = np.zeros(len(free), dtype=np.bool_)
    for (term, part), basis in zip(problem.parts, problem.column_bases, strict=True):
        structure, own = term.structure, free[part]
        # Free coordinates of an unstructured term are the elements of C T, those of others lead to theta.
        theta = own if structure.is_unstructured else structure.from_free(own)
        dT = factor_jacobian(structure, theta)
        T = structure.factor(theta)
        if not structure.is_unstructured:
            to_theta = np.array([structure.free_pullback(own, unit) for unit in np.eye(len(own))])
            T, dT = basis.C @ T, basis.C @ np.einsum("kij,kf->fij", dT, to_theta)
        half = dT @ T.T
        change = np.linalg.norm(half + half.transpose(0, 2, 1), axis=(1, 2))
        moving[part] = change > STILL * np.linalg.norm(T)
    return moving


def _units(problem: LinearProblem, free: FloatArray) -> FloatArray:
    """Return the distance over which criterion and covariance change in each free coordinate, shape (k,).

    That of an element of a factor is the length of its column, of a deviation its own size, of a correlation
    the radius of the circle on which its coordinate runs. Where a deviation is small beside what the rows of
    a level tell, criterion and covariance are even in it and change over that distance.
    """
    units = np.empty(len(free))
    for term, part in problem.parts:
        structure, own = term.structure, free[part]
        told = SMALL * np.sqrt(term.n_levels / problem.n)
        if structure.is_unstructured:
            columns = np.linalg.norm(structure.factor(own), axis=0)
            units[part] = np.maximum(columns, told)[structure.places()[1]]
        else:
            sizes = np.maximum(np.abs(own), told * problem.scales[part])
            units[part] = np.where(structure.is_lower_bound(), sizes, 1.0)
    return units
