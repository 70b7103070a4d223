"""Structures with a correlation matrix over the levels of time, of which each group has a part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.free_coordinates import (
    AT_BOUND,
    INSIDE,
    Interval,
    at_ends,
    from_line,
    line_slope,
    to_line,
)
from mixedmodels.covariance.residual.structure import Positions

_CORRELATIONS: Interval = (-1.0, 1.0)


@cache
def _pairs(n_levels: int) -> tuple[IntArray, IntArray]:
    """Return the two levels of each pair, the first one first: the lower triangle column by column."""
    return np.triu_indices(n_levels, 1)


class OverLevels(ABC):
    """A structure made of one matrix over all levels, ``n_levels`` of them."""

    __slots__ = ()

    n_levels: int

    @abstractmethod
    def matrix(self, rho: FloatArray) -> FloatArray:
        """Return the correlation matrix of all levels, shape (m, m)."""

    @abstractmethod
    def matrix_pullback(self, rho: FloatArray, dM: FloatArray) -> FloatArray:
        """Return the gradient in rho of a function whose derivative in the matrix is `dM`, symmetric."""

    @property
    def uses_coordinates(self) -> bool:
        """False: positions are levels."""
        return False

    def correlation(self, rho: FloatArray, positions: Positions) -> FloatArray:
        """Return the part of the matrix that each group has."""
        return np.asarray(self.matrix(rho)[positions[:, :, None], positions[:, None, :]])

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return the gradient from the sum of `dC` at each pair of levels."""
        m = self.n_levels
        places = positions[:, :, None] * m + positions[:, None, :]
        dM = np.asarray(np.bincount(places.ravel(), dC.ravel(), m * m), dtype=np.float64).reshape(m, m)
        return self.matrix_pullback(rho, dM)


@dataclass(frozen=True, slots=True)
class Unstructured(OverLevels):
    """Every two levels have their own correlation, ``us(visit | subject)``.

    `rho` is the lower triangle column by column, nlme's order. The free coordinates are those of glmmTMB:
    row i of the Cholesky factor of the matrix is ``(z_i1, ..., z_i,i-1, 1)`` over its length.

    Examples
    --------
    >>> general = Unstructured(3)
    >>> general.correlation(np.array([0.1, 0.2, 0.3]), np.array([[0, 2]])).tolist()
    [[[1.0, 0.2], [0.2, 1.0]]]
    """

    n_levels: int

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "us"

    @property
    def title(self) -> str:
        """Nlme's name."""
        return "General"

    @property
    def n_parameters(self) -> int:
        """Number of pairs of levels."""
        return self.n_levels * (self.n_levels - 1) // 2

    def start(self) -> FloatArray:
        """Return no correlation."""
        return np.zeros(self.n_parameters)

    def matrix(self, rho: FloatArray) -> FloatArray:
        """Return the matrix of the correlations."""
        M = np.eye(self.n_levels)
        columns, rows = _pairs(self.n_levels)
        M[rows, columns] = rho
        M[columns, rows] = rho
        return M

    def matrix_pullback(self, rho: FloatArray, dM: FloatArray) -> FloatArray:
        """Return `dM` at both places of each pair."""
        columns, rows = _pairs(self.n_levels)
        return np.asarray(dM[rows, columns] + dM[columns, rows])

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return the rows of the Cholesky factor over their diagonal elements."""
        L = _factor(self.matrix(rho))
        columns, rows = _pairs(self.n_levels)
        return np.asarray(L[rows, columns] / L[rows, rows])

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return the correlations from rows that are scaled to length one."""
        L, _ = self._rows(free)
        columns, rows = _pairs(self.n_levels)
        return np.asarray((L @ L.T)[rows, columns])

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in the coordinates: through ``L L'``, then through the lengths of the rows."""
        L, length = self._rows(free)
        columns, rows = _pairs(self.n_levels)
        dM = np.zeros((self.n_levels, self.n_levels))
        dM[rows, columns] = drho
        dL = (dM + dM.T) @ L
        dW = (dL - np.sum(dL * L, axis=1, keepdims=True) * L) / length[:, None]
        return np.asarray(dW[rows, columns])

    def _rows(self, free: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return L and the lengths of its rows before they were scaled."""
        W = np.eye(self.n_levels)
        columns, rows = _pairs(self.n_levels)
        W[rows, columns] = free
        length = np.sqrt(np.sum(W**2, axis=1))
        return W / length[:, None], length

    def parameter_names(self) -> tuple[str, ...]:
        """Return ``cor(1,2)`` and so on."""
        columns, rows = _pairs(self.n_levels)
        return tuple(f"cor({i + 1},{j + 1})" for i, j in zip(columns.tolist(), rows.tolist(), strict=True))

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return correlations of one, or the smallest eigenvalue where the matrix is singular without one."""
        reached = at_ends(self.parameter_names(), rho, _CORRELATIONS)
        smallest = float(np.linalg.eigvalsh(self.matrix(rho))[0])
        return reached if reached or smallest > AT_BOUND else (("smallest eigenvalue", smallest),)


def _factor(M: FloatArray) -> FloatArray:
    """Return the Cholesky factor of a correlation matrix, moved inside where it is not positive definite."""
    smallest = float(np.linalg.eigvalsh(M)[0])
    if smallest < INSIDE:
        share = (INSIDE - smallest) / (1.0 - smallest)
        M = (1.0 - share) * M + share * np.eye(len(M))
    return np.asarray(np.linalg.cholesky(M), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Antedependence(OverLevels):
    """Neighbouring levels have their own correlation, others the product of those between.

    ``ante(visit | subject)``: first-order ante-dependence; given the level before, a level does not depend
    on earlier ones.

    Examples
    --------
    >>> Antedependence(3).matrix(np.array([0.5, 0.2])).tolist()
    [[1.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 1.0]]
    """

    n_levels: int

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "ante"

    @property
    def title(self) -> str:
        """What a print calls it."""
        return "Ante-dependence(1)"

    @property
    def n_parameters(self) -> int:
        """Number of neighbours."""
        return self.n_levels - 1

    def start(self) -> FloatArray:
        """Return no correlation."""
        return np.zeros(self.n_parameters)

    def matrix(self, rho: FloatArray) -> FloatArray:
        """Return products of the correlations between two levels."""
        M = np.eye(self.n_levels)
        for j in range(1, self.n_levels):
            M[:j, j] = M[:j, j - 1] * rho[j - 1]
            M[j, :j] = M[:j, j]
        return M

    def matrix_pullback(self, rho: FloatArray, dM: FloatArray) -> FloatArray:
        """Return for correlation k the sum over pairs on either side of it, without dividing by it."""
        M = self.matrix(rho)
        after = [M[: k + 1, k] @ dM[: k + 1, k + 1 :] @ M[k + 1, k + 1 :] for k in range(self.n_parameters)]
        return 2.0 * np.array(after)

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return logits of the correlations."""
        return to_line(rho, _CORRELATIONS)

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return correlations from their logits."""
        return from_line(free, _CORRELATIONS)

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in the logits."""
        return drho * line_slope(free, _CORRELATIONS)

    def parameter_names(self) -> tuple[str, ...]:
        """Return ``Rho1`` and so on."""
        return tuple(f"Rho{k + 1}" for k in range(self.n_parameters))

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return the correlations at -1 or 1."""
        return at_ends(self.parameter_names(), rho, _CORRELATIONS)
