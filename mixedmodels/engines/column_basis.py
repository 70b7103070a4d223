"""Random slopes on predictors far from zero: an orthogonal basis for the columns of a term.

With an unstructured covariance only the span of a term's columns matters: ``Z b = (Z A)(A^-1 b)``, so a slope
on a calendar year can be fitted as one on the centred year. A is upper triangular, which leaves the last
coefficients what they are, and the factor of the user's coefficients is that of ``A T``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.formula.design.design import RandomTerm

# Condition number of the Gram matrix of unit columns above which they are made orthogonal. Below it nothing
# is gained, and the optimiser works on the user's own parameters.
ILL_CONDITIONED = 1e3
# Diagonal elements below this, relative to their row, are rounding errors of zero.
ROUNDING = 1e-11


def orthogonal_term(term: RandomTerm) -> tuple[RandomTerm, FloatArray | None]:
    """Return the term on orthogonal columns ``Z A`` and A; the term itself and None if it needs no change."""
    if term.size == 1 or not term.structure.is_unstructured:
        return term, None
    scale = np.sqrt(np.einsum("ij,ij->j", term.Z, term.Z))
    if not scale.all():
        return term, None
    gram = (term.Z / scale).T @ (term.Z / scale)
    if np.linalg.cond(gram) < ILL_CONDITIONED:
        return term, None
    Q, R = np.linalg.qr(term.Z / scale)
    if np.abs(np.diagonal(R)).min() < ROUNDING:
        return term, None
    root = np.sqrt(len(term.Z))
    signs = np.where(np.diagonal(R) < 0.0, -1.0, 1.0)
    A = np.linalg.inv(signs[:, None] * R * scale) * root
    # The first column is the user's, so that a column of ones stays one.
    A[:, 0] /= A[0, 0]
    return replace(term, Z=np.column_stack([term.Z[:, 0], (Q * signs * root)[:, 1:]])), A


def inner_theta(structure: CovarianceStructure, A: FloatArray | None, theta: FloatArray) -> FloatArray:
    """Return theta on the orthogonal columns from theta on the user's."""
    if A is None:
        return theta
    return _theta(
        structure, _lower(np.asarray(np.linalg.solve(A, structure.factor(theta)), dtype=np.float64))[0]
    )


def outer_theta(
    structure: CovarianceStructure, A: FloatArray | None, theta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return canonical theta on the user's columns, and the rotation (S, S) of u that goes with it."""
    T = structure.factor(theta)
    if A is None:
        canonical = structure.canonical(theta)
        flipped = np.diagonal(T) * np.diagonal(structure.factor(canonical)) < 0.0
        return canonical, np.diag(np.where(flipped, -1.0, 1.0))
    lower, rotation = _lower(A @ T)
    return _theta(structure, lower), rotation


def _lower(M: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return T and Q with ``M = T Q``, T lower triangular with a non-negative diagonal, Q orthogonal."""
    Q, R = np.linalg.qr(M.T)
    signs = np.where(np.diagonal(R) < 0.0, -1.0, 1.0)
    T = (signs[:, None] * R).T
    size = np.sqrt(np.einsum("ij,ij->i", T, T))
    diagonal = np.diagonal(T)
    return T - np.diag(np.where(diagonal < ROUNDING * size, diagonal, 0.0)), signs[:, None] * Q.T


def _theta(structure: CovarianceStructure, T: FloatArray) -> FloatArray:
    """Return theta of an unstructured factor: its pullback picks the lower triangle."""
    return structure.pullback(np.zeros(structure.n_theta), T)
