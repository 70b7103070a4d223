"""Variance functions: relative standard deviations of residuals by levels and predictors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.structure import VarianceColumns

#: Ratio of standard deviations beyond which one of them is said to be zero.
EXTREME_RATIO = 1e5


@dataclass(frozen=True, slots=True)
class Ident:
    """A standard deviation for each level, relative to that of the first, ``ident(sex)``.

    Parameters
    ----------
    levels : tuple of str
        Names of the levels; the first is the reference.

    Examples
    --------
    >>> columns = VarianceColumns(np.zeros((3, 0)), np.array([0, 1, 0]))
    >>> np.exp(Ident(("Male", "Female")).log_sd(np.array([2.0]), columns)).round(10).tolist()
    [1.0, 2.0, 1.0]
    """

    levels: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name in ``dispersion=``."""
        return "ident"

    @property
    def n_parameters(self) -> int:
        """Number of levels besides the reference."""
        return len(self.levels) - 1

    def start(self) -> FloatArray:
        """Return equal standard deviations."""
        return np.ones(self.n_parameters)

    def log_sd(self, delta: FloatArray, columns: VarianceColumns) -> FloatArray:
        """Return the logarithm of the ratio of each row's level."""
        return np.asarray(np.concatenate([[0.0], np.log(delta)])[columns.strata])

    def pullback(self, delta: FloatArray, columns: VarianceColumns, dlog_sd: FloatArray) -> FloatArray:
        """Return the sum over the rows of each level, over its ratio."""
        return np.asarray(np.bincount(columns.strata, dlog_sd, len(self.levels))[1:] / delta)

    def to_free(self, delta: FloatArray) -> FloatArray:
        """Return logarithms."""
        return np.log(delta)

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return ratios from their logarithms."""
        return np.exp(np.clip(free, -300.0, 300.0))

    def free_pullback(self, free: FloatArray, ddelta: FloatArray) -> FloatArray:
        """Return the gradient in the logarithms."""
        return ddelta * self.from_free(free)

    def parameter_names(self) -> tuple[str, ...]:
        """Return the names of the levels."""
        return self.levels[1:]

    def bounds_reached(self, delta: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return the ratios that are as good as zero or infinite."""
        pairs = zip(self.parameter_names(), delta.tolist(), strict=True)
        return tuple((name, v) for name, v in pairs if not 1.0 / EXTREME_RATIO < v < EXTREME_RATIO)


