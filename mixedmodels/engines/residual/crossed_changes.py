"""How the covariance of all rows moves along directions of the parameters, random effects crossed.

The matrix ``V = sum_k Z_k S_k Z_k' + R`` is never formed: of ``<A, B> = tr(A B)`` two random effects need the
cross-products of their columns alone,

    <Z_j A Z_j', Z_k B Z_k'> = sum over pairs of levels of <A C, C B>,  C = Z_j'Z_k,

and a random effect and the residuals the blocks of ``Z_k'RZ_k`` of each level with itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, eye_array, kron

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.batches import Batch
from mixedmodels.engines.residual.covariance import unit_covariances
from mixedmodels.engines.residual.crossed import pattern_of
from mixedmodels.engines.residual.model import Parameters
from mixedmodels.engines.residual.objective import Evaluation
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.formula.design.design import RandomTerm

#: Half the distance of the points of differences along a direction of length one.
STEP = 1e-5
#: Square of a matrix, relative to that of V, as which it counts at least: differences are good to ten digits.
LEAST_SIZE = 1e-9
#: Elements of the matrices of residual groups that are held at once.
MOST_HELD = 2_000_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Symmetric:
    """A matrix of all rows, ``sum_k Z_k S_k Z_k' + R``.

    Attributes
    ----------
    S : list of ndarray, each (S, S)
        Of each random-effects term.
    R : list of ndarray, each (U, T, T)
        Of the units of residual groups, by batch.
    """

    S: list[FloatArray]
    R: list[FloatArray]


def changes_of_crossed(
    problem: ResidualProblem, at: Evaluation, directions: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return inner products of derivatives of V along directions, V taken out, and those of their parts.

    Parameters
    ----------
    problem : ResidualProblem
        A problem with crossed random effects, none of its residual groups long.
    at : Evaluation
        Where.
    directions : ndarray, shape (k, d)
        Directions of length one in free coordinates.

    Returns
    -------
    change, size : ndarray, shape (d, d)
        The first is zero along a combination of the directions that V does not move with, sigma aside.
    """
    V = _covariance(problem, at.at)
    matrices = [*(_moved(problem, at, direction) for direction in directions.T), V]
    products = _products_of_terms(problem, matrices)
    beside = _products_beside(problem, matrices)
    residual = np.array([[_of_units(problem, A.R, B.R) for B in matrices] for A in matrices])
    whole = products.sum(axis=(0, 1)) + beside.sum(axis=0) + beside.sum(axis=0).T + residual
    parts = np.einsum("kkab->ab", products) + residual
    along_V = np.multiply.outer(whole[:-1, -1], whole[-1, :-1]) / whole[-1, -1]
    size = parts[:-1, :-1] + LEAST_SIZE * whole[-1, -1] * np.eye(directions.shape[1])
    return whole[:-1, :-1] - along_V, size


def _covariance(problem: ResidualProblem, at: Parameters) -> Symmetric:
    """Return V at natural parameters."""
    factors = problem.model.factors(at.theta)
    return Symmetric([T @ T.T for T in factors], [unit.R for unit in unit_covariances(problem, at)])


def _moved(problem: ResidualProblem, at: Evaluation, direction: FloatArray) -> Symmetric:
    """Return the derivative of V along a direction."""
    up, down = (
        _covariance(problem, problem.model.natural(at.free + sign * STEP * direction)) for sign in (1.0, -1.0)
    )
    return Symmetric(
        [(a - b) / (2.0 * STEP) for a, b in zip(up.S, down.S, strict=True)],
        [(a - b) / (2.0 * STEP) for a, b in zip(up.R, down.R, strict=True)],
    )


def _products_of_terms(problem: ResidualProblem, matrices: list[Symmetric]) -> FloatArray:
    """Return inner products of the parts of random effects, shape (terms, terms, d, d)."""
    pattern, m = pattern_of(problem), len(matrices)
    columns = [csr_array(pattern.Z[:, pattern.part(k)]) for k in range(len(pattern.sizes))]
    found = np.zeros((len(columns), len(columns), m, m))
    for j, Z_j in enumerate(columns):
        for k, Z_k in enumerate(columns):
            C = csr_array(Z_j.T @ Z_k)
            left = [_of_levels(A.S[j], C.shape[0]) @ C for A in matrices]
            right = [C @ _of_levels(B.S[k], C.shape[1]) for B in matrices]
            found[j, k] = [[float((A * B).sum()) for B in right] for A in left]
    return found


def _of_levels(S: FloatArray, size: int) -> csr_array:
    """Return the block-diagonal matrix of one block S for each level."""
    return csr_array(kron(eye_array(size // len(S)), S))


def _products_beside(problem: ResidualProblem, matrices: list[Symmetric]) -> FloatArray:
    """Return inner products of random effects with residuals, shape (terms, d, d)."""
    terms, m = problem.model.terms, len(matrices)
    found = np.zeros((len(terms), m, m))
    for k, term in enumerate(terms):
        for column, B in enumerate(matrices):
            own = sum(
                (_own_levels(term, batch, R) for batch, R in zip(problem.batches, B.R, strict=True)),
                np.zeros((term.size, term.size)),
            )
            found[k, :, column] = [float(np.sum(A.S[k] * own)) for A in matrices]
    return found


def _own_levels(term: RandomTerm, batch: Batch, R: FloatArray) -> FloatArray:
    """Return the sum over levels of ``Z_l'RZ_l``, Z_l the rows of a level, of one batch, (S, S)."""
    total = np.zeros((term.size, term.size))
    at_once = max(1, MOST_HELD // batch.size**2)
    for begin in range(0, len(batch.members), at_once):
        members, unit = batch.members[begin : begin + at_once], batch.unit_of[begin : begin + at_once]
        codes = np.where(members < 0, -1, term.codes[members])
        Z = term.Z[members] * (members >= 0)[:, :, None]
        own = R[unit] * (codes[:, :, None] == codes[:, None, :])
        total += np.einsum("ktr,kts->rs", Z, np.matmul(own, Z))
    return total


def _of_units(problem: ResidualProblem, A: list[FloatArray], B: list[FloatArray]) -> float:
    """Return the inner product of two matrices of the residuals, rows that are not there left out."""
    total = 0.0
    for batch, a, b in zip(problem.batches, A, B, strict=True):
        own = np.einsum("ust,ust->u", a, b)
        if batch.real is not None:
            # Of V itself rows that are not there have variance 1; of derivatives they have none.
            own = own - np.einsum("utt,utt,ut->u", a, b, (~batch.real).astype(np.float64))
        total += float(own @ batch.counts)
    return total
