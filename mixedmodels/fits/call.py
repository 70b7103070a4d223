"""How a model was asked for, as the printed text repeats it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Call:
    """Arguments of a fit that its text repeats; None for those not given.

    Attributes
    ----------
    data : str or None
        Name of the data, from ``data.attrs["name"]``.
    weights, offset, subset : str or None
        The expression given, or a description of the array.
    weights_are_array : bool
        Whether the weights were given as an array, which new rows cannot repeat.
    arguments : mapping
        What was given as weights, offset, subset and other arguments of every fit, for a fit like it.
    """

    data: str | None = None
    weights: str | None = None
    offset: str | None = None
    subset: str | None = None
    weights_are_array: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def lines(self) -> tuple[tuple[str, str], ...]:
        """Return (label, text) of the arguments given, in lme4's order and alignment."""
        shown = (
            ("   Data:", self.data),
            ("Weights:", self.weights),
            (" Offset:", self.offset),
            (" Subset:", self.subset),
        )
        return tuple((label, text) for label, text in shown if text is not None)


def record_call(data: object, weights: object, offset: object, subset: object, **others: object) -> Call:
    """Describe the arguments of a fit, and keep those that were given."""
    given = {"weights": weights, "offset": offset, "subset": subset} | others
    name = getattr(data, "attrs", {}).get("name")
    return Call(
        data=None if name is None else str(name),
        weights=_argument(weights),
        offset=_argument(offset),
        subset=_argument(subset),
        weights_are_array=weights is not None and not isinstance(weights, str),
        arguments={name: value for name, value in given.items() if value is not None},
    )


def _argument(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return f"<array of length {np.size(np.asarray(value))}>"
