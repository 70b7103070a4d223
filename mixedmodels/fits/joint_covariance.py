"""The joint covariance of random and fixed effects, entry by entry: for predictions and leverages.

Given theta, the errors of (b, beta) have covariance ``sigma^2 C`` with C the inverse of Henderson's (1975)
mixed-model equations. A row ``z'b + x'beta`` touches the few entries of C between the levels that it names,
which the factorization of the fit gives without ever forming C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.engines.column_basis import ColumnBasis
from mixedmodels.engines.linear.problem import LinearProblem, cross_products
from mixedmodels.factorization.blocks import Block, block_factor
from mixedmodels.factorization.constant.blocked import factorize
from mixedmodels.factorization.constant.cross_products import CrossProducts
from mixedmodels.factorization.constant.inverse_entries import InverseEntries, inverse_entries
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import term_factors


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class JointCovariance:
    """C, the joint covariance of (b, beta) over sigma^2, ready to be read anywhere.

    Attributes
    ----------
    factors : tuple of ndarray
        T of each term.
    column_bases : tuple of ColumnBasis
        The columns that the factorization works with in place of those of each term.
    R_inverse : ndarray, shape (p, p)
        The same for X.
    entries : InverseEntries
        C on those columns.
    """

    factors: tuple[FloatArray, ...]
    column_bases: tuple[ColumnBasis, ...]
    R_inverse: FloatArray
    entries: InverseEntries


def covariance_of_problem(problem: LinearProblem, theta: FloatArray) -> JointCovariance:
    """Return C of a linear mixed model at theta, from its cross-products."""
    A = problem.equations.A
    return _covariance(
        problem.terms, problem.column_bases, problem.fixed_basis.R_inverse, problem.pattern, A, theta
    )


def covariance_of_rows(
    X: FloatArray, terms: Sequence[RandomTerm], theta: FloatArray, weights: FloatArray
) -> JointCovariance:
    """Return C at theta and weights of the rows.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Fixed-effects matrix.
    terms : sequence of RandomTerm
        Random-effects terms.
    theta : ndarray, shape (k,)
        Covariance parameters.
    weights : ndarray, shape (n,)
        Information of each row at the mode of a generalized model, not negative.

    Raises
    ------
    DataError
        If the weighted X is rank-deficient.
    """
    terms = tuple(terms)
    bases, fixed_basis, pattern, A, _ = cross_products(X, terms, np.sqrt(weights))
    return _covariance(terms, bases, fixed_basis.R_inverse, pattern, A, theta)


def _covariance(
    terms: tuple[RandomTerm, ...],
    bases: tuple[ColumnBasis, ...],
    R_inverse: FloatArray,
    pattern: Pattern,
    A: CrossProducts,
    theta: FloatArray,
) -> JointCovariance:
    T = tuple(term_factors(terms, theta))
    moved = [basis.C @ factor for basis, factor in zip(bases, T, strict=True)]
    factor = factorize(pattern, A, [block_factor(block, moved) for block in pattern.blocks])
    return JointCovariance(T, bases, R_inverse, inverse_entries(factor))


def row_variances(
    covariance: JointCovariance, X: FloatArray, random: Sequence[tuple[FloatArray, CodeArray]]
) -> FloatArray:
    """Return ``[z' x'] C [z' x']'`` of each row, shape (m,).

    A row at a level that was not seen adds ``z' T T' z``, the variance of a new level's effects.

    Parameters
    ----------
    covariance : JointCovariance
        C.
    X : ndarray, shape (m, p)
        Fixed-effects rows.
    random : sequence of (Z, codes)
        Random-effects rows by term, codes -1 for new levels. An empty Z row leaves a term out.
    """
    entries, rows = covariance.entries, X @ covariance.R_inverse
    variances = np.einsum("ij,ij->i", rows @ entries.fixed, rows)
    blocks = [
        (number, *block_rows(block, covariance.column_bases, random))
        for number, block in enumerate(entries.pattern.blocks)
    ]
    blocks = [(number, Z, codes) for number, Z, codes in blocks if Z.any()]
    for place, (number, Z, codes) in enumerate(blocks):
        variances += _own(entries, number, Z, codes, rows)
        for other, W, levels in blocks[:place]:
            both = np.flatnonzero(Z.any(axis=0) & W.any(axis=0))
            if len(both):
                V = entries.between(number, other, codes[both], levels[both])
                variances[both] += 2.0 * np.einsum("si,sti,ti->i", Z[:, both], V, W[:, both])
    for T, (Z, codes) in zip(covariance.factors, random, strict=True):
        if codes.min(initial=0) < 0:
            variances += np.where(codes < 0, ((Z @ T) ** 2).sum(axis=1), 0.0)
    return np.asarray(variances)


def block_rows(
    block: Block, bases: Sequence[ColumnBasis], random: Sequence[tuple[FloatArray, CodeArray]]
) -> tuple[FloatArray, CodeArray]:
    """Return the rows of a block by coefficient, shape (S, m), zero at new levels, and their levels."""
    codes = random[block.terms[0]][1]
    Z = np.vstack([bases[k].columns(random[k][0]).T for k in block.terms])
    if block.levels is not None:
        number = np.full(
            int(max(block.levels.max(initial=-1), codes.max(initial=-1))) + 2, -1, dtype=np.int32
        )
        number[block.levels] = np.arange(len(block.levels), dtype=np.int32)
        codes = number[codes]
    if codes.min(initial=0) < 0:
        return np.where(codes < 0, 0.0, Z), np.maximum(codes, 0)
    return Z, codes


def _own(entries: InverseEntries, block: int, Z: FloatArray, codes: CodeArray, X: FloatArray) -> FloatArray:
    """Return what one block adds to the variances: its own faces and those with the fixed effects."""
    V, across = entries.faces(block), entries.across(block)
    total = np.zeros(len(codes))
    for s, z in enumerate(Z):
        total += z * z * V[s, s].take(codes)
        for t in range(s):
            total += 2.0 * z * Z[t] * V[s, t].take(codes)
        for x, covariances in zip(X.T, across[:, s], strict=True):
            total += 2.0 * z * x * covariances.take(codes)
    return total
