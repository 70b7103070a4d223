"""Whether the covariance parameters can be told apart at all, asked before a search begins.

Parameters that move the covariance of the responses alike wherever they stand, as a random intercept and
the correlation of compound symmetry do, make the objective flat along a combination of them: a search goes
round in circles there. The rank of the derivatives of the covariance at a point in general position tells;
parameters that it does not need are held.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.covariance import unit_covariances
from mixedmodels.engines.residual.crossed_changes import STEP, changes_of_crossed
from mixedmodels.engines.residual.model import CovarianceModel
from mixedmodels.engines.residual.objective import Evaluation, evaluation
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.engines.residual.start import expected_hessian, is_sampled, sampled_hessian
from mixedmodels.errors import ConvergenceError

#: Eigenvalue of the expected information, scaled to unit diagonal, below which its direction is flat: the
#: derivatives it is made of are good to ten digits, and their squares enter.
FLAT = 1e-9
#: The same above which it is not flat beyond doubt, whatever rows it is of.
FAR_FROM_FLAT = 1e-6
#: Information about one parameter, of a row, below which the data say nothing of it.
NOTHING = 1e-12
#: Share of the largest element of a flat direction from which a parameter takes part.
NAMED = 0.3
#: Distances to a point in general position along the free coordinates, which are of order one.
ELSEWHERE = (0.31, -0.23, 0.17, -0.37, 0.29, 0.19, -0.13)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Redundant:
    """Combinations of parameters that the covariance does not depend on.

    Attributes
    ----------
    directions : ndarray, shape (k, d)
        Directions along which nothing changes, in units of what a row tells of each parameter.
    held : tuple of int
        Parameters that are held so that all others can be told apart, d of them.
    """

    directions: FloatArray
    held: tuple[int, ...]


def redundant_parameters(problem: ResidualProblem, at: Evaluation, H: FloatArray) -> Redundant | None:
    """Return what a model has too much of, None where nothing.

    Parameters
    ----------
    problem : ResidualProblem
        The problem.
    at : Evaluation
        Where a search begins.
    H : ndarray, shape (k, k)
        Expected Hessian there, of some rows as if of all.
    """
    if tells_apart(H) or not knows_information(problem):
        return None
    # A start may be a special point, as one of no correlation is for ARMA processes.
    moved = at.free + np.resize(ELSEWHERE, len(at.free))
    try:
        there = evaluation(problem, moved, False)
        H = information(problem, there)
    except (np.linalg.LinAlgError, ConvergenceError):
        return None
    directions = flat_directions(problem, there, H) if not tells_apart(H) else np.empty((len(H), 0))
    if not directions.shape[1]:
        return None
    return Redundant(directions, held_parameters(problem.model, directions))


def without(model: CovarianceModel, free: FloatArray, redundant: Redundant) -> FloatArray:
    """Return where to begin: scalar random effects that are held are left out, all else stays where it is."""
    found = free.copy()
    for term, part in zip(model.terms, model.theta_parts, strict=True):
        if term.structure.n_theta == 1 and term.structure.is_unstructured and part.start in redundant.held:
            found[part] = 0.0
    return found


def knows_information(problem: ResidualProblem) -> bool:
    """Tell whether the expected information of a problem is at hand: not that of long groups."""
    return not problem.chains


def information(problem: ResidualProblem, at: Evaluation) -> FloatArray:
    """Return the expected Hessian at a point, of some rows as if of all."""
    return sampled_hessian(problem, at) if problem.crossed is not None else expected_hessian(problem, at)


def tells_apart(H: FloatArray) -> bool:
    """Tell whether a Hessian is far from flat along every direction."""
    scale = np.sqrt(np.maximum(H.diagonal(), 0.0))
    if not (scale > 0.0).all():
        return False
    return bool(np.linalg.eigvalsh(H / np.multiply.outer(scale, scale)).min(initial=1.0) > FAR_FROM_FLAT)


def flat_directions(problem: ResidualProblem, at: Evaluation, H: FloatArray) -> FloatArray:
    """Return directions along which the covariance does not change, in units of information, (k, d).

    What the information H of some rows shows is asked of all rows.
    """
    scaled = null_directions(problem, H)
    if not scaled.shape[1] or not (problem.crossed is not None or is_sampled(problem)):
        return scaled
    free = scaled / _root_information(problem, H)[:, None]
    size = np.linalg.norm(free, axis=0)
    changes = changes_of_crossed if problem.crossed is not None else _changes
    combined = _null_space(*changes(problem, at, free / size)) / size[:, None]
    return np.asarray(np.linalg.qr(scaled @ combined)[0])


def null_directions(problem: ResidualProblem, H: FloatArray) -> FloatArray:
    """Return orthonormal directions that a Hessian is flat along, in units of information, (k, d)."""
    scale = _root_information(problem, H)
    values, vectors = np.linalg.eigh(H / np.multiply.outer(scale, scale))
    return np.asarray(vectors[:, values < FLAT])


def _root_information(problem: ResidualProblem, H: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(np.maximum(H.diagonal(), NOTHING * problem.n)))


def held_parameters(model: CovarianceModel, directions: FloatArray) -> tuple[int, ...]:
    """Return parameters that leave no direction flat when they are held, of random effects where they can."""
    left, held = directions.copy(), []
    for _ in range(directions.shape[1]):
        share = np.linalg.norm(left, axis=1)
        of_random = share[: model.n_theta]
        if of_random.max(initial=0.0) > NAMED * share.max():
            share = of_random
        held.append(int(np.argmax(share)))
        row = left[held[-1]] / np.linalg.norm(left[held[-1]])
        left -= np.multiply.outer(left @ row, row)
    return tuple(held)


def _null_space(change: FloatArray, size: FloatArray) -> FloatArray:
    """Return the combinations of directions whose change is nothing beside its parts, both (d, d)."""
    values, vectors = np.linalg.eigh(size)
    root = vectors / np.sqrt(np.maximum(values, np.finfo(np.float64).tiny))
    found, own = np.linalg.eigh(root.T @ change @ root)
    basis, _ = np.linalg.qr(root @ own[:, found < FLAT])
    return np.asarray(basis)


def _changes(
    problem: ResidualProblem, at: Evaluation, directions: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the information of all rows about directions, sigma profiled out, and that about the scale."""
    d = directions.shape[1]
    A, t = np.zeros((d, d)), np.zeros(d)
    moved = [_moved(problem, at, direction) for direction in directions.T]
    for b, (batch, inverse) in enumerate(zip(problem.batches, at.inverses, strict=True)):
        solved = np.array([np.matmul(inverse, own[b]) for own in moved])
        flipped = solved.transpose(0, 1, 3, 2).reshape(d, -1)
        A += (batch.counts[None, :, None, None] * solved).reshape(d, -1) @ flipped.T
        t += np.einsum("kutt,u->k", solved, batch.counts)
    return A - np.multiply.outer(t, t) / problem.n, problem.n * np.eye(d)


def _moved(problem: ResidualProblem, at: Evaluation, direction: FloatArray) -> list[FloatArray]:
    """Return the derivative of the covariances of the units along a direction, by batch."""
    ends = [
        unit_covariances(problem, problem.model.natural(at.free + sign * STEP * direction))
        for sign in (1.0, -1.0)
    ]
    return [(up.V - down.V) / (2.0 * STEP) for up, down in zip(*ends, strict=True)]
