"""What correlation structures of one parameter have in common, and independence, which has none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.free_coordinates import Interval, at_ends, from_line, line_slope, to_line
from mixedmodels.covariance.residual.markov import colour_steps, whiten_steps, whiten_steps_pullback
from mixedmodels.covariance.residual.structure import Positions


class OneResidualCorrelation(ABC):
    """A structure whose parameter is one correlation in an interval."""

    __slots__ = ()

    @property
    @abstractmethod
    def interval(self) -> Interval:
        """The smallest and the largest correlation."""

    @property
    def uses_coordinates(self) -> bool:
        """False: positions are levels or steps."""
        return False

    @property
    def n_parameters(self) -> int:
        """One."""
        return 1

    def start(self) -> FloatArray:
        """Return no correlation."""
        return np.zeros(1)

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return the logit of the correlation in its interval."""
        return to_line(rho, self.interval)

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return the correlation from its coordinate."""
        return from_line(free, self.interval)

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in the coordinate."""
        return drho * line_slope(free, self.interval)

    @abstractmethod
    def parameter_names(self) -> tuple[str, ...]:
        """Return nlme's name of the correlation."""

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return the correlation when it is at an end of its interval."""
        return at_ends(self.parameter_names(), rho, self.interval)


@dataclass(frozen=True, slots=True)
class CompoundSymmetric(OneResidualCorrelation):
    """All rows of a group have the same correlation, ``cs(visit | subject)``.

    Parameters
    ----------
    largest : int
        Number of rows of the largest group, m: the correlation is above -1/(m - 1).

    Examples
    --------
    >>> CompoundSymmetric(2).correlation(np.array([0.3]), np.array([[0, 1]])).tolist()
    [[[1.0, 0.3], [0.3, 1.0]]]
    """

    largest: int

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "cs"

    @property
    def title(self) -> str:
        """Nlme's name."""
        return "Compound symmetry"

    @property
    def interval(self) -> Interval:
        """From -1/(m - 1) to 1."""
        return -1.0 / max(self.largest - 1, 1), 1.0

    def correlation(self, rho: FloatArray, positions: Positions) -> FloatArray:
        """Return ``(1 - rho) I + rho J`` for each group."""
        K, T = positions.shape[:2]
        C = np.full((T, T), rho[0])
        np.fill_diagonal(C, 1.0)
        return np.broadcast_to(C, (K, T, T)).copy()

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return the sum of `dC` off the diagonals."""
        return np.array([dC.sum() - np.trace(dC, axis1=1, axis2=2).sum()])

    def parameter_names(self) -> tuple[str, ...]:
        """Return nlme's name."""
        return ("Rho",)


#: Where a search begins: with zero the square of a correlation has no derivative, and rows two steps apart do
#: not say in which direction it goes.
LITTLE_CORRELATION = 0.1


@dataclass(frozen=True, slots=True)
class Autoregressive1(OneResidualCorrelation):
    """Rows k steps apart have correlation phi^k, ``ar1(visit | subject)``.

    Examples
    --------
    >>> Autoregressive1().correlation(np.array([0.5]), np.array([[0, 1, 3]])).tolist()
    [[[1.0, 0.5, 0.125], [0.5, 1.0, 0.25], [0.125, 0.25, 1.0]]]
    """

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "ar1"

    @property
    def title(self) -> str:
        """Nlme's name."""
        return "AR(1)"

    @property
    def interval(self) -> Interval:
        """From -1 to 1."""
        return -1.0, 1.0

    def start(self) -> FloatArray:
        """Return a little correlation."""
        return np.array([LITTLE_CORRELATION])

    def correlation(self, rho: FloatArray, positions: Positions) -> FloatArray:
        """Return ``phi^|s - t|``."""
        return np.asarray(rho[0] ** lags(positions))

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return ``sum dC |s - t| phi^(|s - t| - 1)``."""
        lag = lags(positions)
        return np.array([np.sum(dC * lag * rho[0] ** np.maximum(lag - 1, 0))])

    def whiten(self, rho: FloatArray, positions: Positions, rows: FloatArray) -> tuple[FloatArray, float]:
        """Return rows less what the row before predicts, over their standard deviation, and ``log |C|``."""
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
        a = np.asarray(rho[0] ** np.diff(positions, axis=1))
        return a, 1.0 - a**2

    def steps_pullback(self, rho: FloatArray, positions: Positions, da: FloatArray) -> FloatArray:
        """Return the gradient in phi from that in `a`."""
        lag = np.diff(positions, axis=1)
        return np.array([np.sum(da * lag * rho[0] ** (lag - 1))])

    def parameter_names(self) -> tuple[str, ...]:
        """Return nlme's name."""
        return ("Phi",)


def lags(positions: Positions) -> IntArray:
    """Return how many steps the rows of each group are apart, shape (K, T, T)."""
    return np.asarray(np.abs(positions[:, :, None] - positions[:, None, :]))


@dataclass(frozen=True, slots=True)
class Independent:
    """No correlation: what is left where only variances are modelled, ``diag(visit | subject)``."""

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "diag"

    @property
    def title(self) -> str:
        """What a print calls it."""
        return "Independent"

    @property
    def n_parameters(self) -> int:
        """None."""
        return 0

    @property
    def uses_coordinates(self) -> bool:
        """False: positions are levels."""
        return False

    def start(self) -> FloatArray:
        """Return no parameters."""
        return np.zeros(0)

    def correlation(self, rho: FloatArray, positions: Positions) -> FloatArray:
        """Return identity matrices."""
        K, T = positions.shape[:2]
        return np.broadcast_to(np.eye(T), (K, T, T)).copy()

    def pullback(self, rho: FloatArray, positions: Positions, dC: FloatArray) -> FloatArray:
        """Return no gradient."""
        return np.zeros(0)

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return no coordinates."""
        return rho

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return no parameters."""
        return free

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return no gradient."""
        return drho

    def parameter_names(self) -> tuple[str, ...]:
        """Return no names."""
        return ()

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return nothing."""
        return ()
