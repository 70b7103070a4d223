"""Known covariance between the levels of a grouping factor: pedigrees, kinship, phylogenies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse
from scipy.sparse import csc_array

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import DataError, listed
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.sparse_root import (
    Relationship,
    marginal_precision,
    sparse_root,
)
from mixedmodels.formula.evaluation.level_names import level_names

with on_first_use():
    from mixedmodels.formula.design import sparse_solvers

# From this many levels on, and with no more than this share of the precision nonzero, it is used as a sparse
# matrix.
_LEAST_SPARSE, _SPARSE_SHARE = 200, 0.1
# Asymmetry beyond this share of the largest entry is a mistake, below it rounding of the input.
_SYMMETRY_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Precision:
    """Inverse of a covariance between levels, with the names of its rows.

    Made by `precision`; relationships of large pedigrees are sparse only as inverses.
    """

    matrix: Any
    names: tuple[str, ...]


@advises
def precision(matrix: Any, names: Sequence[Any] | None = None) -> Precision:
    """Mark a matrix as the inverse of a covariance between levels, for `relmat`.

    Parameters
    ----------
    matrix : DataFrame, ndarray or scipy sparse matrix, shape (m, m)
        Symmetric and positive definite.
    names : sequence, optional
        Level of each row; taken from the index of a DataFrame when left out.

    Returns
    -------
    Precision
        For ``relmat={"group": precision(Q, names)}``.

    Raises
    ------
    DataError
        If the levels have no names, or not one each.

    References
    ----------
    Henderson (1976), Biometrics 32, 69-83.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> mm.precision([[2.0, -1.0], [-1.0, 2.0]], ["sire", "dam"]).names
    ('sire', 'dam')
    """
    if names is None and isinstance(matrix, pd.DataFrame):
        names = list(matrix.index)
    if names is None:
        raise DataError("precision() needs the names of the levels: precision(Q, names)")
    found = level_names(list(names))
    _check_names(found, np.shape(matrix))
    return Precision(matrix, found)


def _check_names(names: tuple[str, ...], shape: tuple[int, ...]) -> None:
    """Raise where the levels of a matrix have not one name each."""
    if len(shape) != 2 or shape[0] != shape[1]:
        raise DataError(f"precision() needs a square matrix, and this one has shape {shape}")
    if len(names) != shape[0]:
        raise DataError(f"precision() was given {len(names)} names for a matrix of {shape[0]} levels")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"precision() was given the name {twice[0]!r} twice: each level has one row")


def with_relationships(terms: tuple[RandomTerm, ...], relmat: Mapping[str, Any]) -> tuple[RandomTerm, ...]:
    """Return `terms` with square roots of the covariances that `relmat` gives by group.

    Raises
    ------
    DataError
        When a group is not in the model, a level is missing from the matrix, or the matrix is not
        symmetric and positive definite.
    """
    groups = {term.group: term.levels for term in terms}
    for group in relmat:
        if group not in groups:
            raise DataError(
                f"relmat names {group!r}, which is not a grouping factor of the model ({listed(groups)})"
            )
    roots = {group: _root(group, given, groups[group]) for group, given in relmat.items()}
    return tuple(
        replace(term, relationship=roots[term.group]) if term.group in roots else term for term in terms
    )


def _root(group: str, given: Any, levels: tuple[str, ...]) -> Relationship:
    """Return a square root of the covariance of `levels`: its lower Cholesky factor, if dense."""
    matrix, names = _named(group, given)
    _check_matrix(group, matrix, names)
    position = {name: i for i, name in enumerate(names)}
    absent = [level for level in levels if level not in position]
    if absent:
        shown = listed(map(repr, absent))
        raise DataError(f"relmat[{group!r}] has no row for {len(absent)} level(s) of {group}: {shown}")
    rows = np.array([position[level] for level in levels])
    try:
        if len(levels) >= _LEAST_SPARSE:
            of_levels = _sparse_precision(matrix, rows, isinstance(given, Precision))
            if of_levels is not None and of_levels.nnz <= _SPARSE_SHARE * len(levels) ** 2:
                root = sparse_root(of_levels)
                if root is None:
                    raise scipy.linalg.LinAlgError
                return root
        return _dense_root(_dense(matrix), rows, isinstance(given, Precision))
    except (scipy.linalg.LinAlgError, np.linalg.LinAlgError) as error:
        raise DataError(
            f"relmat[{group!r}] is not positive definite; identical levels (clones, twins) need one level"
        ) from error


def _dense_root(matrix: FloatArray, rows: IntArray, is_precision: bool) -> FloatArray:
    """Return the lower Cholesky factor of the covariance of some rows."""
    if is_precision:
        # The covariance of some levels is a block of the inverse, not the inverse of a block.
        matrix = scipy.linalg.cho_solve(scipy.linalg.cho_factor(matrix), np.eye(len(matrix)))
    return np.asarray(scipy.linalg.cholesky(matrix[np.ix_(rows, rows)], lower=True))


def _sparse_precision(matrix: Any, rows: IntArray, is_precision: bool) -> csc_array | None:
    """Return the inverse of the covariance of some rows if it is sparse, else None."""
    if is_precision:
        if _share(matrix) > _SPARSE_SHARE:
            return None
        of_rows = marginal_precision(matrix, rows)
        if of_rows is None:
            raise scipy.linalg.LinAlgError
        return of_rows
    if _share(matrix) > _SPARSE_SHARE:
        return None
    return _inverse_by_families(csc_array(csc_array(matrix)[rows][:, rows]))


def _share(matrix: Any) -> float:
    """Return the share of elements that are not zero."""
    nonzero = float(matrix.nnz if _is_sparse(matrix) else np.count_nonzero(matrix))
    return nonzero / max(1.0, float(matrix.shape[0]) ** 2)


def _inverse_by_families(K: csc_array) -> csc_array | None:
    """Return the inverse of a covariance by its connected components; None if they are large."""
    n_families, family = sparse_solvers.connected_components(K, directed=False)
    sizes = np.bincount(family, minlength=n_families).astype(np.intp)
    if float(sizes @ sizes) > _SPARSE_SHARE * K.shape[0] ** 2:
        return None
    order = np.argsort(family, kind="stable")
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    starts, entries = np.cumsum(sizes) - sizes, K.tocoo()
    parts = []
    for size in np.unique(sizes).tolist():
        members = np.flatnonzero(sizes == size)
        number = np.full(n_families, -1)
        number[members] = np.arange(len(members))
        inside = number[family[entries.row]] >= 0
        row, column = entries.row[inside], entries.col[inside]
        stack = np.zeros((len(members), size, size))
        first = starts[family[row]]
        stack[number[family[row]], place[row] - first, place[column] - first] = entries.data[inside]
        half = np.linalg.inv(np.linalg.cholesky(stack))
        rows = order[starts[members][:, None] + np.arange(size)]
        at = np.broadcast_to(rows[:, :, None], stack.shape), np.broadcast_to(rows[:, None], stack.shape)
        parts.append(((half.transpose(0, 2, 1) @ half).ravel(), at[0].ravel(), at[1].ravel()))
    values, first, second = (np.concatenate(part) for part in zip(*parts, strict=True))
    return csc_array((values, (first, second)), shape=K.shape)


def _dense(matrix: Any) -> FloatArray:
    return np.asarray(matrix.toarray() if _is_sparse(matrix) else matrix)


def _named(group: str, given: Any) -> tuple[Any, tuple[str, ...]]:
    """Return a dense or sparse matrix and the names of its rows from what the caller passed."""
    names: Any = None
    if isinstance(given, Precision):
        given, names = given.matrix, given.names
    elif isinstance(given, tuple) and len(given) == 2:
        first, second = given
        given, names = (second, first) if np.ndim(first) == 1 and not _is_sparse(first) else given
    if isinstance(given, pd.DataFrame):
        names = given.index if names is None else names
        if list(given.columns) != list(given.index) and set(given.columns) == set(given.index):
            given = given[list(given.index)]
        given = given.to_numpy()
    if names is None:
        raise DataError(
            f"relmat[{group!r}] needs the names of its rows: pass a DataFrame with the levels as index, "
            "or the pair (names, matrix)"
        )
    try:
        if _is_sparse(given):
            return csc_array(given).astype(np.float64), level_names(list(names))
        return np.asarray(given, dtype=np.float64), level_names(list(names))
    except (TypeError, ValueError) as error:
        raise DataError(f"relmat[{group!r}] must be a matrix of numbers") from error


def _check_matrix(group: str, matrix: Any, names: tuple[str, ...]) -> None:
    """Raise unless `matrix` is a finite symmetric matrix with one distinct name a row."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise DataError(f"relmat[{group!r}] must be square; its shape is {matrix.shape}")
    if len(names) != matrix.shape[0]:
        raise DataError(f"relmat[{group!r}] has {matrix.shape[0]} rows and {len(names)} names")
    if len(set(names)) < len(names):
        raise DataError(f"relmat[{group!r}] names a level twice")
    values = matrix.data if _is_sparse(matrix) else matrix
    if not np.isfinite(values).all():
        raise DataError(f"relmat[{group!r}] has missing or infinite entries")
    asymmetry = matrix - matrix.T
    asymmetry = asymmetry.data if _is_sparse(asymmetry) else asymmetry
    if np.abs(asymmetry).max(initial=0.0) > _SYMMETRY_TOLERANCE * np.abs(values).max(initial=0.0):
        raise DataError(f"relmat[{group!r}] is not symmetric")


def _is_sparse(matrix: Any) -> bool:
    return bool(scipy.sparse.issparse(matrix))
