"""Starting values and starting curvature of the covariance parameters, from the data.

All of it comes from the moments of one evaluation. In units of the current factor T (a change ``dT = T E``),
with ``B_l = I - Var(u_l | y)/sigma^2`` the share of the information that the data hold on level l and
``shrinkage_gap = sum_l (I - S_ll)`` half the scaled gradient,

    expected Hessian        sum_l tr(B_l (E + E') B_l (F + F')) + 2 tr(shrinkage_gap E F')
    Fisher scoring step     Sigma <- T (I + D) T'  with  sum_l B_l D B_l = -shrinkage_gap

The Hessian is that of one term with the others held fixed; quasi-Newton updates supply the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dposv, dpotrf, dsyevd

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.triangle import lower_triangle
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.column_basis import moved_theta
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import Evaluation, evaluation
from mixedmodels.engines.linear.step_sizes import (
    LARGEST_FACTOR,
    LEAST_CURVATURE,
    LEAST_FACTOR,
    RESIDUAL_ROUNDING,
    START_SIZE,
)
from mixedmodels.factorization.blocks import term_slices
from mixedmodels.factorization.dense import lower_inverse
from mixedmodels.formula.design.theta import boundaries, column_scales
from mixedmodels.optimization.canonical import canonical

with on_first_use():
    from mixedmodels.covariance import jacobian

if TYPE_CHECKING:
    from mixedmodels.covariance.structure import CovarianceStructure
    from mixedmodels.engines.linear.gradient import LevelMoments, Moments
    from mixedmodels.engines.linear.term_moments import TermMoments


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Point:
    """One evaluation of the objective with everything the optimiser takes from it.

    Attributes
    ----------
    free : ndarray, shape (n_theta,)
        Where.
    objective : float
        Objective.
    gradient : ndarray, shape (n_theta,)
        Gradient in free coordinates.
    moments : tuple of Moments
        By block of the pattern.
    sigma2 : float
        Residual variance.
    rounding : float
        Rounding of the objective that comes from the residual sum of squares: what random effects explain is
        subtracted from the whole.
    """

    free: FloatArray
    objective: float
    gradient: FloatArray
    moments: tuple[Moments, ...]
    sigma2: float
    rounding: float = 0.0


def point_at(problem: LinearProblem, free: FloatArray, REML: bool, sigma: float | None) -> Point:
    """Evaluate the objective, its gradient and the moments at free coordinates."""
    return point_of(problem, free, evaluation(problem, factors_of(problem, free), REML, sigma))


def point_of(problem: LinearProblem, free: FloatArray, at: Evaluation) -> Point:
    """Return what the optimiser takes from an evaluation at free coordinates."""
    moments = at.system.moments()
    rounding = RESIDUAL_ROUNDING * problem.equations.rss / at.system.sigma2
    gradient = free_gradient(problem, free, moments)
    return Point(free, at.objective, gradient, moments, at.system.sigma2, rounding)


def factors_of(problem: LinearProblem, free: FloatArray) -> list[FloatArray]:
    """Return the factors ``C T`` of every term, whose elements are the free coordinates of a ``us`` term."""
    return [
        term.structure.factor(free[part])
        if term.structure.is_unstructured
        else basis.C @ term.structure.factor(term.structure.from_free(free[part]))
        for (term, part), basis in zip(problem.parts, problem.column_bases, strict=True)
    ]


def free_gradient(problem: LinearProblem, free: FloatArray, moments: tuple[Moments, ...]) -> FloatArray:
    """Return the gradient in free coordinates from the derivatives in the factor of each block."""
    gradient = np.empty(len(free))
    for block, at in zip(problem.equations.blocks, moments, strict=True):
        for k, rows in term_slices(block):
            term, part = problem.parts[k]
            structure, own, dT = term.structure, free[part], at.gradient[rows, rows]
            if not structure.is_unstructured:
                along = structure.pullback(structure.from_free(own), problem.column_bases[k].C.T @ dT)
                gradient[part] = structure.free_pullback(own, along)
            else:
                gradient[part] = structure.pullback(own, dT)
    return gradient


def theta_of(problem: LinearProblem, free: FloatArray) -> FloatArray:
    """Return theta at free coordinates."""
    theta = []
    for (term, part), basis in zip(problem.parts, problem.column_bases, strict=True):
        structure, own = term.structure, free[part]
        is_moved = structure.is_unstructured
        theta.append(moved_theta(structure, basis.inverse, own) if is_moved else structure.from_free(own))
    return np.concatenate(theta)


def smallest_deviation(problem: LinearProblem, free: FloatArray) -> float:
    """Return the smallest diagonal element of any T at free coordinates, in units of its scale."""
    is_diagonal = boundaries(problem.terms)
    if not all(term.structure.is_unstructured for term in problem.terms):
        theta = canonical(problem.terms, theta_of(problem, free))
        return float((np.abs(theta) / problem.scales)[is_diagonal].min())
    # Those of C^-1 times a lower triangle are products; no zero is among them where none is here.
    outward = np.concatenate([basis.inverse.diagonal() for basis in problem.column_bases])
    return float(np.abs(free[is_diagonal] * outward / problem.scales[is_diagonal]).min())


def free_of(problem: LinearProblem, theta: FloatArray) -> FloatArray:
    """Return the free coordinates of theta.

    Those of an unstructured term are the elements of ``C T``, its factor on orthogonal columns.
    """
    free = []
    for (term, part), basis in zip(problem.parts, problem.column_bases, strict=True):
        structure, own = term.structure, theta[part]
        is_moved = structure.is_unstructured
        free.append(moved_theta(structure, basis.C, own) if is_moved else structure.to_free(own))
    return np.concatenate(free)


def first_theta(problem: LinearProblem, shrinkage: float = 1.0) -> FloatArray:
    """Return the theta at which every effect has ``START_SIZE`` residual deviations, times `shrinkage`.

    Effects are those of the orthogonal columns of an unstructured term, so that no linear change of the
    columns matters, and of the columns themselves otherwise. Parameters such as correlations do not shrink.
    """
    size = START_SIZE * shrinkage
    pieces = []
    for term, basis in zip(problem.terms, problem.column_bases, strict=True):
        structure = term.structure
        if structure.is_unstructured:
            pieces.append(moved_theta(structure, size * basis.inverse, structure.start()))
            continue
        free = structure.to_free(structure.start()) * structure.scales(column_scales(term))
        pieces.append(structure.from_free(free) * np.where(structure.is_lower_bound(), size, 1.0))
    return np.concatenate(pieces)


def off_zero(problem: LinearProblem, theta: FloatArray, size: float) -> FloatArray:
    """Return theta with every diagonal that is zero moved to `size` times its scale.

    The gradient in such a diagonal vanishes whatever the data say, so no search can start there.
    """
    if theta.all():
        return theta
    return np.where(boundaries(problem.terms) & (theta == 0.0), size * problem.scales, theta)


def moments_by_term(problem: LinearProblem, at: Point) -> tuple[TermMoments | LevelMoments, ...]:
    """Return the moments of every term in design order."""
    by_term: dict[int, TermMoments | LevelMoments] = {}
    for block, moments in zip(problem.equations.blocks, at.moments, strict=True):
        for k, rows in term_slices(block):
            by_term[k] = moments.of_term(rows)
    return tuple(by_term[k] for k in range(len(problem.terms)))


def _floored(A: FloatArray, least: float, largest: float = np.inf) -> FloatArray:
    """Return a symmetric matrix with its eigenvalues moved into an interval."""
    values, vectors, _ = dsyevd(A)
    return np.asarray((vectors * np.minimum(np.maximum(values, least), largest)).dot(vectors.T))


@cache
def _identity(size: int) -> FloatArray:
    return np.eye(size)


def _floored_root(A: FloatArray, least: float, largest: float) -> FloatArray:
    """Return the lower Cholesky factor of a symmetric matrix, its eigenvalues moved into an interval."""
    _, info = dpotrf(A - least * _identity(len(A)), lower=1)
    if info != 0 or A.trace() > largest:
        A = _floored(A, least, largest)
    return np.asarray(dpotrf(A, lower=1, clean=1)[0])


def scored_theta(problem: LinearProblem, at: Point) -> FloatArray:
    """Return theta after one step of Fisher scoring of every term."""
    theta, by_term = theta_of(problem, at.free), moments_by_term(problem, at)
    return np.concatenate(
        [
            scored(term.structure, theta[part], moments)
            for (term, part), moments in zip(problem.parts, by_term, strict=True)
        ]
    )


def scored(structure: CovarianceStructure, theta: FloatArray, at: TermMoments | LevelMoments) -> FloatArray:
    """Return theta after one step of Fisher scoring in the covariance, kept positive definite.

    Structures that are neither unstructured nor diagonal have no closed form and keep their theta.
    """
    T = structure.factor(theta)
    if structure.is_unstructured:
        _, step, _ = dposv(at.information, at.shrinkage_gap.ravel())
        root = _floored_root(_identity(len(T)) - step.reshape(T.shape), LEAST_FACTOR, LARGEST_FACTOR)
        return structure.pullback(theta, T.dot(root))
    rows, columns = structure.places()
    if np.array_equal(rows, columns):
        own = slice(None, None, len(T) + 1)
        step = np.linalg.solve(at.information[own, own], np.diagonal(at.shrinkage_gap))
        factors = np.sqrt(np.clip(1.0 - step, LEAST_FACTOR, LARGEST_FACTOR))
        # One deviation may serve all coefficients.
        return np.asarray(theta * factors.reshape(len(theta), -1).mean(axis=1))
    return theta


def relative_changes(problem: LinearProblem, free: FloatArray) -> list[FloatArray]:
    """Return ``T^-1 dT`` for the free parameters of each term, each (n_theta, S, S)."""
    changes = []
    for term, part in problem.parts:
        structure, own = term.structure, free[part]
        if structure.is_unstructured:
            # The same for C T, whose elements are the free coordinates.
            changes.append(lower_inverse(structure.factor(own)) @ _units(structure.size))
            continue
        theta = structure.from_free(own)
        E = lower_inverse(structure.factor(theta)) @ jacobian.factor_jacobian(structure, theta)
        to_theta = np.array([structure.free_pullback(own, unit) for unit in np.eye(len(own))])
        changes.append(np.einsum("kij,kf->fij", E, to_theta))
    return changes


@cache
def _units(size: int) -> FloatArray:
    """Return the derivatives of a lower triangle in its elements, shape (S (S + 1) / 2, S, S)."""
    rows, columns = lower_triangle(size)
    units = np.zeros((len(rows), size, size))
    units[np.arange(len(rows)), rows, columns] = 1.0
    return units


def expected_hessian(problem: LinearProblem, at: Point) -> tuple[FloatArray, FloatArray]:
    """Return the expected Hessian in free coordinates, one block for each term, in two parts.

    The first is the expected information, the second what a variance at zero adds, ``2 tr(G E F')``, G the
    shrinkage gap.
    """
    information, curvature = np.zeros((2, problem.n_theta, problem.n_theta))
    changes, by_term = relative_changes(problem, at.free), moments_by_term(problem, at)
    for (_, part), E, moments in zip(problem.parts, changes, by_term, strict=True):
        both = (E + E.transpose(0, 2, 1)).reshape(len(E), -1)
        information[part, part] = moments.along(both)
        excess = (_floored(moments.shrinkage_gap, 0.0) @ E).reshape(both.shape)
        curvature[part, part] = 2.0 * excess.dot(E.reshape(both.shape).T)
    return information, curvature


def inverse_hessian(problem: LinearProblem, at: Point) -> FloatArray:
    """Return the block-diagonal inverse of the expected Hessian in free coordinates."""
    information, curvature = expected_hessian(problem, at)
    H, inverse = information + curvature, np.zeros(information.shape)
    for _, part in problem.parts:
        own = H[part, part]
        scale = np.sqrt(own.diagonal())[:, None]
        values, vectors, _ = dsyevd(own / scale / scale.T)
        root = vectors / scale / np.sqrt(np.maximum(values, LEAST_CURVATURE))
        inverse[part, part] = root.dot(root.T)
    return inverse