class OfCovariate(ABC):
    """A function of one number a row, with parameters of their own in each stratum."""

    __slots__ = ()

    strata: tuple[str, ...]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the parameters of one stratum."""

    @property
    def n_parameters(self) -> int:
        """Number of parameters of all strata."""
        return len(self.names) * len(self.strata)

    def parameter_names(self) -> tuple[str, ...]:
        """Return the names of the parameters, those of a stratum with its name."""
        if len(self.strata) == 1:
            return self.names
        return tuple(f"{name}.{stratum}" for stratum in self.strata for name in self.names)

    def to_free(self, delta: FloatArray) -> FloatArray:
        """Return the parameters: they have no bounds."""
        return delta

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return the parameters."""
        return free

    def free_pullback(self, free: FloatArray, ddelta: FloatArray) -> FloatArray:
        """Return the gradient."""
        return ddelta

    def bounds_reached(self, delta: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return nothing."""
        return ()

    def start(self) -> FloatArray:
        """Return the parameters of equal standard deviations."""
        return np.zeros(self.n_parameters)


@dataclass(frozen=True, slots=True)
class Power(OfCovariate):
    """Standard deviations are ``|x|^power``, ``power(x)``.

    Parameters
    ----------
    strata : tuple of str
        Names of strata with a power each; one empty name where all rows share it.
    """

    strata: tuple[str, ...] = ("",)

    @property
    def name(self) -> str:
        """Name in ``dispersion=``."""
        return "power"

    @property
    def names(self) -> tuple[str, ...]:
        """Nlme's name."""
        return ("power",)

    def log_sd(self, delta: FloatArray, columns: VarianceColumns) -> FloatArray:
        """Return ``power log|x|``."""
        return np.asarray(delta[columns.strata] * _log_size(columns))

    def pullback(self, delta: FloatArray, columns: VarianceColumns, dlog_sd: FloatArray) -> FloatArray:
        """Return the sum of ``dlog_sd log|x|`` by stratum."""
        return _by_stratum(columns, dlog_sd * _log_size(columns), len(self.strata))


@dataclass(frozen=True, slots=True)
class Exponential(OfCovariate):
    """Standard deviations are ``exp(expon x)``, ``exp(x)``.

    Parameters
    ----------
    strata : tuple of str
        Names of strata with a parameter each; one empty name where all rows share it.
    """

    strata: tuple[str, ...] = ("",)

    @property
    def name(self) -> str:
        """Name in ``dispersion=``."""
        return "exp"

    @property
    def names(self) -> tuple[str, ...]:
        """Nlme's name."""
        return ("expon",)

    def log_sd(self, delta: FloatArray, columns: VarianceColumns) -> FloatArray:
        """Return ``expon x``."""
        return np.asarray(delta[columns.strata] * columns.values[:, 0])

    def pullback(self, delta: FloatArray, columns: VarianceColumns, dlog_sd: FloatArray) -> FloatArray:
        """Return the sum of ``dlog_sd x`` by stratum."""
        return _by_stratum(columns, dlog_sd * columns.values[:, 0], len(self.strata))


@dataclass(frozen=True, slots=True)
class ConstantPower(OfCovariate):
    """Standard deviations are ``const + |x|^power``, ``constpower(x)``; const is positive.

    Parameters
    ----------
    strata : tuple of str
        Names of strata with two parameters each; one empty name where all rows share them.
    typical : float
        Geometric mean of ``|x|``: the free coordinates are power and the logarithm of the constant over
        ``typical^power``, which says how much of a usual row the constant is, whatever the unit of x.
    """

    strata: tuple[str, ...] = ("",)
    typical: float = 1.0

    @property
    def name(self) -> str:
        """Name in ``dispersion=``."""
        return "constpower"

    @property
    def names(self) -> tuple[str, ...]:
        """Nlme's names."""
        return ("const", "power")

    def start(self) -> FloatArray:
        """Return a constant as large as the power, which is a half: one of no power stands for sigma."""
        return np.tile([math.sqrt(self.typical), 0.5], len(self.strata))

    def log_sd(self, delta: FloatArray, columns: VarianceColumns) -> FloatArray:
        """Return ``log(const + |x|^power)``, for zeros of x too."""
        const, power = delta.reshape(-1, 2)[columns.strata].T
        return np.asarray(np.logaddexp(np.log(const), power * _log_size(columns)))

    def pullback(self, delta: FloatArray, columns: VarianceColumns, dlog_sd: FloatArray) -> FloatArray:
        """Return the sums by stratum: ``dlog_sd / sd`` and ``dlog_sd |x|^power log|x| / sd``."""
        power = delta.reshape(-1, 2)[columns.strata, 1]
        log_size = _log_size(columns)
        log_sd = self.log_sd(delta, columns)
        by_const = _by_stratum(columns, dlog_sd * np.exp(-log_sd), len(self.strata))
        share = np.exp(power * log_size - log_sd)
        by_power = _by_stratum(columns, dlog_sd * share * log_size, len(self.strata))
        return np.column_stack([by_const, by_power]).ravel()

    def to_free(self, delta: FloatArray) -> FloatArray:
        """Return logarithms of the constants over ``typical^power``, and powers."""
        free = delta.astype(np.float64)
        free[::2] = np.log(delta[::2]) - delta[1::2] * math.log(self.typical)
        return free

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return constants and powers."""
        delta = free.astype(np.float64)
        delta[::2] = np.exp(self._log_const(free))
        return delta

    def _log_const(self, free: FloatArray) -> FloatArray:
        return np.clip(free[::2] + free[1::2] * math.log(self.typical), -300.0, 300.0)

    def free_pullback(self, free: FloatArray, ddelta: FloatArray) -> FloatArray:
        """Return the gradient in the coordinates."""
        gradient = ddelta.astype(np.float64)
        gradient[::2] *= np.exp(self._log_const(free))
        gradient[1::2] += gradient[::2] * math.log(self.typical)
        return gradient

    def bounds_reached(self, delta: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return the constants that are as good as nothing, or all, of the standard deviations."""
        share = np.exp(self.to_free(delta)[::2])
        pairs = zip(self.parameter_names()[::2], delta[::2].tolist(), share.tolist(), strict=True)
        return tuple((n, value) for n, value, s in pairs if not 1.0 / EXTREME_RATIO < s < EXTREME_RATIO)


@dataclass(frozen=True, slots=True)
class Fixed(OfCovariate):
    """Variances are proportional to a number, ``fixed(x)``; without parameters."""

    strata: tuple[str, ...] = ("",)

    @property
    def name(self) -> str:
        """Name in ``dispersion=``."""
        return "fixed"

    @property
    def names(self) -> tuple[str, ...]:
        """No names."""
        return ()

    def log_sd(self, delta: FloatArray, columns: VarianceColumns) -> FloatArray:
        """Return half the logarithm of the number."""
        return np.asarray(0.5 * _log_size(columns))

    def pullback(self, delta: FloatArray, columns: VarianceColumns, dlog_sd: FloatArray) -> FloatArray:
        """Return no gradient."""
        return np.zeros(0)


@dataclass(frozen=True, slots=True)
class LogLinear(OfCovariate):
    """Logarithms of standard deviations are a linear predictor, ``~ sex + x``; sigma is its intercept.

    Parameters
    ----------
    columns : tuple of str
        Names of its columns, without the intercept.
    """

    columns: tuple[str, ...]
    strata: tuple[str, ...] = ("",)

    @property
    def name(self) -> str:
        """Name in a print."""
        return "loglinear"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.columns

    def log_sd(self, delta: FloatArray, columns: VarianceColumns) -> FloatArray:
        """Return the linear predictor."""
        return np.asarray(columns.values @ delta)

    def pullback(self, delta: FloatArray, columns: VarianceColumns, dlog_sd: FloatArray) -> FloatArray:
        """Return ``values' dlog_sd``."""
        return np.asarray(columns.values.T @ dlog_sd)


def _log_size(columns: VarianceColumns) -> FloatArray:
    """Return ``log|x|``, that of the smallest normal number for zero."""
    return np.asarray(np.log(np.maximum(np.abs(columns.values[:, 0]), np.finfo(np.float64).tiny)))


def _by_stratum(columns: VarianceColumns, terms: FloatArray, n_strata: int) -> FloatArray:
    return np.asarray(np.bincount(columns.strata, terms, n_strata))
