"""Covariance parameters as matrices ``V_k`` of the rows, and bilinear forms in which they are compared.

Up to weights ``Var(y) = sum_k v_k V_k``. The matrices are never formed: bilinear forms ``r'P V_k P s`` at
random r and s, P the projection off X, a few more than there are parameters, depend linearly on each other
exactly where the matrices do (almost surely). Their products average to the inner products of the matrices,
so that they are as near to dependent as those are; quadratic forms would not be, having the traces in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from mixedmodels.arrays import CodeArray, FloatArray, IntArray
from mixedmodels.covariance.jacobian import factor_jacobian
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import theta_slices

if TYPE_CHECKING:
    from mixedmodels.formula.design.sparse_root import Relationship

#: Rows asked first, a handful of levels of every factor in most designs; up to here matrices are dense.
FEW_ROWS = 64
#: Bilinear forms beyond the number of parameters; the more, the better conditioned.
SPARE_FORMS = 12
#: Least singular value, relative to the largest, that is dependence up to rounding.
DEPENDENT = 1e-9
#: A pivot of a term's unit columns below this is rounding: the columns are dependent.
DEPENDENT_COLUMN = 1e-11


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Direction:
    """One covariance parameter: how it moves the covariance of its term.

    Attributes
    ----------
    term : int
        Position of the term; -1 for the residual variance.
    change : ndarray, shape (S, S)
        Symmetric derivative of the covariance of one level, in the basis of the columns used here.
    one_sided : bool
        Whether the parameter is at its bound, from where it can only grow.
    name : str
        What it is called: the names of its coefficients, or of a parameter of the structure.
    """

    term: int
    change: FloatArray
    one_sided: bool
    name: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rows:
    """Weighted rows of the model that are looked at.

    Attributes
    ----------
    X : ndarray, shape (n, p)
        Fixed effects from which the criterion is free.
    fixed : ndarray, shape (n, r)
        Orthonormal basis of their space.
    Z : tuple of ndarray, each (n, S)
        Columns of the terms, those of an unstructured one made orthogonal: only their space matters, and a
        year far from zero is no reason to doubt.
    bases : tuple of ndarray, each (S, S)
        R of every term, with Z R its own columns.
    codes : tuple of ndarray, each (n,)
        Levels.
    terms : tuple of RandomTerm
        Terms.
    """

    X: FloatArray
    fixed: FloatArray
    Z: tuple[FloatArray, ...]
    bases: tuple[FloatArray, ...]
    codes: tuple[CodeArray, ...]
    terms: tuple[RandomTerm, ...]

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.fixed)


def directions_of(terms: Sequence[RandomTerm], theta: FloatArray, residual: bool) -> list[Direction]:
    """Return the covariance parameters of all terms, and the residual variance last."""
    found: list[Direction] = []
    for t, (term, part) in enumerate(zip(terms, theta_slices(terms), strict=True)):
        moves_variances = term.structure.is_unstructured or is_diagonal(term)
        found += _plain_directions(t, term) if moves_variances else _curved_directions(t, term, theta[part])
    return [*found, Direction(-1, np.ones((1, 1)), False, "residual")] if residual else found


def is_diagonal(term: RandomTerm) -> bool:
    """Tell whether the coefficients of a term are uncorrelated, the parameters their deviations."""
    rows, columns = term.structure.places()
    return bool((rows == columns).all() and (term.structure.parameter_at() >= 0).all())


def _plain_directions(t: int, term: RandomTerm) -> list[Direction]:
    """Return the variances and covariances of a term, those that share a parameter together."""
    structure = term.structure
    places, parameter = np.stack(structure.places()).T, structure.parameter_at()
    names = structure.parameter_names(term.columns)
    return [
        Direction(t, _unit(term.size, places[parameter == k]), False, name) for k, name in enumerate(names)
    ]


def _curved_directions(t: int, term: RandomTerm, theta: FloatArray) -> list[Direction]:
    """Return the derivatives of ``T T'`` in the parameters, for a deviation at zero those in its square."""
    structure, found = term.structure, []
    T, jacobian = structure.factor(theta), factor_jacobian(structure, theta)
    bounded, names = structure.is_lower_bound(), structure.parameter_names(term.columns)
    for k, name in enumerate(names):
        half = jacobian[k] @ T.T
        change, at_zero = half + half.T, bounded[k] and theta[k] == 0.0
        if at_zero:
            grown = structure.factor(np.where(np.arange(len(theta)) == k, 1.0, theta))
            change = grown @ grown.T - T @ T.T
        if change.any():
            found.append(Direction(t, change, at_zero, name))
    return found


def _unit(size: int, cells: IntArray) -> FloatArray:
    unit = np.zeros((size, size))
    for i, j in cells:
        unit[i, j] = unit[j, i] = 1.0
    return unit


def gathered_rows(
    terms: Sequence[RandomTerm],
    fixed: FloatArray | ColumnMatrix | None,
    root_weights: FloatArray | None,
    rows: IntArray | None,
) -> Rows:
    """Gather the rows asked for, weighted, X orthonormal and the columns of unstructured terms as well."""
    chosen = slice(None) if rows is None else rows
    root = None if root_weights is None else root_weights[chosen, None]
    n = len(terms[0].codes) if rows is None else len(rows)
    X = np.zeros((n, 0)) if fixed is None else _weighted(fixed[chosen], root)
    Z, bases = zip(*(_in_basis(term, _weighted(term.Z[chosen], root)) for term in terms), strict=True)
    return Rows(X, orthonormal(X), Z, bases, tuple(term.codes[chosen] for term in terms), tuple(terms))


