"""Sandwich covariances of fixed effects from scores by cluster, with their degrees of freedom.

Pustejovsky & Tipton (2018, J. Bus. Econ. Stat. 36, 672-683) in the parameters alone: for a contrast c the
quadratic form of the estimate of its variance has the matrix ``P_ij = [i = j] d_i - s_i' M s_j`` under the
working model, d_i and s_i being those of cluster i, and its first two moments give Satterthwaite's degrees of
freedom; those of several contrasts together Hotelling's T^2 as they approximate it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray

# An eigenvalue of ``I - H`` of a cluster below this is zero: the cluster alone determines a coefficient, and
# its residual in that direction is zero.
DETERMINED = 1e-10
# Degrees of freedom of Hotelling's test up to this are none: so many clusters cannot test so many contrasts.
NO_DF = 1e-6


@dataclass(frozen=True, slots=True)
class Sandwich:
    """What a sandwich covariance is made of, by cluster.

    Attributes
    ----------
    bread : ndarray, shape (P, P)
        Inverse information M of all parameters under the working model.
    scores : ndarray, shape (m, P)
        Adjusted scores r_i of the clusters.
    squares : ndarray, shape (m, P, P)
        D_i: the variance of r_i under the working model if beta were known.
    crosses : ndarray, shape (m, P, P)
        S_i: how r_i moves with the parameters.
    fixed : ndarray, shape (p, P)
        Fixed effects as combinations of the parameters.
    factor : float
        Factor of the covariance.
    """

    bread: FloatArray
    scores: FloatArray
    squares: FloatArray
    crosses: FloatArray
    fixed: FloatArray
    factor: float

    def covariance(self) -> FloatArray:
        """Return the covariance of the fixed effects, shape (p, p)."""
        moved = self.scores @ (self.fixed @ self.bread).T
        return self.factor * moved.T @ moved


@dataclass(frozen=True, slots=True)
class SandwichDegrees:
    """Degrees of freedom of tests with a sandwich covariance.

    Attributes
    ----------
    sandwich : Sandwich
        The pieces.
    method : str
        What tables call it.
    """

    sandwich: Sandwich
    method: str

    def of_rows(self, L: FloatArray) -> FloatArray:
        """Return Satterthwaite's degrees of freedom of every row of L, shape (m,)."""
        return np.array([wishart_df(self.sandwich, row[None]) for row in L])

    def of_hypothesis(self, L: FloatArray) -> tuple[float, float]:
        """Return the denominator degrees of freedom and the factor of F of Hotelling's T^2."""
        q = len(L)
        eta = wishart_df(self.sandwich, L)
        df = eta - q + 1.0
        return (df, df / eta) if df > NO_DF else (np.nan, np.nan)


def wishart_df(sandwich: Sandwich, L: FloatArray) -> float:
    """Return the degrees of freedom of the Wishart distribution nearest to that of ``L V L'``.

    Parameters
    ----------
    sandwich : Sandwich
        The pieces.
    L : ndarray, shape (q, p)
        Independent contrasts.
    """
    rows = L @ sandwich.fixed @ sandwich.bread
    root = np.linalg.cholesky(sandwich.bread)
    # 1. d_i of every pair of contrasts, and M^1/2 s_i of every contrast.
    d = np.einsum("sa,iab,tb->ist", rows, sandwich.squares, rows)
    f = np.einsum("iab,sb->isa", sandwich.crosses, rows) @ root
    # 2. Contrasts whose estimated covariance has expectation I under the working model.
    expected = d.sum(axis=0) - np.einsum("isa,ita->st", f, f)
    values, vectors = np.linalg.eigh(0.5 * (expected + expected.T))
    if values[0] <= 0.0:
        return float("nan")
    turn = vectors / np.sqrt(values)
    d = np.einsum("sa,ist,tb->iab", turn, d, turn)
    f = np.einsum("sb,isa->iba", turn, f)
    # 3. The sum of the variances of its elements.
    return len(L) * (len(L) + 1) / _total_variance(d, f)


def _total_variance(d: FloatArray, f: FloatArray) -> float:
    """Return the sum of ``P_ij^ss P_ij^tt + P_ij^st P_ij^ts`` over clusters i, j and contrasts s, t."""
    inner = np.einsum("isa,ita->ist", f, f)
    ss = np.einsum("iss->is", d)
    f_ss = np.einsum("iss->is", inner)
    products = np.einsum("isa,itb->stab", f, f)
    total = np.einsum("is,it->", ss, ss) - 2.0 * np.einsum("is,it->", ss, f_ss)
    total += np.einsum("stab,stab->", products, products)
    total += np.einsum("ist,ist->", d, d) - 2.0 * np.einsum("ist,ist->", d, inner)
    total += np.einsum("stab,stba->", products, products)
    return float(total)


def adjusted_scores(
    bread: FloatArray, scores: FloatArray, information: FloatArray, power: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return adjusted scores ``K_i g_i`` with their squares and crosses, ``K_i = (I - I_i M)^power``.

    Power 0 leaves them as they are, -1/2 removes the bias of the sandwich under the working model (Kauermann
    & Carroll 2001), -1 is the jackknife: leaving the cluster out, one step from the estimates.

    Parameters
    ----------
    bread : ndarray, shape (P, P)
        Inverse information M of all clusters.
    scores : ndarray, shape (m, P)
        Scores g_i.
    information : ndarray, shape (m, P, P)
        Information I_i of each cluster.
    power : float
        0, -1/2 or -1.
    """
    if power == 0.0:
        return scores, information, information
    R = np.linalg.cholesky(bread)
    inner = np.einsum("ba,ibc,cd->iad", R, information, R)
    values, vectors = np.linalg.eigh(0.5 * (inner + inner.transpose(0, 2, 1)))
    left = 1.0 - values
    powers = np.where(left > DETERMINED, np.maximum(left, DETERMINED) ** power, 0.0)
    middle = np.einsum("iab,ib,icb->iac", vectors, powers, vectors)
    K = np.linalg.solve(R.T, middle @ R.T)
    squares = K @ information @ K.transpose(0, 2, 1)
    return np.einsum("iab,ib->ia", K, scores), squares, information @ K.transpose(0, 2, 1)


def symmetric_power(A: FloatArray, power: float) -> FloatArray:
    """Return a power of a positive semidefinite matrix, its null space left out."""
    values, vectors = np.linalg.eigh(A)
    positive = values > DETERMINED * values.max(initial=0.0)
    powers = np.where(positive, np.where(positive, values, 1.0) ** power, 0.0)
    return np.asarray((vectors * powers) @ vectors.T)
