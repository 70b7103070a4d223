"""Random effects correlated as residuals are: ``toep(0 + f | g)``, and over places ``exp(x + y | g)``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.diagonal import common_scale
from mixedmodels.covariance.residual.structure import Positions, ResidualStructure
from mixedmodels.covariance.triangle import lower_triangle

# Smooth processes over close places have correlation matrices that are singular to rounding, about 1e-14 for
# a few hundred places. So much is added to their diagonal, and changes no estimate that data can tell.
_JITTER = 1e-10
# Places that are interpolated at once, which bounds the matrix of their correlations.
_PLACES_AT_ONCE = 256
# Share of its variance below which what is left of a place is that jitter: it is one of the fit.
_NOTHING_LEFT = 1e-8


@dataclass(frozen=True, slots=True)
class ByCorrelation:
    """Coefficients with the correlation matrix of another structure: T = diag(sd) L, with C = L L'.

    theta is ``(sd..., rho...)``: standard deviations relative to sigma, one for each coefficient or one for
    all, and the parameters of the correlation.

    Parameters
    ----------
    correlation : ResidualStructure
        The correlation of the coefficients.
    coordinates : tuple of tuples of float
        Of each coefficient; of a structure over levels their numbers, ``((0,), (1,), ...)``.
    homogeneous : bool
        Whether all coefficients share one standard deviation.

    Examples
    --------
    >>> from mixedmodels.covariance.residual.by_lag import Toeplitz
    >>> T = ByCorrelation(Toeplitz(1), ((0,), (1,)), True).factor(np.array([2.0, 0.5]))
    >>> (T @ T.T).round(8).tolist()
    [[4.0, 2.0], [2.0, 4.0]]
    """

    correlation: ResidualStructure
    coordinates: tuple[tuple[float, ...], ...]
    homogeneous: bool

    @property
    def name(self) -> str:
        """Name in formulas."""
        return self.correlation.name

    @property
    def size(self) -> int:
        """Number of coefficients per level, S."""
        return len(self.coordinates)

    @property
    def n_sd(self) -> int:
        """Number of standard deviations: S, or 1."""
        return 1 if self.homogeneous else self.size

    @property
    def n_theta(self) -> int:
        """Number of parameters."""
        return self.n_sd + self.correlation.n_parameters

    @property
    def is_unstructured(self) -> bool:
        """False: few parameters decide all."""
        return False

    def positions(self) -> Positions:
        """Return the positions of the coefficients as those of one group."""
        if self.correlation.uses_coordinates:
            return np.array(self.coordinates, dtype=np.float64)[None]
        return np.arange(self.size)[None]

    def _split(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return S deviations, rho, and the Cholesky factor of the correlation matrix."""
        sd, rho = np.broadcast_to(theta[: self.n_sd], (self.size,)), theta[self.n_sd :]
        C = self.correlation.correlation(rho, self.positions())[0]
        return sd, rho, np.asarray(np.linalg.cholesky(C + _JITTER * np.eye(self.size)))

    def start(self) -> FloatArray:
        """Return standard deviations of one, and where a search for the correlation begins."""
        return np.concatenate([np.ones(self.n_sd), self.correlation.start()])

    def factor(self, theta: FloatArray) -> FloatArray:
        """Return T = diag(sd) L."""
        sd, _, L = self._split(theta)
        return np.asarray(sd[:, None] * L)

    def interpolation(self, theta: FloatArray, places: FloatArray) -> FloatArray:
        """Return the weights of the coefficients in the conditional mean of the process at other places.

        ``C_no C_oo^-1`` (kriging), shape (m, S). A place so far from all that its weights underflow has the
        least number there is for one of them: rows of zeros are those that a prediction leaves out.

        Parameters
        ----------
        theta : ndarray, shape (n_theta,)
            Covariance parameters.
        places : ndarray, shape (m, d)
            Coordinates.
        """
        _, rho, L = self._split(theta)
        own, weights = self.positions()[0], np.empty((len(places), self.size))
        for first in range(0, len(places), _PLACES_AT_ONCE):
            some = places[first : first + _PLACES_AT_ONCE]
            both = self.correlation.correlation(rho, np.concatenate([own, some])[None])[0]
            across = both[self.size :, : self.size]
            weights[first : first + len(some)] = np.linalg.solve(L.T, np.linalg.solve(L, across.T)).T
        weights[~weights.any(axis=1), 0] = np.finfo(np.float64).tiny
        return weights

    def variance_left(self, theta: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the variance of the process at places given the coefficients, (m,); 0 for rows of zeros."""
        total = float(theta[0]) ** 2
        left = total - np.sum((weights @ self.factor(theta)) ** 2, axis=1)
        return np.where(weights.any(axis=1), np.where(left > _NOTHING_LEFT * total, left, 0.0), 0.0)

    def pullback(self, theta: FloatArray, dT: FloatArray) -> FloatArray:
        """Return ``sum dT * dT/dtheta`` over the lower triangle.

        Through the Cholesky factor: with Phi the lower triangle, its diagonal halved, the derivative in C is
        the symmetric part of ``L^-T Phi(L' dL) L^-1``.
        """
        sd, rho, L = self._split(theta)
        lower = np.tril(dT)
        by_sd = np.sum(lower * L, axis=1)
        gradient = np.array([by_sd.sum()]) if self.homogeneous else by_sd
        inside = np.tril(L.T @ (sd[:, None] * lower))
        inside[np.diag_indices(self.size)] *= 0.5
        dC = np.linalg.solve(L.T, np.linalg.solve(L.T, inside.T).T)
        by_rho = self.correlation.pullback(rho, self.positions(), 0.5 * (dC + dC.T)[None])
        return np.concatenate([gradient, by_rho])

    def to_free(self, theta: FloatArray) -> FloatArray:
        """Return roots of several deviations, a common one as it is, and the correlation's coordinates."""
        sd = theta[: self.n_sd]
        return np.concatenate(
            [sd if self.homogeneous else np.sqrt(np.abs(sd)), self.correlation.to_free(theta[self.n_sd :])]
        )

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return theta from optimiser coordinates."""
        sd = free[: self.n_sd]
        return np.concatenate(
            [sd if self.homogeneous else sd**2, self.correlation.from_free(free[self.n_sd :])]
        )

    def free_pullback(self, free: FloatArray, dtheta: FloatArray) -> FloatArray:
        """Return the gradient in the optimiser's coordinates by the chain rule."""
        slope = 1.0 if self.homogeneous else 2.0 * free[: self.n_sd]
        by_rho = self.correlation.free_pullback(free[self.n_sd :], dtheta[self.n_sd :])
        return np.concatenate([dtheta[: self.n_sd] * slope, by_rho])

    def scales(self, column_scale: FloatArray) -> FloatArray:
        """Return the scale of each coordinate; 1 for the correlation's."""
        sd = common_scale(column_scale) if self.homogeneous else np.sqrt(column_scale)
        return np.append(sd, np.ones(self.correlation.n_parameters))

    def canonical(self, theta: FloatArray) -> FloatArray:
        """Return non-negative deviations."""
        return np.concatenate([np.abs(theta[: self.n_sd]), theta[self.n_sd :]])

    def is_lower_bound(self) -> tuple[bool, ...]:
        """Tell that zero is a boundary for the deviations, not for the correlation's parameters."""
        return (True,) * self.n_sd + (False,) * self.correlation.n_parameters

    def parameter_names(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the coefficients (``"sd"`` where one serves all) and of the correlation."""
        return (("sd",) if self.homogeneous else columns) + self.correlation.parameter_names()

    def places(self) -> tuple[IntArray, IntArray]:
        """Return the places of the lower triangle."""
        return lower_triangle(self.size)

    def parameter_at(self) -> IntArray:
        """Return -1 everywhere: an entry of T is a product of a deviation and a function of rho."""
        return np.full(len(lower_triangle(self.size)[0]), -1)

    def bounds_reached(self, theta: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return the parameters of the correlation at an end of their range, if a deviation is not zero."""
        return self.correlation.bounds_reached(theta[self.n_sd :]) if theta[: self.n_sd].any() else ()
