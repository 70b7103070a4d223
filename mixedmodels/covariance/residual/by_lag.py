"""Structures in which correlation goes by the number of steps between two rows: Toeplitz and ARMA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.covariance.residual.arma_covariance import arma_autocovariances
from mixedmodels.covariance.residual.arma_series import (
    banded_factor,
    solve_factor,
    times_factor,
    with_autoregression,
    without_autoregression,
    without_autoregression_pullback,
)
from mixedmodels.covariance.residual.free_coordinates import (
    Interval,
    at_ends,
    from_line,
    line_slope,
    to_line,
)
from mixedmodels.covariance.residual.one_correlation import LITTLE_CORRELATION, lags
from mixedmodels.covariance.residual.partial_autocorrelation import (
    Numbers,
    autocorrelations,
    autoregressive_coefficients,
    exact_jacobian,
    partial_of_autocorrelations,
    partial_of_coefficients,
)
from mixedmodels.covariance.residual.structure import Positions

_PARTIAL: Interval = (-1.0, 1.0)
# Step of differences in logits: errors of 1e-12 from the fourth power, and of 1e-13 from rounding.
_STEP = 1e-3


def _names(kind: str, count: int) -> tuple[str, ...]:
    return tuple(f"{kind}{k + 1}" for k in range(count))


@dataclass(frozen=True, slots=True)
class Toeplitz:
    """Each number of steps has its own correlation, ``toep(visit | subject)``.

    The free coordinates are logits of the partial autocorrelations, so that the matrix is positive definite.

    Parameters
    ----------
    n_lags : int
        The largest number of steps between two rows.

    Examples
    --------
    >>> Toeplitz(2).correlation(np.array([0.5, 0.1]), np.array([[0, 2]])).tolist()
    [[[1.0, 0.1], [0.1, 1.0]]]
    """

    n_lags: int

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "toep"

    @property
    def title(self) -> str:
        """What a print calls it."""
        return "Toeplitz"

    @property
    def n_parameters(self) -> int:
        """Number of lags."""
        return self.n_lags

    @property
    def uses_coordinates(self) -> bool:
        """False: positions are steps."""
        return False

    def start(self) -> FloatArray:
        """Return no correlation."""
        return np.zeros(self.n_lags)

    def correlation(self, rho: FloatArray, positions: Positions) -> FloatArray:
        """Return the correlation at each lag."""
        return np.asarray(np.concatenate([[1.0], rho])[lags(positions)])

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return the sum of `dC` at each lag."""
        return np.asarray(np.bincount(lags(positions).ravel(), dC.ravel(), self.n_lags + 1)[1:])

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return logits of the partial autocorrelations."""
        return to_line(partial_of_autocorrelations(rho), _PARTIAL)

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return the correlations from logits of partial ones."""
        return autocorrelations(from_line(free, _PARTIAL))

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in the logits."""
        J = exact_jacobian(autocorrelations, from_line(free, _PARTIAL))
        return np.asarray((drho @ J) * line_slope(free, _PARTIAL)) if self.n_lags else drho

    def parameter_names(self) -> tuple[str, ...]:
        """Return ``Rho1`` and so on, by lag."""
        return _names("Rho", self.n_lags)

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return the partial autocorrelations at -1 or 1."""
        names = _names("partial autocorrelation ", self.n_lags)
        return at_ends(names, partial_of_autocorrelations(rho), _PARTIAL)


