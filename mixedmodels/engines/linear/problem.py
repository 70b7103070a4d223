"""What never changes while a linear mixed model is fitted: the cross-products of its rows.

The rows of the data enter once, in :func:`linear_problem`. X is replaced by orthonormal columns and y by
its least-squares residual, which leaves the random-effects part of the model unchanged and makes every
later number free of the scale and location of predictors and response.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.lapack import dpotrf

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.system import Equations, Solver, choose_solver
from mixedmodels.engines.orthonormal import OrthonormalBasis, orthonormalize
from mixedmodels.errors import DataError
from mixedmodels.factorization.blocks import amalgamate
from mixedmodels.factorization.constant.cross_products import RightHandSide, fill, right_hand_side
from mixedmodels.factorization.constant.description import describe
from mixedmodels.factorization.pattern import Pattern, build_pattern
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import column_scales, theta_slices

#: Residual sum of squares, relative to that of the response, that is nothing but rounding.
EXACT_FIT = 1e-28
#: A Cholesky pivot of the correlations of a term's columns below this asks for Householder reflections, which
#: keep the digits that squares lose.
CHOLESKY_PIVOT = 1e-4
#: A pivot below this is rounding: the columns are dependent.
DEPENDENT_PIVOT = 1e-11


@dataclass(frozen=True, slots=True)
class LinearProblem:
    """Everything about a linear mixed model that does not change with theta.

    Attributes
    ----------
    terms : tuple of RandomTerm
        Random-effects terms in design order.
    bases : tuple of ndarray, each (S, S)
        Lower triangular L of each term with ``Z = Q L``: the engine works with the columns of Q, which are
        orthogonal over the rows, and with factors ``L T``.
    inverse_bases : tuple of ndarray, each (S, S)
        Their inverses.
    equations : Equations
        Cross-products of the columns of Q, of the orthonormal fixed effects and of the weighted residual e of
        y on X, whose products with the fixed effects are zero up to rounding.
    solver : callable
        Solves them at given factors.
    basis : OrthonormalBasis
        Orthonormal fixed effects and the way back to the user's X.
    projection : ndarray, shape (p,)
        ``Q'W^1/2 (y - offset)``.
    n : int
        Rows of positive weight.
    sum_log_weights : float
        Sum of the logarithms of the positive weights.
    root_weights, offset : ndarray, shape (n_rows,), or None
        Square roots of the prior weights and the offset.
    parts : tuple of (RandomTerm, slice)
        Every term with its part of theta.
    scales : ndarray, shape (n_theta,)
        Size of every free parameter for an effect of the size of the residual.
    """

    terms: tuple[RandomTerm, ...]
    bases: tuple[FloatArray, ...]
    inverse_bases: tuple[FloatArray, ...]
    equations: Equations
    solver: Solver
    basis: OrthonormalBasis
    projection: FloatArray
    n: int
    sum_log_weights: float
    root_weights: FloatArray | None
    offset: FloatArray | None
    parts: tuple[tuple[RandomTerm, slice], ...]
    scales: FloatArray

    @property
    def pattern(self) -> Pattern:
        """Blocks and the order of their elimination."""
        return self.equations.pattern

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.projection)

    @property
    def n_theta(self) -> int:
        """Number of covariance parameters."""
        return len(self.scales)

    def with_response(self, y: FloatArray) -> LinearProblem:
        """Return the same problem for another response; nothing but its own cross-products is formed."""
        rhs, rss, projection = _enter_response(self.pattern, self.basis, y, self.root_weights, self.offset)
        return replace(self, equations=replace(self.equations, rhs=rhs, rss=rss), projection=projection)

    def description(self) -> str:
        """Return the blocks of the factorization and how each is handled, as a printable table."""
        return describe(self.pattern, self.equations.A)


def linear_problem(
    y: FloatArray,
    X: FloatArray,
    terms: Sequence[RandomTerm],
    weights: FloatArray | None = None,
    offset: FloatArray | None = None,
    *,
    eliminate: bool = True,
) -> LinearProblem:
    """Build everything that never changes during a fit.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Response.
    X : ndarray, shape (n, p)
        Fixed-effects matrix of full column rank.
    terms : sequence of RandomTerm
        Random-effects terms.
    weights, offset : ndarray, shape (n,), or None
        Prior weights (rows of weight zero contribute nothing) and offset.
    eliminate : bool
        False uses one dense matrix for all random effects: the plain algorithm, for comparison.

    Raises
    ------
    DataError
        If X is rank-deficient or no degrees of freedom are left for sigma.
    """
    terms = tuple(terms)
    root = None if weights is None else np.sqrt(weights)
    positive = np.ones(0) if weights is None else weights[weights > 0.0]
    n = len(y) if weights is None else len(positive)
    if n <= X.shape[1]:
        raise DataError(
            f"{n} rows with positive weight cannot estimate {X.shape[1]} fixed effects and sigma."
        )
    basis = orthonormalize(X, root)
    bases = tuple(column_basis(term.Z if root is None else term.Z * root[:, None]) for term in terms)
    inverses = tuple(np.asarray(np.linalg.inv(L), dtype=np.float64) for L in bases)
    pattern = build_pattern(amalgamate(_engine_terms(terms, inverses, root)), eliminate=eliminate)
    A = fill(pattern, basis.columns, basis.combination)
    pattern = pattern.without_rows()
    rhs, rss, projection = _enter_response(pattern, basis, y, root, offset)
    return LinearProblem(
        terms=terms,
        bases=bases,
        inverse_bases=inverses,
        equations=Equations(pattern, A, rhs, rss),
        solver=choose_solver(pattern, X.shape[1]),
        basis=basis,
        projection=projection,
        n=n,
        sum_log_weights=float(np.log(positive).sum()),
        root_weights=root,
        offset=offset,
        parts=tuple(zip(terms, theta_slices(terms), strict=True)),
        scales=np.concatenate([np.empty(0), *(t.structure.scales(column_scales(t)) for t in terms)]),
    )


def column_basis(Z: FloatArray) -> FloatArray:
    """Return lower triangular L with ``Z = Q L`` and the columns of Q orthogonal, of mean square 1.

    Random slopes on a predictor far from zero (a year) make the coefficients of one level almost collinear;
    on the columns of Q they are not. Dependent columns are left as they are.
    """
    S = Z.shape[1]
    if S == 1:
        # One column needs no other; keeping a column of ones as it is keeps its fast paths.
        rms = math.sqrt(float(Z[:, 0] @ Z[:, 0]) / len(Z))
        return np.full((1, 1), rms if rms > 0.0 else 1.0)
    G = Z.T @ Z / len(Z)
    scale = np.sqrt(np.diagonal(G))
    if not scale.all():
        return np.eye(S)
    flipped = (G / np.multiply.outer(scale, scale))[::-1, ::-1]
    C, info = dpotrf(flipped, lower=1, clean=1)
    if info != 0 or np.diagonal(C).min() < CHOLESKY_PIVOT:
        C = _householder(Z / scale / math.sqrt(len(Z)))
        if np.diagonal(C).min() < DEPENDENT_PIVOT:
            return np.diag(scale)
    return np.ascontiguousarray(C[::-1, ::-1].T * scale)


def _householder(unit: FloatArray) -> FloatArray:
    """Return the lower Cholesky factor of the Gram matrix of the columns reversed, without forming it."""
    R = np.linalg.qr(unit[:, ::-1], mode="r")
    return np.asarray((np.where(np.diagonal(R) < 0.0, -1.0, 1.0)[:, None] * R).T)


def _engine_terms(
    terms: tuple[RandomTerm, ...], inverses: tuple[FloatArray, ...], root: FloatArray | None
) -> tuple[RandomTerm, ...]:
    """Return the terms on the columns of Q, their rows multiplied by the square roots of the weights."""
    engine = []
    for term, inverse in zip(terms, inverses, strict=True):
        Z = term.Z if len(inverse) == 1 and inverse[0, 0] == 1.0 else term.Z @ inverse
        engine.append(replace(term, Z=Z if root is None else Z * root[:, None]))
    return tuple(engine)


def _enter_response(
    pattern: Pattern,
    basis: OrthonormalBasis,
    y: FloatArray,
    root: FloatArray | None,
    offset: FloatArray | None,
) -> tuple[RightHandSide, float, FloatArray]:
    """Return the cross-products of the least-squares residual, its sum of squares and the projection."""
    e = y.copy() if offset is None else y - offset
    if root is not None:
        e *= root
    total = float(e.dot(e))
    projection = basis.project(e)
    e -= basis.expand(projection)
    # A second pass removes what rounding left of the fixed effects in the residual of a large mean.
    correction = basis.project(e)
    e -= basis.expand(correction)
    rss = float(e.dot(e))
    if rss <= EXACT_FIT * total:
        raise DataError("The fixed effects fit the response exactly: there is no variation left to model.")
    return right_hand_side(pattern, e, basis.project(e)), rss, projection + correction
