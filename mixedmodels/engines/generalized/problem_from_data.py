"""The generalized engine's front door: from arrays to a problem, and values at given parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray, IntArray
from mixedmodels.engines.column_basis import orthogonal_if_needed
from mixedmodels.engines.generalized.by_level import level_rows
from mixedmodels.engines.generalized.equal_rows import collapsed_response, equal_rows
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.hessian import natural_parameters, vcov_hessian
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.pirls import Mode, conditional_mode
from mixedmodels.engines.generalized.problem import (
    EffectsSystem,
    GeneralizedProblem,
    RowOrigin,
    first_row_of_each_level,
    natural_to_psi,
    unpack,
)
from mixedmodels.engines.generalized.quadrature import check_quadrature
from mixedmodels.engines.generalized.quadrature_grid import check_grid
from mixedmodels.engines.orthonormal import orthonormalize
from mixedmodels.errors import ControlError
from mixedmodels.factorization.blocks import amalgamate, term_slices
from mixedmodels.factorization.weighted.row_inverse import diagonal_faces
from mixedmodels.families.family import Family
from mixedmodels.families.modelled_dispersion import ModelledDispersion, rows_of
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.kernels.level_starts import level_starts

__all__ = ["conditional_covariances", "evaluate_at", "generalized_problem", "vcov_hessian"]


def generalized_problem(
    y: FloatArray,
    weights: FloatArray | None,
    X: FloatArray | ColumnMatrix,
    terms: Sequence[RandomTerm],
    offset: FloatArray | None,
    family: Family,
    observed: bool = True,
    constant: FloatArray | None = None,
) -> GeneralizedProblem:
    """Arrange the data of a generalized linear mixed model for the engine.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Response as the family reads it (proportions for a binomial with trials).
    weights : ndarray, shape (n,), or None
        Prior weights; None means 1.
    X : ndarray or ColumnMatrix, shape (n, p)
        Fixed-effects model matrix of full column rank.
    terms : sequence of RandomTerm
        Random-effects terms in the order of the design; at least one.
    offset : ndarray, shape (n,), or None
        Known part of the linear predictor.
    family : Family
        Distribution of the response.
    observed : bool
        Whether log|L| takes the observed information, or else the expected one.
    constant : ndarray, shape (n,), optional
        Terms of the log-likelihood without parameters; by default the family's ``log_constant(y, weights)``.
    """
    columns = ColumnMatrix.of(X)
    X = columns.dense
    order = _order(terms) if family.is_canonical else _canonical_order(y, weights, X, terms, offset)
    terms = tuple(terms) if order is None else tuple(_chosen(term, order) for term in terms)
    y, weights, offset = _sorted_rows(y, weights, offset, order)
    X = X if order is None else X[order]
    family, phi_unscale = _on_orthogonal_predictors(family if order is None else rows_of(family, order))
    constant = family.log_constant(y, weights) if constant is None else _in_order(constant, order)
    equal = equal_rows(X, terms, offset, family)
    row_origin = RowOrigin(order, equal, weights)
    if equal is not None:
        y, weights, constant = collapsed_response(y, weights, constant, equal)
        X, offset = X[equal.first], offset[equal.first]
        terms = tuple(_chosen(term, equal.first) for term in terms)
    terms, column_bases = zip(*(orthogonal_if_needed(term) for term in terms), strict=True)
    # The matrix knows its products, of whatever order; only a canonical one of the rows wants its own.
    known = columns.unit_cholesky if equal is None and (order is None or family.is_canonical) else None
    is_own = order is not None or equal is not None
    fixed = orthonormalize(ColumnMatrix.of(X) if is_own else columns, None, known)
    effects = EffectsSystem(terms)
    first_rows = first_row_of_each_level(effects)
    return GeneralizedProblem(
        y=y,
        weights=weights,
        offset=offset,
        fixed_basis=fixed.taken() if is_own else fixed.Q,
        unscale=fixed.R_inverse,
        terms=terms,
        column_bases=column_bases,
        effects=effects,
        family=family,
        constant=constant,
        row_origin=row_origin,
        first_rows=first_rows,
        observed=observed,
        by_level=level_rows(terms, first_rows, family, len(y)),
        phi_unscale=phi_unscale,
    )


def _on_orthogonal_predictors(family: Family) -> tuple[Family, FloatArray | None]:
    """Return a family on orthogonal predictors of its dispersion, and what takes its parameters back.

    Predictors far from zero, years for one, would make coefficients that the search could not tell apart.
    """
    if not isinstance(family, ModelledDispersion):
        return family, None
    D = family.matrix
    n, k = D.shape
    if np.linalg.matrix_rank(D) < k:
        return family, None
    basis = orthonormalize(D, None)
    unscale = np.eye(len(family.phi_names))
    unscale[:k, :k] = np.sqrt(n) * basis.R_inverse
    return family.at(np.ascontiguousarray(np.sqrt(n) * basis.Q)), unscale


def _sorted_rows(
    y: FloatArray, weights: FloatArray | None, offset: FloatArray | None, order: IntArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return response, prior weights and offset in the order given."""
    n = len(y)
    given = (y, np.ones(n) if weights is None else weights, np.zeros(n) if offset is None else offset)
    y, weights, offset = (_in_order(array, order) for array in given)
    return y, weights, offset


