"""What structures with standard deviations and one correlation have in common.

T = diag(sd) R(rho), with R the lower Cholesky factor of a correlation matrix that rho alone decides.
A structure of this kind is a subclass with `name`, `rho_bounds`, `correlation_factor` and
`correlation_derivative`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.diagonal import common_scale
from mixedmodels.covariance.triangle import lower_triangle

# At a bound of rho R is singular and its derivative infinite, though that of the covariance is not.
# Staying this far inside (relative to the width of the interval) changes the covariance by as little,
# and keeps both finite.
_INSIDE = 1e-12
#: Distance of a correlation from its bound, relative to its interval, below which T is singular as far as
#: ``is_singular()`` can tell: the diagonal falls with the root of the distance.
_AT_BOUND = 1e-8


@dataclass(frozen=True, slots=True)
class OneCorrelation(ABC):
    """Standard deviations and one correlation; theta is ``(sd..., rho)``.

    `sd` are relative to sigma, one for each coefficient or one for all (`homogeneous`). A single
    coefficient has no correlation. Zero deviations and rho at its bounds are legal.

    The free coordinates attain the bounds and are smooth: rho = mid + half sin(z); deviations of their
    own are the squares s^2 of their coordinates, because a sign cannot be given away as in an
    unstructured factor; a common deviation is its own coordinate, the covariance being even in it.

    Parameters
    ----------
    size : int
        Number of coefficients per level, S.
    homogeneous : bool
        Whether all coefficients share one standard deviation (``hom = TRUE``).
    """

    size: int
    homogeneous: bool

    @property
    @abstractmethod
    def name(self) -> str:
        """Name in formulas."""

    @abstractmethod
    def rho_bounds(self) -> tuple[float, float]:
        """Return the smallest and the largest correlation."""

    @abstractmethod
    def correlation_factor(self, rho: float) -> FloatArray:
        """Return R, the lower Cholesky factor of the correlation matrix, shape (S, S)."""

    @abstractmethod
    def correlation_derivative(self, rho: float) -> FloatArray:
        """Return dR/drho, shape (S, S), for rho strictly between its bounds."""

    @property
    def is_unstructured(self) -> bool:
        """False: one correlation decides all."""
        return False

    def places(self) -> tuple[IntArray, IntArray]:
        """Return the places of the lower triangle."""
        return lower_triangle(self.size)

    def parameter_at(self) -> IntArray:
        """Return -1 everywhere: an entry of T is a product of a deviation and a function of rho."""
        return np.full(len(self.places()[0]), -1)

    @property
    def n_sd(self) -> int:
        """Number of standard deviations: S, or 1."""
        return 1 if self.homogeneous else self.size

    @property
    def n_theta(self) -> int:
        """Number of parameters."""
        return self.n_sd + (self.size > 1)

    def _split(self, theta: FloatArray) -> tuple[FloatArray, float]:
        """Return the S deviations and rho, a little inside its bounds."""
        sd = np.broadcast_to(theta[: self.n_sd], (self.size,))
        if self.size == 1:
            return sd, 0.0
        low, high = self.rho_bounds()
        margin = _INSIDE * (high - low)
        return sd, min(max(float(theta[-1]), low + margin), high - margin)

    def start(self) -> FloatArray:
        """Return standard deviations of one and no correlation."""
        return np.concatenate([np.ones(self.n_sd), np.zeros(self.n_theta - self.n_sd)])

    def factor(self, theta: FloatArray) -> FloatArray:
        """Return T = diag(sd) R(rho)."""
        sd, rho = self._split(theta)
        return sd[:, None] * self.correlation_factor(rho)

    def pullback(self, theta: FloatArray, dT: FloatArray) -> FloatArray:
        """Return ``sum dT * dT/dtheta`` over the lower triangle."""
        sd, rho = self._split(theta)
        lower = np.tril(dT)
        by_sd = np.sum(lower * self.correlation_factor(rho), axis=1)
        gradient = np.array([by_sd.sum()]) if self.homogeneous else by_sd
        if self.size == 1:
            return gradient
        by_rho = np.sum(lower * sd[:, None] * self.correlation_derivative(rho))
        return np.append(gradient, by_rho)

    def _mid_half(self) -> tuple[float, float]:
        """Return the middle and half the width of the interval of rho."""
        low, high = self.rho_bounds()
        return (low + high) / 2, (high - low) / 2

    def to_free(self, theta: FloatArray) -> FloatArray:
        """Return the coordinates of the deviations, and arcsin of the scaled correlation."""
        free = theta.copy()
        if not self.homogeneous:
            free[: self.n_sd] = np.sqrt(np.abs(theta[: self.n_sd]))
        if self.size > 1:
            mid, half = self._mid_half()
            free[-1] = np.arcsin(np.clip((theta[-1] - mid) / half, -1.0, 1.0))
        return free

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return theta from optimiser coordinates."""
        theta = free.copy()
        if not self.homogeneous:
            theta[: self.n_sd] = free[: self.n_sd] ** 2
        if self.size > 1:
            mid, half = self._mid_half()
            theta[-1] = mid + half * np.sin(free[-1])
        return theta

    def free_pullback(self, free: FloatArray, dtheta: FloatArray) -> FloatArray:
        """Return the gradient in the optimiser's coordinates by the chain rule."""
        gradient = dtheta.copy()
        if not self.homogeneous:
            gradient[: self.n_sd] *= 2 * free[: self.n_sd]
        if self.size > 1:
            gradient[-1] *= self._mid_half()[1] * np.cos(free[-1])
        return gradient

    def scales(self, column_scale: FloatArray) -> FloatArray:
        """Return the scale of each coordinate; 1 for the correlation's."""
        sd = common_scale(column_scale) if self.homogeneous else np.sqrt(column_scale)
        return np.append(sd, np.ones(self.n_theta - self.n_sd))

    def canonical(self, theta: FloatArray) -> FloatArray:
        """Return non-negative deviations."""
        canonical = theta.copy()
        canonical[: self.n_sd] = np.abs(theta[: self.n_sd])
        return canonical

    def is_lower_bound(self) -> tuple[bool, ...]:
        """Tell that zero is a boundary for the deviations, not for the correlation."""
        return (True,) * self.n_sd + (False,) * (self.n_theta - self.n_sd)

    def parameter_names(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the coefficients (``"sd"`` where one serves all) and ``"rho"``."""
        sd = ("sd",) if self.homogeneous else columns
        return sd + ("rho",) * (self.n_theta - self.n_sd)

    def bounds_reached(self, theta: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return the correlation when it is at its bound while some deviation is not zero."""
        if self.size == 1 or not theta[: self.n_sd].any():
            return ()
        rho, bounds = float(theta[-1]), self.rho_bounds()
        distance = min(abs(rho - bound) for bound in bounds)
        return (("correlation rho", rho),) if distance < _AT_BOUND * (bounds[1] - bounds[0]) else ()
