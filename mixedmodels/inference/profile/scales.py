"""Scales on which parameters are followed: smooth where a profile is, and reaching the bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


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
    """

    value: Callable[[float], float]
    inverse: Callable[[float], float]
    rate: Callable[[float], float]
    low: float = -math.inf
    high: float = math.inf


def plain_scale(low: float = -math.inf) -> Scale:
    """Return the scale of the parameter itself."""
    return Scale(float, float, lambda place: 1.0, low)


def log_scale() -> Scale:
    """Return the scale of the logarithm."""
    return Scale(math.exp, math.log, math.exp)


def angle_scale(low: float, high: float) -> Scale:
    """Return the scale of the angle whose sine is a correlation between two bounds, reaching both."""
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    return Scale(
        lambda angle: middle + half * math.sin(angle),
        lambda value: math.asin(min(max((value - middle) / half, -1.0), 1.0)),
        lambda angle: half * math.cos(angle),
        -math.pi / 2.0,
        math.pi / 2.0,
    )
