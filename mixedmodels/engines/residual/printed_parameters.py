"""The covariance in the parameters that programs print: variances, and correlations or ranges.

Kenward and Roger's adjustment depends on them through the second derivatives of the covariance. Unstructured
covariances, compound symmetry and Toeplitz are linear in variances and covariances, which SAS prints for
them: the second derivatives vanish. Others go by variances and by correlations or ranges.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.variance import Ident
from mixedmodels.engines.residual.covariance import (
    deviations,
    level_correlations,
    residual_correlations,
)
from mixedmodels.engines.residual.information import CovarianceInformation
from mixedmodels.engines.residual.model import CovarianceModel
from mixedmodels.engines.residual.objective import Evaluation
from mixedmodels.engines.residual.problem import ResidualProblem

#: Structures whose covariances are parameters of their own: where each level has its own variance, or all
#: have one.
LINEAR_BY_LEVEL, LINEAR_OF_ONE_VARIANCE = ("us",), ("us", "cs", "toep")
#: Distance of the inner points of second differences, in standard errors: their error is its fourth power.
STEP = 1e-2
#: Weights of the points at 0, 1 and 2 steps on either side.
WEIGHTS = {0.0: -30.0 / 12.0, 1.0: 16.0 / 12.0, -1.0: 16.0 / 12.0, 2.0: -1.0 / 12.0, -2.0: -1.0 / 12.0}
#: Half the distance of first differences in free coordinates.
FIRST_STEP = 1e-5


def is_linear(model: CovarianceModel, arms_only: bool, own_variance: bool) -> bool:
    """Tell whether the residual covariance is linear in the variances and covariances that are printed.

    Parameters
    ----------
    model : CovarianceModel
        The model.
    arms_only : bool
        Whether standard deviations differ between arms alone, or not at all.
    own_variance : bool
        Whether they are those of the structure, and no further variance function.
    """
    if model.structure is None:
        return len(model.variances) <= 1 and all(isinstance(f, Ident) for f in model.variances)
    name = model.structure.structure.name
    if not own_variance:
        return False
    return name in (LINEAR_OF_ONE_VARIANCE if arms_only else LINEAR_BY_LEVEL)


def second_derivatives(
    problem: ResidualProblem, found: Evaluation, at: CovarianceInformation
) -> list[FloatArray]:
    """Return ``sum W_ij V_ij`` over sigma^2, V_ij second derivatives in printed parameters, by batch.

    The sum is over principal axes of W, along each of which a second difference is taken.
    """
    model = problem.model
    residual = np.flatnonzero(at.moving)
    own = residual >= model.n_theta
    J = _jacobian(model, found)[:, np.append(residual[own], len(found.free))]
    chosen = np.append(np.flatnonzero(own), len(residual))
    W = J @ at.W[np.ix_(chosen, chosen)] @ J.T
    scale = np.sqrt(np.maximum(W.diagonal(), np.finfo(np.float64).tiny))
    values, vectors = np.linalg.eigh(W / np.multiply.outer(scale, scale))
    axes = (vectors * np.sqrt(np.maximum(values, 0.0)) * scale[:, None]).T
    origin = printed(model, found.free[model.n_theta :], 0.0)
    total = [np.zeros_like(unit.R) for unit in found.units]
    for axis in axes:
        for distance, weight in WEIGHTS.items():
            moved = _covariances(problem, origin + distance * STEP * axis)
            for sum_, V in zip(total, moved, strict=True):
                sum_ += weight / STEP**2 * V
    return total


def printed(model: CovarianceModel, free: FloatArray, log_sigma2: float) -> FloatArray:
    """Return printed parameters over sigma^2: variances of levels, correlations, other parameters.

    Parameters
    ----------
    model : CovarianceModel
        The model.
    free : ndarray
        Coordinates of the residual parameters.
    log_sigma2 : float
        Logarithm of the variance over its estimate.
    """
    padded = np.concatenate([np.zeros(model.n_theta), free])
    rho = np.empty(0) if model.structure is None else model.structure.from_free(padded[model.rho_part])
    variance, others = [np.exp(log_sigma2)], []
    for place, (f, part) in enumerate(zip(model.variances, model.delta_parts, strict=True)):
        delta = f.from_free(padded[part])
        if place == 0 and isinstance(f, Ident):
            variance += list(variance[0] * delta**2)
        else:
            others.append(delta)
    return np.concatenate([variance, rho, *others])


def _covariances(problem: ResidualProblem, values: FloatArray) -> list[FloatArray]:
    """Return the residual covariances of the units over the estimate of sigma^2 at printed parameters."""
    model = problem.model
    sigma2, delta, at = values[0], [], 1
    for place, f in enumerate(model.variances):
        if place == 0 and isinstance(f, Ident):
            delta.append(np.sqrt(values[1 : 1 + f.n_parameters] / sigma2))
            at += f.n_parameters
    rho = values[at : at + model.n_rho]
    at += model.n_rho
    for f in model.variances[len(delta) :]:
        delta.append(values[at : at + f.n_parameters])
        at += f.n_parameters
    table = level_correlations(model.structure, problem.n_levels, rho)
    found = []
    for batch, sd in zip(problem.batches, deviations(problem, delta), strict=True):
        C = residual_correlations(model.structure, batch, rho, table)
        found.append(sigma2 * C * (sd[:, :, None] * sd[:, None, :]))
    return found


def _jacobian(model: CovarianceModel, found: Evaluation) -> FloatArray:
    """Return derivatives of the printed parameters in all optimiser coordinates and log sigma^2."""
    k = len(found.free)
    columns = []
    for place in range(k + 1):
        move = np.zeros(k + 1)
        move[place] = FIRST_STEP
        above, below = (
            printed(model, (found.free + sign * move[:k])[model.n_theta :], sign * move[k])
            for sign in (1.0, -1.0)
        )
        columns.append((above - below) / (2.0 * FIRST_STEP))
    return np.array(columns).T