def _weighted(columns: FloatArray, root: FloatArray | None) -> FloatArray:
    return columns if root is None else columns * root


def orthonormal(X: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the space of columns, which may depend on each other on few rows."""
    scale = np.sqrt(np.einsum("ij,ij->j", X, X))
    X = X[:, scale > 0.0] / scale[scale > 0.0]
    if not X.shape[1]:
        return X
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    return np.asarray(U[:, s > DEPENDENT_COLUMN * s[0]])


def _in_basis(term: RandomTerm, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return Q of orthogonal columns of mean square 1 and R with ``Z = Q R``; Z and I where that fails."""
    if term.size == 1 or not term.structure.is_unstructured:
        return Z, np.eye(term.size)
    scale = np.sqrt(np.einsum("ij,ij->j", Z, Z) / len(Z))
    if scale.all():
        Q, R = np.linalg.qr(Z / scale)
        root = np.sqrt(len(Z))
        if np.abs(R.diagonal()).min() > DEPENDENT_COLUMN * root:
            return Q * root, R * scale / root
    return Z, np.eye(Z.shape[1])


def bilinear_forms(rows: Rows, parameters: Sequence[Direction]) -> tuple[FloatArray, FloatArray]:
    """Return random bilinear forms of every parameter's matrix over its size, (forms, parameters); sizes.

    The size of a matrix is its Frobenius norm, or a little more. Each random vector serves in two forms.
    """
    r = _random_rows(rows.n, len(parameters) + SPARE_FORMS)
    e = r - rows.fixed @ (rows.fixed.T @ r)
    by_term = [
        _level_products(z, codes, term, e)
        for z, codes, term in zip(rows.Z, rows.codes, rows.terms, strict=True)
    ]
    forms, sizes = np.empty((e.shape[1], len(parameters))), np.empty(len(parameters))
    for k, parameter in enumerate(parameters):
        if parameter.term < 0:
            forms[:, k], sizes[k] = np.einsum("it,it->t", e, np.roll(e, -1, axis=1)), np.sqrt(rows.n)
        else:
            products, size = by_term[parameter.term]
            forms[:, k] = products.reshape(len(forms), -1) @ parameter.change.ravel()
            sizes[k] = float(np.sum(np.abs(parameter.change) * size)) or 1.0
    return forms / sizes, sizes


def _random_rows(n: int, count: int) -> FloatArray:
    return (
        _few_random_rows(n, count) if n <= FEW_ROWS else np.random.default_rng(0).standard_normal((n, count))
    )


@lru_cache(maxsize=8)
def _few_random_rows(n: int, count: int) -> FloatArray:
    return np.random.default_rng(0).standard_normal((n, count))


def _level_products(
    Z: FloatArray, codes: CodeArray, term: RandomTerm, e: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return ``sum_l (Z_l'e)(Z_l'f)'``, f the column after e, and the norms of the matrices of the forms."""
    S = Z.shape[1]
    by_level = _indicators(term, codes)
    products = np.stack([by_level @ (Z[:, [a]] * e) for a in range(S)])
    squares = by_level @ (Z * Z)
    norms = np.sqrt(squares.T @ squares)
    if term.relationship is not None:
        products = term.relationship.T @ products
        norms = _related_norms(term.relationship, np.sqrt(squares))
    flat = products.transpose(2, 0, 1)
    return flat @ np.roll(flat, -1, axis=0).transpose(0, 2, 1), norms


def _related_norms(R: Relationship, d: FloatArray) -> FloatArray:
    """Return the norms of ``D_a R R' D_b``, D diagonal, from random vectors: whole products cost q^3."""
    v = _random_rows(len(d), SPARE_FORMS)
    applied = np.stack([R @ (R.T @ (d[:, [b]] * v)) for b in range(d.shape[1])])
    return np.asarray(np.sqrt(np.einsum("qa,bqt->ab", d * d, applied**2) / SPARE_FORMS))


def _indicators(term: RandomTerm, codes: CodeArray) -> Any:
    """Return which rows belong to each level, dense where they are few."""
    if len(codes) <= FEW_ROWS:
        levels = np.arange(term.n_levels) if term.relationship is not None else np.unique(codes)
        return (levels[:, None] == codes).astype(np.float64)
    n = len(codes)
    return csr_array((np.ones(n), codes, np.arange(n + 1)), shape=(n, term.n_levels)).T


def changes_along(
    terms: Sequence[RandomTerm], parameters: Sequence[Direction], v: FloatArray
) -> dict[int, FloatArray]:
    """Return the change of the covariance of every term along a direction, where there is any."""
    changes: dict[int, FloatArray] = {}
    for parameter, c in zip(parameters, v, strict=True):
        if c != 0.0 and parameter.term >= 0:
            changes[parameter.term] = changes.get(parameter.term, 0.0) + c * parameter.change
    return changes


def vanishes(rows: Rows, parameters: Sequence[Direction], v: FloatArray) -> bool:
    """Tell whether a direction moves nothing on given rows."""
    forms, sizes = bilinear_forms(rows, parameters)
    return bool(np.abs(forms @ (v * sizes)).max() <= DEPENDENT * np.abs(v * sizes).max())
