"""Many responses of one design with one grouping factor: what their fits share, and what each adds.

Levels with equal cross-products ``Z_l'WZ_l`` and ``X'WZ_l`` have equal factors at every T: of their
responses only sums count, ``sum_l r_l`` and ``sum_l r_l r_l'``. A balanced design of any number of levels is
one kind of level, and an evaluation of all its responses costs what one response of one level would, in
vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.engines.linear.looks import may_be_saturated
from mixedmodels.engines.linear.problem import EXACT_FIT, LinearProblem
from mixedmodels.factorization.blocks import Block, term_slices

#: Largest blocks and most fixed effects for which vectors over the responses beat a kernel for each.
MAX_COEFFICIENTS, MAX_FIXED = 4, 16


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LevelKinds:
    """The levels of the grouping factor, equal ones counted.

    Attributes
    ----------
    of_level : ndarray, shape (q,)
        Kind of each level.
    counts : ndarray, shape (G,)
        Levels of each kind.
    faces : ndarray, shape (S, S, G)
        ``Z_l'WZ_l``.
    XZ : ndarray, shape (p, S, G)
        Fixed effects against a level.
    """

    of_level: IntArray
    counts: FloatArray
    faces: FloatArray
    XZ: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BatchProblem:
    """The part of the fits that no response changes.

    Attributes
    ----------
    problem : LinearProblem
        The design.
    kinds : LevelKinds
        Its levels.
    directions : ndarray, shape (k, S, S)
        Derivatives of the block's factor ``L T`` in the free coordinates, on which it depends linearly.
    rows : tuple of csr_array, each (q, n)
        Transposed columns of the block, one for each coefficient.
    """

    problem: LinearProblem
    kinds: LevelKinds
    directions: FloatArray
    rows: tuple[sparse.csr_array, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Responses:
    """The cross-products of R responses with the design; each is the residual of least squares on X.

    Attributes
    ----------
    sums : ndarray, shape (S, G, R)
        ``sum_l r_l`` over the levels of a kind.
    squares : ndarray, shape (S, S, G, R)
        ``sum_l r_l r_l'``.
    X : ndarray, shape (p, R)
        Against the orthonormal fixed effects: zero up to rounding.
    rss : ndarray, shape (R,)
        Sums of squares.
    projection : ndarray, shape (p, R)
        Least-squares estimates in the orthonormal basis.
    is_fitted_exactly : ndarray of bool, shape (R,)
        Responses that the fixed effects reproduce, which have no variation left to model.
    """

    sums: FloatArray
    squares: FloatArray
    X: FloatArray
    rss: FloatArray
    projection: FloatArray
    is_fitted_exactly: BoolArray

    def take(self, which: IntArray) -> Responses:
        """Return some of the responses."""
        return Responses(
            self.sums[..., which],
            self.squares[..., which],
            self.X[:, which],
            self.rss[which],
            self.projection[:, which],
            self.is_fitted_exactly[which],
        )


def batch_problem(problem: LinearProblem) -> BatchProblem | None:
    """Return what the fits of many responses share, or None where they are fitted one by one.

    They are unless there is one grouping factor of unrelated levels, with few coefficients a level and a
    factor T linear in its parameters, and rows enough that no response can be reproduced by the effects.
    """
    pattern = problem.pattern
    if not len(pattern.blocks) == len(pattern.chain) == 1 or may_be_saturated(problem):
        return None
    (block,) = pattern.blocks
    if block.rotation is not None:
        return None
    is_linear = all((term.structure.parameter_at() >= 0).all() for term in problem.terms)
    if not is_linear or block.size > MAX_COEFFICIENTS or problem.p > MAX_FIXED:
        return None
    return BatchProblem(problem, _level_kinds(problem), _directions(problem), _transposed_columns(block))


def _level_kinds(problem: LinearProblem) -> LevelKinds:
    faces, XZ = problem.equations.A.faces[0], problem.equations.A.XZ[0]
    q = faces.shape[2]
    table = np.ascontiguousarray(np.concatenate([faces.reshape(-1, q), XZ.reshape(-1, q)]).T)
    _, first, of_level, counts = np.unique(
        table, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    return LevelKinds(
        of_level.ravel(), counts.astype(np.float64), faces[:, :, first].copy(), XZ[:, :, first].copy()
    )


def _directions(problem: LinearProblem) -> FloatArray:
    """Return the derivative of the block's factor in each free coordinate."""
    (block,) = problem.pattern.blocks
    directions = np.zeros((problem.n_theta, block.size, block.size))
    for k, rows in term_slices(block):
        (term, part), C = problem.parts[k], problem.column_bases[k].C
        for number, unit in zip(range(part.start, part.stop), np.eye(part.stop - part.start), strict=True):
            T = term.structure.factor(unit)
            directions[number, rows, rows] = T if term.structure.is_unstructured else C @ T
    return directions


def _transposed_columns(block: Block) -> tuple[sparse.csr_array, ...]:
    n = len(block.codes)
    order = np.argsort(block.codes, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(block.codes, minlength=block.n_levels))])
    return tuple(
        sparse.csr_array((np.ones(n) if z is None else z[order], order, indptr), shape=(block.n_levels, n))
        for z in block.columns
    )


def enter_responses(batch: BatchProblem, Y: FloatArray) -> Responses:
    """Form the cross-products of the columns of Y, shape (n, R)."""
    problem = batch.problem
    E = Y if problem.offset is None else Y - problem.offset[:, None]
    if problem.root_weights is not None:
        E = E * problem.root_weights[:, None]
    total = np.einsum("nr,nr->r", E, E)
    basis = problem.fixed_basis
    projection = basis.project(E)
    E = E - basis.expand(projection)
    # A second pass removes what rounding left of the fixed effects in the residual of a large mean.
    correction = basis.project(E)
    E -= basis.expand(correction)
    rss = np.einsum("nr,nr->r", E, E)
    r = np.stack([columns @ E for columns in batch.rows])
    return Responses(
        *_by_kind(batch.kinds, r), basis.project(E), rss, projection + correction, rss <= EXACT_FIT * total
    )


def _by_kind(kinds: LevelKinds, r: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sum ``r_l`` and ``r_l r_l'`` over the levels of each kind."""
    S, q, R = r.shape
    G = len(kinds.counts)
    gather = sparse.csr_array((np.ones(q), (kinds.of_level, np.arange(q))), shape=(G, q))
    sums, squares = np.empty((S, G, R)), np.empty((S, S, G, R))
    for i in range(S):
        sums[i] = gather @ r[i]
        for j in range(i + 1):
            squares[i, j] = squares[j, i] = gather @ (r[i] * r[j])
    return sums, squares
