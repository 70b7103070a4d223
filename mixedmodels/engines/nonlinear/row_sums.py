"""What the rows of a curve give to their clusters: sums of derivatives, and the systems they make.

Every function here is a sum over rows, compiled (:mod:`mixedmodels.kernels.curve_rows`) or in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.kernels import curve_rows

#: Effects of a cluster up to which a plain loop beats LAPACK.
FEW_EFFECTS = 16


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RowSums:
    """What rows and their sums are at some random effects.

    Attributes
    ----------
    Zeta : ndarray, shape (n, S)
        Derivatives of the mean in the random effects b of each row.
    zeta : ndarray, shape (n, S)
        The same in u: ``Zeta T``.
    rss : ndarray, shape (C,)
        Penalized sum of squares of each cluster.
    slope : ndarray, shape (C, q)
        Half its gradient in u.
    Omega : ndarray, shape (C, q, q)
        ``J'WJ + I`` of each cluster.
    K : ndarray, shape (C, q, q)
        Half the exact Hessian of the penalized sum of squares of each cluster.
    """

    Zeta: FloatArray
    zeta: FloatArray
    rss: FloatArray
    slope: FloatArray
    Omega: FloatArray
    K: FloatArray


def parameters_at(problem: NonlinearProblem, T: FloatArray, fixed: FloatArray, u: FloatArray) -> FloatArray:
    """Return the parameters of the mean, (K, n), with the random effects of u (C, q) added."""
    if curve_rows.COMPILED:
        return curve_rows.parameters_at(fixed, problem.Z, problem.parameter, problem.spots, T, u)
    return problem.with_effects(fixed, problem.at_rows(u) @ T.T)


def row_sums(
    problem: NonlinearProblem, T: FloatArray, u: FloatArray, e: FloatArray, G: FloatArray, H: FloatArray
) -> RowSums:
    """Return the sums of rows with residuals e (n,) and derivatives G (K, n) and H (K, K, n)."""
    w = problem.weights
    if curve_rows.COMPILED:
        return RowSums(
            *curve_rows.mode_sums(
                e, w, G, H, problem.Z, problem.parameter, problem.cluster, problem.spots, T, u
            )
        )
    Zeta = effects(problem, G)
    zeta = Zeta @ T
    rss = problem.summed(w * e * e) + np.einsum("cq,cq->c", u, u)
    Omega = gauss_newton(problem, zeta, w)
    slope = u - problem.vectors((w * e)[:, None] * zeta)
    return RowSums(Zeta, zeta, rss, slope, Omega, Omega - bent(problem, T, H, w * e))


def gauss_newton(problem: NonlinearProblem, zeta: FloatArray, weights: FloatArray) -> FloatArray:
    """Return ``J'WJ + I`` of each cluster, shape (C, q, q), J of rows zeta (n, S)."""
    scaled = weights[:, None] * zeta
    Omega = problem.matrices(scaled[:, :, None] * zeta[:, None, :])
    Omega[:, np.arange(Omega.shape[1]), np.arange(Omega.shape[1])] += 1.0
    return Omega


def bent(problem: NonlinearProblem, T: FloatArray, H: FloatArray, pull: FloatArray) -> FloatArray:
    """Return the second derivatives of the mean in u, (C, q, q), each row's times a number, `pull` (n,)."""
    k = problem.parameter
    # T' . T of a matrix that is written out as a row.
    both_sides = (T[:, None, :, None] * T[None, :, None, :]).reshape(len(T) ** 2, -1)
    second = H[k[:, None], k].reshape(len(k) ** 2, -1) * problem.Z_products
    return problem.matrices((pull * second).T @ both_sides)


def effects(problem: NonlinearProblem, slope: FloatArray) -> FloatArray:
    """Return derivatives in the random effects b of each row, (n, S), from those in phi (K, n)."""
    return problem.Z * slope[problem.parameter].T


def moved_slope(
    problem: NonlinearProblem,
    rows: RowSums,
    derivatives: tuple[FloatArray, FloatArray, FloatArray],
    T: FloatArray,
    dT: FloatArray,
    fixed: FloatArray,
    u: FloatArray,
) -> FloatArray:
    """Return to first order how the slope in u moves, its sign turned, with all that is in it but u, (C, q).

    Parameters
    ----------
    problem : NonlinearProblem
        The problem.
    rows : RowSums
        Rows at u.
    derivatives : (ndarray, ndarray, ndarray)
        Residuals e (n,), and G (K, n) and H (K, K, n) there.
    T, dT : ndarray, shape (S, S)
        Factors there, and their change.
    fixed : ndarray, shape (K, n)
        Change of what the fixed effects give to each parameter.
    u : ndarray, shape (C, q)
        Spherical random effects.
    """
    (e, G, H), w = derivatives, problem.weights
    if curve_rows.COMPILED:
        return curve_rows.moved_slope(
            w * e, w, G, H, rows.Zeta, rows.zeta, fixed, problem.Z, problem.parameter, problem.spots, T, dT, u
        )
    moved = problem.with_effects(fixed, problem.at_rows(u) @ dT.T)
    bent_rows = np.einsum("kln,ln->kn", H, moved)
    across = (w * e)[:, None] * (rows.Zeta @ dT + effects(problem, bent_rows) @ T)
    across -= (w * np.einsum("kn,kn->n", G, moved))[:, None] * rows.zeta
    return problem.vectors(across)


