"""Structures in which correlation goes by distance: in continuous time, or between places.

With u the distance over the range, the correlation of two rows is f(u), or ``(1 - nugget) f(u)``; the nugget
is what two rows at one place do not share. A structure of this kind is a subclass with f and its derivative.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy import special

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.free_coordinates import (
    AT_BOUND,
    INSIDE,
    Interval,
    at_ends,
    from_line,
    line_slope,
    to_line,
)
from mixedmodels.covariance.residual.markov import colour_steps, whiten_steps, whiten_steps_pullback
from mixedmodels.covariance.residual.structure import Positions

_UNIT: Interval = (0.0, 1.0)
# Rates of decay beyond this are no correlation, whatever the distance.
_FASTEST = 300.0
# Ranges beyond which all rows of a group are as good as equal, or independent, relative to their distances.
_ENDLESS, _POINT = 1e5, 1e-2
# Step of the derivative in the smoothness, for which there is no formula, relative to it: errors of 1e-10.
_SMOOTHNESS_STEP = 1e-5
# Logarithms of the smoothness of a Matern process: below, it is noise; above, the Gaussian structure.
_LOG_SMOOTHNESS: Interval = (math.log(0.05), math.log(40.0))


@dataclass(frozen=True, slots=True)
class Spatial(ABC):
    """Correlation by distance over a range, with or without a nugget; rho is ``(range[, nugget])``.

    Parameters
    ----------
    nugget : bool
        Whether there is a nugget.
    typical, nearest : float
        Half of rows of one group are farther apart than `typical`; none that are apart are closer than
        `nearest`.
    """

    nugget: bool = False
    typical: float = 1.0
    nearest: float = 0.0

    @property
    @abstractmethod
    def name(self) -> str:
        """Name in formulas."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Nlme's name."""

    @abstractmethod
    def f(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return the correlation at distances `u` in units of the range."""

    @abstractmethod
    def slope(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return df/du."""

    def by_shape(self, u: FloatArray, shape: FloatArray) -> tuple[FloatArray, ...]:
        """Return df/dshape for each parameter of the form of f: none."""
        return ()

    @property
    def n_shape(self) -> int:
        """Number of parameters of the form of f, between range and nugget."""
        return 0

    @property
    def least_range(self) -> float:
        """What a range exceeds: below it, a structure of bounded reach would be one of independence."""
        return 0.0

    @property
    def uses_coordinates(self) -> bool:
        """True: positions are coordinates."""
        return True

    @property
    def n_parameters(self) -> int:
        """Range, shape and nugget."""
        return 1 + self.n_shape + self.nugget

    def start(self) -> FloatArray:
        """Return a range like the distances, and a nugget of a tenth as in nlme."""
        return np.array([self.least_range + self.typical, *[1.0] * self.n_shape, *[0.1] * self.nugget])

    def _split(self, rho: FloatArray) -> tuple[float, FloatArray, float]:
        """Return range, shape and what two rows at one place share."""
        return float(rho[0]), rho[1 : 1 + self.n_shape], 1.0 - float(rho[-1]) if self.nugget else 1.0

    def correlation(self, rho: FloatArray, positions: Positions) -> FloatArray:
        """Return the correlation at the distances of the rows."""
        scale, shape, share = self._split(rho)
        return _of_pairs(share * self.f(pair_distances(positions) / scale, shape), positions.shape[1])

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return the gradient through the correlation at each distance."""
        scale, shape, share = self._split(rho)
        u = pair_distances(positions) / scale
        first, second = np.triu_indices(dC.shape[1], 1)
        twice = 2.0 * dC[:, first, second]
        by_shape = [share * by for by in self.by_shape(u, shape)]
        by_nugget = [-self.f(u, shape)] * self.nugget
        derivatives = [-share * self.slope(u, shape) * u / scale, *by_shape, *by_nugget]
        return np.array([np.sum(twice * dC_k) for dC_k in derivatives])

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return the logarithm of the range and the logit of the nugget."""
        free = rho.astype(np.float64)
        free[0] = np.log(max(free[0] - self.least_range, np.finfo(np.float64).tiny))
        if self.nugget:
            free[-1:] = to_line(free[-1:], _UNIT)
        return free

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return range, shape and nugget."""
        rho = free.astype(np.float64)
        rho[0] = self.least_range + np.exp(np.clip(free[0], -300.0, 300.0))
        if self.nugget:
            rho[-1:] = from_line(free[-1:], _UNIT)
        return rho

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in the coordinates."""
        slope = np.ones(len(free))
        slope[0] = np.exp(np.clip(free[0], -300.0, 300.0))
        if self.nugget:
            slope[-1:] = line_slope(free[-1:], _UNIT)
        return drho * slope

    def parameter_names(self) -> tuple[str, ...]:
        """Return nlme's names."""
        return ("range", *("smoothness",) * self.n_shape, *("nugget",) * self.nugget)

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return a range that is as good as zero or infinite, and a nugget of zero or one."""
        scale = float(rho[0])
        below = scale < max(_POINT * self.nearest, self.least_range * (1.0 + _POINT))
        reached: tuple[tuple[str, float], ...] = (
            (("range", scale),) if below or scale > _ENDLESS * self.typical else ()
        )
        return reached + (at_ends(("nugget",), rho[-1:], _UNIT) if self.nugget else ())


def pair_distances(positions: Positions) -> FloatArray:
    """Return Euclidean distances of each two rows of each group, shape (K, T (T - 1) / 2)."""
    first, second = np.triu_indices(positions.shape[1], 1)
    apart = positions[:, first] - positions[:, second]
    if positions.shape[-1] == 1:
        return np.asarray(np.abs(apart[..., 0]))
    return np.asarray(np.sqrt(np.einsum("kpd,kpd->kp", apart, apart)))


def _of_pairs(correlations: FloatArray, T: int) -> FloatArray:
    """Return symmetric matrices (K, T, T) with ones on their diagonals from what is above these."""
    C = np.broadcast_to(np.eye(T), (len(correlations), T, T)).copy()
    first, second = np.triu_indices(T, 1)
    C[:, first, second] = correlations
    C[:, second, first] = correlations
    return C


class Exponential(Spatial):
    """``exp(-u)``, ``exp(x + y | g)``."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "exp"

    @property
    def title(self) -> str:
        """Nlme's name."""
        return "Exponential spatial correlation"

    def f(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return ``exp(-u)``."""
        return np.exp(-u)

    def slope(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return ``-exp(-u)``."""
        return -np.exp(-u)


class ExponentialSeries(Exponential):
    """The exponential structure over one coordinate without a nugget, where rows follow each other."""

    __slots__ = ()

    def whiten(self, rho: FloatArray, positions: Positions, rows: FloatArray) -> tuple[FloatArray, float]:
        """Return ``L^-1 rows`` and ``log |C|``."""
        return whiten_steps(*self.steps(rho, positions), rows)

    def whiten_pullback(
        self, rho: FloatArray, positions: Positions, rows: FloatArray, dwhite: FloatArray, dlog_det: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the gradients in the range and in `rows`."""
        da, drows = whiten_steps_pullback(*self.steps(rho, positions), rows, dwhite, dlog_det)
        return self.steps_pullback(rho, positions, da), drows

    def colour(self, rho: FloatArray, positions: Positions, rows: FloatArray) -> FloatArray:
        """Return ``L rows``."""
        return colour_steps(*self.steps(rho, positions), rows)

    def steps(self, rho: FloatArray, positions: Positions) -> tuple[FloatArray, FloatArray]:
        """Return ``a = exp(-u)`` of each row and the one before it, and ``1 - a^2``."""
        gap = np.diff(positions[..., 0], axis=1) / rho[0]
        return np.exp(-gap), -np.expm1(-2.0 * gap)

    def steps_pullback(self, rho: FloatArray, positions: Positions, da: FloatArray) -> FloatArray:
        """Return the gradient in the range from that in `a`."""
        gap = np.diff(positions[..., 0], axis=1) / rho[0]
        return np.array([np.sum(da * np.exp(-gap) * gap) / rho[0]])


class Gaussian(Spatial):
    """``exp(-u^2)``, ``gau(x + y | g)``."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "gau"

    @property
    def title(self) -> str:
        """Nlme's name."""
        return "Gaussian spatial correlation"

    def f(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return ``exp(-u^2)``."""
        return np.exp(-(u**2))

    def slope(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return ``-2 u exp(-u^2)``."""
        return np.asarray(-2.0 * u * np.exp(-(u**2)))


class RationalQuadratic(Spatial):
    """``1 / (1 + u^2)``, ``ratio(x + y | g)``."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "ratio"

    @property
    def title(self) -> str:
        """Nlme's name."""
        return "Rational quadratic spatial correlation"

    def f(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return ``1 / (1 + u^2)``."""
        return np.asarray(1.0 / (1.0 + u**2))

    def slope(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return ``-2 u / (1 + u^2)^2``."""
        return np.asarray(-2.0 * u / (1.0 + u**2) ** 2)


class Linear(Spatial):
    """``1 - u`` up to 1, ``lin(x | g)``: positive definite over one coordinate alone."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "lin"

    @property
    def title(self) -> str:
        """Nlme's name."""
        return "Linear spatial correlation"

    @property
    def least_range(self) -> float:
        """The smallest distance."""
        return self.nearest

    def f(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return ``1 - u``, zero beyond the range."""
        return np.maximum(1.0 - u, 0.0)

    def slope(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return -1, zero beyond the range."""
        return np.where(u < 1.0, -1.0, 0.0)


class Spherical(Spatial):
    """``1 - 3u/2 + u^3/2`` up to 1, ``spher(x + y | g)``: positive definite over one to three coordinates."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "spher"

    @property
    def title(self) -> str:
        """Nlme's name."""
        return "Spherical spatial correlation"

    @property
    def least_range(self) -> float:
        """The smallest distance."""
        return self.nearest

    def f(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return ``1 - 3u/2 + u^3/2``, zero beyond the range."""
        return np.where(u < 1.0, 1.0 - 1.5 * u + 0.5 * u**3, 0.0)

    def slope(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return ``-3/2 + 3 u^2/2``, zero beyond the range."""
        return np.where(u < 1.0, -1.5 + 1.5 * u**2, 0.0)


@dataclass(frozen=True, slots=True)
class Matern(Spatial):
    """``2^(1 - nu) / Gamma(nu) u^nu K_nu(u)``, ``mat(x + y | g)``, as in glmmTMB.

    Parameters
    ----------
    nu : float
        The smoothness where it is given, as in ``mat(x + y | g, nu = 1.5)``; zero where it is estimated: then
        rho is ``(range, nu[, nugget])``.

    Examples
    --------
    >>> exponential = Matern(nu=0.5).f(np.array([0.0, 1.0]), np.array([]))
    >>> bool(np.allclose(exponential, np.exp([0.0, -1.0])))
    True
    """

    nu: float = 0.0

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "mat"

    @property
    def title(self) -> str:
        """What a print calls it."""
        given = f" (nu = {self.nu:g})" if self.nu else ""
        return f"Matern spatial correlation{given}"

    @property
    def n_shape(self) -> int:
        """One where the smoothness is estimated."""
        return int(self.nu == 0.0)

    def _smoothness(self, shape: FloatArray) -> float:
        return float(shape[0]) if self.n_shape else self.nu

    def f(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return the correlation, by logarithms so that no factor of it overflows."""
        return _matern(u, self._smoothness(shape))

    def slope(self, u: FloatArray, shape: FloatArray) -> FloatArray:
        """Return ``-2^(1 - nu) / Gamma(nu) u^nu K_{nu-1}(u)``."""
        nu = self._smoothness(shape)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            log_f = nu * np.log(u) + np.log(special.kve(nu - 1.0, u)) - u
        # At no distance the product with u, which alone is used, is zero.
        slope = -np.exp(log_f + (1.0 - nu) * np.log(2.0) - special.gammaln(nu))
        return np.where(np.isfinite(slope) & (u > 0.0), slope, 0.0)

    def by_shape(self, u: FloatArray, shape: FloatArray) -> tuple[FloatArray, ...]:
        """Return df/dnu by central differences; nothing where nu is given."""
        if not self.n_shape:
            return ()
        nu = self._smoothness(shape)
        h = _SMOOTHNESS_STEP * nu
        return (np.asarray((_matern(u, nu + h) - _matern(u, nu - h)) / (2.0 * h)),)

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return coordinates of which the first is the logarithm of ``2 sqrt(nu) range``.

        That is the range of the Gaussian structure to which the process tends with nu, so that the two
        coordinates do not stand in for each other.
        """
        free = Spatial.to_free(self, rho)
        if self.n_shape:
            log_nu = np.log(rho[1:2])
            free[0] += math.log(2.0) + 0.5 * float(log_nu[0])
            free[1:2] = to_line(log_nu, _LOG_SMOOTHNESS)
        return free

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return range, smoothness and nugget."""
        if not self.n_shape:
            return Spatial.from_free(self, free)
        log_nu = from_line(free[1:2], _LOG_SMOOTHNESS)
        moved = free.astype(np.float64)
        moved[0] -= math.log(2.0) + 0.5 * float(log_nu[0])
        rho = Spatial.from_free(self, moved)
        rho[1:2] = np.exp(log_nu)
        return rho

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in the coordinates."""
        if not self.n_shape:
            return Spatial.free_pullback(self, free, drho)
        rho = self.from_free(free)
        moved = free.astype(np.float64)
        moved[0] = math.log(rho[0])
        gradient = Spatial.free_pullback(self, moved, drho)
        by_log_nu = drho[1] * rho[1] - 0.5 * gradient[0]
        gradient[1:2] = by_log_nu * line_slope(free[1:2], _LOG_SMOOTHNESS)
        return gradient

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return also a smoothness at an end of its range."""
        reached = Spatial.bounds_reached(self, rho)
        ends = at_ends(("smoothness",) * self.n_shape, np.log(rho[1 : 1 + self.n_shape]), _LOG_SMOOTHNESS)
        return reached + tuple(("smoothness", math.exp(value)) for _, value in ends)


def _matern(u: FloatArray, nu: float) -> FloatArray:
    """Return the Matern correlation of smoothness `nu`, one where u is too small for the Bessel function."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log_f = nu * np.log(u) + np.log(special.kve(nu, u)) - u
    f = np.exp(log_f + (1.0 - nu) * np.log(2.0) - special.gammaln(nu))
    return np.where(np.isfinite(f), np.minimum(f, 1.0), 1.0)


@dataclass(frozen=True, slots=True)
class PowerOfDistance:
    """``phi^d`` with phi between 0 and 1, SAS's SP(POW), ``sp_pow(x + y | g)``.

    The free coordinate is the logarithm of the rate of decay over a typical distance, so that units change
    nothing and a correlation that is gone at that distance has its gradient still.

    Parameters
    ----------
    typical : float
        A distance as most of them are.
    unit : float
        The distance at which phi is the correlation: 1, unless all distances are so far from it that phi
        would be as good as 0 or 1.
    """

    typical: float = 1.0
    unit: float = 1.0

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "sp_pow"

    @property
    def title(self) -> str:
        """SAS's name."""
        return "Spatial power"

    @property
    def n_parameters(self) -> int:
        """One."""
        return 1

    @property
    def uses_coordinates(self) -> bool:
        """True: positions are coordinates."""
        return True

    def start(self) -> FloatArray:
        """Return a correlation of a half at a typical distance."""
        return np.array([0.5 ** (self.unit / self.typical)])

    def correlation(self, rho: FloatArray, positions: Positions) -> FloatArray:
        """Return ``phi^d``."""
        return _of_pairs(rho[0] ** (pair_distances(positions) / self.unit), positions.shape[1])

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return ``sum dC d phi^(d - 1)``."""
        d = pair_distances(positions) / self.unit
        first, second = np.triu_indices(dC.shape[1], 1)
        return np.array([np.sum(2.0 * dC[:, first, second] * d * rho[0] ** d) / rho[0]])

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return the logarithm of the rate of decay over a typical distance."""
        share = np.clip(rho, np.exp(-_FASTEST), 1.0 - np.finfo(np.float64).eps)
        return np.asarray(np.log(-np.log(share) * (self.typical / self.unit)))

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return phi."""
        rate = np.exp(np.clip(free, np.log(INSIDE), _FASTEST)) * (self.unit / self.typical)
        return np.asarray(np.exp(-np.minimum(rate, _FASTEST)))

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in the logarithm of the rate."""
        phi = self.from_free(free)
        return np.asarray(drho * phi * np.log(phi))

    def parameter_names(self) -> tuple[str, ...]:
        """Return nlme's name, with the unit where it is not 1."""
        return ("Phi",) if self.unit == 1.0 else (f"Phi({self.unit:g})",)

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return phi where it is zero, or one over a typical distance."""
        at_typical = np.where(rho < AT_BOUND, 0.0, np.maximum(rho ** (self.typical / self.unit), 0.5))
        reached = at_ends(self.parameter_names(), at_typical, _UNIT)
        return tuple((name, float(rho[0])) for name, _ in reached)


class ContinuousAutoregressive(PowerOfDistance):
    """``phi^|s - t|`` in continuous time, ``car1(time | subject)``."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "car1"

    @property
    def title(self) -> str:
        """Nlme's name."""
        return "Continuous AR(1)"

    def whiten(self, rho: FloatArray, positions: Positions, rows: FloatArray) -> tuple[FloatArray, float]:
        """Return ``L^-1 rows`` and ``log |C|``."""
        return whiten_steps(*self.steps(rho, positions), rows)

    def whiten_pullback(
        self, rho: FloatArray, positions: Positions, rows: FloatArray, dwhite: FloatArray, dlog_det: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the gradients in phi and in `rows`."""
        da, drows = whiten_steps_pullback(*self.steps(rho, positions), rows, dwhite, dlog_det)
        return self.steps_pullback(rho, positions, da), drows

    def colour(self, rho: FloatArray, positions: Positions, rows: FloatArray) -> FloatArray:
        """Return ``L rows``."""
        return colour_steps(*self.steps(rho, positions), rows)

    def steps(self, rho: FloatArray, positions: Positions) -> tuple[FloatArray, FloatArray]:
        """Return ``a = phi^(s - t)`` of each row and the one before it, and ``1 - a^2``."""
        log_a = np.log(rho[0]) * np.diff(positions[..., 0], axis=1) / self.unit
        return np.exp(log_a), -np.expm1(2.0 * log_a)

    def steps_pullback(self, rho: FloatArray, positions: Positions, da: FloatArray) -> FloatArray:
        """Return the gradient in phi from that in `a`."""
        gap = np.diff(positions[..., 0], axis=1) / self.unit
        return np.array([np.sum(da * gap * rho[0] ** gap) / rho[0]])
