"""How fixed effects and residual parameters of a model with structured residuals are held."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.inference.profile.parameters import Parameter
from mixedmodels.inference.profile.structured_surface import ResidualBlock, StructuredSurface
from mixedmodels.inference.profile.surfaces import with_term_held

#: Distance from the place asked for, relative to its size, that is rounding.
ROUNDING = 1e-13
#: Steps in which a place is reached, and the longest of them in any coordinate, which are of order one.
MOST_STEPS, LONGEST = 40, 2.0


@dataclass(frozen=True, slots=True)
class HeldStructuredFixed:
    """A fixed effect, held in closed form.

    Attributes
    ----------
    parameter : Parameter
        The parameter.
    surface : StructuredSurface
        The likelihood.
    """

    parameter: Parameter
    surface: StructuredSurface

    def at(self, place: float) -> StructuredSurface:
        """Return the likelihood with the fixed effect at a value."""
        return self.surface.holding(self.parameter.index, place)

    def settle(self, x: FloatArray, place: float) -> FloatArray:
        """Return the coordinates themselves: they do not hold the fixed effects."""
        return x

    def value(self, x: FloatArray, place: float) -> tuple[float, FloatArray]:
        """Return objective and gradient."""
        return with_term_held(self.at(place), x)[:2]

    def slope(self, x: FloatArray, place: float) -> float:
        """Return the derivative in the value."""
        beta, variances = self.surface.fixed_effects(x)
        k = self.parameter.index
        return 2.0 * (place - float(beta[k])) / float(variances[k])


@dataclass(frozen=True, slots=True)
class HeldJoint:
    """A residual parameter that is a function of several coordinates.

    Coordinates x are moved along a direction d to where the parameter has its place. With a the derivatives
    of the place there, a change of x moves that point by ``dx - d (a'dx) / (a'd)``.

    Attributes
    ----------
    parameter : Parameter
        The parameter.
    surface : StructuredSurface
        The likelihood.
    block : ResidualBlock
        The parameters that it is one of.
    number : int
        Which of them.
    metric : ndarray, shape (m, m)
        Curvature: the direction is where a quadratic likelihood's profile goes from the estimates.
    direction : ndarray, shape (m,)
        That direction.
    """

    parameter: Parameter
    surface: StructuredSurface
    block: ResidualBlock
    number: int
    metric: FloatArray
    direction: FloatArray

    def place(self, x: FloatArray) -> float:
        """Return where the parameter is at x; NaN where that is out of its range."""
        try:
            return self.parameter.scale.inverse(float(self.block.natural(x)[self.number]))
        except ValueError:
            return math.nan

    def rates(self, x: FloatArray) -> FloatArray:
        """Return the derivatives of the place in x."""
        return self.block.gradient(x, self.number) / self.parameter.scale.rate(self.place(x))

    def settle(self, x: FloatArray, place: float) -> FloatArray:
        """Return the coordinates moved to the place: along the direction, or, far away, as a search would."""
        try:
            return self._moved(x, place, self.direction)
        except np.linalg.LinAlgError:
            return self._moved(x, place, None)

    def value(self, x: FloatArray, place: float) -> tuple[float, FloatArray]:
        """Return objective and gradient."""
        y = self._moved(x, place, self.direction)
        objective, gradient, _ = with_term_held(self.surface, y)
        a = self.rates(y)
        return objective, gradient - (float(self.direction @ gradient) / float(self.direction @ a)) * a

    def slope(self, x: FloatArray, place: float) -> float:
        """Return the derivative in the place."""
        y = self.settle(x, place)
        gradient = with_term_held(self.surface, y)[1]
        return float(self.direction @ gradient) / float(self.direction @ self.rates(y))

    def _moved(self, x: FloatArray, place: float, direction: FloatArray | None) -> FloatArray:
        """Return x moved to the place by Newton's method, along one direction or the best at each point.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the place is not reached.
        """
        y = x
        for _ in range(MOST_STEPS):
            missing = place - self.place(y)
            if abs(missing) <= ROUNDING * max(1.0, abs(place)):
                return y
            a = self.rates(y)
            d = self.metric @ a if direction is None else direction
            along = float(a @ d)
            if not (math.isfinite(missing) and along > 0.0):
                break
            step = (missing / along) * d
            y = y + step * min(1.0, LONGEST / float(np.abs(step).max()))
        raise np.linalg.LinAlgError(f"{self.parameter.label} cannot be moved to its place")
