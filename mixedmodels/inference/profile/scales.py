"""Scales on which parameters are followed: smooth where a profile is, and reaching the bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale on which a parameter is followed: where its profile is smooth and its bounds are reached.

    Attributes
    ----------
    value, inverse : callable
        The parameter at a place on this scale, and back.
    rate : callable
        Derivative of the parameter at a place.
    low, high : float
        The ends of this scale.
    ends : tuple of float, optional
        What the parameter tends to at infinite ends of this scale; by default 0 and infinity, or the ends
        themselves where the scale is that of the parameter.
    """

    value: Callable[[float], float]
    inverse: Callable[[float], float]
    rate: Callable[[float], float]
    low: float = -math.inf
    high: float = math.inf
    ends: tuple[float, float] | None = None

    def end(self, place: float) -> float:
        """Return what the parameter tends to at an infinite end of this scale."""
        if self.ends is not None:
            return self.ends[place > 0.0]
        if self.inverse is float:
            return place
        return 0.0 if place < 0.0 else math.inf


def plain_scale(low: float = -math.inf) -> Scale:
    """Return the scale of the parameter itself."""
    return Scale(float, float, _one, low)


def fisher_scale() -> Scale:
    """Return Fisher's z of a correlation."""
    return Scale(math.tanh, math.atanh, _fisher_rate, ends=(-1.0, 1.0))


def log_scale() -> Scale:
    """Return the scale of the logarithm."""
    return Scale(math.exp, math.log, math.exp)


def angle_scale(low: float, high: float) -> Scale:
    """Return the scale of the angle whose sine is a correlation between two bounds, reaching both."""
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    return Scale(
        partial(_from_angle, middle, half),
        partial(_to_angle, middle, half),
        partial(_angle_rate, half),
        -math.pi / 2.0,
        math.pi / 2.0,
    )


# Functions of the module and not of a function: a profile, which holds its scales, is pickled.
def _one(place: float) -> float:
    return 1.0


def _fisher_rate(place: float) -> float:
    return 1.0 - math.tanh(place) ** 2


def _from_angle(middle: float, half: float, angle: float) -> float:
    return middle + half * math.sin(angle)


def _to_angle(middle: float, half: float, value: float) -> float:
    return math.asin(min(max((value - middle) / half, -1.0), 1.0))


def _angle_rate(half: float, angle: float) -> float:
    return half * math.cos(angle)
