"""Link functions: eta = g(mu), with the derivatives of the inverse."""

from __future__ import annotations

from typing import Protocol

from mixedmodels.arrays import FloatArray


class Link(Protocol):
    """A monotone map between the mean and the linear predictor, safe at extreme eta."""

    @property
    def name(self) -> str:
        """Name as R prints it: ``"logit"``, ``"1/mu^2"``."""

    def link(self, mu: FloatArray) -> FloatArray:
        """Return eta = g(mu)."""

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Return mu = g^-1(eta)."""

    def derivatives(self, eta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return mu and its first, second and third derivative in eta."""
