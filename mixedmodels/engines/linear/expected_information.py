"""What Kenward and Roger's method needs of a linear mixed model, without any n x n matrix.

With ``S = V / sigma^2 = Z Lambda Lambda' Z' + W^-1`` and directions ``G_i = Z (I (x) D_i) Z'`` in which the
covariance of the random effects can move (Kenward & Roger 1997, Biometrics 53, 983-997)

    P_i  = -X'S^-1 G_i S^-1 X                Q_ij = X'S^-1 G_i S^-1 G_j S^-1 X
    t_i  = tr(S^-1 G_i)                      t_ij = tr(S^-1 G_i S^-1 G_j)

all come from ``B = Z'S^-1 Z`` and ``C = Z'S^-1 X``, which solve
``(I + Z'WZ Lambda Lambda') [B C] = Z'W [Z X]``, group of levels by group of levels. The direction of the
residual variance is not needed: moving along S itself, the scale of all variances, takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.jacobian import covariance_curvature, covariance_jacobian, factor_jacobian
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.engines.linear.independent_groups import (
    GroupStack,
    IndependentGroups,
    RandomProducts,
    group_stacks,
    groups_by_products,
    independent_groups,
    random_products,
)
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.errors import NotAvailableError
from mixedmodels.factorization.threads import threads_for

#: Cubes of the sizes of the groups of levels, in sum, up to which the method takes seconds.
MOST_WORK = 3e10


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ExpectedInformation:
    """Sums over the groups of levels, for k directions, X being the orthonormal fixed effects.

    Attributes
    ----------
    P : ndarray, shape (k, p, p)
        ``-X'S^-1 G_i S^-1 X``.
    Q : ndarray, shape (k, k, p, p)
        ``X'S^-1 G_i S^-1 G_j S^-1 X``.
    traces : ndarray, shape (k,)
        ``tr(S^-1 G_i)``.
    products : ndarray, shape (k, k)
        ``tr(S^-1 G_i S^-1 G_j)``.
    curved : tuple of CurvedTerm
        The terms whose covariance is linear in no coordinates.
    """

    P: FloatArray
    Q: FloatArray
    traces: FloatArray
    products: FloatArray
    curved: tuple[CurvedTerm, ...]

    def second_order(self, covariance: FloatArray) -> FloatArray:
        """Return ``sum_ij W_ij X'S^-1 (d^2 S / dg_i dg_j) S^-1 X``, g variances and correlations, (p, p).

        Parameters
        ----------
        covariance : ndarray, shape (k + 1, k + 1)
            Covariance of the coordinates along the directions, and of the scale of all variances.
        """
        total = np.zeros(self.P.shape[1:])
        for term in self.curved:
            W = term.scaled @ covariance @ term.scaled.T
            total += np.einsum("st,sptq->pq", np.einsum("kl,klst->st", W, term.second), term.spread)
        return total


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CurvedTerm:
    """A term whose covariance has second derivatives.

    Attributes
    ----------
    term : int
        Which term.
    second : ndarray, shape (m, m, S, S)
        Second derivatives of the covariance of one level along its m directions.
    scaled : ndarray, shape (m, k + 1)
        How its parameters move along all directions and with the scale of all variances.
    spread : ndarray, shape (S, p, S, p)
        Sum over levels of the products of rows of ``Z'S^-1 X``.
    """

    term: int
    second: FloatArray
    scaled: FloatArray
    spread: FloatArray


def directions(structure: CovarianceStructure, theta: FloatArray) -> FloatArray:
    """Return the directions D in which the covariance of one level's effects can move, shape (m, S, S).

    For an unstructured term all variances and covariances, for a diagonal one the variances: also those that
    are zero. Others move along the derivatives in their parameters, in which their covariance is not linear.
    """
    S = structure.size
    if structure.is_unstructured:
        rows, columns = structure.places()
        D = np.zeros((len(rows), S, S))
        D[np.arange(len(rows)), rows, columns] = D[np.arange(len(rows)), columns, rows] = 1.0
        return D
    rows, columns = structure.places()
    if np.array_equal(rows, columns):
        return factor_jacobian(structure, theta)
    return covariance_jacobian(structure, theta)


def expected_information(
    problem: LinearProblem, theta: FloatArray, products: RandomProducts | None = None
) -> ExpectedInformation:
    """Return what the expected information about the variances is made of.

    Parameters
    ----------
    problem : LinearProblem
        The problem.
    theta : ndarray
        Covariance parameters relative to sigma.
    products : RandomProducts, optional
        Products of the columns of the random effects, for a problem without rows.

    Raises
    ------
    NotAvailableError
        If crossed factors connect more random effects than dense algebra can take.
    """
    groups = (
        independent_groups(problem.terms, problem.root_weights)
        if products is None
        else groups_by_products(problem.terms, products.ZZ)
    )
    _refuse_large(groups)
    products = random_products(problem) if products is None else products
    covariances: list[FloatArray] = []
    moves: list[tuple[int, FloatArray]] = []
    for t, ((term, part), basis) in enumerate(zip(problem.parts, problem.column_bases, strict=True)):
        C = basis.C
        T = C @ term.structure.factor(theta[part])
        covariances.append(T @ T.T)
        # All covariances of the user's columns are all of the orthogonal ones, which no location makes alike.
        along = np.eye(term.size) if term.structure.is_unstructured else C
        moves += [(t, along @ D @ along.T) for D in directions(term.structure, theta[part])]
    k, p = len(moves), problem.p
    total = ExpectedInformation(
        np.zeros((k, p, p)), np.zeros((k, k, p, p)), np.zeros(k), np.zeros((k, k)),
        _curved_terms(problem, theta, [t for t, _ in moves]),
    )  # fmt: skip
    with threads_for(int(groups.sizes.max())):
        for stack in group_stacks(problem, groups, products):
            _add(total, stack, covariances, moves)
    return total


def _curved_terms(
    problem: LinearProblem, theta: FloatArray, term_of_move: Sequence[int]
) -> tuple[CurvedTerm, ...]:
    """Return the terms whose covariance is curved, their sums over levels still zero."""
    found = []
    for t, ((term, part), basis) in enumerate(zip(problem.parts, problem.column_bases, strict=True)):
        structure, own = term.structure, theta[part]
        second = covariance_curvature(structure, own)
        if second is None:
            continue
        scaled = np.zeros((len(own), len(term_of_move) + 1))
        scaled[:, :-1] = np.eye(len(term_of_move))[np.equal(term_of_move, t)]
        # With all variances in proportion the deviations grow by half as much, correlations not at all.
        scaled[:, -1] = np.where(structure.is_lower_bound(), 0.5 * own, 0.0)
        S, p = structure.size, problem.p
        found.append(CurvedTerm(t, basis.C @ second @ basis.C.T, scaled, np.zeros((S, p, S, p))))
    return tuple(found)


def _refuse_large(groups: IndependentGroups) -> None:
    if float((groups.sizes.astype(np.float64) ** 3).sum()) > MOST_WORK:
        raise NotAvailableError(
            f"Kenward and Roger's method is out of reach here: {int(groups.sizes.max())} random effects are "
            "connected by crossed grouping factors, and it needs a dense matrix of that order. Use "
            "ddf='satterthwaite'."
        )


def _add(
    total: ExpectedInformation,
    stack: GroupStack,
    covariances: Sequence[FloatArray],
    moves: Sequence[tuple[int, FloatArray]],
) -> None:
    """Add a stack of groups to the sums, in place."""
    B, C = _solved(stack, covariances)
    p = C.shape[2]
    places = [stack.places[t] for t, _ in moves]
    DB = [_on_rows(D, B[:, where]) for where, (_, D) in zip(places, moves, strict=True)]
    DC = [_on_rows(D, C[:, where]) for where, (_, D) in zip(places, moves, strict=True)]
    for term in total.curved:
        S = len(term.spread)
        rows = C[:, stack.places[term.term]].reshape(-1, S * p)
        term.spread.reshape(S * p, S * p)[:] += rows.T @ rows
    for j, at_j in enumerate(places):
        flat = DC[j].reshape(-1, p)
        BDC = B[:, :, at_j] @ DC[j]
        total.P[j] -= C[:, at_j].reshape(-1, p).T @ flat
        total.traces[j] += float(np.einsum("mii->", DB[j][:, :, at_j]))
        for i, at_i in enumerate(places):
            total.Q[i, j] += DC[i].reshape(-1, p).T @ BDC[:, at_i].reshape(-1, p)
            total.products[i, j] += float(np.vdot(DB[i][:, :, at_j], DB[j][:, :, at_i].transpose(0, 2, 1)))


def _solved(stack: GroupStack, covariances: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return ``B = Z'S^-1 Z``, shape (m, s, s), and ``C = Z'S^-1 X``, shape (m, s, p).

    Solving with a matrix that is not symmetric subtracts nothing, however large the variances are.
    """
    s = stack.ZZ.shape[1]
    M = np.empty(stack.ZZ.shape)
    for where, C in zip(stack.places, covariances, strict=True):
        columns = stack.ZZ[:, :, where]
        M[:, :, where] = (columns.reshape(len(M), s, -1, len(C)) @ C).reshape(columns.shape)
    M += np.eye(s)
    solved = np.linalg.solve(M, np.concatenate([stack.ZZ, stack.ZX], axis=2))
    return solved[:, :, :s], solved[:, :, s:]


def _on_rows(D: FloatArray, rows: FloatArray) -> FloatArray:
    """Return D times the rows of each level, shape (m, levels of the group times S, columns)."""
    m, r, columns = rows.shape
    return np.asarray((D @ rows.reshape(m, r // len(D), len(D), columns)).reshape(m, r, columns))
