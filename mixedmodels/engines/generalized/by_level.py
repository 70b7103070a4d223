"""Laplace approximation and quadrature of binomial-logit and Poisson-log models with one grouping factor.

The objectives and gradients of laplace_gradient.py and quadrature.py by the compiled loops of
kernels/levels.py: ``-2 log-likelihood = |u|^2 - 2 sum log f + log|Omega|`` at the conditional modes, or with
the log of the sum over nodes in place of the first two terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.generalized.quadrature_grid import no_integral, quadrature_grid
from mixedmodels.factorization.threads import in_threads
from mixedmodels.families.binomial import Binomial
from mixedmodels.families.family import Family
from mixedmodels.families.poisson import Poisson
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.kernels import levels

# Numbers of the families in the kernels.
KINDS: dict[type, int] = {Binomial: 0, Poisson: 1}

#: Rows of the levels that one call of a kernel goes through: some milliseconds, beside which a thread's start
#: is nothing. The pieces do not depend on the threads, so neither do the sums.
PIECE_ROWS = 20_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Piece:
    """Consecutive levels and their rows.

    Attributes
    ----------
    levels, rows : slice
        Which.
    starts : ndarray, shape (levels + 1,)
        First row of each level within the piece; the last is the number of rows.
    """

    levels: slice
    rows: slice
    starts: IntArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LevelRows:
    """Rows sorted by the level of the one grouping factor.

    Attributes
    ----------
    kind : int
        Number of the family in the kernels.
    Z : ndarray, shape (n, S)
        Raw random-effects columns.
    starts : ndarray, shape (q + 1,)
        First row of each level; the last is n.
    pieces : tuple of Piece
        The levels in pieces of many rows.
    """

    kind: int
    Z: FloatArray
    starts: IntArray
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LevelValue:
    """An objective at the conditional modes, and what its gradient is made of.

    Attributes
    ----------
    objective : float
        -2 log-likelihood.
    u : ndarray, shape (q, S)
        Conditional modes.
    residual : ndarray, shape (n,)
        Derivative in eta, the movement of the modes counted; X' times it is that in the fixed effects.
    dT : ndarray, shape (S, S)
        Derivative in the relative covariance factor, in the lower triangle.
    """

    objective: float
    u: FloatArray
    residual: FloatArray
    dT: FloatArray


def has_one_factor(terms: Sequence[RandomTerm]) -> bool:
    """Tell whether all terms belong to the levels of one grouping factor, which are independent."""
    return all(term.group == terms[0].group and term.relationship is None for term in terms)


def level_rows(terms: Sequence[RandomTerm], first_rows: IntArray, family: Family, n: int) -> LevelRows | None:
    """Return rows for the compiled loops, or None if the model is not one for them.

    Parameters
    ----------
    terms : sequence of RandomTerm
        Terms of the model.
    first_rows : ndarray, shape (q,)
        First row of each level of the leading grouping factor.
    family : Family
        Distribution of the response.
    n : int
        Number of rows.
    """
    kind = KINDS.get(type(family))
    if not levels.COMPILED or kind is None or not family.is_canonical or n == 0 or not has_one_factor(terms):
        return None
    Z = np.empty((n, sum(term.size for term in terms)))
    end = 0
    for term in terms:
        start, end = end, end + term.size
        Z[:, start:end] = term.Z
    starts = np.empty(len(first_rows) + 1, dtype=np.intp)
    starts[:-1], starts[-1] = first_rows, n
    return _cut(kind, Z, starts)


def _cut(kind: int, Z: FloatArray, starts: IntArray) -> LevelRows:
    """Return the rows with their levels in pieces of about as many rows as one call takes."""
    if starts[-1] <= PIECE_ROWS:
        every = Piece(slice(0, len(starts) - 1), slice(0, int(starts[-1])), starts)
        return LevelRows(kind, Z, starts, (every,))
    number = starts[:-1] // PIECE_ROWS
    ends = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(number)]
    pieces = tuple(
        Piece(slice(a, b), slice(int(starts[a]), int(starts[b])), starts[a : b + 1] - starts[a])
        for a, b in pairwise(ends)
    )
    return LevelRows(kind, Z, starts, pieces)


def evaluate_levels(
    rows: LevelRows,
    data: tuple[FloatArray, FloatArray],
    constant: float,
    fixed: FloatArray,
    T: FloatArray,
    start: FloatArray | None,
    nAGQ: int,
) -> LevelValue | None:
    """Return -2 log-likelihood and the pieces of its gradient; None if no regular modes are found.

    Parameters
    ----------
    rows : LevelRows
        The random-effects columns by level.
    data : (ndarray, ndarray), each of shape (n,)
        Response and prior weights.
    constant : float
        Part of the log-likelihood that depends on neither eta nor theta.
    fixed : ndarray, shape (n,)
        Linear predictor without the random effects.
    T : ndarray, shape (S, S)
        Relative covariance factor.
    start : ndarray, shape (q, S), optional
        Where the search for the modes starts; zero otherwise.
    nAGQ : int
        1 for the Laplace approximation, or the nodes of quadrature per dimension.

    Raises
    ------
    ConvergenceError
        If a sparse quadrature grid gives a negative integral.
    """
    q, S = len(rows.starts) - 1, len(T)
    T = np.ascontiguousarray(T)
    u = np.zeros((q, S)) if start is None else start.copy()
    residual = np.empty(len(fixed))

    def of_piece(piece: Piece) -> tuple[float, FloatArray] | None:
        here = piece.rows
        y, weights = data[0][here], data[1][here]
        levels_of = (piece.starts, u[piece.levels])
        return _of_piece(
            (rows.kind, y, weights), rows.Z[here], T, levels_of, fixed[here], residual[here], nAGQ
        )

    found = in_threads(of_piece, rows.pieces)
    parts = [part for part in found if part is not None]
    if len(parts) < len(found):
        return None
    objective = sum(part[0] for part in parts) - 2.0 * constant
    return LevelValue(objective, u, residual, sum((part[1] for part in parts[1:]), parts[0][1]))


def _of_piece(
    model: tuple[int, FloatArray, FloatArray],
    Z: FloatArray,
    T: FloatArray,
    at: tuple[IntArray, FloatArray],
    fixed: FloatArray,
    residual: FloatArray,
    nAGQ: int,
) -> tuple[float, FloatArray] | None:
    """Return what some levels add to the objective and to its derivative in T; None without regular modes.

    Parameters
    ----------
    model : (int, ndarray, ndarray)
        Number of the family, response and weights.
    Z, T, fixed, nAGQ
        As in :func:`evaluate_levels`, of these rows.
    at : (ndarray, ndarray)
        First row of each level, and where the search for its modes starts, overwritten by where they are.
    residual : ndarray, shape (m,)
        Filled with the derivative in eta.
    """
    starts, u = at
    q, S = u.shape
    found, half, dT = np.empty((4, len(fixed))), np.empty((q, S, S)), np.zeros((S, S))
    is_found, loglik, squares, log_det = levels.level_modes(*model, fixed, Z, T, starts, u, found, half)
    if not is_found:
        return None
    if nAGQ == 1:
        residual[:] = -2.0 * found[1]
        shift, omega = np.empty((0, S)), np.empty((0, S, S))
        objective = squares - 2.0 * loglik
    else:
        shift, omega = np.empty((q, S)), np.empty((q, S, S))
        grid = quadrature_grid(nAGQ, S)
        log_integral = levels.level_nodes(
            *model, Z, T, starts, u, found, half,
            grid.nodes, grid.log_weights, grid.signs, shift, omega, residual, dT,
        )  # fmt: skip
        if not np.isfinite(log_integral):
            raise no_integral(grid)
        objective = -2.0 * log_integral
    levels.level_gradient(Z, T, starts, u, found, half, shift, omega, residual, dT)
    return objective + log_det, dT
