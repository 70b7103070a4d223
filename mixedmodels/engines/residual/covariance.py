"""Covariance matrices of the units from the parameters, and derivatives pulled back to the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.covariance.residual.by_group import ByGroup
from mixedmodels.engines.residual.batches import Batch, Groups
from mixedmodels.engines.residual.model import CovarianceModel, Parameters, Slopes
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.errors import ConvergenceError

#: Correlation and variance of rows that are not there.
ABSENT = np.array([0.0, 1.0])
#: Logarithm of a relative standard deviation beyond which its square is no number to compute with.
LARGEST_LOG_SD = 300.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class UnitCovariances:
    """Covariances of the units of one batch over sigma^2.

    Attributes
    ----------
    V : ndarray, shape (U, T, T)
        Of the responses, prior weights left out.
    R : ndarray, shape (U, T, T)
        Of the residuals alone; the same array without random effects.
    sd : ndarray, shape (U, T)
        Relative standard deviations of the residuals.
    """

    V: FloatArray
    R: FloatArray
    sd: FloatArray


def unit_covariances(problem: ResidualProblem, at: Parameters) -> list[UnitCovariances]:
    """Return the covariances of the units of every batch."""
    model = problem.model
    all_sd = deviations(problem, at.delta)
    table = level_correlations(model.structure, problem.n_levels, at.rho)
    factors = model.factors(at.theta)
    found = []
    for batch, sd in zip(problem.batches, all_sd, strict=True):
        R = residual_correlations(model.structure, batch, at.rho, table)
        if model.variances:
            R *= sd[:, :, None] * sd[:, None, :]
        found.append(UnitCovariances(_with_random(model, batch, factors, R), R, sd))
    return found


def deviations(problem: ResidualProblem, delta: Sequence[FloatArray]) -> list[FloatArray]:
    """Return the relative standard deviations of the rows of the units, (U, T) by batch."""
    functions = problem.model.variances
    log_sd = np.zeros(sum(batch.rows.size for batch in problem.batches))
    for f, own, columns in zip(functions, delta, problem.columns, strict=True):
        log_sd += f.log_sd(own, columns)
    if len(log_sd) and not np.abs(log_sd).max() < LARGEST_LOG_SD:
        raise ConvergenceError("relative standard deviations run out of range")
    return by_batch(problem, np.exp(log_sd), 1.0)


def by_batch(problem: ResidualProblem, values: FloatArray, absent: float) -> list[FloatArray]:
    """Return values of the rows of the units, one batch after the other, as (U, T) by batch.

    Rows that are not there have the value `absent`.
    """
    found, begin = [], 0
    for batch in problem.batches:
        own = values[begin : begin + batch.rows.size].reshape(batch.rows.shape)
        found.append(own if batch.real is None else np.where(batch.real, own, absent))
        begin += batch.rows.size
    return found


def level_correlations(structure: ByGroup | None, levels: int, rho: FloatArray) -> FloatArray:
    """Return the correlations of all levels in each arm, then `ABSENT`; empty where there are none."""
    if structure is None or not levels:
        return np.empty(0)
    everywhere = np.arange(levels)[None]
    arms = [rho[structure.of_arm(arm)] for arm in range(len(structure.arms))]
    tables = [structure.structure.correlation(own, everywhere).ravel() for own in arms]
    return np.concatenate([*tables, ABSENT])


def residual_correlations(
    structure: ByGroup | None, batch: Batch, rho: FloatArray, table: FloatArray
) -> FloatArray:
    """Return C of every unit, shape (U, T, T), zero between residual groups."""
    U, T = batch.rows.shape
    if structure is None:
        R = np.zeros((U, T, T))
        R[:, np.arange(T), np.arange(T)] = 1.0
        return R
    if batch.groups[0].is_whole:
        C = _correlations(structure, batch.groups[0], rho, table)
        return C if batch.real is None or len(table) else _without_absent(batch.real, C)
    R = np.zeros((U, T, T))
    R[:, np.arange(T), np.arange(T)] = 1.0
    for groups in batch.groups:
        R[block(groups)] = _correlations(structure, groups, rho, table)
    return R


def _without_absent(real: BoolArray, C: FloatArray) -> FloatArray:
    """Return C with rows that are not there uncorrelated, of variance one."""
    C[~(real[:, :, None] & real[:, None, :])] = 0.0
    unit, place = np.nonzero(~real)
    C[unit, place, place] = 1.0
    return C


def block(groups: Groups) -> tuple[IntArray, IntArray, IntArray]:
    """Return the index of the blocks of some groups in matrices of the units."""
    return groups.unit[:, None, None], groups.places[:, :, None], groups.places[:, None, :]


def _correlations(structure: ByGroup, groups: Groups, rho: FloatArray, table: FloatArray) -> FloatArray:
    """Return the correlation matrices of residual groups of one size."""
    if groups.entries is not None:
        return table[groups.entries]
    G, t = groups.places.shape
    C = np.empty((G, t, t))
    for arm, members in groups.by_arm:
        own = rho[structure.of_arm(arm)]
        C[members] = structure.structure.correlation(own, groups.positions[members])
    return C


def _with_random(
    model: CovarianceModel, batch: Batch, factors: Sequence[FloatArray], R: FloatArray
) -> FloatArray:
    """Return ``R + Z Lambda Lambda' Z'`` of every unit."""
    V = R
    if not batch.same_level:  # random effects that stay out of the clusters
        return V
    for term, factor, same in zip(model.terms, factors, batch.same_level, strict=True):
        ZT = batch.at_rows(term.Z) @ factor
        own = np.matmul(ZT, ZT.transpose(0, 2, 1))
        V = V + (own if same is None else own * same)
    return V


def pulled_back(
    problem: ResidualProblem, at: Parameters, units: Sequence[UnitCovariances], dV: Sequence[FloatArray]
) -> Slopes:
    """Return the derivatives of a function of the covariances whose derivatives in V are `dV`.

    Parameters
    ----------
    problem : ResidualProblem
        The problem.
    at : Parameters
        Where.
    units : list of UnitCovariances
        The covariances there.
    dV : list of ndarray, each (U, T, T)
        Symmetric, by batch.
    """
    model = problem.model
    factors = model.factors(at.theta)
    slopes = [np.zeros_like(factor) for factor in factors]
    for batch, own in zip(problem.batches, dV, strict=True):
        if not batch.same_level:
            continue
        for k, (term, factor, same) in enumerate(zip(model.terms, factors, batch.same_level, strict=True)):
            slopes[k] += _factor_slope(batch.at_rows(term.Z), factor, own if same is None else own * same)
    rho = np.empty(0) if model.structure is None else _correlation_slopes(problem, at.rho, units, dV)
    return Slopes(tuple(slopes), rho, _deviation_slopes(problem, at.delta, units, dV))


def _factor_slope(Z: FloatArray, factor: FloatArray, dV: FloatArray) -> FloatArray:
    """Return the derivative in T of a function of ``Z T T' Z'``."""
    flat = Z.reshape(-1, Z.shape[2])
    middle = flat.T @ np.matmul(dV, Z).reshape(flat.shape)
    return np.asarray(2.0 * middle @ factor)


def _deviation_slopes(
    problem: ResidualProblem,
    delta: Sequence[FloatArray],
    units: Sequence[UnitCovariances],
    dV: Sequence[FloatArray],
) -> tuple[FloatArray, ...]:
    """Return the derivatives in the parameters of the variance functions."""
    functions = problem.model.variances
    if not functions:
        return ()
    by_row = []
    for batch, unit, own in zip(problem.batches, units, dV, strict=True):
        slope = 2.0 * (own * unit.R).sum(axis=2)
        by_row.append((slope if batch.real is None else slope * batch.real).ravel())
    dlog_sd = np.concatenate([np.empty(0), *by_row])
    triples = zip(functions, delta, problem.columns, strict=True)
    return tuple(f.pullback(own, columns, dlog_sd) for f, own, columns in triples)


def _correlation_slopes(
    problem: ResidualProblem, rho: FloatArray, units: Sequence[UnitCovariances], dV: Sequence[FloatArray]
) -> FloatArray:
    """Return the derivatives in rho."""
    structure, levels = problem.model.structure, problem.n_levels
    assert structure is not None
    total = np.zeros(len(rho))
    table = np.zeros(len(structure.arms) * levels * levels + len(ABSENT))
    for batch, unit, own in zip(problem.batches, units, dV, strict=True):
        dR = own * (unit.sd[:, :, None] * unit.sd[:, None, :]) if problem.model.variances else own
        for groups in batch.groups:
            dC = dR if groups.is_whole else dR[block(groups)]
            if groups.entries is not None:
                table += np.bincount(groups.entries.ravel(), dC.ravel(), len(table))
                continue
            if groups.is_whole and batch.real is not None:
                dC = dC * (batch.real[:, :, None] & batch.real[:, None, :])
            for arm, members in groups.by_arm:
                part = structure.of_arm(arm)
                total[part] += structure.structure.pullback(rho[part], groups.positions[members], dC[members])
    if levels:
        for arm, dC in enumerate(table[: -len(ABSENT)].reshape(-1, 1, levels, levels)):
            part = structure.of_arm(arm)
            total[part] += structure.structure.pullback(rho[part], np.arange(levels)[None], dC)
    return total
