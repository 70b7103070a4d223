"""Fixed effects made orthonormal once, so that scale and location of the predictors never matter again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dtrtri

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataError
from mixedmodels.formula.design.column_matrix import ColumnMatrix

#: A Cholesky pivot of the unit-norm columns below this asks for Householder reflections: cross-products of
#: such columns are combined with an error of 1e-16 over its square, and a residual variance may be a share of
#: 1e-8 of the whole.
CHOLESKY_PIVOT = 0.1
#: A pivot this small relative to its column is rank deficiency.
RANK_TOLERANCE = 1e-11
#: Of so few columns their combination is no small part of the memory: it is made for some rows at a time.
FEW_COLUMNS, STRETCH = 8, 65_536
#: Columns from which half of a triangular product is worth being left out.
MANY_COLUMNS = 32


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OrthonormalBasis:
    """Orthonormal columns ``Q = W^1/2 X R^-1`` of a fixed-effects matrix and the way back.

    Q itself is formed only where Householder reflections gave it: it would cost as much memory as X.

    Attributes
    ----------
    columns : ColumnMatrix, shape (n, p)
        Columns with ``Q = columns @ combination``: ``W^1/2 X``, or Q.
    combination : ndarray, shape (p, p)
        ``R^-1`` or I.
    R_inverse : ndarray, shape (p, p)
        Upper triangular.
    log_det_R2 : float
        ``log|R|^2``.
    """

    columns: ColumnMatrix
    combination: FloatArray
    R_inverse: FloatArray
    log_det_R2: float

    @property
    def Q(self) -> FloatArray:
        """The orthonormal columns, shape (n, p)."""
        return self._orthonormal(overwrite=False)

    def taken(self) -> FloatArray:
        """Return Q in the place of the columns, which are lost by it: for those that are nobody else's."""
        return self._orthonormal(overwrite=True)

    def _orthonormal(self, overwrite: bool) -> FloatArray:
        if len(self.columns.pieces) > 1 or self.columns.shape[1] < MANY_COLUMNS:
            return np.asarray(self.columns @ self.combination)
        X = self.columns.dense
        return np.asarray(dtrmm(1.0, self.combination, X.T, trans_a=1, overwrite_b=overwrite).T)

    def project(self, e: FloatArray) -> FloatArray:
        """Return ``Q'e``, shape (p,)."""
        return np.asarray(self.combination.T.dot(self.columns.transposed_times(e)))

    def expand(self, gamma: FloatArray) -> FloatArray:
        """Return ``Q gamma``, shape (n,)."""
        return np.asarray(self.columns @ self.combination.dot(gamma))

    def take_out(self, e: FloatArray, projection: FloatArray) -> FloatArray:
        """Take ``Q projection`` out of e, in its place, and return what is left in the columns, ``Q'e``."""
        beta = self.combination.dot(projection)
        stretch = STRETCH if len(beta) <= FEW_COLUMNS else len(e)
        if len(e) <= stretch:
            e -= self.columns @ beta
            return self.project(e)
        for first in range(0, len(e), stretch):
            rows = slice(first, first + stretch)
            e[rows] -= self.columns.at(rows) @ beta
        return self.project(e)


def orthonormalize(
    X: FloatArray | ColumnMatrix,
    root_weights: FloatArray | None,
    known: tuple[FloatArray, FloatArray | None] | None = None,
) -> OrthonormalBasis:
    """Return an orthonormal basis of the columns of ``W^1/2 X``.

    `known` is what :attr:`ColumnMatrix.unit_cholesky` of them would be, from the same rows in another order.

    Raises
    ------
    DataError
        If the columns are linearly dependent.
    """
    X, p = ColumnMatrix.of(X), X.shape[1]
    weighted = X if root_weights is None else X.scaled(root_weights)
    if p == 0:
        return OrthonormalBasis(weighted, np.zeros((0, 0)), np.zeros((0, 0)), 0.0)
    scale, R = weighted.unit_cholesky if known is None else known
    if not scale.all():
        raise DataError(_dependent(int(np.argmin(scale))))
    pivots = np.zeros(1) if R is None else R.diagonal()
    if R is not None and pivots.min() > CHOLESKY_PIVOT:
        inverse, _ = dtrtri(R, lower=0)
        inverse = inverse / scale[:, None]
        log_det = 2.0 * float(np.log(pivots * scale).sum())
        return OrthonormalBasis(weighted, inverse, inverse, log_det)
    return _householder(weighted.dense, scale)


def _householder(weighted: FloatArray, scale: FloatArray) -> OrthonormalBasis:
    Q, R = np.linalg.qr(weighted / scale)
    pivots = np.abs(np.diagonal(R))
    if pivots.min() < RANK_TOLERANCE:
        raise DataError(_dependent(int(np.argmin(pivots))))
    inverse, _ = dtrtri(R, lower=0)
    log_det = 2.0 * float(np.log(pivots * scale).sum())
    return OrthonormalBasis(ColumnMatrix.of(Q), np.eye(len(R)), inverse / scale[:, None], log_det)


def _dependent(column: int) -> str:
    return (
        f"Column {column + 1} of the fixed-effects matrix depends linearly on the columns before it; "
        "remove it from X."
    )