def curvature_slope(
    problem: NonlinearProblem, rows: RowSums, H: FloatArray, T: FloatArray, Omega_bar: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the derivatives by way of Omega in zeta (n, S), in phi (K, n), and of that in u (C, q)."""
    if curve_rows.COMPILED:
        return curve_rows.curvature_slope(
            problem.weights, H, rows.zeta, Omega_bar, problem.Z, problem.parameter, problem.cluster,
            problem.spots, T,
        )  # fmt: skip
    M = problem.pairs_at_rows(Omega_bar)
    nu = 2.0 * problem.weights[:, None] * np.einsum("nst,nt->ns", M, rows.zeta)
    slope = _bent_along(problem, H, nu @ T.T)
    return nu, slope, problem.vectors(effects(problem, slope) @ T)


def parameter_slope(
    problem: NonlinearProblem,
    rows: RowSums,
    derivatives: tuple[FloatArray, FloatArray, FloatArray],
    T: FloatArray,
    by_curvature: tuple[FloatArray, FloatArray],
    phi_bar: FloatArray,
    a: FloatArray,
    u: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return derivatives in T (S, S) and beta (p,), the mode having moved along a (C, q).

    Parameters
    ----------
    problem, rows, derivatives, T, u
        As for :func:`moved_slope`.
    by_curvature : (ndarray, ndarray)
        The first two of :func:`curvature_slope`.
    phi_bar : ndarray, shape (K, n)
        Derivatives in phi that the objective has besides; they count for beta alone.
    a : ndarray, shape (C, q)
        ``K^-1`` times the derivatives in u.
    """
    (e, G, H), (nu, slope) = derivatives, by_curvature
    w, we = problem.weights, problem.weights * e
    if curve_rows.COMPILED:
        return curve_rows.parameter_slope(
            we, w, G, H, rows.Zeta, nu, slope, phi_bar, a, u, problem.X, problem.fixed_parameter, problem.Z,
            problem.parameter, problem.spots, T,
        )  # fmt: skip
    at_rows = problem.at_rows(a)
    alpha = at_rows @ T.T
    along = w * np.einsum("ns,ns->n", rows.Zeta, alpha)
    slope = slope + we * _bent_along(problem, H, alpha) - along * G
    dT = effects(problem, slope).T @ problem.at_rows(u) + rows.Zeta.T @ (nu + we[:, None] * at_rows)
    return dT, np.einsum("nj,jn->j", problem.X, (phi_bar + slope)[problem.fixed_parameter])


def _bent_along(problem: NonlinearProblem, H: FloatArray, direction: FloatArray) -> FloatArray:
    """Return the derivatives in phi of ``Zeta . direction``, (K, n), for directions (n, S)."""
    by_parameter = np.zeros(H.shape[1:])
    for s, k in enumerate(problem.parameter.tolist()):
        by_parameter[k] += problem.Z[:, s] * direction[:, s]
    return np.asarray(np.einsum("kln,kn->ln", H, by_parameter))


def solved(A: FloatArray, b: FloatArray) -> FloatArray | None:
    """Return ``A^-1 b`` of each cluster, (C, q); None where an A is not positive definite."""
    if curve_rows.COMPILED and A.shape[1] <= FEW_EFFECTS:
        return curve_rows.solve_clusters(A, b)
    if _roots(A) is None:
        return None
    return np.asarray(np.linalg.solve(A, b[:, :, None])[:, :, 0], dtype=np.float64)


def inverted(A: FloatArray) -> tuple[FloatArray, float] | None:
    """Return the inverse of each cluster's A and the sum of log determinants; None where one has none.

    A matrix has none here that is not positive definite.
    """
    if curve_rows.COMPILED and A.shape[1] <= FEW_EFFECTS:
        return curve_rows.invert_clusters(A)
    L = _roots(A)
    if L is None:
        return None
    log_det = 2.0 * float(np.log(np.diagonal(L, axis1=1, axis2=2)).sum())
    return np.asarray(np.linalg.inv(A), dtype=np.float64), log_det


def _roots(A: FloatArray) -> FloatArray | None:
    """Return the Cholesky factors; None where there is none, or an element is not finite."""
    try:
        L = np.asarray(np.linalg.cholesky(A), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    return L if np.isfinite(L).all() else None
