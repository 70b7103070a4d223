"""Known covariance between the levels of a grouping factor: pedigrees, kinship, phylogenies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataError, listed
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.evaluation.level_names import level_names

# Asymmetry beyond this share of the largest entry is a mistake, below it rounding of the input.
_SYMMETRY_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """Inverse of a covariance between levels, with the names of its rows.

    Made by `precision`; relationships of large pedigrees are sparse only as inverses.
    """

    matrix: Any
    names: tuple[str, ...]


def precision(matrix: Any, names: Sequence[Any] | None = None) -> Precision:
    """Mark a matrix as the inverse of a covariance between levels, for `relmat`.

    Parameters
    ----------
    matrix : DataFrame, ndarray or scipy sparse matrix, shape (m, m)
        Symmetric and positive definite.
    names : sequence, optional
        Level of each row; taken from the index of a DataFrame when left out.

    Examples
    --------
    >>> relmat = {"id": precision([[2.0, -1.0], [-1.0, 2.0]], ["sire", "dam"])}
    """
    if names is None and isinstance(matrix, pd.DataFrame):
        names = list(matrix.index)
    if names is None:
        raise DataError("precision() needs the names of the levels: precision(Q, names)")
    return Precision(matrix, level_names(list(names)))


def with_relationships(terms: tuple[RandomTerm, ...], relmat: Mapping[str, Any]) -> tuple[RandomTerm, ...]:
    """Return `terms` with the Cholesky factors of the covariances that `relmat` gives by group.

    Raises
    ------
    DataError
        When a group is not in the model, a level is missing from the matrix, or the matrix is not
        symmetric and positive definite.
    """
    if not relmat:
        return terms
    groups = {term.group: term.levels for term in terms}
    for group in relmat:
        if group not in groups:
            raise DataError(
                f"relmat names {group!r}, which is not a grouping factor of the model ({listed(groups)})"
            )
    factors = {group: _cholesky(group, given, groups[group]) for group, given in relmat.items()}
    return tuple(
        replace(term, relationship=factors[term.group]) if term.group in factors else term for term in terms
    )


def _cholesky(group: str, given: Any, levels: tuple[str, ...]) -> FloatArray:
    """Return the lower Cholesky factor of the covariance of `levels`, in their order."""
    matrix, names = _named(group, given)
    _check_matrix(group, matrix, names)
    position = {name: i for i, name in enumerate(names)}
    absent = [level for level in levels if level not in position]
    if absent:
        shown = listed(map(repr, absent))
        raise DataError(f"relmat[{group!r}] has no row for {len(absent)} level(s) of {group}: {shown}")
    rows = np.array([position[level] for level in levels])
    try:
        if isinstance(given, Precision):
            # The covariance of some levels is a block of the inverse, not the inverse of a block.
            matrix = scipy.linalg.cho_solve(scipy.linalg.cho_factor(matrix), np.eye(len(matrix)))
        return np.asarray(scipy.linalg.cholesky(matrix[np.ix_(rows, rows)], lower=True))
    except scipy.linalg.LinAlgError as error:
        raise DataError(
            f"relmat[{group!r}] is not positive definite; identical levels (clones, twins) need one level"
        ) from error


def _named(group: str, given: Any) -> tuple[FloatArray, tuple[str, ...]]:
    """Return a dense matrix and the names of its rows from what the caller passed."""
    names: Any = None
    if isinstance(given, Precision):
        given, names = given.matrix, given.names
    elif isinstance(given, tuple) and len(given) == 2:
        first, second = given
        given, names = (second, first) if np.ndim(first) == 1 and not scipy.sparse.issparse(first) else given
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
    is_sparse = scipy.sparse.issparse(given)
    dense = scipy.sparse.coo_array(given).toarray() if is_sparse else given
    try:
        return np.asarray(dense, dtype=np.float64), level_names(list(names))
    except (TypeError, ValueError) as error:
        raise DataError(f"relmat[{group!r}] must be a matrix of numbers") from error


def _check_matrix(group: str, matrix: FloatArray, names: tuple[str, ...]) -> None:
    """Raise unless `matrix` is a finite symmetric matrix with one distinct name a row."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise DataError(f"relmat[{group!r}] must be square; its shape is {matrix.shape}")
    if len(names) != len(matrix):
        raise DataError(f"relmat[{group!r}] has {len(matrix)} rows and {len(names)} names")
    if len(set(names)) < len(names):
        raise DataError(f"relmat[{group!r}] names a level twice")
    if not np.isfinite(matrix).all():
        raise DataError(f"relmat[{group!r}] has missing or infinite entries")
    if np.abs(matrix - matrix.T).max(initial=0.0) > _SYMMETRY_TOLERANCE * np.abs(matrix).max(initial=0.0):
        raise DataError(f"relmat[{group!r}] is not symmetric")
