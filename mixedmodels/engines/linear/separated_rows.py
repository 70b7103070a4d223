"""The rows of a linear mixed model turned into those its random effects reach and the others.

One orthogonal matrix, free of theta, does it: the rows that the random effects reach have covariance
``V_b = sigma^2 I + U'Z Sigma Z'U`` (U a basis of the columns of Z), those they do not reach ``sigma^2 I``.
Nothing is subtracted after that:

    log|V| = (n - r) log sigma^2 + log|V_b|

and the fixed effects are least squares on both kinds of rows, each over its deviation. Variances are relative
to a reference s^2, the mean square of the response about the fixed effects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.linalg.lapack import dpotrf

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import LOG_2PI
from mixedmodels.errors import DataError

#: Share of its length that is left of a column which depends on others.
DEPENDENT = 1e-10
#: Deviation of a residual, in rounding errors of the largest value of the response, that is none.
ROUNDING_UNITS = 1e3
#: Least pivot of a covariance, relative to the largest, that its sum over terms still holds; rows up to which
#: reflections take its place.
LEAST_PIVOT, MAX_REFLECTED = 1e-5, 400


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SeparatedRows:
    """The rows of a linear mixed model, turned into those its random effects reach and the others.

    Attributes
    ----------
    Z : tuple of ndarray, each (r, q, S)
        Columns of the terms in the rows they reach.
    between : ndarray, shape (r, p + 1)
        Orthonormal fixed effects and response there, the response over s.
    within : ndarray, shape (m, p + 1)
        The other rows, by an orthogonal transformation p + 1 at most.
    n_within : int
        Number of those other rows.
    residual : float
        Mean square of what fixed effects leave of the response in them; nan if they take all of it.
    s : float
        Reference deviation.
    """

    Z: tuple[FloatArray, ...]
    between: FloatArray
    within: FloatArray
    n_within: int
    residual: float
    s: float

    @property
    def is_saturated(self) -> bool:
        """Whether random and fixed effects leave no row to the residual."""
        return math.isnan(self.residual)


def separate_rows(problem: LinearProblem, y: FloatArray) -> SeparatedRows:
    """Turn the rows of a problem and its response.

    Raises
    ------
    DataError
        If the response does not vary but for rounding where the random effects do not reach.
    """
    e = y if problem.offset is None else y - problem.offset
    e = e if problem.root_weights is None else e * problem.root_weights
    largest = float(np.abs(e).max())
    X = problem.fixed_basis.Q
    for _ in range(2):
        e = e - X @ (X.T @ e)
    s = math.sqrt(float(e @ e) / problem.n)
    blocks = [_columns(problem, t) for t in range(len(problem.terms))]
    Z = np.concatenate(blocks, axis=1)
    U, R, _ = scipy.linalg.qr(Z, mode="economic", pivoting=True)
    size = np.abs(R.diagonal())
    U = U[:, : int(np.count_nonzero(size > DEPENDENT * size[0]))]
    both = np.column_stack([X, e / s])
    between = np.asarray(U.T @ both, dtype=np.float64)
    rest = both - U @ between
    rest -= U @ (U.T @ rest)
    inside = np.sqrt(np.einsum("ij,ij->j", rest[:, :-1], rest[:, :-1])) < DEPENDENT
    rest[:, :-1][:, inside] = 0.0
    n_within = problem.n - U.shape[1]
    residual = _mean_square(rest, n_within)
    if residual < (ROUNDING_UNITS * np.finfo(np.float64).eps * largest / s) ** 2:
        raise DataError(_constant(problem))
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    parts = np.split(U.T @ Z, ends, axis=1)
    faces = (part.reshape(len(part), -1, t.size) for part, t in zip(parts, problem.terms, strict=True))
    within = np.asarray(np.linalg.qr(rest, mode="r"), dtype=np.float64)
    return SeparatedRows(tuple(faces), between, within, n_within, residual, s)


def _columns(problem: LinearProblem, t: int) -> FloatArray:
    """Return the columns of a term written out by level, coefficients of a level together, shape (n, q S)."""
    term = problem.terms[t]
    Z = problem.column_bases[t].columns(term.Z)
    Z = Z if problem.root_weights is None else Z * problem.root_weights[:, None]
    full = np.zeros((len(Z), term.n_levels, term.size))
    full[np.arange(len(Z)), term.codes] = Z
    if term.relationship is not None:
        full = np.einsum("nla,lk->nka", full, term.relationship)
    return full.reshape(len(Z), -1)


def _mean_square(rest: FloatArray, n_within: int) -> float:
    """Return the mean square of what X leaves of the response, the last column; nan if no row is left."""
    X, e = rest[:, :-1], rest[:, -1]
    V, s, _ = np.linalg.svd(X, full_matrices=False)
    V = V[:, s > DEPENDENT]
    df = n_within - V.shape[1]
    e = e - V @ (V.T @ e)
    e = e - V @ (V.T @ e)
    return float(e @ e) / df if df > 0 else math.nan


def _constant(problem: LinearProblem) -> str:
    terms = " and ".join(f"({term.expression})" for term in problem.terms)
    groups = " and ".join(dict.fromkeys(term.group for term in problem.terms))
    return (
        f"The response does not vary within the levels of {groups}: fixed effects and {terms} reproduce "
        "every value, which leaves no residual variance. Fit one row for each level, or take a term out."
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SeparatedSolution:
    """The model at one set of variances, all in units of the reference.

    Attributes
    ----------
    objective : float
        REML criterion or -2 log-likelihood of the response over s.
    by_factor : tuple of ndarray, each (S, S)
        Derivative of the objective in the factor of each term.
    by_variance : float
        Derivative in the residual variance.
    L_inverse : ndarray, shape (r, r)
        Inverse of the lower root of the covariance.
    gamma : ndarray, shape (p,)
        Fixed effects.
    root : ndarray, shape (p, p)
        Some R with ``R'R = X'V^-1 X``.
    score : tuple of ndarray, each (q, S)
        ``Z'V^-1 (y - X gamma)`` of each term.
    log_det, log_det_fixed, quadratic : float
        ``log|V|``, ``log|X'V^-1 X|`` and the weighted sum of squares.
    """

    objective: float
    by_factor: tuple[FloatArray, ...]
    by_variance: float
    L_inverse: FloatArray
    gamma: FloatArray
    root: FloatArray
    score: tuple[FloatArray, ...]
    log_det: float
    log_det_fixed: float
    quadratic: float


def solve_separated(
    rows: SeparatedRows, factors: list[FloatArray], variance: float, df: int, REML: bool
) -> SeparatedSolution:
    """Evaluate the criterion and its derivatives at factors of the terms and a residual variance.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the covariance is not positive definite.
    """
    r, p = len(rows.between), rows.between.shape[1] - 1
    L = _root([(Z @ M).reshape(r, -1) for Z, M in zip(rows.Z, factors, strict=True)], variance, r)
    L_inverse = scipy.linalg.solve_triangular(L, np.eye(r), lower=True)
    # The heavy rows first: Householder reflections with column pivoting then keep the digits of the light.
    both = np.concatenate([rows.within / math.sqrt(variance), L_inverse @ rows.between])
    Q, R, order = scipy.linalg.qr(both[:, :p], mode="economic", pivoting=True)
    along = Q.T @ both[:, p]
    left = both[:, p] - Q @ along
    root = np.empty((p, p))
    root[:, order] = R
    m = len(rows.within)
    turned = Q[m:].T @ L_inverse if REML else np.zeros((0, r))
    Py = L_inverse.T @ left[m:]
    M = L_inverse.T @ L_inverse - turned.T @ turned - np.multiply.outer(Py, Py)
    used = float(np.sum(Q[:m] ** 2)) if REML else 0.0
    by_variance = float(np.trace(M)) + (rows.n_within - used - float(left[:m] @ left[:m])) / variance
    by_factor = tuple(_by_factor(Z, T, M) for Z, T in zip(rows.Z, factors, strict=True))
    log_det = rows.n_within * math.log(variance) + 2.0 * float(np.log(L.diagonal()).sum())
    log_det_fixed = 2.0 * float(np.log(np.abs(R.diagonal())).sum())
    quadratic = float(left @ left)
    return SeparatedSolution(
        objective=log_det + REML * log_det_fixed + quadratic + df * LOG_2PI,
        by_factor=by_factor,
        by_variance=by_variance,
        L_inverse=L_inverse,
        gamma=np.linalg.solve(root, along),
        root=root,
        score=tuple(np.tensordot(Z, Py, axes=(0, 0)) for Z in rows.Z),
        log_det=log_det,
        log_det_fixed=log_det_fixed,
        quadratic=quadratic,
    )


def _root(ZM: list[FloatArray], variance: float, r: int) -> FloatArray:
    """Return lower triangular L with ``LL' = variance I + sum ZM ZM'``.

    Where the variance is all that there is in some direction and small beside the rest, the sum has lost it:
    reflections of the parts keep twice the digits.
    """
    V = variance * np.eye(r) + sum(part @ part.T for part in ZM)
    L, info = dpotrf(V, lower=1, clean=1)
    size = L.diagonal()
    if info == 0 and size.min() > LEAST_PIVOT * size.max():
        return np.asarray(L)
    if r > MAX_REFLECTED:
        raise np.linalg.LinAlgError("the covariance of the rows is not positive definite")
    parts = np.concatenate([*(part.T for part in ZM), math.sqrt(variance) * np.eye(r)])
    R = np.asarray(np.linalg.qr(parts, mode="r"))
    return np.asarray((np.where(R.diagonal() < 0.0, -1.0, 1.0)[:, None] * R).T)


def _by_factor(Z: FloatArray, T: FloatArray, M: FloatArray) -> FloatArray:
    """Return ``2 sum_l Z_l'M Z_l T``."""
    r, q, S = Z.shape
    MZ = (M @ Z.reshape(r, q * S)).reshape(r * q, S)
    return 2.0 * Z.reshape(r * q, S).T @ MZ @ T
