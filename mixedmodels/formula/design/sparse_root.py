"""A square root of a covariance between levels whose inverse is sparse: pedigrees, families, series."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csc_array, csc_matrix, csr_array, diags_array

from mixedmodels.arrays import FloatArray, IndexArray, IntArray
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import NotAvailableError

with on_first_use():
    from mixedmodels.formula.design import sparse_solvers

#: Levels up to which the dense matrix is formed for those who ask for it: 800 MB.
MOST_DENSE = 10_000
#: Columns solved for at once.
COLUMNS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class SparseRoot:
    """L with ``L L' = Q^-1`` for a sparse precision Q, applied by solving with Q's Cholesky factor.

    It stands where L would stand as an array: ``L @ M`` and ``L.T @ M`` never form it. NumPy's functions get
    the dense matrix, as long as there are no more than ``MOST_DENSE`` levels.

    Attributes
    ----------
    precision : csc_array, shape (q, q)
        Q.
    order : ndarray, shape (q,)
        Levels in order of elimination.
    cholesky : csr_array, shape (q, q)
        Lower triangular C with ``C C' = Q`` in that order; ``L = C^-T`` there.
    log_det : float
        ``log|Q|``.
    is_transposed : bool
        Whether this is L' instead.
    """

    precision: csc_array
    order: IntArray
    cholesky: csr_array
    log_det: float
    is_transposed: bool = False

    # NumPy leaves products with it to this class.
    __array_ufunc__ = None

    @property
    def shape(self) -> tuple[int, int]:
        """Levels by levels."""
        return len(self.order), len(self.order)

    @property
    def T(self) -> SparseRoot:
        """The transpose."""
        return SparseRoot(
            self.precision, self.order, self.cholesky, self.log_det, is_transposed=not self.is_transposed
        )

    def __matmul__(self, M: FloatArray) -> FloatArray:
        """Return the product with a vector, a matrix, or each of a stack of matrices."""
        return self._on_columns(M, self._solve)

    def __rmatmul__(self, M: FloatArray) -> FloatArray:
        """Return ``M L``."""
        if M.ndim == 1:
            return self.T @ M
        return np.asarray(np.swapaxes(self.T @ np.swapaxes(M, -1, -2), -1, -2))

    def solve(self, M: FloatArray) -> FloatArray:
        """Return the product of the inverse with a vector or the columns of a matrix."""
        C = self.cholesky if self.is_transposed else self.cholesky.T
        return self._on_columns(M, lambda ordered: np.asarray(C @ ordered))

    def _solve(self, ordered: FloatArray) -> FloatArray:
        C = self.cholesky if self.is_transposed else csr_array(self.cholesky.T)
        return np.asarray(sparse_solvers.spsolve_triangular(C, ordered, lower=self.is_transposed))

    def _on_columns(self, M: FloatArray, apply: Any) -> FloatArray:
        """Apply a function of levels in the order of elimination to the last but one axis."""
        if M.ndim == 1:
            return self._on_columns(M[:, None], apply)[:, 0]
        columns = np.moveaxis(M, -2, 0)
        flat = np.ascontiguousarray(columns.reshape(len(columns), -1)[self.order], dtype=np.float64)
        out = np.empty(flat.shape)
        out[self.order] = apply(flat)
        return np.moveaxis(out.reshape(columns.shape), 0, -2)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        """Return the dense matrix.

        Raises
        ------
        NotAvailableError
            If there are more than ``MOST_DENSE`` levels.
        """
        return np.asarray(self.dense, dtype=dtype)

    def __getitem__(self, index: Any) -> Any:
        """Return rows or elements of the dense matrix."""
        return self.dense[index]

    @cached_property
    def dense(self) -> FloatArray:
        """The dense matrix."""
        if len(self.order) > MOST_DENSE:
            raise NotAvailableError(
                f"this needs the covariance between all {len(self.order)} related levels as a dense matrix; "
                f"it is to be had for {MOST_DENSE} levels at most."
            )
        return self @ np.eye(len(self.order))

    def row_squares(self) -> FloatArray:
        """Return the sums of squares of the rows: of L the variances of the levels, shape (q,)."""
        q, transpose = len(self.order), self.T
        sums = np.empty(q)
        for start in range(0, q, COLUMNS_AT_ONCE):
            stop = min(start + COLUMNS_AT_ONCE, q)
            unit = np.zeros((q, stop - start))
            unit[np.arange(start, stop), np.arange(stop - start)] = 1.0
            sums[start:stop] = ((transpose @ unit) ** 2).sum(axis=0)
        return sums


#: A square root of a known covariance between levels: the lower Cholesky factor, or one that is never formed.
Relationship = FloatArray | SparseRoot


def level_variances(relationship: Relationship) -> FloatArray:
    """Return the variances of the levels, the diagonal of ``L L'``, shape (q,)."""
    if isinstance(relationship, SparseRoot):
        return relationship.row_squares()
    return np.asarray((relationship**2).sum(axis=1))


def same_relationship(one: Relationship, other: Relationship) -> bool:
    """Tell whether two relationships are the same."""
    if isinstance(one, SparseRoot) and isinstance(other, SparseRoot):
        return one.shape == other.shape and abs(one.precision - other.precision).max() == 0.0
    return one is other or np.array_equal(np.asarray(one), np.asarray(other))


def sparse_root(precision: Any) -> SparseRoot | None:
    """Return the root of the inverse of a sparse symmetric matrix, None if that is not positive definite."""
    Q = csc_array(precision, dtype=np.float64)
    lower, pivots, order = _factored(Q)
    if lower is None:
        return None
    C = csr_array(lower @ diags_array(np.sqrt(pivots)))
    return SparseRoot(Q, order, C, float(np.log(pivots).sum()))


def marginal_precision(precision: Any, kept: IndexArray) -> csc_array | None:
    """Return the inverse of the covariance of some levels, given that of all; None if not positive definite.

    The others are eliminated first: what the Cholesky factor has below them belongs to those that are kept.
    """
    Q = csc_array(precision, dtype=np.float64)
    others = np.setdiff1d(np.arange(Q.shape[0]), kept)
    if not len(others):
        return csc_array(Q[kept][:, kept])
    _, _, order = _factored(csc_array(Q[others][:, others]))
    first = np.concatenate([others[order], kept])
    lower, pivots, _ = _factored(csc_array(Q[first][:, first]), "NATURAL")
    if lower is None:
        return None
    C = csr_array(lower)[len(others) :, len(others) :]
    return csc_array(C @ diags_array(pivots[len(others) :]) @ C.T)


def _factored(Q: csc_array, order: Any = "MMD_AT_PLUS_A") -> tuple[csc_array | None, FloatArray, IntArray]:
    """Return unit lower triangular L and pivots, ``L D L' = Q`` in the order returned; L None if D <= 0."""
    try:
        symmetric: Any = {"SymmetricMode": True}
        factor = sparse_solvers.splu(
            csc_matrix(Q), permc_spec=order, diag_pivot_thresh=0.0, options=symmetric
        )
    except RuntimeError:
        return None, np.zeros(0), np.arange(Q.shape[0])
    pivots = factor.U.diagonal()
    placed = np.argsort(factor.perm_c).astype(np.intp)
    is_definite = bool((pivots > 0.0).all()) and np.array_equal(factor.perm_r, factor.perm_c)
    return (csc_array(factor.L) if is_definite else None), pivots, placed
