"""Numbers among the options of marginal means, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedmodels.advice import shown
from mixedmodels.errors import ControlError


def number(name: str, value: Any) -> float:
    """Return an option that must be a number.

    Raises
    ------
    ControlError
        If it is something else.
    """
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
    if not is_number or np.isnan(value):
        raise ControlError(f"{name} must be a number, not {shown(value)}.")
    return float(value)


def positive_number(name: str, value: Any) -> float:
    """Return an option that must be a positive number, infinity included.

    Raises
    ------
    ControlError
        If it is something else.
    """
    if not number(name, value) > 0.0:
        raise ControlError(f"{name} must be positive, not {shown(value)}.")
    return float(value)
