"""Exact derivatives in forward mode: values that carry their first and second derivatives.

A `Jet` is a value with its derivatives in the parameters that it depends on. `compose` is the chain rule; the
rules of single functions are the tables of `derivative_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

#: A number, or one number a row.
Numbers: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Jet:
    """A value with its derivatives, those that are zero left out.

    Attributes
    ----------
    value : float or ndarray, shape (n,)
        The value.
    first : dict
        Parameter k -> derivative.
    second : dict
        Parameters (k, m), k <= m -> second derivative.
    """

    value: Numbers
    first: dict[int, Numbers]
    second: dict[tuple[int, int], Numbers]


@dataclass(frozen=True, slots=True)
class Partials:
    """A function of several arguments at one place, with its partial derivatives; zeros are left out.

    Attributes
    ----------
    value : float or ndarray, shape (n,)
        The value.
    first : dict
        Argument a -> partial derivative.
    second : dict
        Arguments (a, b), a <= b -> second partial derivative.
    """

    value: Numbers
    first: Mapping[int, Numbers]
    second: Mapping[tuple[int, int], Numbers]


def constant(value: Numbers) -> Jet:
    """Return a value that depends on no parameter."""
    return Jet(value, {}, {})


def parameter(k: int, value: Numbers) -> Jet:
    """Return parameter k."""
    return Jet(value, {k: 1.0}, {})


def compose(partials: Partials, arguments: Sequence[Jet], order: int) -> Jet:
    """Return a function of jets: the chain rule up to derivatives of `order` 0, 1 or 2."""
    first: dict[int, Numbers] = {}
    second: dict[tuple[int, int], Numbers] = {}
    if order == 0:
        return Jet(partials.value, first, second)
    for a, slope in partials.first.items():
        for k, d in arguments[a].first.items():
            _add(first, k, _times(slope, d))
    if order == 1:
        return Jet(partials.value, first, second)
    for a, slope in partials.first.items():
        for pair, d in arguments[a].second.items():
            _add(second, pair, _times(slope, d))
    for (a, b), curvature in partials.second.items():
        _add_products(second, curvature, arguments[a].first, arguments[b].first, same=a == b)
    return Jet(partials.value, first, second)


def _add_products(
    second: dict[tuple[int, int], Numbers],
    curvature: Numbers,
    left: Mapping[int, Numbers],
    right: Mapping[int, Numbers],
    same: bool,
) -> None:
    """Add ``f_ab (d_k a d_m b + d_k b d_m a)`` for k <= m, once where a and b are the same argument."""
    for k, dk in left.items():
        scaled = _times(curvature, dk)
        for m, dm in right.items():
            if same and k > m:
                continue
            # Of (a, b), a < b, the pair (k, m) stands for (m, k) too, which falls on it when k = m.
            double = not same and k == m
            product = _times(scaled, dm)
            _add(second, (k, m) if k <= m else (m, k), 2.0 * product if double else product)


def _times(a: Numbers, b: Numbers) -> Numbers:
    """Return a product, without work where a factor is the number one."""
    if isinstance(b, float) and b == 1.0:
        return a
    return b if isinstance(a, float) and a == 1.0 else a * b


def _add(sums: dict[Any, Numbers], key: Any, value: Numbers) -> None:
    """Add to one of several sums."""
    sums[key] = sums[key] + value if key in sums else value
