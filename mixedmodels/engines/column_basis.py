"""An orthogonal basis for the columns of a term, so that a predictor far from zero costs no digits.

Only the product ``Z T`` of a term's columns and its factor enters a model, and with ``Z = Q C``, C lower
triangular, it is ``Q (C T)``: the engine works with the columns of Q, which are orthogonal over the rows, and
with the factor C T, which is lower triangular again and has its zeros where T has them. A random slope on a
calendar year, whose coefficients are nearly collinear with the intercepts, is fitted as easily as any other;
the spherical effects u are the same on both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.lapack import dpotrf

from mixedmodels.absent_rows import AbsentColumns
from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.formula.design.design import RandomTerm

#: A Cholesky pivot of the correlations of a term's columns below this asks for Householder reflections, which
#: keep the digits that squares lose.
CHOLESKY_PIVOT = 1e-4
#: A pivot below this is rounding: the columns are dependent.
DEPENDENT_PIVOT = 1e-11
#: Condition number of the Gram matrix of unit columns above which a search over a generalized model, which is
#: otherwise in the user's own parameters, gains by the change.
ILL_CONDITIONED = 1e3


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ColumnBasis:
    """The change from the columns Z of a term to orthogonal ones, ``Z = Q C``.

    Attributes
    ----------
    C : ndarray, shape (S, S)
        Lower triangular, with a positive diagonal.
    inverse : ndarray, shape (S, S)
        ``C^-1``.
    """

    C: FloatArray
    inverse: FloatArray

    def columns(self, Z: FloatArray) -> FloatArray:
        """Return Q, shape (n, S); a column that is its own basis is not copied."""
        return Z if len(self.C) == 1 and self.C[0, 0] == 1.0 else np.asarray(Z @ self.inverse)


def column_basis(Z: FloatArray) -> ColumnBasis:
    """Return the basis in which the columns of Z, shape (n, S), are orthogonal and of mean square 1.

    Dependent columns keep their directions.
    """
    if isinstance(Z, AbsentColumns):
        Z = Z.triangle * math.sqrt(len(Z.triangle) / len(Z))
    C = _triangle(Z)
    return ColumnBasis(C, 1.0 / C if len(C) == 1 else np.asarray(np.linalg.inv(C), dtype=np.float64))


def _triangle(Z: FloatArray) -> FloatArray:
    """Return C: the Cholesky factor of the Gram matrix, from the last column to the first."""
    S = Z.shape[1]
    if S == 1:
        # One column needs no other; keeping a column of ones as it is keeps its fast paths.
        rms = math.sqrt(float(Z[:, 0] @ Z[:, 0]) / len(Z))
        return np.full((1, 1), rms if rms > 0.0 else 1.0)
    gram = Z.T @ Z / len(Z)
    scale = np.sqrt(np.diagonal(gram))
    if not scale.all():
        return np.eye(S)
    flipped = (gram / np.multiply.outer(scale, scale))[::-1, ::-1]
    lower, info = dpotrf(flipped, lower=1, clean=1)
    if info != 0 or np.diagonal(lower).min() < CHOLESKY_PIVOT:
        lower = _householder(Z / scale / math.sqrt(len(Z)))
        if np.diagonal(lower).min() < DEPENDENT_PIVOT:
            return np.diag(scale)
    return np.ascontiguousarray(lower[::-1, ::-1].T * scale)


def _householder(unit: FloatArray) -> FloatArray:
    """Return the lower Cholesky factor of the Gram matrix of the columns reversed, without forming it."""
    R = np.linalg.qr(unit[:, ::-1], mode="r")
    return np.asarray((np.where(np.diagonal(R) < 0.0, -1.0, 1.0)[:, None] * R).T)


def moved_theta(structure: CovarianceStructure, M: FloatArray, theta: FloatArray) -> FloatArray:
    """Return theta of ``M T(theta)``, M lower triangular, for an unstructured term; linear in theta.

    With C the way in, with its inverse the way out.
    """
    if structure.size == 1:
        return np.asarray(theta * M[0, 0])
    return structure.pullback(theta, M.dot(structure.factor(theta)))


def orthogonal_if_needed(term: RandomTerm) -> tuple[RandomTerm, ColumnBasis | None]:
    """Return an ill-conditioned unstructured term on orthogonal columns, and the basis; others unchanged."""
    if term.size == 1 or not term.structure.is_unstructured or not _is_ill_conditioned(term.Z):
        return term, None
    basis = column_basis(term.Z)
    return replace(term, Z=basis.columns(term.Z)), basis


def _is_ill_conditioned(Z: FloatArray) -> bool:
    scale = np.sqrt(np.einsum("ij,ij->j", Z, Z))
    if not scale.all():
        return False
    return bool(np.linalg.cond((Z / scale).T @ (Z / scale)) >= ILL_CONDITIONED)
