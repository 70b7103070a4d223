"""Unstructured covariance: every variance and covariance free, ``us(x | g)`` and the plain ``(x | g)``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.triangle import flat_triangle, lower_triangle, on_diagonal


@dataclass(frozen=True, slots=True)
class Unstructured:
    """Free lower triangular factor; theta is its lower triangle, column by column.

    Parameters
    ----------
    size : int
        Number of coefficients per level, S.

    Examples
    --------
    >>> Unstructured(2).factor(np.array([2.0, 0.5, 1.0]))
    array([[2. , 0. ],
           [0.5, 1. ]])
    """

    size: int

    @property
    def name(self) -> str:
        """Name in formulas."""
        return "us"

    @property
    def n_theta(self) -> int:
        """Number of parameters, S (S + 1) / 2."""
        return self.size * (self.size + 1) // 2

    @property
    def is_unstructured(self) -> bool:
        """True: T may be any lower triangle."""
        return True

    def places(self) -> tuple[IntArray, IntArray]:
        """Return the places of the lower triangle."""
        return lower_triangle(self.size)

    def parameter_at(self) -> IntArray:
        """Return the parameters in their order: each stands at its own place."""
        return np.arange(self.n_theta)

    def start(self) -> FloatArray:
        """Return the lower triangle of the identity."""
        rows, cols = lower_triangle(self.size)
        return np.where(rows == cols, 1.0, 0.0)

    def factor(self, theta: FloatArray) -> FloatArray:
        """Return T with `theta` in its lower triangle."""
        T = np.zeros((self.size, self.size))
        T.put(flat_triangle(self.size), theta)
        return T

    def pullback(self, theta: FloatArray, dT: FloatArray) -> FloatArray:
        """Return the lower triangle of `dT`."""
        return dT.take(flat_triangle(self.size))

    def to_free(self, theta: FloatArray) -> FloatArray:
        """Return `theta` itself."""
        return theta

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return `free` itself."""
        return free

    def free_pullback(self, free: FloatArray, dtheta: FloatArray) -> FloatArray:
        """Return `dtheta` itself."""
        return dtheta

    def scales(self, column_scale: FloatArray) -> FloatArray:
        """Return the scale of the row of T each parameter stands in."""
        return column_scale if self.size == 1 else column_scale[lower_triangle(self.size)[0]]

    def canonical(self, theta: FloatArray) -> FloatArray:
        """Flip the columns of T whose diagonal element is negative."""
        T = self.factor(theta)
        signs = np.where(np.diag(T) < 0, -1.0, 1.0)
        return (T * signs)[lower_triangle(self.size)]

    def is_lower_bound(self) -> tuple[bool, ...]:
        """Tell which parameters are diagonal elements."""
        return on_diagonal(self.size)

    def parameter_names(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``row.column`` names, a single name on the diagonal."""
        rows, cols = lower_triangle(self.size)
        return tuple(
            columns[i] if i == j else f"{columns[i]}.{columns[j]}" for i, j in zip(rows, cols, strict=True)
        )

    def bounds_reached(self, theta: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return nothing: there are no other bounds."""
        return ()
