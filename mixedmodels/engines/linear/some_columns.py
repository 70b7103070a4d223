"""A linear mixed model with some columns of X left out, from the cross-products of the whole.

Orthonormal columns of the smaller X are combinations ``Q C`` of those of the whole, so that nothing needs the
rows again: what the columns left out had explained of the response goes back into its residual.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.lapack import dtrtri

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.solvers import solver_of
from mixedmodels.engines.orthonormal import OrthonormalBasis
from mixedmodels.factorization.constant.cross_products import RightHandSide
from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ColumnHeld:
    """A model with one coefficient held at a value, and the products of its column.

    Attributes
    ----------
    problem : LinearProblem
        The other columns; the response has lost its part of the one that is held.
    column : RightHandSide
        Products of what the others leave of the column.
    products : (float, float)
        Of it with what they leave of the response, and with itself.
    projection : ndarray, shape (p - 1,)
        What the others have of the column.
    """

    problem: LinearProblem
    column: RightHandSide
    products: tuple[float, float]
    projection: FloatArray


def can_leave_out(problem: LinearProblem) -> bool:
    """Tell whether columns can be left out: fixed effects in the border of a sparse tail stay there."""
    return not isinstance(problem.equations.A.tail, SparseMatrix)


def with_columns(problem: LinearProblem, kept: IntArray) -> LinearProblem:
    """Return the problem with some of the columns of X, one at least.

    Parameters
    ----------
    problem : LinearProblem
        Of which columns can be left out.
    kept : ndarray of int, shape (m,)
        The columns that stay.
    """
    return _with_basis(problem, _coordinates(problem)[:, kept], problem.projection)


def with_column_held(problem: LinearProblem, k: int, value: float) -> ColumnHeld:
    """Return the problem with the coefficient of column k held at a value.

    Parameters
    ----------
    problem : LinearProblem
        Of which columns can be left out, with more than one.
    k : int
        The column.
    value : float
        Its coefficient, on the user's scale.
    """
    coordinates = _coordinates(problem)
    column, others = coordinates[:, k], np.delete(coordinates, k, axis=1)
    projection = problem.projection - value * column
    smaller = _with_basis(problem, others, projection)
    C = _basis(others)[0]
    own = C.T @ column
    left = column - C @ own
    outside = projection - C @ (C.T @ projection)
    Z = tuple(np.tensordot(left, XZ, axes=1) for XZ in problem.equations.A.XZ)
    with_response = float((problem.equations.rhs.X + outside) @ left)
    return ColumnHeld(smaller, RightHandSide(Z, np.zeros(len(own))), (with_response, float(left @ left)), own)


def _coordinates(problem: LinearProblem) -> FloatArray:
    """Return the coordinates R of the columns of X in the orthonormal ones, ``W^1/2 X = Q R``."""
    return np.asarray(dtrtri(problem.fixed_basis.R_inverse, lower=0)[0])


def _basis(coordinates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return orthonormal combinations C of Q that span columns, and their coordinates in them."""
    C, R = np.linalg.qr(coordinates)
    return np.asarray(C), np.asarray(R)


def _with_basis(problem: LinearProblem, coordinates: FloatArray, projection: FloatArray) -> LinearProblem:
    """Return the problem of columns with coordinates in Q, for a response with a projection on Q."""
    equations, basis = problem.equations, problem.fixed_basis
    C, R = _basis(coordinates)
    inverse, _ = dtrtri(R, lower=0)
    inside = C.T @ projection
    outside = projection - C @ inside
    A, rhs = equations.A, equations.rhs
    XZ = tuple(np.tensordot(C, own, axes=(0, 0)) for own in A.XZ)
    chain = equations.pattern.chain
    smaller = replace(
        equations,
        A=replace(
            A,
            rests=tuple(rest.with_fixed(XZ[c]) for rest, c in zip(A.rests, chain, strict=True)),
            XZ=XZ,
            XX=np.eye(len(inside)),
        ),
        rhs=RightHandSide(
            tuple(Z + np.tensordot(outside, own, axes=1) for Z, own in zip(rhs.Z, A.XZ, strict=True)),
            C.T @ rhs.X,
        ),
        rss=equations.rss + float(outside @ (outside + 2.0 * rhs.X)),
    )
    return replace(
        problem,
        equations=smaller,
        solver=solver_of(smaller),
        fixed_basis=OrthonormalBasis(
            basis.columns,
            basis.combination @ C,
            inverse,
            2.0 * float(np.log(np.abs(np.diagonal(R))).sum()),
        ),
        projection=inside,
    )
