"""Diagonal covariance: uncorrelated coefficients, ``diag(x | g)``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Diagonal:
    """Uncorrelated coefficients; theta is their standard deviations relative to sigma.

    Parameters
    ----------
    size : int
        Number of coefficients per level, S.
    homogeneous : bool
        Whether all coefficients share one standard deviation (``hom = TRUE``).

    Examples
    --------
    >>> Diagonal(2).factor(np.array([2.0, 3.0]))
    array([[2., 0.],
           [0., 3.]])
    """

    size: int
    homogeneous: bool = False

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "diag"

    @property
    def n_theta(self) -> int:
        """Number of parameters: S, or 1."""
        return 1 if self.homogeneous else self.size

    @property
    def is_unstructured(self) -> bool:
        """False: correlations are zero."""
        return False

    def places(self) -> tuple[IntArray, IntArray]:
        """Return the places of the diagonal."""
        return np.arange(self.size), np.arange(self.size)

    def parameter_at(self) -> IntArray:
        """Return the parameter of each place of the diagonal."""
        return np.zeros(self.size, dtype=np.intp) if self.homogeneous else np.arange(self.size)

    def start(self) -> FloatArray:
        """Return standard deviations of one."""
        return np.ones(self.n_theta)

    def factor(self, theta: FloatArray) -> FloatArray:
        """Return T with the standard deviations on its diagonal."""
        return np.diag(np.broadcast_to(theta, (self.size,)))

    def pullback(self, theta: FloatArray, dT: FloatArray) -> FloatArray:
        """Return the diagonal of `dT`, summed where it is one parameter."""
        diagonal = np.diag(dT).copy()
        return np.array([diagonal.sum()]) if self.homogeneous else diagonal

    def to_free(self, theta: FloatArray) -> FloatArray:
        """Return `theta` itself: the covariance is even in each deviation."""
        return theta

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return `free` itself."""
        return free

    def free_pullback(self, free: FloatArray, dtheta: FloatArray) -> FloatArray:
        """Return `dtheta` itself."""
        return dtheta

    def scales(self, column_scale: FloatArray) -> FloatArray:
        """Return the scale of each coefficient, their geometric mean where one deviation serves all."""
        return common_scale(column_scale) if self.homogeneous else column_scale

    def canonical(self, theta: FloatArray) -> FloatArray:
        """Return non-negative deviations."""
        return np.abs(theta)

    def is_lower_bound(self) -> tuple[bool, ...]:
        """Tell that zero is a boundary for every parameter."""
        return (True,) * self.n_theta

    def parameter_names(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the coefficients, or ``("sd",)``."""
        return ("sd",) if self.homogeneous else columns

    def bounds_reached(self, theta: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return nothing: there are no other bounds."""
        return ()


def common_scale(column_scale: FloatArray) -> FloatArray:
    """Return the geometric mean of the scales as an array of one."""
    return np.array([float(np.exp(np.mean(np.log(column_scale))))])
