"""The covariance of the rows at the estimates, cluster by cluster: for residuals, predictions and draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.chains import chain_sd, coloured, whitened
from mixedmodels.engines.residual.covariance import unit_covariances
from mixedmodels.engines.residual.model import Parameters
from mixedmodels.engines.residual.objective import LARGE
from mixedmodels.engines.residual.problem import ResidualProblem


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RowCovariances:
    """Cholesky factors of the covariances of the clusters over sigma^2, prior weights left out.

    Attributes
    ----------
    problem : ResidualProblem
        The problem.
    at : Parameters
        The parameters.
    V, R : tuple of ndarray, each (U, T, T)
        Covariances of responses and of residuals, of the units, by batch.
    factors : tuple of ndarray, each (U, T, T)
        Lower Cholesky factors of R.
    sd : ndarray, shape (n,)
        Relative standard deviations of the residuals.
    """

    problem: ResidualProblem
    at: Parameters
    V: tuple[FloatArray, ...]
    R: tuple[FloatArray, ...]
    factors: tuple[FloatArray, ...]
    sd: FloatArray

    def whitened(self, rows: FloatArray) -> FloatArray:
        """Return ``L^-1 rows`` of every cluster, at the rows they belong to, shape (n, q).

        Parameters
        ----------
        rows : ndarray, shape (n, q)
            Already multiplied by the square roots of the prior weights.
        """
        padded = np.vstack([rows, np.zeros(rows.shape[1])])  # the last row is that of no row
        white = np.empty_like(padded)
        for batch, L in zip(self.problem.batches, self.factors, strict=True):
            if batch.size >= LARGE:
                for members, unit in zip(batch.members, batch.unit_of.tolist(), strict=True):
                    white[members] = solve_triangular(L[unit], padded[members], lower=True)
            else:
                white[batch.members] = np.matmul(np.linalg.inv(L)[batch.unit_of], padded[batch.members])
        for chain in self.problem.chains:
            state = whitened(chain, self.problem.model, self.at, padded[chain.rows])
            white[chain.rows] = state.white
        return white[:-1]

    def coloured(self, rows: FloatArray) -> FloatArray:
        """Return ``L rows`` of every cluster, shape (n, q): draws with the covariance of the residuals."""
        padded = np.vstack([rows, np.zeros(rows.shape[1])])
        found = np.empty_like(padded)
        for batch, L in zip(self.problem.batches, self.factors, strict=True):
            found[batch.members] = np.matmul(L[batch.unit_of], padded[batch.members])
        for chain in self.problem.chains:
            found[chain.rows] = coloured(chain, self.problem.model, self.at, padded[chain.rows])
        return found[:-1]


def row_covariances(problem: ResidualProblem, free: FloatArray) -> RowCovariances:
    """Return the covariances of the rows at optimiser coordinates."""
    at = problem.model.natural(free)
    units = unit_covariances(problem, at)
    sd = np.empty(problem.n + 1)
    for batch, unit in zip(problem.batches, units, strict=True):
        sd[batch.members] = unit.sd[batch.unit_of]
    for chain in problem.chains:
        sd[chain.rows] = chain_sd(chain, problem.model, at)
    R = tuple(unit.R for unit in units)
    factors = tuple(np.asarray(np.linalg.cholesky(own), dtype=np.float64) for own in R)
    return RowCovariances(problem, at, tuple(unit.V for unit in units), R, factors, sd[:-1])