@dataclass(frozen=True, slots=True)
class AutoregressiveMovingAverage:
    """A stationary and invertible ARMA process, ``arma(visit | subject, p = 1, q = 1)``.

    ``e_t = phi_1 e_{t-1} + ... + a_t + theta_1 a_{t-1} + ...``; rho is ``(phi..., theta...)``. The free
    coordinates are logits of the partial autocorrelations of either part, as in nlme.

    Parameters
    ----------
    p, q : int
        Orders of the autoregressive and of the moving average part.

    Examples
    --------
    >>> arma = AutoregressiveMovingAverage(0, 1)
    >>> arma.correlation(np.array([0.5]), np.array([[0, 1, 2]])).tolist()[0][0]
    [1.0, 0.4, 0.0]
    """

    p: int
    q: int

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "arma"

    @property
    def title(self) -> str:
        """Nlme's name."""
        return f"ARMA({self.p},{self.q})"

    @property
    def n_parameters(self) -> int:
        """Number of coefficients, p + q."""
        return self.p + self.q

    @property
    def uses_coordinates(self) -> bool:
        """False: positions are steps."""
        return False

    def start(self) -> FloatArray:
        """Return a little autoregression, or moving average where there is none.

        With all coefficients zero, phi and theta of one lag have the same derivative, and rows that are two
        steps apart at least have none.
        """
        start = np.zeros(self.n_parameters)
        start[0] = LITTLE_CORRELATION
        return start

    def autocorrelations(self, rho: Numbers, n_lags: int) -> Numbers:
        """Return the correlations at lags 0 to `n_lags`, shape (n_lags + 1,)."""
        g = arma_autocovariances(rho[: self.p], rho[self.p :], n_lags)
        return np.asarray(g / g[0])

    def correlation(self, rho: FloatArray, positions: Positions) -> FloatArray:
        """Return the correlation at each lag."""
        lag = lags(positions)
        return np.asarray(self.autocorrelations(rho, int(lag.max()))[lag])

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return the gradient through the correlation at each lag."""
        lag = lags(positions)
        n_lags = int(lag.max())
        by_lag = np.bincount(lag.ravel(), dC.ravel(), n_lags + 1)
        return np.asarray(by_lag @ exact_jacobian(lambda x: self.autocorrelations(x, n_lags), rho))

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return logits of the partial autocorrelations of both parts."""
        parts = partial_of_coefficients(rho[: self.p]), partial_of_coefficients(-rho[self.p :])
        return to_line(np.concatenate(parts), _PARTIAL)

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return the coefficients from logits of partial autocorrelations."""
        return np.asarray(self._coefficients(from_line(free, _PARTIAL)))

    def _coefficients(self, partial: Numbers) -> Numbers:
        """Return phi and theta; theta is invertible where an autoregression of -theta is stationary."""
        phi = autoregressive_coefficients(partial[: self.p])
        theta = -autoregressive_coefficients(partial[self.p :])
        return np.concatenate([phi, theta])

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in the logits."""
        J = exact_jacobian(self._coefficients, from_line(free, _PARTIAL))
        return np.asarray((drho @ J) * line_slope(free, _PARTIAL))

    def parameter_names(self) -> tuple[str, ...]:
        """Return nlme's names."""
        return _names("Phi", self.p) + _names("Theta", self.q)

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return the partial autocorrelations at -1 or 1: a root of either part on the unit circle."""
        partial = from_line(self.to_free(rho), _PARTIAL)
        names = (
            *_names("partial autocorrelation of Phi ", self.p),
            *_names("partial autocorrelation of Theta ", self.q),
        )
        return at_ends(names, partial, _PARTIAL)

    def whiten(self, rho: FloatArray, positions: Positions, rows: FloatArray) -> tuple[FloatArray, float]:
        """Return ``L^-1 rows`` and the sum of ``log |C|``, of series without gaps by banded factors."""
        series = without_gaps(positions)
        white, log_det = np.empty_like(rows), 0.0
        if series.any():
            factor = banded_factor(rho[: self.p], rho[self.p :], rows.shape[1])
            stacked = without_autoregression(rho[: self.p], _rows_first(rows[series]))
            white[series] = _groups_first(solve_factor(factor, stacked), rows.shape[2])
            log_det += 2.0 * np.count_nonzero(series) * float(np.sum(np.log(factor[0])))
        if not series.all():
            L = np.linalg.cholesky(self.correlation(rho, positions[~series]))
            white[~series] = np.linalg.solve(L, rows[~series])
            log_det += 2.0 * float(np.sum(np.log(np.diagonal(L, axis1=1, axis2=2))))
        return white, log_det

    def whiten_pullback(
        self, rho: FloatArray, positions: Positions, rows: FloatArray, dwhite: FloatArray, dlog_det: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the gradients in the coefficients, by differences of the fourth order, and in `rows`."""

        def value(at: FloatArray) -> float:
            white, log_det = self.whiten(self.from_free(at), positions, rows)
            return float(np.vdot(dwhite, white) + dlog_det * log_det)

        free = self.to_free(rho)
        slopes = np.array([_slope(value, free, k) for k in range(self.n_parameters)])
        J = exact_jacobian(self._coefficients, from_line(free, _PARTIAL)) * line_slope(free, _PARTIAL)
        return np.linalg.solve(J.T, slopes), self._pullback_in_rows(rho, positions, dwhite)

    def _pullback_in_rows(self, rho: FloatArray, positions: Positions, dwhite: FloatArray) -> FloatArray:
        """Return ``L^-T dwhite``."""
        series = without_gaps(positions)
        drows = np.empty_like(dwhite)
        if series.any():
            factor = banded_factor(rho[: self.p], rho[self.p :], dwhite.shape[1])
            solved = solve_factor(factor, _rows_first(dwhite[series]), transposed=True)
            stacked = without_autoregression_pullback(rho[: self.p], solved)
            drows[series] = _groups_first(stacked, dwhite.shape[2])
        if not series.all():
            L = np.linalg.cholesky(self.correlation(rho, positions[~series]))
            drows[~series] = np.linalg.solve(np.swapaxes(L, 1, 2), dwhite[~series])
        return drows

    def colour(self, rho: FloatArray, positions: Positions, rows: FloatArray) -> FloatArray:
        """Return ``L rows``, the inverse of whitening."""
        series = without_gaps(positions)
        coloured = np.empty_like(rows)
        if series.any():
            factor = banded_factor(rho[: self.p], rho[self.p :], rows.shape[1])
            stacked = with_autoregression(rho[: self.p], times_factor(factor, _rows_first(rows[series])))
            coloured[series] = _groups_first(stacked, rows.shape[2])
        if not series.all():
            C = self.correlation(rho, positions[~series])
            coloured[~series] = np.linalg.cholesky(C) @ rows[~series]
        return coloured


def without_gaps(positions: Positions) -> BoolArray:
    """Tell which groups have a row at every step, shape (K,)."""
    return np.asarray(np.all(np.diff(positions, axis=1) == 1, axis=1))


def _rows_first(rows: FloatArray) -> FloatArray:
    """Return (T, K q) of (K, T, q)."""
    return np.moveaxis(rows, 0, 1).reshape(rows.shape[1], -1).copy()


def _groups_first(stacked: FloatArray, q: int) -> FloatArray:
    """Return (K, T, q) of (T, K q)."""
    return np.moveaxis(stacked.reshape(len(stacked), -1, q), 1, 0)


def _slope(value: Callable[[FloatArray], float], at: FloatArray, k: int) -> float:
    """Return a derivative from four points, whose error is of the fourth power of the step."""
    step = np.zeros(len(at))
    step[k] = _STEP
    near, far = value(at + step) - value(at - step), value(at + 2.0 * step) - value(at - 2.0 * step)
    return (8.0 * near - far) / (12.0 * _STEP)
