"""Where a search begins, and the curvature there: the expected information of the covariance parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.structure import VarianceColumns
from mixedmodels.differences import hessian
from mixedmodels.engines.column_basis import moved_theta
from mixedmodels.engines.residual.batches import Batch, Groups
from mixedmodels.engines.residual.covariance import unit_covariances
from mixedmodels.engines.residual.model import CovarianceModel, Parameters
from mixedmodels.engines.residual.objective import Evaluation, evaluation, gradient, inverted
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.engines.residual.sample import theta_slopes, tied_sample
from mixedmodels.engines.residual.slopes import covariance_slopes
from mixedmodels.formula.design.theta import column_scales

#: Standard deviation of every random effect, in residual standard deviations, before the data are asked.
START_SIZE = 0.4
#: Half the distance of the points of differences of the gradient in free coordinates.
OBSERVED_STEP = 1e-4
#: Units of a batch that curvature is taken from, where each cluster is a unit: they stand for the others.
MOST_UNITS = 200
#: Information about a free coordinate, which is of order one, that a search takes for granted: with none at
#: the start, as about what multiplies a power of zero, the first step would have no length.
LEAST_INFORMATION = 1e-2
#: Least eigenvalue of a Hessian scaled to unit diagonal.
LEAST_CURVATURE = 1e-8


def first_parameters(model: CovarianceModel) -> Parameters:
    """Return where a search begins before the data are asked."""
    theta = []
    for term, basis in zip(model.terms, model.bases, strict=True):
        structure = term.structure
        if structure.is_unstructured:
            theta.append(moved_theta(structure, START_SIZE * basis.inverse, structure.start()))
            continue
        free = structure.to_free(structure.start()) * structure.scales(column_scales(term))
        bounded = structure.is_lower_bound()
        theta.append(structure.from_free(free) * np.where(bounded, START_SIZE, 1.0))
    rho = np.empty(0) if model.structure is None else model.structure.start()
    return Parameters(np.concatenate([np.empty(0), *theta]), rho, tuple(f.start() for f in model.variances))


def search_hessian(problem: ResidualProblem, found: Evaluation, REML: bool) -> FloatArray:
    """Return the Hessian that a search begins with.

    The expected one; of long groups the observed one; beside crossed random effects, whose rows are observed,
    that of the residual parameters expected of some rows.
    """
    if problem.has_matrices:
        return expected_hessian(problem, found)
    if problem.crossed is not None:
        n_theta = problem.model.n_theta
        H = sampled_hessian(problem, found)
        H[:n_theta] = theta_slopes(problem, found, REML, OBSERVED_STEP)
        H[:, :n_theta] = H[:n_theta].T
        return _falling_nowhere(0.5 * (H + H.T))

    def slope(free: FloatArray) -> FloatArray:
        return gradient(problem, evaluation(problem, free, REML), REML)

    return _falling_nowhere(hessian(slope, found.free, np.full(len(found.free), OBSERVED_STEP)))


def _falling_nowhere(H: FloatArray) -> FloatArray:
    """Return a Hessian with directions that it falls along rising as much."""
    values, vectors = np.linalg.eigh(H)
    return np.asarray((vectors * np.abs(values)) @ vectors.T)


def sampled_hessian(problem: ResidualProblem, found: Evaluation) -> FloatArray:
    """Return the expected Hessian of some rows of a model with crossed random effects, as if of all."""
    sample = tied_sample(problem)
    return expected_hessian(sample, evaluation(sample, found.free, False)) * (problem.n / sample.n)


def expected_hessian(problem: ResidualProblem, found: Evaluation) -> FloatArray:
    """Return the expected Hessian of -2 log-likelihood in free coordinates, sigma profiled out, (k, k).

    ``sum_i tr(V_i^-1 dV_i V_i^-1 dV_i') - t t' / n`` with ``t = sum_i tr(V_i^-1 dV_i)``.
    """
    k = len(found.free)
    sample, scales = _sampled(problem)
    units = found.units if sample is problem else unit_covariances(sample, found.at)
    slopes = covariance_slopes(sample, found, units)
    H, traces, n = np.zeros((k, k)), np.zeros(k), 0.0
    for b, (batch, own, scale) in enumerate(zip(sample.batches, slopes, scales, strict=True)):
        inverse = found.inverses[b] if sample is problem else inverted(units[b].V)[0]
        counts = scale * batch.counts
        solved = np.matmul(inverse, own)
        flipped = solved.transpose(0, 1, 3, 2)
        H += (counts[None, :, None, None] * solved).reshape(k, -1) @ flipped.reshape(k, -1).T
        traces += np.einsum("kutt,u->k", solved, counts)
        # Not that of the problem: the rows of the units that stand for all are as many, but not quite.
        n += float(
            counts @ (np.full(len(counts), batch.size) if batch.real is None else batch.real.sum(axis=1))
        )
    return H - np.multiply.outer(traces, traces) / n


def is_sampled(problem: ResidualProblem) -> bool:
    """Tell whether curvature is taken from some of the units alone."""
    return any(batch.M is not None and len(batch.rows) > MOST_UNITS for batch in problem.batches)


def _sampled(problem: ResidualProblem) -> tuple[ResidualProblem, list[float]]:
    """Return the problem with few units of each batch, and how many each of them stands for."""
    sizes = [len(batch.rows) for batch in problem.batches]
    if not is_sampled(problem):
        return problem, [1.0] * len(sizes)
    kept, places, begin = [], [], 0
    for batch in problem.batches:
        U, T = batch.rows.shape
        few = np.arange(U)
        if batch.M is not None and U > MOST_UNITS:
            few = np.linspace(0, U - 1, MOST_UNITS).astype(np.intp)
        kept.append(few)
        places.append((begin + few[:, None] * T + np.arange(T)).ravel())
        begin += U * T
    at = np.concatenate(places)
    columns: tuple[VarianceColumns, ...] = tuple(column.take(at) for column in problem.columns)
    found = tuple(_few_units(batch, few) for batch, few in zip(problem.batches, kept, strict=True))
    sampled = replace(problem, batches=found, columns=columns)
    return sampled, [size / len(few) for size, few in zip(sizes, kept, strict=True)]


def _few_units(batch: Batch, few: IntArray) -> Batch:
    """Return a batch with some of its units."""
    place = np.full(len(batch.rows), -1)
    place[few] = np.arange(len(few))
    return replace(
        batch,
        rows=batch.rows[few],
        counts=batch.counts[few],
        real=None if batch.real is None else batch.real[few],
        groups=tuple(_few_groups(groups, place) for groups in batch.groups),
        same_level=tuple(None if same is None else same[few] for same in batch.same_level),
        M=None if batch.M is None else batch.M[few],
    )


def _few_groups(groups: Groups, place: IntArray) -> Groups:
    """Return the groups that lie in the units kept."""
    kept = place[groups.unit] >= 0
    number = np.cumsum(kept) - 1
    by_arm = tuple((arm, number[members[kept[members]]]) for arm, members in groups.by_arm)
    entries = None if groups.entries is None else groups.entries[kept]
    return Groups(
        place[groups.unit[kept]],
        groups.places[kept],
        groups.positions[kept],
        by_arm,
        entries,
        groups.is_whole,
    )


def curvature(H: FloatArray, held: Sequence[int] = ()) -> FloatArray:
    """Return the inverse of a Hessian as a search uses it: positive definite, flat directions held short.

    Rows and columns of parameters that are held are zero: no step moves them.
    """
    if held:
        found, moving = np.zeros_like(H), np.delete(np.arange(len(H)), held)
        found[np.ix_(moving, moving)] = curvature(H[np.ix_(moving, moving)])
        return found
    scale = np.sqrt(np.maximum(np.abs(H.diagonal()), LEAST_INFORMATION))
    values, vectors = np.linalg.eigh(H / np.multiply.outer(scale, scale))
    root = vectors / scale[:, None] / np.sqrt(np.maximum(values, LEAST_CURVATURE))
    return np.asarray(root @ root.T)
