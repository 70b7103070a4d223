"""Covariances of the coefficients, and of scale and working correlation, at a solution.

With g_i the score of group i, A_i its information and M the inverse of their sum: the sandwich of Liang &
Zeger (1986) is ``M (sum g_i g_i') M``. Residuals are too small where their group had a part in the fit:
Kauermann & Carroll (2001) and Mancl & DeRouen (2001) take ``(I - H_i)^-1/2`` and ``(I - H_i)^-1`` of them,
with the leverage ``H_i = D_i M D_i' V_i^-1``, which multiplies scores by ``(I - A_i M)`` to that power; Fay
& Graubard (2001) take its diagonal alone, bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.gee.correlation.structure import WorkingCorrelation
from mixedmodels.engines.gee.equations import MeanPoint, WhiteRows, mean_point, variance_share, whitened
from mixedmodels.engines.gee.estimates import GeeSolution
from mixedmodels.engines.gee.problem import MOST_PAIRS, GeeProblem


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GeeScores:
    """Scores and information of beta at a solution.

    Attributes
    ----------
    bread : ndarray, shape (p, p)
        Inverse information M: the naive covariance.
    scores : ndarray, shape (m, p)
        Score of each group.
    point : MeanPoint
        Means and residuals.
    white : WhiteRows
        Whitened rows.
    phi : float
        Scale.
    """

    bread: FloatArray
    scores: FloatArray
    point: MeanPoint
    white: WhiteRows
    phi: float

    def robust(self) -> FloatArray:
        """Return the sandwich covariance, shape (p, p)."""
        moved = self.scores @ self.bread
        return np.asarray(moved.T @ moved)


def gee_scores(problem: GeeProblem, correlation: WorkingCorrelation, solution: GeeSolution) -> GeeScores:
    """Return the scores at a solution."""
    point = mean_point(problem, solution.beta)
    white = whitened(problem, point, correlation.whitening(problem, solution.alpha))
    phi = solution.phi
    bread = phi * _inverse_cross_product(white.D)
    scores = problem.by_group(white.D * white.r[:, None]) / phi
    return GeeScores(bread, scores, point, white, phi)


def _inverse_cross_product(D: FloatArray) -> FloatArray:
    """Return ``(D'D)^-1`` from the triangular factor of D, columns scaled first."""
    scale = np.sqrt(np.einsum("ij,ij->j", D, D))
    inverse = np.linalg.inv(np.linalg.qr(D / scale, mode="r")) / scale[:, None]
    return np.asarray(inverse @ inverse.T)


def group_information(problem: GeeProblem, scores: GeeScores) -> FloatArray:
    """Return the information A_i of each group, shape (m, p, p)."""
    p = scores.white.D.shape[1]
    found = np.empty((problem.n_groups, p, p))
    for batch in problem.grouping.batches:
        D = scores.white.D[batch.rows]
        found[problem.grouping.group_of_row[batch.rows[:, 0]]] = D.transpose(0, 2, 1) @ D
    return found / scores.phi


def diagonal_adjustment(scores: GeeScores, information: FloatArray, bound: float) -> FloatArray:
    """Return the factors of the scores of Fay & Graubard (2001, eq. 5), shape (m, p).

    Parameters
    ----------
    scores : GeeScores
        The scores.
    information : ndarray, shape (m, p, p)
        Information of each group.
    bound : float
        Largest share of a group in the information that is taken off.
    """
    share = np.einsum("ijk,kj->ij", information, scores.bread)
    return np.asarray(1.0 / np.sqrt(1.0 - np.minimum(bound, share)))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AssociationCovariance:
    """Standard errors of what beta is not.

    Attributes
    ----------
    alpha : ndarray, shape (q, q)
        Covariance of the parameters of the working correlation; NaN where there are too many pairs.
    phi : float
        Variance of the scale; NaN where it was given.
    """

    alpha: FloatArray
    phi: float


def association_covariance(
    problem: GeeProblem,
    correlation: WorkingCorrelation,
    solution: GeeSolution,
    scores: GeeScores,
    fixed_scale: bool,
    as_geepack: bool = False,
) -> AssociationCovariance:
    """Return the sandwich covariances of alpha and phi (Yan & Fine 2004, Statist. Med. 23, 859-874).

    The equations of beta, phi and alpha are ``U1``, ``U2 = sum w (r^2 - phi) / (2 phi)`` and
    ``U3 = sum_pairs w_i w_j E_ij (r_i r_j / phi - rho_ij)`` with E the derivative of rho in alpha. Their
    derivatives are triangular in blocks: A; B, C; D, E, F.

    Parameters
    ----------
    problem, correlation, solution, scores
        The fit.
    fixed_scale : bool
        Whether phi was given.
    as_geepack : bool
        Whether to take the derivatives B and D that geepack 1.3.9 takes: B over ``v^1/2`` once more, D with
        the residual of the same row in place of that of the other one. They are no derivatives of U2 and U3.
    """
    point, phi, w = scores.point, scores.phi, problem.weights
    slope = variance_share(problem, point)
    # 1. Influence of every group on beta, then on phi.
    in_beta = scores.scores @ scores.bread
    in_phi = np.zeros(problem.n_groups)
    if not fixed_scale:
        C = float(w.sum()) / (2.0 * phi)
        by_row = 2.0 * point.r + point.r**2 * slope
        if as_geepack:
            by_row = np.asarray(by_row / np.sqrt(point.v))
        B = (w / (2.0 * phi) * by_row) @ point.D
        U2 = problem.by_group(w * (point.r**2 - phi)) / (2.0 * phi)
        in_phi = (U2 - in_beta @ B) / C
    # 2. On alpha.
    variance = float(in_phi @ in_phi) if not fixed_scale else float("nan")
    q = len(correlation.labels)
    if not q or problem.n_pairs > MOST_PAIRS:
        return AssociationCovariance(np.full((q, q), np.nan), variance)
    sums = _pair_sums(problem, correlation, solution.alpha, point, phi, slope, as_geepack)
    in_alpha = (sums.U3 - in_beta @ sums.D.T - np.outer(in_phi, sums.E)) / sums.F
    return AssociationCovariance(in_alpha.T @ in_alpha, variance)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _PairSums:
    """Sums over pairs: U3 by group (m, q), D (q, p), E (q,) and F (q,), a diagonal."""

    U3: FloatArray
    D: FloatArray
    E: FloatArray
    F: FloatArray


def _pair_sums(
    problem: GeeProblem,
    correlation: WorkingCorrelation,
    alpha: FloatArray,
    point: MeanPoint,
    phi: float,
    slope: FloatArray,
    as_geepack: bool,
) -> _PairSums:
    """Return the equation of alpha by group, and its derivatives with their sign turned."""
    i, j = problem.pairs.first, problem.pairs.second
    at = problem.positions[i], problem.positions[j]
    of, q, m = correlation.parameter_of(*at), len(correlation.labels), problem.n_groups
    i, j, at, of = (i[of >= 0], j[of >= 0], (at[0][of >= 0], at[1][of >= 0]), of[of >= 0])
    E = correlation.slope(alpha, *at)
    c = problem.weights[i] * problem.weights[j] * E
    r = point.r
    z = r[i] * r[j] / phi
    group = problem.grouping.group_of_row[i]
    U3 = np.bincount(group * q + of, c * (z - correlation.correlation(alpha, *at)), m * q)
    # dz = -(r_j D_i + r_i D_j) / phi - z (s_i D_i + s_j D_j) / 2 with s the slope of log v along D.
    own, other = (r[i], r[j]) if as_geepack else (r[j], r[i])
    row_i = c * (own / phi + 0.5 * z * slope[i])
    row_j = c * (other / phi + 0.5 * z * slope[j])
    n = len(r)
    D = _by_parameter(of, i, row_i, q, n, point.D) + _by_parameter(of, j, row_j, q, n, point.D)
    E_sum, F = np.bincount(of, c * z, q) / phi, np.bincount(of, c * E, q)
    return _PairSums(U3.reshape(m, q).astype(np.float64), D, E_sum, F.astype(np.float64))


def _by_parameter(
    of: IntArray, rows: IntArray, values: FloatArray, q: int, n: int, D: FloatArray
) -> FloatArray:
    """Return ``sum values D[rows]`` by parameter, shape (q, p)."""
    return np.asarray(coo_array((values, (of, rows)), shape=(q, n)).tocsr() @ D)
