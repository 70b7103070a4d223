"""Structures in which correlation goes by the number of steps between two rows: Toeplitz and ARMA."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.free_coordinates import (
    Interval,
    at_ends,
    from_line,
    line_slope,
    to_line,
)
from mixedmodels.covariance.residual.one_correlation import lags
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
        """Return small coefficients.

        With all of them zero an autoregressive and a moving average part could not be told apart: phi and
        theta have the same derivative there.
        """
        start = np.zeros(self.n_parameters)
        start[: min(self.p, 1)] = 0.1 if self.q else 0.0
        return start

    def autocorrelations(self, rho: Numbers, n_lags: int) -> Numbers:
        """Return the correlations at lags 0 to `n_lags`, shape (n_lags + 1,)."""
        return arma_autocorrelations(rho[: self.p], rho[self.p :], n_lags)

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


def arma_autocorrelations(phi: Numbers, theta: Numbers, n_lags: int) -> Numbers:
    """Return the autocorrelations of an ARMA process at lags 0 to `n_lags`.

    The Yule-Walker equations of Brockwell and Davis (1991, section 3.3): for k <= p,
    ``g_k - sum_j phi_j g_|k-j| = sum_j theta_j psi_{j-k}``, then the recursion in k.

    Examples
    --------
    >>> arma_autocorrelations(np.array([0.5]), np.array([]), 2).tolist()
    [1.0, 0.5, 0.25]
    """
    p, q = len(phi), len(theta)
    kind = np.result_type(phi, theta, np.float64)
    # 1. The moving average's share of each covariance.
    ma = np.concatenate([[1.0], theta]).astype(kind)
    psi = np.zeros(q + 1, dtype=kind)
    for j in range(q + 1):
        reach = min(j, p)
        psi[j] = ma[j] + phi[:reach] @ psi[j - reach : j][::-1]
    share = np.zeros(max(n_lags, p, q) + 1, dtype=kind)
    for k in range(q + 1):
        share[k] = ma[k:] @ psi[: q + 1 - k]
    # 2. The first p + 1 covariances together.
    A = np.eye(p + 1, dtype=kind)
    for k in range(p + 1):
        for j in range(1, p + 1):
            A[k, abs(k - j)] -= phi[j - 1]
    g = np.zeros(len(share), dtype=kind)
    g[: p + 1] = np.linalg.solve(A, share[: p + 1])
    # 3. The others one after the other.
    for k in range(p + 1, len(g)):
        g[k] = phi @ g[k - p : k][::-1] + share[k]
    return np.asarray((g / g[0])[: n_lags + 1])
