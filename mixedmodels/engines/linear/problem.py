"""What never changes while a linear mixed model is fitted: the cross-products of its rows.

The rows of the data enter once, in :func:`linear_problem`. X is replaced by orthonormal columns and y by
its least-squares residual, which leaves the random-effects part of the model unchanged and makes every
later number free of the scale and location of predictors and response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.column_basis import ColumnBasis, column_basis
from mixedmodels.engines.linear.one_factor_products import is_plain, plain_products
from mixedmodels.engines.linear.solvers import solver_of
from mixedmodels.engines.linear.system import Equations, Solver
from mixedmodels.engines.orthonormal import OrthonormalBasis, orthonormalize
from mixedmodels.errors import DataError
from mixedmodels.factorization.blocks import amalgamate
from mixedmodels.factorization.constant.cross_products import CrossProducts, RightHandSide
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import column_scales, theta_slices

with on_first_use():
    from mixedmodels.factorization import chain_and_tail, eigenbasis, heavy_levels
    from mixedmodels.factorization.constant import assembly, choose, description

if TYPE_CHECKING:
    from mixedmodels.factorization.heavy_levels import Split

#: Residual sum of squares, relative to that of the response, that is nothing but rounding.
EXACT_FIT = 1e-28
#: Fixed effects from which the products of their orthonormal columns are not formed: the identity, but for
#: rounding of the size of that in all other cross-products.
MANY_FIXED = 50


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LinearProblem:
    """Everything about a linear mixed model that does not change with theta.

    Attributes
    ----------
    terms : tuple of RandomTerm
        Random-effects terms in design order.
    column_bases : tuple of ColumnBasis
        C of each term, ``W^1/2 Z = Q C``: the engine works with the columns of Q and with factors ``C T``.
    equations : Equations
        Cross-products of the columns of Q, of the orthonormal fixed effects and of the weighted residual e of
        y on X, whose products with the fixed effects are zero up to rounding.
    solver : callable
        Solves them at given factors.
    fixed_basis : OrthonormalBasis
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
    column_bases: tuple[ColumnBasis, ...]
    equations: Equations
    solver: Solver
    fixed_basis: OrthonormalBasis
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
        rhs, rss, projection = _enter_response(
            self.pattern, self.fixed_basis, y, self.root_weights, self.offset
        )
        return replace(self, equations=replace(self.equations, rhs=rhs, rss=rss), projection=projection)

    def description(self) -> str:
        """Return the blocks of the factorization and how each is handled, as a printable table."""
        return description.describe(self.pattern, self.equations.A)


def linear_problem(
    y: FloatArray,
    X: FloatArray | ColumnMatrix,
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
    X : ndarray or ColumnMatrix, shape (n, p)
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
    positive = None if weights is None else weights[weights > 0.0]
    n = len(y) if positive is None else len(positive)
    if n <= X.shape[1]:
        raise DataError(
            f"{n} rows with positive weight cannot estimate {X.shape[1]} fixed effects and sigma."
        )
    X = ColumnMatrix.of(X)
    if root is None and eliminate and is_plain(terms, X):
        problem = _plain_problem(y, X, terms[0], offset)
        if problem is not None:
            return problem
    bases, fixed_basis, pattern, A, split = cross_products(X, terms, root, eliminate=eliminate)
    rhs, rss, projection = _enter_response(pattern, fixed_basis, y, root, offset)
    equations = Equations(pattern, A, rhs, rss, split)
    return LinearProblem(
        terms=terms,
        column_bases=bases,
        equations=equations,
        solver=solver_of(equations),
        fixed_basis=fixed_basis,
        projection=projection,
        n=n,
        sum_log_weights=0.0 if positive is None else float(np.log(positive).sum()),
        root_weights=root,
        offset=offset,
        parts=tuple(zip(terms, theta_slices(terms), strict=True)),
        scales=np.concatenate([t.structure.scales(column_scales(t)) for t in terms] or [np.empty(0)]),
    )


def _plain_problem(
    y: FloatArray, X: ColumnMatrix, term: RandomTerm, offset: FloatArray | None
) -> LinearProblem | None:
    """Return the problem of one unweighted term; None where squares of columns lose digits."""
    found = plain_products(y if offset is None else y - offset, X, term)
    if found is None:
        return None
    _require_variation(found.rss, found.total)
    equations = Equations(found.pattern, found.A, found.rhs, found.rss)
    return LinearProblem(
        terms=(term,),
        column_bases=(found.basis,),
        equations=equations,
        solver=solver_of(equations),
        fixed_basis=found.fixed_basis,
        projection=found.projection,
        n=len(y),
        sum_log_weights=0.0,
        root_weights=None,
        offset=offset,
        parts=((term, slice(0, term.structure.n_theta)),),
        scales=term.structure.scales(found.scales),
    )


def cross_products(
    X: FloatArray | ColumnMatrix,
    terms: tuple[RandomTerm, ...],
    root: FloatArray | None,
    *,
    eliminate: bool = True,
) -> tuple[tuple[ColumnBasis, ...], OrthonormalBasis, Pattern, CrossProducts, Split | None]:
    """Return the column bases of the terms, that of X, the pattern, the cross-products and how it was split.

    Parameters
    ----------
    X : ndarray or ColumnMatrix, shape (n, p)
        Fixed-effects matrix of full column rank.
    terms : tuple of RandomTerm
        Random-effects terms.
    root : ndarray, shape (n,), or None
        Square roots of the weights of the rows.
    eliminate : bool
        See :func:`linear_problem`.

    Raises
    ------
    DataError
        If X is rank-deficient.
    """
    fixed_basis = orthonormalize(X, root)
    bases = tuple(column_basis(term.Z if root is None else term.Z * root[:, None]) for term in terms)
    blocks = amalgamate(_engine_terms(terms, bases, root), sparse=eliminate)
    made = eigenbasis.diagonalized(blocks) if eliminate else blocks
    pattern = chain_and_tail.build_pattern(made, eliminate=eliminate)
    apart = heavy_levels.split_heavy(pattern)
    XX = np.eye(X.shape[1]) if X.shape[1] >= MANY_FIXED else None
    if apart is not None:
        split_pattern = chain_and_tail.build_pattern(apart[0])
        layout = choose.choose_layout(split_pattern, X.shape[1])
        if layout is not None:
            A = assembly.fill(
                split_pattern, fixed_basis.columns, fixed_basis.combination, layout=layout, XX=XX
            )
            return bases, fixed_basis, split_pattern.without_rows(), A, apart[1]
    A = assembly.fill(pattern, fixed_basis.columns, fixed_basis.combination, XX=XX)
    return bases, fixed_basis, pattern.without_rows(), A, None


def _engine_terms(
    terms: tuple[RandomTerm, ...], bases: tuple[ColumnBasis, ...], root: FloatArray | None
) -> tuple[RandomTerm, ...]:
    """Return the terms on the columns of Q, their rows multiplied by the square roots of the weights."""
    engine = []
    for term, basis in zip(terms, bases, strict=True):
        Z = basis.columns(term.Z)
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
    # A second pass removes what rounding left of the fixed effects in the residual of a large mean.
    correction = basis.take_out(e, projection)
    left = basis.take_out(e, correction)
    rss = float(e.dot(e))
    _require_variation(rss, total)
    return assembly.right_hand_side(pattern, e, left), rss, projection + correction


def _require_variation(rss: float, total: float) -> None:
    """Raise DataError where the fixed effects leave nothing of the sum of squares of the response."""
    if rss <= EXACT_FIT * total:
        raise DataError("The fixed effects fit the response exactly: there is no variation left to model.")
