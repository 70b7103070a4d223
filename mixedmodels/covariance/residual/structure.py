"""The interface of a residual correlation structure and of a variance function.

The residuals of group i have covariance ``sigma^2 W^-1/2 D C D W^-1/2``: C is a correlation matrix that a
`ResidualStructure` makes of the positions of its rows (visits, times, places), D holds relative standard
deviations that the product of some `VarianceFunction` gives, W prior weights. To add a structure, write one
small frozen class with these methods; the engine knows nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from mixedmodels.arrays import FloatArray, IntArray

#: Positions of the rows of K groups of T rows each: whole numbers (K, T) where a structure goes by levels or
#: by steps, coordinates (K, T, d) where it goes by distances.
Positions: TypeAlias = npt.NDArray[Any]


class ResidualStructure(Protocol):
    """Map between the parameters rho of a correlation structure and correlation matrices.

    `rho` are the natural parameters, those that are printed. The optimiser works without bounds in `free`
    coordinates, at each of which the correlation matrix of distinct positions is positive definite.
    """

    @property
    def name(self) -> str:
        """Name as written in a formula: ``"ar1"``, ``"us"``."""

    @property
    def title(self) -> str:
        """Name as nlme prints it: ``"AR(1)"``, ``"General"``."""

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""

    @property
    def uses_coordinates(self) -> bool:
        """Whether positions are coordinates (K, T, d), and not levels (K, T)."""

    def start(self) -> FloatArray:
        """Return where a search begins, shape (n_parameters,)."""

    def correlation(self, rho: FloatArray, positions: Positions) -> FloatArray:
        """Return the correlation matrices of K groups of one size, shape (K, T, T)."""

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return the gradient in rho of a function whose derivative in the correlation matrices is `dC`.

        Element k is ``sum_ist dC[i, s, t] * dC_i[s, t] / drho_k``; `dC` is symmetric, shape (K, T, T).
        """

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return unbounded optimiser coordinates of `rho`, shape (n_parameters,)."""

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return rho from optimiser coordinates; the inverse of `to_free`."""

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in `free` of a function whose gradient in rho is `drho`."""

    def parameter_names(self) -> tuple[str, ...]:
        """Return the names of the parameters, as nlme prints them."""

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return name and value of each parameter that is at an end of its range."""


@runtime_checkable
class Markov(Protocol):
    """A structure in which a row depends on few rows before it, so that a group costs as it is long.

    Rows of each group are in increasing order of their positions. In processes of the first order row t
    is predicted from row t - 1 with the coefficient that is their correlation, so the inverse factor of C
    has two diagonals.
    """

    def whiten(self, rho: FloatArray, positions: Positions, rows: FloatArray) -> tuple[FloatArray, float]:
        """Return ``L^-1 rows`` (K, T, q), with L the Cholesky factor of C, and the sum of ``log |C|``."""

    def whiten_pullback(
        self, rho: FloatArray, positions: Positions, rows: FloatArray, dwhite: FloatArray, dlog_det: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the gradients in rho (n_parameters,) and in `rows` (K, T, q)."""

    def colour(self, rho: FloatArray, positions: Positions, rows: FloatArray) -> FloatArray:
        """Return ``L rows`` (K, T, q), the inverse of whitening."""


@runtime_checkable
class FirstOrder(Protocol):
    """A Markov structure of the first order, in which the row before says all that is known of a row."""

    def steps(self, rho: FloatArray, positions: Positions) -> tuple[FloatArray, FloatArray]:
        """Return the correlation a of each row with the one before it, and ``1 - a^2``, shape (K, T - 1)."""

    def steps_pullback(self, rho: FloatArray, positions: Positions, da: FloatArray) -> FloatArray:
        """Return the gradient in rho of a function whose gradient in `a` is `da`, shape (K, T - 1)."""


@dataclass(frozen=True, slots=True)
class VarianceColumns:
    """What a variance function is a function of.

    Attributes
    ----------
    values : ndarray, shape (n, k)
        Numbers; k = 0 for standard deviations by level alone.
    strata : int ndarray, shape (n,)
        Which parameters a row has: its level. All zero where there is one set of them.
    """

    values: FloatArray
    strata: IntArray

    def take(self, rows: IntArray) -> VarianceColumns:
        """Return those of some rows."""
        return VarianceColumns(self.values[rows], self.strata[rows])

    def with_values(self, values: FloatArray) -> VarianceColumns:
        """Return the same with other numbers, shape (n,): fitted values as they are now."""
        return VarianceColumns(np.asarray(values, dtype=np.float64)[:, None], self.strata)


class VarianceFunction(Protocol):
    """Map between the parameters delta of a variance function and relative standard deviations."""

    @property
    def name(self) -> str:
        """Name as written: ``"ident"``, ``"power"``."""

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""

    def start(self) -> FloatArray:
        """Return where a search begins, shape (n_parameters,)."""

    def log_sd(self, delta: FloatArray, columns: VarianceColumns) -> FloatArray:
        """Return logarithms of the relative standard deviations, shape (n,)."""

    def pullback(self, delta: FloatArray, columns: VarianceColumns, dlog_sd: FloatArray) -> FloatArray:
        """Return the gradient in delta of a function whose gradient in `log_sd` is `dlog_sd`."""

    def to_free(self, delta: FloatArray) -> FloatArray:
        """Return unbounded optimiser coordinates of `delta`."""

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return delta from optimiser coordinates."""

    def free_pullback(self, free: FloatArray, ddelta: FloatArray) -> FloatArray:
        """Return the gradient in `free` of a function whose gradient in delta is `ddelta`."""

    def parameter_names(self) -> tuple[str, ...]:
        """Return the names of the parameters."""

    def bounds_reached(self, delta: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return name and value of each parameter that is at an end of its range."""