def _in_order(rows: FloatArray, order: IntArray | None) -> FloatArray:
    rows = np.asarray(rows, dtype=np.float64)
    return np.ascontiguousarray(rows if order is None else rows[order])


def evaluate_at(problem: GeneralizedProblem, parameters: FloatArray, nAGQ: int = 1) -> float:
    """Return -2 log-likelihood at given parameters.

    Parameters
    ----------
    problem : GeneralizedProblem
        The data.
    parameters : ndarray
        (theta, beta, phi); for nAGQ = 0, where beta is found with u, (theta, phi) is enough.
    nAGQ : int
        0, 1 (Laplace) or the nodes of adaptive quadrature per dimension.

    Raises
    ------
    ControlError
        If the random effects do not allow nAGQ > 1, or `parameters` has another length.
    """
    k, p, n_phi = problem.n_theta, problem.n_fixed, problem.n_phi
    values = np.asarray(parameters, dtype=np.float64)
    if nAGQ == 0 and len(values) == k + n_phi:
        values = np.concatenate([values[:k], np.zeros(p), values[k:]])
    if len(values) != k + p + n_phi:
        raise ControlError(
            f"parameters must hold {k} covariance parameters, {p} fixed effects and {n_phi} family "
            f"parameters, {k + p + n_phi} numbers in all, not {len(values)}."
        )
    if nAGQ > 1:
        check_quadrature(problem)
        check_grid(nAGQ, max(block.size for block in problem.system.blocks))
    return Evaluator(problem, nAGQ)(natural_to_psi(problem, values))[0]


def conditional_covariances(
    problem: GeneralizedProblem, estimates: GeneralizedEstimates
) -> tuple[FloatArray, ...]:
    """Return the conditional covariances of the random effects b given y, each (q, S, S), one for each term.

    At the conditional mode: ``T (Lambda'Z'WZ Lambda + I)^-1 T'``, level by level.
    """
    psi = natural_to_psi(problem, natural_parameters(estimates))
    return covariances_at(problem, conditional_mode(problem, unpack(problem, psi)))


def covariances_at(problem: GeneralizedProblem, mode: Mode) -> tuple[FloatArray, ...]:
    """Return the conditional covariances of the random effects at a mode, each (q, S, S)."""
    inverse = diagonal_faces(mode.factor)
    by_term: dict[int, FloatArray] = {}
    for block, T, face in zip(problem.system.blocks, mode.parameters.factors, inverse, strict=True):
        covariance = np.einsum("ab,bcl,dc->lad", T, face, T)
        for k, place in term_slices(block):
            basis = problem.column_bases[k]
            own = covariance[:, place, place]
            by_term[k] = np.ascontiguousarray(own if basis is None else basis.inverse @ own @ basis.inverse.T)
    return tuple(by_term[k] for k in range(len(problem.terms)))


def _order(terms: Sequence[RandomTerm]) -> IntArray | None:
    """Return the order of rows that sorts them by level of the leading block, None if they are sorted."""
    leading = terms[0] if len(terms) == 1 else amalgamate(terms)[0]
    is_sorted = level_starts(leading.codes, leading.n_levels) is not None
    return None if is_sorted else np.argsort(leading.codes, kind="stable")


def _canonical_order(
    y: FloatArray,
    weights: FloatArray | None,
    X: FloatArray,
    terms: Sequence[RandomTerm],
    offset: FloatArray | None,
) -> IntArray:
    """Return an order of the rows that does not depend on theirs in the data, by the leading block's levels.

    A likelihood that is not concave in the effects can have several modes, and rounding errors, which depend
    on the order of a sum, decide which of two paths a search takes.
    """
    columns: list[FloatArray | CodeArray] = [term.codes for term in terms]
    columns += [column for column in (y, weights, offset, *X.T) if column is not None]
    for term in terms:
        columns += [term.Z[:, j] for j in range(term.size) if term.Z.strides[0] != 0]
    # The last key is the first to be sorted by; the others only matter where the last two leave rows alike.
    last = [columns[-1], amalgamate(terms)[0].codes]
    order = np.lexsort(last)
    alike = [key[order[1:]] == key[order[:-1]] for key in last]
    return np.lexsort([*columns[:-1], *last]) if (alike[0] & alike[1]).any() else order


def _chosen(term: RandomTerm, rows: IntArray) -> RandomTerm:
    """Return a term on chosen rows; a column of ones stays a view."""
    ones = term.size == 1 and term.Z.strides[0] == 0
    return replace(term, Z=term.Z[: len(rows)] if ones else term.Z[rows], codes=term.codes[rows])
