"""The interface of a working correlation, and what most of them share.

Every pair of rows of a group belongs to one parameter at most. To add a working correlation, write one small
frozen class with these methods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.gee.problem import GeeProblem

#: Multiplies rows (n, k) by W, group by group, with ``W'W`` the inverse of the correlation matrix.
Whitening: TypeAlias = Callable[[FloatArray], FloatArray]


class NotPositiveDefinite(Exception):
    """A correlation matrix that is none: which group has it."""

    def __init__(self, group: int) -> None:
        super().__init__(group)
        self.group = group


class WorkingCorrelation(Protocol):
    """Map from parameters alpha and the positions of rows to their correlations."""

    @property
    def name(self) -> str:
        """Name as written: ``"ar1"``."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the parameters."""

    def parameter_of(self, first: IntArray, second: IntArray) -> IntArray:
        """Return which parameter pairs of positions belong to; -1 for those of none."""

    def correlation(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return the correlations of pairs of different positions."""

    def slope(self, alpha: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Return the derivatives of these correlations in the parameter that they belong to."""

    def estimate(self, problem: GeeProblem, r: FloatArray, phi: float, alpha: FloatArray) -> FloatArray:
        """Return the solution in alpha of the estimating equations at Pearson residuals r and scale phi."""

    def whitening(self, problem: GeeProblem, alpha: FloatArray) -> Whitening:
        """Return W; raise NotPositiveDefinite where there is none."""


def has_parameters(correlation: WorkingCorrelation) -> bool:
    """Tell whether something has to be estimated."""
    return bool(correlation.labels)


def mean_products(
    correlation: WorkingCorrelation, problem: GeeProblem, r: FloatArray, phi: float
) -> FloatArray:
    """Return the weighted mean of ``r_i r_j / phi`` over the pairs of each parameter."""
    i, j = problem.pairs.first, problem.pairs.second
    w = problem.weights
    of = correlation.parameter_of(problem.positions[i], problem.positions[j])
    known = of >= 0
    i, j, of = (i, j, of) if known.all() else (i[known], j[known], of[known])
    q, weight = len(correlation.labels), w[i] * w[j]
    total = np.bincount(of, weight, q)
    return np.asarray(np.bincount(of, weight * r[i] * r[j], q) / (phi * total))


def whitening_by_batch(correlation: WorkingCorrelation, problem: GeeProblem, alpha: FloatArray) -> Whitening:
    """Return W of any structure: a Cholesky factor for each set of positions, groups of one size together."""
    roots = [_inverse_roots(correlation, problem, k, alpha) for k in range(len(problem.grouping.batches))]

    def whiten(rows: FloatArray) -> FloatArray:
        white = np.empty_like(rows)
        for batch, root in zip(problem.grouping.batches, roots, strict=True):
            factors = root if len(root) == 1 else root[batch.code]
            white[batch.rows] = factors @ rows[batch.rows]
        return white

    return whiten


def _inverse_roots(
    correlation: WorkingCorrelation, problem: GeeProblem, k: int, alpha: FloatArray
) -> FloatArray:
    """Return the inverse Cholesky factors of the patterns of a batch, shape (P, s, s)."""
    batch = problem.grouping.batches[k]
    R = correlation_matrices(correlation, alpha, batch.patterns)
    try:
        return np.linalg.inv(np.linalg.cholesky(R))
    except np.linalg.LinAlgError:
        worst = int(np.argmin(np.linalg.eigvalsh(R)[:, 0]))
        row = batch.rows[int(np.argmax(batch.code == worst)), 0]
        raise NotPositiveDefinite(int(problem.grouping.group_of_row[row])) from None


def correlation_matrices(
    correlation: WorkingCorrelation, alpha: FloatArray, positions: IntArray
) -> FloatArray:
    """Return the correlation matrices of groups with positions (P, s), shape (P, s, s)."""
    s = positions.shape[1]
    R = np.broadcast_to(np.eye(s), (len(positions), s, s)).copy()
    upper, lower = np.triu_indices(s, 1)
    values = correlation.correlation(alpha, positions[:, upper], positions[:, lower])
    R[:, upper, lower] = values
    R[:, lower, upper] = values
    return R
