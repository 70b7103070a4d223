"""What never changes while a model with structured residuals is fitted: rows, clusters, cross-products.

X is replaced by orthonormal columns Q and y by its least-squares residual e, as in the engine of linear mixed
models; the rows ``M = [Q, e]`` enter the batches once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.structure import VarianceColumns
from mixedmodels.engines.column_basis import column_basis
from mixedmodels.engines.orthonormal import OrthonormalBasis, orthonormalize
from mixedmodels.engines.residual.batches import (
    Batch,
    batches,
    clusters_of_rows,
    n_levels,
    row_order,
)
from mixedmodels.engines.residual.chains import LONG, Chain, chains_of, is_chained
from mixedmodels.engines.residual.crossed_pattern import CrossedPattern, crossed_pattern
from mixedmodels.engines.residual.model import CovarianceModel, ResidualRows
from mixedmodels.errors import DataError
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import column_scales

#: Residual sum of squares, relative to that of the response, that is nothing but rounding.
EXACT_FIT = 1e-28
#: Rows that crossed random effects may tie together before the sparse way is the faster one.
MOST_TIED = 200


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ResidualProblem:
    """Everything about a model with structured residuals that does not change with its parameters.

    Attributes
    ----------
    model : CovarianceModel
        Covariance parameters.
    rows : ResidualRows
        The rows of positive weight.
    batches : tuple of Batch
        Their clusters.
    chains : tuple of Chain
        Long groups that are whitened row by row.
    columns : tuple of VarianceColumns
        Columns of the variance functions at the rows of the units, one batch after the other.
    basis : OrthonormalBasis
        Orthonormal fixed effects of weighted rows and the way back.
    projection : ndarray, shape (p,)
        ``Q'W^1/2 (y - offset)``.
    M : ndarray, shape (n, p + 1)
        Orthonormal columns and least-squares residual.
    kept : ndarray of int, shape (n,)
        Rows of positive weight among those of the design.
    root_weights : ndarray, shape (n,)
        Square roots of their weights.
    sum_log_weights : float
        Sum of the logarithms of the weights.
    n_levels : int
        Levels of time that correlations are looked up among; 0 where they are not.
    crossed : CrossedPattern or None
        Random effects that are not tied to residual groups: the clusters then are these groups alone.
    """

    model: CovarianceModel
    rows: ResidualRows
    batches: tuple[Batch, ...]
    chains: tuple[Chain, ...]
    columns: tuple[VarianceColumns, ...]
    basis: OrthonormalBasis
    projection: FloatArray
    M: FloatArray
    kept: IntArray
    root_weights: FloatArray
    sum_log_weights: float
    n_levels: int
    crossed: CrossedPattern | None

    @property
    def has_matrices(self) -> bool:
        """Whether the covariances of all responses that belong together are formed."""
        return not self.chains and self.crossed is None

    @property
    def n(self) -> int:
        """Number of rows of positive weight."""
        return len(self.kept)

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.projection)

    def df(self, REML: bool) -> int:
        """Return what the residual sum of squares is divided by."""
        return self.n - self.p if REML else self.n

    def with_columns(self, columns: tuple[VarianceColumns, ...]) -> ResidualProblem:
        """Return the same problem with other columns of the variance functions, shape (n,) each.

        Every cluster is a unit of its own from there on: fitted values differ from row to row.
        """
        rows = replace(self.rows, columns=columns)
        return with_batches(self, rows, self.crossed is not None)


def residual_problem(
    y: FloatArray,
    X: FloatArray,
    rows: ResidualRows,
    terms: Sequence[RandomTerm] = (),
    weights: FloatArray | None = None,
    offset: FloatArray | None = None,
    is_crossed: bool | None = None,
) -> ResidualProblem:
    """Build everything that never changes during a fit.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Response.
    X : ndarray, shape (n, p)
        Fixed-effects matrix of full column rank.
    rows : ResidualRows
        Residual groups, positions and variance functions.
    terms : sequence of RandomTerm
        Random-effects terms.
    weights, offset : ndarray, shape (n,), or None
        Prior weights (rows of weight zero contribute nothing) and offset.
    is_crossed : bool, optional
        Whether random effects stay out of the clusters; by default where they have to.

    Raises
    ------
    DataError
        If X is rank-deficient, the fit exact, or no degrees of freedom are left for sigma.
    """
    weights = np.ones(len(y)) if weights is None else weights
    kept = np.flatnonzero(weights > 0.0)
    if len(kept) <= X.shape[1]:
        raise DataError(
            f"{len(kept)} rows with positive weight cannot estimate {X.shape[1]} fixed effects and sigma."
        )
    root = np.sqrt(weights[kept])
    basis = orthonormalize(X[kept], root)
    response = root * (y if offset is None else y - offset)[kept]
    e, projection = _residual(basis, response)
    own = [_of_rows(term, kept) for term in terms]
    bases = tuple(column_basis(root[:, None] * term.Z) for term in own)
    orthogonal = tuple(replace(t, Z=root[:, None] * b.columns(t.Z)) for t, b in zip(own, bases, strict=True))
    scales = np.concatenate([np.empty(0), *(t.structure.scales(column_scales(t)) for t in own)])
    problem = ResidualProblem(
        model=CovarianceModel(orthogonal, bases, rows.structure, rows.variances, scales),
        rows=rows if len(kept) == len(y) else rows.take(kept),
        batches=(),
        chains=(),
        columns=(),
        basis=basis,
        projection=projection,
        M=np.column_stack([basis.Q, e]),
        kept=kept,
        root_weights=root,
        sum_log_weights=2.0 * float(np.log(root).sum()),
        n_levels=n_levels(rows),
        crossed=None,
    )
    if is_crossed is None:
        is_crossed = must_cross(problem.rows.codes, orthogonal)
    return with_batches(problem, problem.rows, is_crossed)


def must_cross(codes: IntArray, terms: Sequence[RandomTerm]) -> bool:
    """Tell whether random effects have to stay out of the clusters of rows, which they would join.

    They have to where a residual group has several levels, for whitened rows of a level then reach others; or
    where they tie more than a few rows together. Related levels cannot.
    """
    if not terms or any(term.relationship is not None for term in terms):
        return False
    if split_levels(codes, terms) is not None:
        return True
    nested = clusters_of_rows(codes, terms)
    coarsest = max(int(np.bincount(term.codes).max()) for term in terms)
    largest = int(np.bincount(nested).max())
    return largest > max(MOST_TIED, coarsest)


def split_levels(rows_codes: IntArray, terms: Sequence[RandomTerm]) -> RandomTerm | None:
    """Return a term that has several levels within one residual group, None where there is none."""
    for term in terms:
        first = np.full(int(rows_codes.max()) + 1, -1, dtype=np.intp)
        first[rows_codes] = term.codes
        if (first[rows_codes] != term.codes).any():
            return term
    return None


def with_batches(problem: ResidualProblem, rows: ResidualRows, is_crossed: bool) -> ResidualProblem:
    """Return the problem with its clusters found."""
    terms = () if is_crossed else problem.model.terms
    cluster = clusters_of_rows(rows.codes, terms)
    sizes = np.bincount(cluster)
    chains: tuple[Chain, ...] = ()
    if not terms and is_chained(rows.structure) and sizes.max() >= LONG:
        chains = chains_of(problem.M, rows, row_order(rows, cluster), sizes)
        kept = np.flatnonzero(sizes < LONG)
    else:
        kept = np.arange(len(sizes))
    found = batches(problem.M, rows, terms, cluster, kept)
    at = np.concatenate([np.empty(0, dtype=np.intp), *(batch.rows.ravel() for batch in found)])
    columns = tuple(column.take(at) for column in rows.columns)
    crossed = crossed_pattern(rows, problem.model.terms, found) if is_crossed else None
    return replace(problem, rows=rows, batches=found, chains=chains, columns=columns, crossed=crossed)


def _of_rows(term: RandomTerm, kept: IntArray) -> RandomTerm:
    return term if len(kept) == len(term.codes) else replace(term, Z=term.Z[kept], codes=term.codes[kept])


def _residual(basis: OrthonormalBasis, response: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the least-squares residual of the weighted response and its projection."""
    projection = basis.project(response)
    e = response - basis.expand(projection)
    # A second pass removes what rounding left of the fixed effects in the residual of a large mean.
    correction = basis.project(e)
    e -= basis.expand(correction)
    if float(e @ e) <= EXACT_FIT * float(response @ response):
        raise DataError("The fixed effects fit the response exactly: there is no variation left to model.")
    return e, projection + correction
