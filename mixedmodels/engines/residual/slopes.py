"""Derivatives of the covariances of the units, one matrix for each parameter: for information matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.by_group import ByGroup
from mixedmodels.differences import jacobian
from mixedmodels.engines.residual.batches import Batch
from mixedmodels.engines.residual.covariance import (
    UnitCovariances,
    by_batch,
    level_correlations,
    residual_correlations,
)
from mixedmodels.engines.residual.objective import Evaluation
from mixedmodels.engines.residual.problem import ResidualProblem

#: Half the distance of the points of a central difference in free coordinates, which are of order one.
STEP = 1e-5


def covariance_slopes(
    problem: ResidualProblem, found: Evaluation, units: list[UnitCovariances]
) -> list[FloatArray]:
    """Return the derivatives of the covariances of the units in free coordinates, (k, U, T, T) by batch.

    Parameters
    ----------
    problem : ResidualProblem
        The problem, or one with some of its units.
    found : Evaluation
        Where.
    units : list of UnitCovariances
        The covariances of its units there.
    """
    pieces = [
        _random_slopes(problem, found),
        _correlation_slopes(problem, found, units),
        _deviation_slopes(problem, found, units),
    ]
    return [np.concatenate([part[b] for part in pieces]) for b in range(len(problem.batches))]


def _along(function: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
    """Return the derivatives of an array in each coordinate, first axis."""
    if not len(x):
        return np.empty((0, *function(x).shape))
    return np.moveaxis(jacobian(function, x, np.full(len(x), STEP)), -1, 0)


def _random_slopes(problem: ResidualProblem, found: Evaluation) -> list[FloatArray]:
    """Return those in the parameters of the random effects."""
    model = problem.model
    slopes: list[list[FloatArray]] = [
        [np.empty((0, *batch.rows.shape, batch.size))] for batch in problem.batches
    ]
    for k, (term, part) in enumerate(zip(model.terms, model.theta_parts, strict=True)):

        def square(own: FloatArray, k: int = k, part: slice = part) -> FloatArray:
            free = found.free.copy()
            free[part] = own
            T = model.factors(model.natural(free).theta)[k]
            return T @ T.T

        moved = _along(square, found.free[part])
        for batch, own in zip(problem.batches, slopes, strict=True):
            Z, same = batch.at_rows(term.Z), batch.same_level[k]
            for S in moved:
                dV = np.matmul(Z @ S, Z.transpose(0, 2, 1))
                own.append((dV if same is None else dV * same)[None])
    return [np.concatenate(own) for own in slopes]


def _correlation_slopes(
    problem: ResidualProblem, found: Evaluation, units: list[UnitCovariances]
) -> list[FloatArray]:
    """Return those in the residual correlation parameters."""
    structure = problem.model.structure
    if structure is None:
        return [np.empty((0, *batch.rows.shape, batch.size)) for batch in problem.batches]
    own, slopes = found.free[problem.model.rho_part], []

    def table(free: FloatArray) -> FloatArray:
        return level_correlations(structure, problem.n_levels, structure.from_free(free))

    moved = _along(table, own) if problem.n_levels else np.empty((len(own), 0))
    for batch, unit in zip(problem.batches, units, strict=True):
        if problem.n_levels:
            rho = found.at.rho
            still = residual_correlations(structure, batch, rho, np.zeros(moved.shape[1]))
            dC = np.array([residual_correlations(structure, batch, rho, row) for row in moved]) - still
        else:
            dC = _along(partial(_correlations_at, structure, batch), own)
        if problem.model.variances:
            dC *= unit.sd[:, :, None] * unit.sd[:, None, :]
        slopes.append(dC.reshape(len(own), *unit.R.shape))
    return slopes


def _correlations_at(structure: ByGroup, batch: Batch, free: FloatArray) -> FloatArray:
    """Return the correlations of the units at optimiser coordinates of rho."""
    return residual_correlations(structure, batch, structure.from_free(free), np.empty(0))


def _deviation_slopes(
    problem: ResidualProblem, found: Evaluation, units: list[UnitCovariances]
) -> list[FloatArray]:
    """Return those in the parameters of the variance functions."""
    model, by_parameter = problem.model, []
    for place, part in enumerate(model.delta_parts):

        def log_sd(own: FloatArray, place: int = place) -> FloatArray:
            return model.variances[place].log_sd(
                model.variances[place].from_free(own), problem.columns[place]
            )

        by_parameter += [by_batch(problem, row, 0.0) for row in _along(log_sd, found.free[part])]
    slopes = []
    for b, unit in enumerate(units):
        moved = np.array([row[b] for row in by_parameter]).reshape(-1, *unit.sd.shape)
        slopes.append(unit.R * (moved[:, :, :, None] + moved[:, :, None, :]))
    return slopes
