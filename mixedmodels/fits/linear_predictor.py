"""Random effects on the scale of the linear predictor, and their contribution to each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import term_factors


def random_effects(
    terms: Sequence[RandomTerm], theta: FloatArray, u: Sequence[FloatArray]
) -> tuple[FloatArray, ...]:
    """Return ``b = Lambda u`` of each term, shape (q, S).

    Parameters
    ----------
    terms : sequence of RandomTerm
        Random-effects terms.
    theta : ndarray, shape (k,)
        Covariance parameters.
    u : sequence of ndarray, each (q, S)
        Spherical random effects.
    """
    effects = []
    for term, T, spherical in zip(terms, term_factors(terms, theta), u, strict=True):
        b = spherical @ T.T
        effects.append(b if term.relationship is None else term.relationship @ b)
    return tuple(effects)


def contribution(Z: FloatArray, codes: CodeArray, b: FloatArray) -> FloatArray:
    """Return ``z_i' b_l(i)`` for each row; rows of code -1 (a level not seen) get zero.

    Parameters
    ----------
    Z : ndarray, shape (n, S)
        Model matrix of the term.
    codes : int32 ndarray, shape (n,)
        Level of each row.
    b : ndarray, shape (q, S)
        Random effects.
    """
    values = np.einsum("ns,ns->n", Z, b[codes])
    return np.where(codes < 0, 0.0, values)


def contributions(Z: FloatArray, codes: CodeArray, b: FloatArray) -> FloatArray:
    """Return the same of several sets of random effects, each (q, S): of b, shape (q, S, R), as (n, R)."""
    total = np.zeros((len(Z), b.shape[2]))
    for j in range(Z.shape[1]):
        total += Z[:, j, None] * b[codes, j]
    total[codes < 0] = 0.0
    return total


def linear_predictor(
    X: FloatArray | ColumnMatrix,
    beta: FloatArray,
    offset: FloatArray | None,
    terms: Sequence[RandomTerm],
    b: Sequence[FloatArray],
) -> FloatArray:
    """Return ``X beta + Z b + offset`` at the rows of the design, shape (n,)."""
    eta = X @ beta
    if offset is not None:
        eta = eta + offset
    for term, effects in zip(terms, b, strict=True):
        eta = eta + contribution(term.Z, term.codes, effects)
    return eta
