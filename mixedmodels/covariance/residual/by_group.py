"""One structure with parameters of their own in each arm: ``us(visit | arm / subject)``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.structure import ResidualStructure


@dataclass(frozen=True, slots=True)
class ByGroup:
    """The parameters of a structure, stacked by arm.

    Parameters
    ----------
    structure : ResidualStructure
        The structure of each arm.
    arms : tuple of str
        Names of the arms; one empty name where all groups share their parameters.
    """

    structure: ResidualStructure
    arms: tuple[str, ...] = ("",)

    @property
    def n_parameters(self) -> int:
        """Number of parameters of all arms."""
        return len(self.arms) * self.structure.n_parameters

    def of_arm(self, arm: int) -> slice:
        """Return where the parameters of an arm are, in rho and in free coordinates alike."""
        size = self.structure.n_parameters
        return slice(arm * size, (arm + 1) * size)

    def _parts(self, stacked: FloatArray) -> list[FloatArray]:
        return [stacked[self.of_arm(arm)] for arm in range(len(self.arms))]

    def start(self) -> FloatArray:
        """Return where a search begins."""
        return np.tile(self.structure.start(), len(self.arms))

    def to_free(self, rho: FloatArray) -> FloatArray:
        """Return unbounded optimiser coordinates of `rho`."""
        return np.concatenate([self.structure.to_free(part) for part in self._parts(rho)])

    def from_free(self, free: FloatArray) -> FloatArray:
        """Return rho from optimiser coordinates."""
        return np.concatenate([self.structure.from_free(part) for part in self._parts(free)])

    def free_pullback(self, free: FloatArray, drho: FloatArray) -> FloatArray:
        """Return the gradient in `free` of a function whose gradient in rho is `drho`."""
        pairs = zip(self._parts(free), self._parts(drho), strict=True)
        return np.concatenate([self.structure.free_pullback(part, slope) for part, slope in pairs])

    def parameter_names(self) -> tuple[str, ...]:
        """Return the names of the parameters, with the arm where there are several."""
        names = self.structure.parameter_names()
        return tuple(f"{name}.{arm}" if arm else name for arm in self.arms for name in names)

    def bounds_reached(self, rho: FloatArray) -> tuple[tuple[str, float], ...]:
        """Return name and value of each parameter that is at an end of its range."""
        return tuple(
            (f"{name} of {arm}" if arm else name, value)
            for arm, part in zip(self.arms, self._parts(rho), strict=True)
            for name, value in self.structure.bounds_reached(part)
        )
