"""Which way the rows of a model gain: from the ends of the mean to those of the linear predictor."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import IntArray
from mixedmodels.families.family import Tails
from mixedmodels.families.links import Link


def tail_signs(tails: Tails, link: Link, at_infinity: bool) -> IntArray:
    """Return which way each row gains in its predictor: 1 up, -1 down, 0 not at all, shape (n,).

    With `at_infinity` only where the gain does not stop at an edge of the range of the link.

    Examples
    --------
    >>> from mixedmodels.families import poisson
    >>> zero_and_two = poisson().tails(np.array([0.0, 2.0]))
    >>> tail_signs(zero_and_two, poisson("inverse").link, at_infinity=True)
    array([1, 0])
    """
    with np.errstate(divide="ignore"):
        ends = link.link(np.array([0.0, 1.0]))
    middle = float(link.link(np.array([0.5]))[0])
    sign = np.zeros(len(tails.to_zero), dtype=np.intp)
    for gaining, end in zip((tails.to_zero, tails.to_one), ends, strict=True):
        if not at_infinity or np.isinf(end):
            sign[gaining] = 1 if end > middle else -1
    return sign
