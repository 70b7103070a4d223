"""A likelihood with one parameter held at a value: what a search along its profile minimises.

Each kind of parameter is held in its own way; a search sees the same four things of each: coordinates settled
at a place, the objective there with its gradient, and the slope along the parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.inference.profile.parameters import Parameter
from mixedmodels.inference.profile.surfaces import (
    LinearSurface,
    ShiftedResponse,
    Surface,
    term_parts,
    with_term_held,
)


class Held(Protocol):
    """A likelihood in which one parameter is held."""

    @property
    def parameter(self) -> Parameter:
        """The parameter."""

    @property
    def surface(self) -> Surface:
        """The likelihood."""

    def settle(self, x: FloatArray, place: float) -> FloatArray:
        """Return the coordinates moved to where the parameter is at `place`."""

    def value(self, x: FloatArray, place: float) -> tuple[float, FloatArray]:
        """Return objective and gradient in x at `place`, wherever x itself has the parameter."""

    def slope(self, x: FloatArray, place: float) -> float:
        """Return the derivative of the objective in the place, at settled coordinates."""


@dataclass(frozen=True, slots=True)
class HeldCovariance:
    """A standard deviation or correlation, held by the coordinates of its term.

    Attributes
    ----------
    parameter : Parameter
        The parameter.
    surface : Surface
        The likelihood.
    """

    parameter: Parameter
    surface: Surface

    def settle(self, x: FloatArray, place: float) -> FloatArray:
        """Return the coordinates with those of the term moved."""
        assert self.parameter.hold is not None
        part, settled = term_parts(self.surface)[self.parameter.index], x.copy()
        settled[part] = self.parameter.hold(x[part], place).free
        return settled

    def value(self, x: FloatArray, place: float) -> tuple[float, FloatArray]:
        """Return objective and gradient."""
        return self._at(x, place)[:2]

    def slope(self, x: FloatArray, place: float) -> float:
        """Return the derivative in the place."""
        return self._at(x, place)[2]

    def _at(self, x: FloatArray, place: float) -> tuple[float, FloatArray, float]:
        k = self.parameter.index
        assert self.parameter.hold is not None
        held = self.parameter.hold(x[term_parts(self.surface)[k]], place)
        return with_term_held(self.surface, x, held, k)


@dataclass(frozen=True, slots=True)
class HeldLinear:
    """A parameter whose place is a linear function of the coordinates: sigma, phi, a fixed effect.

    Attributes
    ----------
    parameter : Parameter
        The parameter.
    surface : Surface
        The likelihood.
    functional : ndarray, shape (m,)
        Coefficients of the function.
    direction : ndarray, shape (m,)
        Where all coordinates go as the parameter moves by 1: what a quadratic likelihood's profile follows.
    """

    parameter: Parameter
    surface: Surface
    functional: FloatArray
    direction: FloatArray

    def settle(self, x: FloatArray, place: float) -> FloatArray:
        """Return the coordinates moved along the direction."""
        return np.asarray(x + (place - float(self.functional @ x)) * self.direction)

    def value(self, x: FloatArray, place: float) -> tuple[float, FloatArray]:
        """Return objective and gradient."""
        objective, gradient, _ = with_term_held(self.surface, self.settle(x, place))
        return objective, gradient - float(self.direction @ gradient) * self.functional

    def slope(self, x: FloatArray, place: float) -> float:
        """Return the derivative in the place."""
        return float(self.direction @ with_term_held(self.surface, self.settle(x, place))[1])


@dataclass(frozen=True, slots=True)
class HeldFixedEffect:
    """A fixed effect of a linear model: its column is moved into the offset.

    Attributes
    ----------
    parameter : Parameter
        The parameter.
    surface : LinearSurface
        The whole model.
    shifted : ShiftedResponse
        The model without the column.
    estimate : float
        The value at which the response of `shifted` is as it stands.
    """

    parameter: Parameter
    surface: LinearSurface
    shifted: ShiftedResponse
    estimate: float

    def at(self, place: float) -> LinearSurface:
        """Return the model without the column at one value of its coefficient."""
        return LinearSurface(self.shifted.at(place - self.estimate), False)

    def settle(self, x: FloatArray, place: float) -> FloatArray:
        """Return the coordinates themselves: they do not hold the fixed effects."""
        return x

    def value(self, x: FloatArray, place: float) -> tuple[float, FloatArray]:
        """Return objective and gradient."""
        return with_term_held(self.at(place), x)[:2]

    def slope(self, x: FloatArray, place: float) -> float:
        """Return the derivative in the coefficient, from the whole model's estimate given x."""
        k, at = self.parameter.index, self.surface.solution(x)
        variance = at.sigma**2 * float(at.unscaled_vcov[k, k])
        return 2.0 * (place - float(at.beta[k])) / variance
