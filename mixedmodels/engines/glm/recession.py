"""Directions along which a likelihood never falls: linear programs, and what a fit has lost sight of.

A direction d of the coefficients moves the linear predictor of row i by x_i'd. Rows that gain when their
predictor moves one way may move that way, rows that are silent may move as they like, all others must stay.
The likelihood has no maximum at finite coefficients if such a d moves any row that gains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf, dpotrs

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.engines.orthonormal import CHOLESKY_PIVOT
from mixedmodels.engines.weighted_gram import weighted_gram
from mixedmodels.formula.design.column_matrix import ColumnMatrix

# Moves of a row by an orthonormal basis, its largest being of order one, that are rounding; the linear
# programs are solved to a hundredth of it.
MOVED = 1e-8
PRECISE = 1e-10
# Information about the linear predictor at or below which nothing is known of it: a standard error of 1000,
# more than from one end of any range to the other.
LOST = 1e-6
# Newton's steps towards pulls that prove that there is no direction, and the longest for any row: from a fit
# without random effects none is needed, from one with them two or three.
MOST_CORRECTIONS, LONGEST_CORRECTION = 8, 2.0
# Least pull to begin with, relative to the mean one: what rounding leaves could move a row that has less.
LEAST_PULL = 1e-3


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Directions:
    """A space of directions of the coefficients.

    Attributes
    ----------
    moved : ndarray, shape (n,)
        Rows that they move.
    columns : ndarray, shape (p,)
        Coefficients that they move.
    """

    moved: BoolArray
    columns: BoolArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Recession:
    """Where a likelihood rises without end.

    Attributes
    ----------
    moved : ndarray, shape (n,)
        All rows that some direction moves the way they gain.
    direction : ndarray, shape (p,)
        One direction, in the orthonormal basis.
    space : ndarray, shape (p, k)
        The directions that the rows left behind do not determine.
    """

    moved: BoolArray
    direction: FloatArray
    space: FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class Basis:
    """An orthonormal basis Q of the columns of X.

    Attributes
    ----------
    columns : ndarray, shape (n, p)
        X, or Q where Householder reflections gave it.
    triangle : ndarray, shape (p, p)
        Upper triangular: ``columns = Q triangle``.
    R : ndarray, shape (p, p)
        Upper triangular: the columns of X, each scaled to a largest value of one, are ``Q R``.
    """

    columns: FloatArray
    triangle: FloatArray
    R: FloatArray

    @cached_property
    def Q(self) -> FloatArray:
        """The orthonormal columns, shape (n, p); formed when they are asked for."""
        return np.asarray(dtrsm(1.0, self.triangle, self.columns, side=1, lower=0))

    def columns_of(self, directions: FloatArray) -> BoolArray:
        """Return the coefficients that directions in the basis, shape (p, k), move."""
        if not directions.shape[1]:
            return np.zeros(len(self.R), dtype=bool)
        moves = np.abs(solve_triangular(self.R, directions))
        return np.asarray(np.any(moves > MOVED * np.maximum(moves.max(axis=0), 1.0), axis=1))

    def rows_of(self, directions: FloatArray) -> BoolArray:
        """Return the rows that directions in the basis, shape (p, k), move."""
        return np.asarray(np.any(np.abs(self.Q @ directions) > MOVED, axis=1))


def basis_of(X: FloatArray | ColumnMatrix) -> Basis:
    """Return the orthonormal basis of a matrix of full column rank."""
    X = ColumnMatrix.of(X)
    lengths, R = X.unit_cholesky
    scale = np.maximum(X.dense.max(axis=0), -X.dense.min(axis=0))
    scale[scale == 0.0] = 1.0
    if R is not None and np.all(R.diagonal() > CHOLESKY_PIVOT):
        # Columns far from dependent: as good as Householder's, at a fifth of the cost.
        return Basis(X.dense, R * lengths, R * (lengths / scale))
    Q, R = np.linalg.qr(X.dense / scale)
    return Basis(Q, np.eye(len(R)), R)


def unseen(basis: Basis, telling: BoolArray) -> Directions | None:
    """Return the directions that move no row that tells about its mean, or None if there is none."""
    if telling.all():
        return None
    null = null_space(basis.Q[telling])
    return Directions(basis.rows_of(null), basis.columns_of(null)) if null.shape[1] else None


def recession(Q: FloatArray, sign: IntArray, silent: BoolArray) -> Recession | None:
    """Return the directions along which the likelihood never falls and somewhere rises, or None.

    Parameters
    ----------
    Q : ndarray, shape (n, p)
        Orthonormal basis of the columns of X.
    sign : ndarray, shape (n,)
        Which way the row may move: 1 up, -1 down, 0 not at all.
    silent : ndarray, shape (n,)
        Rows that may move both ways and gain nothing.

    References
    ----------
    Konis (2007), DPhil thesis, University of Oxford; Correia, Guimaraes & Zylkin (2019), arXiv:1903.01633.
    """
    within = null_space(Q[(sign == 0) & ~silent])
    moved, total = np.zeros(len(sign), dtype=bool), np.zeros(Q.shape[1])
    while within.shape[1]:
        free = np.flatnonzero((sign != 0) & ~silent & ~moved)
        direction = _gaining(Q[free] * sign[free, None], within)
        if direction is None:
            break
        moved[free] = Q[free] @ direction * sign[free] > MOVED
        total += direction
    if not moved.any():
        return None
    return Recession(moved, total, null_space(Q[~moved & ~silent]))


def is_held(
    X: FloatArray, sign: IntArray, silent: BoolArray, pull: FloatArray, R: FloatArray | None = None
) -> bool:
    """Tell whether the pulls of a fit on its rows prove that no such direction exists.

    Pulls u with ``X'u = 0`` that push each row the way it may move hold every direction back: along z the sum
    of ``u_i x_i'z`` is zero, and none of its terms is negative (Stiemke's lemma). The derivatives of a
    log-likelihood at finite estimates are such pulls. Others are made so by Newton's steps on
    ``sum |u_i| exp(-s_i x_i'z)``, which has a minimum just where there are such pulls.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Columns, orthonormal unless `R` is given.
    sign, silent
        As for :func:`recession`.
    pull : ndarray, shape (n,)
        Derivatives of the log-likelihood in the linear predictor, at any parameters.
    R : ndarray, shape (p, p), optional
        Upper triangular with orthonormal columns in ``X R^-1``.

    Returns
    -------
    bool
        False where it is not proved.
    """
    pushed = (sign != 0) & ~silent
    if (
        not pull[silent].any()
        and np.all(pull[pushed] * sign[pushed] > 0.0)
        and _are_pulls(X, R, pushed, pull)
    ):
        return True
    way = np.where(sign != 0, sign, np.sign(pull))
    size = np.maximum(np.abs(pull), LEAST_PULL * np.abs(pull).mean())
    size[silent] = 0.0
    for _ in range(MOST_CORRECTIONS):
        factor, info = dpotrf(weighted_gram(X, size), lower=1)
        if info != 0 or not np.isfinite(size).all():
            return False
        step, _ = dpotrs(factor, X.T @ (way * size), lower=1)
        against = way * (X @ step)
        if np.all(against[sign != 0] < 1.0):
            return _are_pulls(X, R, pushed, way * (size * (1.0 - against)))
        size *= np.exp(-np.clip(against, -LONGEST_CORRECTION, LONGEST_CORRECTION))
    return False


def _are_pulls(X: FloatArray, R: FloatArray | None, pushed: BoolArray, pull: FloatArray) -> bool:
    """Tell whether pulls balance, by far more than what rounding leaves could let a pushed row move."""
    left = X.T @ pull
    if R is not None:
        left = solve_triangular(R, left, trans=1)
    most = np.sqrt(X.shape[1]) * float(np.linalg.norm(left))
    return bool(np.all(np.abs(pull[pushed]) * MOVED > most))


def lost(basis: Basis, information: FloatArray) -> Directions | None:
    """Return the directions of which the rows of a fit, each with its information, say nothing, or None."""
    values, vectors = np.linalg.eigh(basis.Q.T @ (basis.Q * np.maximum(information, 0.0)[:, None]))
    reach = np.abs(basis.Q @ vectors).max(axis=0)
    null = vectors[:, values <= LOST * reach**2]
    return Directions(basis.rows_of(null), basis.columns_of(null)) if null.shape[1] else None


def null_space(rows: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the directions that move none of the rows, shape (p, k)."""
    p = rows.shape[1]
    if not len(rows):
        return np.eye(p)
    R = np.linalg.qr(rows, mode="r") if len(rows) > p else rows
    _, values, Vt = np.linalg.svd(R)
    return np.asarray(Vt[np.count_nonzero(values > MOVED) :].T)


def _gaining(gains: FloatArray, space: FloatArray) -> FloatArray | None:
    """Return a direction in a space along which no row of `gains` falls and the sum rises, or None."""
    if not len(gains) or not space.shape[1]:
        return None
    moves = gains @ space
    moves = moves[np.abs(moves).max(axis=1) > MOVED]
    if not len(moves):
        return None
    if space.shape[1] == 1:
        way = np.sign(moves[0, 0])
        return np.asarray(space[:, 0] * way) if np.all(moves * way > 0.0) else None
    z = _largest_gain(moves)
    return None if z is None or float((moves @ z).max()) <= MOVED else np.asarray(space @ z)


def _largest_gain(moves: FloatArray) -> FloatArray | None:
    """Return z with |z| <= 1 and moves z >= 0 that gains most in sum."""
    # SciPy's optimisers take a tenth of a second to import, and only doubtful fits come here.
    from scipy.optimize import linprog

    rows = np.unique(np.round(moves, 13), axis=0)
    found = linprog(
        c=-rows.sum(axis=0),
        A_ub=-rows,
        b_ub=np.zeros(len(rows)),
        bounds=(-1.0, 1.0),
        method="highs",
        options={"primal_feasibility_tolerance": PRECISE, "dual_feasibility_tolerance": PRECISE},
    )
    return np.asarray(found.x) if found.status == 0 else None
