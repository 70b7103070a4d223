"""Structures in which correlation goes by distance: in continuous time, or between places.

With u the distance over the range, the correlation of two rows is f(u), or ``(1 - nugget) f(u)``; the nugget
is what two rows at one place do not share. A structure of this kind is a subclass with f and its derivative.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy import special

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.free_coordinates import (
    Interval,
    at_ends,
    from_line,
    line_slope,
    to_line,
)
from mixedmodels.covariance.residual.markov import whiten_steps, whiten_steps_pullback
from mixedmodels.covariance.residual.structure import Positions

_UNIT: Interval = (0.0, 1.0)
# Ranges beyond which all rows of a group are as good as equal, or independent, relative to their distances.
_ENDLESS, _POINT = 1e5, 1e-2
# Step of the derivative in the smoothness, for which there is no formula, relative to it: with four points
# the error is of the fourth power.
_SMOOTHNESS_STEP = 1e-3
# A smoothness beyond this gives the Gaussian structure, within any data's knowledge.
_SMOOTH = 50.0


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
        C = share * self.f(distances(positions) / scale, shape)
        C[:, np.arange(C.shape[1]), np.arange(C.shape[1])] = 1.0
        return C

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return the gradient through the correlation at each distance."""
        scale, shape, share = self._split(rho)
        u = distances(positions) / scale
        off = dC * (1.0 - np.eye(dC.shape[1]))
        by_shape = [share * by for by in self.by_shape(u, shape)]
        by_nugget = [-self.f(u, shape)] * self.nugget
        derivatives = [-share * self.slope(u, shape) * u / scale, *by_shape, *by_nugget]
        return np.array([np.sum(off * dC_k) for dC_k in derivatives])

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return logarithms of range and shape, and the logit of the nugget."""
        free = rho.astype(np.float64)
        free[0] = np.log(max(free[0] - self.least_range, np.finfo(np.float64).tiny))
        free[1 : 1 + self.n_shape] = np.log(free[1 : 1 + self.n_shape])
        if self.nugget:
            free[-1:] = to_line(free[-1:], _UNIT)
        return free

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return range, shape and nugget."""
        rho = np.exp(np.clip(free, -300.0, 300.0))
        rho[0] += self.least_range
        if self.nugget:
            rho[-1:] = from_line(free[-1:], _UNIT)
        return rho

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in the coordinates."""
        slope = np.exp(np.clip(free, -300.0, 300.0))
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
        if self.n_shape and rho[1] > _SMOOTH:
            reached += (("smoothness", float(rho[1])),)
        return reached + (at_ends(("nugget",), rho[-1:], _UNIT) if self.nugget else ())


def distances(positions: Positions) -> FloatArray:
    """Return Euclidean distances between the rows of each group, shape (K, T, T)."""
    if positions.shape[-1] == 1:
        return np.asarray(np.abs(positions - positions[..., 0][:, None, :]))
    apart = positions[:, :, None, :] - positions[:, None, :, :]
    return np.asarray(np.sqrt(np.einsum("kstd,kstd->kst", apart, apart)))


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
        gap = np.diff(positions[..., 0], axis=1) / rho[0]
        return whiten_steps(np.exp(-gap), -np.expm1(-2.0 * gap), rows)

    def whiten_pullback(
        self, rho: FloatArray, positions: Positions, rows: FloatArray, dwhite: FloatArray, dlog_det: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the gradients in the range and in `rows`."""
        gap = np.diff(positions[..., 0], axis=1) / rho[0]
        a = np.exp(-gap)
        da, drows = whiten_steps_pullback(a, -np.expm1(-2.0 * gap), rows, dwhite, dlog_det)
        return np.array([np.sum(da * a * gap) / rho[0]]), drows


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
        """Return df/dnu by differences of the fourth order; nothing where nu is given."""
        if not self.n_shape:
            return ()
        nu = self._smoothness(shape)
        h = _SMOOTHNESS_STEP * nu
        near = _matern(u, nu + h) - _matern(u, nu - h)
        far = _matern(u, nu + 2.0 * h) - _matern(u, nu - 2.0 * h)
        return (np.asarray((8.0 * near - far) / (12.0 * h)),)


def _matern(u: FloatArray, nu: float) -> FloatArray:
    """Return the Matern correlation of smoothness `nu`, one where u is too small for the Bessel function."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log_f = nu * np.log(u) + np.log(special.kve(nu, u)) - u
    f = np.exp(log_f + (1.0 - nu) * np.log(2.0) - special.gammaln(nu))
    return np.where(np.isfinite(f), np.minimum(f, 1.0), 1.0)


@dataclass(frozen=True, slots=True)
class PowerOfDistance:
    """``phi^d`` with phi between 0 and 1, SAS's SP(POW), ``sp_pow(x + y | g)``.

    The free coordinate is the logit of the correlation at a typical distance, so that units change nothing.

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
        return np.asarray(rho[0] ** (distances(positions) / self.unit))

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return ``sum dC d phi^(d - 1)``."""
        d = distances(positions) / self.unit
        return np.array([np.sum(dC * d * rho[0] ** d) / rho[0]])

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return the logit of the correlation at a typical distance."""
        return to_line(rho ** (self.typical / self.unit), _UNIT)

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return phi."""
        return np.asarray(from_line(free, _UNIT) ** (self.unit / self.typical))

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in the logit: phi is the share to the power unit / typical."""
        share = from_line(free, _UNIT)
        slope = line_slope(free, _UNIT) * self.from_free(free) * self.unit / (self.typical * share)
        return np.asarray(drho * slope)

    def parameter_names(self) -> tuple[str, ...]:
        """Return nlme's name, with the unit where it is not 1."""
        return ("Phi",) if self.unit == 1.0 else (f"Phi({self.unit:g})",)

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return phi where the correlation at a typical distance is zero or one."""
        names = self.parameter_names()
        reached = at_ends(names, rho ** (self.typical / self.unit), _UNIT)
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
        log_a = np.log(rho[0]) * np.diff(positions[..., 0], axis=1) / self.unit
        return whiten_steps(np.exp(log_a), -np.expm1(2.0 * log_a), rows)

    def whiten_pullback(
        self, rho: FloatArray, positions: Positions, rows: FloatArray, dwhite: FloatArray, dlog_det: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the gradients in phi and in `rows`."""
        gap = np.diff(positions[..., 0], axis=1) / self.unit
        a = rho[0] ** gap
        v = -np.expm1(2.0 * np.log(rho[0]) * gap)
        da, drows = whiten_steps_pullback(a, v, rows, dwhite, dlog_det)
        return np.array([np.sum(da * gap * a) / rho[0]]), drows
