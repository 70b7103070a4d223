"""The joint covariance of random and fixed effects, through the sparse mixed-model equations.

Used off the path of the optimiser: ``vcov(full=True)``, the matrices of ``getME``, and variances of rows
where the entries of :mod:`mixedmodels.fits.joint_covariance` are not to be had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse.linalg import splu

from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.model_terms import random_effects_matrix, relative_factor
from mixedmodels.formula.design.theta import term_factors

if TYPE_CHECKING:
    from mixedmodels.engines.linear.independent_groups import RandomProducts
    from mixedmodels.engines.linear.problem import LinearProblem

# Rows solved for at once, to bound the dense right-hand side.
ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class JointSystem:
    """The mixed-model equations in the spherical random effects.

    Attributes
    ----------
    matrix : csc_array, shape (q + p, q + p)
        ``[[Lambda'Z'WZ Lambda + I, Lambda'Z'WX], [X'WZ Lambda, X'WX]]``.
    Lambda : csc_array, shape (q, q)
        Relative covariance factor of all terms.
    terms : tuple of RandomTerm
        Random-effects terms.
    factors : tuple of ndarray
        T of each term.
    """

    matrix: sparse.csc_array
    Lambda: sparse.csc_array
    terms: tuple[RandomTerm, ...]
    factors: tuple[FloatArray, ...]


def joint_system(
    X: FloatArray, terms: Sequence[RandomTerm], theta: FloatArray, weights: FloatArray
) -> JointSystem:
    """Return the mixed-model equations at theta (Henderson 1975; Bates et al. 2015, eq. 54).

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Fixed-effects matrix.
    terms : sequence of RandomTerm
        Random-effects terms.
    theta : ndarray, shape (k,)
        Covariance parameters.
    weights : ndarray, shape (n,)
        Prior weights, or the information of each row at the mode of a generalized model.
    """
    return joint_system_of_precision(X, terms, theta, sparse.diags_array(weights))


def joint_system_of_precision(
    X: FloatArray, terms: Sequence[RandomTerm], theta: FloatArray, P: sparse.sparray
) -> JointSystem:
    """Return the same of rows whose residual covariance over sigma^2 has the sparse inverse P, (n, n)."""
    terms = tuple(terms)
    Lambda = relative_factor(terms, theta)
    Z = random_effects_matrix(terms, len(X))
    rows = sparse.hstack([Z @ Lambda, sparse.csc_array(X)], format="csc")
    penalty = np.concatenate([np.ones(Lambda.shape[0]), np.zeros(X.shape[1])])
    matrix = rows.T @ (P @ rows) + sparse.diags_array(penalty)
    return JointSystem(sparse.csc_array(matrix), Lambda, terms, tuple(term_factors(terms, theta)))


def joint_system_of_products(
    products: RandomProducts, problem: LinearProblem, terms: Sequence[RandomTerm], theta: FloatArray
) -> JointSystem:
    """Return the same from the products of the columns of the random effects, without rows."""
    terms, factors = tuple(terms), term_factors(terms, theta)
    D = sparse.block_diag(
        [
            sparse.kron(sparse.eye_array(term.n_levels), basis.C @ T)
            for term, basis, T in zip(terms, problem.column_bases, factors, strict=True)
        ],
        format="csc",
    )
    R = np.linalg.inv(problem.fixed_basis.R_inverse)
    across = sparse.csc_array(D.T @ (products.ZX @ R))
    own = D.T @ products.ZZ @ D + sparse.eye_array(D.shape[1])
    matrix = sparse.block_array([[own, across], [across.T, sparse.csc_array(R.T @ R)]], format="csc")
    return JointSystem(sparse.csc_array(matrix), relative_factor(terms, theta), terms, tuple(factors))


def solved_variances(
    system: JointSystem, X: FloatArray, random: Sequence[tuple[FloatArray, CodeArray]]
) -> FloatArray:
    """Return ``[z' x'] C [z' x']'`` of each row, C the joint covariance of (b, beta) over sigma^2.

    A row at a level that was not seen adds ``z' T T' z``, the variance of a new level's effects.

    Parameters
    ----------
    system : JointSystem
        From :func:`joint_system`.
    X : ndarray, shape (m, p)
        Fixed-effects rows.
    random : sequence of (Z, codes)
        Random-effects rows by term, codes -1 for new levels. An empty Z row leaves a term out.

    Returns
    -------
    ndarray, shape (m,)
    """
    known = tuple(
        replace(term, Z=np.where(codes[:, None] < 0, 0.0, Z), codes=np.maximum(codes, 0))
        for term, (Z, codes) in zip(system.terms, random, strict=True)
    )
    factor = splu(
        sparse.csc_matrix(system.matrix), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
    )
    Z = random_effects_matrix(known, len(X)) @ system.Lambda
    design = sparse.hstack([Z, sparse.csc_array(X)], format="csr")
    variances = np.empty(len(X))
    for first in range(0, len(X), ROWS_AT_ONCE):
        part = design[first : first + ROWS_AT_ONCE].toarray()
        variances[first : first + ROWS_AT_ONCE] = np.einsum("ij,ji->i", part, factor.solve(part.T))
    for T, (Z, codes) in zip(system.factors, random, strict=True):
        variances += np.where(codes < 0, ((Z @ T) ** 2).sum(axis=1), 0.0)
    return variances


def joint_covariance(system: JointSystem) -> FloatArray:
    """Return the covariance of (b, beta) divided by sigma^2, dense, shape (q + p, q + p)."""
    q = system.Lambda.shape[0]
    factor, _ = dpotrf(system.matrix.toarray(), lower=1)
    lower, _ = dpotri(factor, lower=1)
    inverse = np.tril(lower) + np.tril(lower, -1).T
    inverse[:q] = system.Lambda @ inverse[:q]
    inverse[:, :q] = (system.Lambda @ inverse[:, :q].T).T
    return np.asarray(inverse)
