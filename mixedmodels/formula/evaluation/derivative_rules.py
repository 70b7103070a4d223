"""What the functions of a mean are, with their first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log, pi, sqrt
from typing import Any, TypeAlias

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from mixedmodels.formula.evaluation.jets import Numbers, Partials

_LOG_2, _LOG_10 = log(2.0), log(10.0)
_ROOT_2_PI = sqrt(2.0 * pi)


@dataclass(frozen=True, slots=True)
class Smooth:
    """A function of one argument.

    Attributes
    ----------
    value : callable
        ``f(x)``.
    first : callable
        ``f'`` from x and f(x).
    second : callable
        ``f''`` from x, f(x) and f'(x).
    """

    value: Callable[[Any], Any]
    first: Callable[[Any, Any], Any]
    second: Callable[[Any, Any, Any], Any]

    def partials(self, x: Numbers, order: int) -> Partials:
        """Return value and derivatives at x."""
        f = self.value(x)
        if order == 0:
            return Partials(f, {}, {})
        d = self.first(x, f)
        return Partials(f, {0: d}, {(0, 0): self.second(x, f, d)} if order > 1 else {})


def _density(x: Numbers) -> Numbers:
    return np.exp(-0.5 * x * x) / _ROOT_2_PI


def _steps(function: Callable[[Any], Any]) -> Smooth:
    """Return a function that is constant but for its jumps."""
    return Smooth(function, lambda x, f: 0.0, lambda x, f, d: 0.0)


SMOOTH: Mapping[str, Smooth] = {
    "exp": Smooth(np.exp, lambda x, f: f, lambda x, f, d: f),
    "expm1": Smooth(np.expm1, lambda x, f: np.exp(x), lambda x, f, d: d),
    "log": Smooth(np.log, lambda x, f: 1.0 / x, lambda x, f, d: -d * d),
    "log1p": Smooth(np.log1p, lambda x, f: 1.0 / (1.0 + x), lambda x, f, d: -d * d),
    "log2": Smooth(np.log2, lambda x, f: 1.0 / (_LOG_2 * x), lambda x, f, d: -d / x),
    "log10": Smooth(np.log10, lambda x, f: 1.0 / (_LOG_10 * x), lambda x, f, d: -d / x),
    "sqrt": Smooth(np.sqrt, lambda x, f: 0.5 / f, lambda x, f, d: -0.5 * d / x),
    "sin": Smooth(np.sin, lambda x, f: np.cos(x), lambda x, f, d: -f),
    "cos": Smooth(np.cos, lambda x, f: -np.sin(x), lambda x, f, d: -f),
    "tan": Smooth(np.tan, lambda x, f: 1.0 + f * f, lambda x, f, d: 2.0 * f * d),
    "asin": Smooth(np.arcsin, lambda x, f: 1.0 / np.sqrt(1.0 - x * x), lambda x, f, d: x * d**3),
    "acos": Smooth(np.arccos, lambda x, f: -1.0 / np.sqrt(1.0 - x * x), lambda x, f, d: x * d**3),
    "atan": Smooth(np.arctan, lambda x, f: 1.0 / (1.0 + x * x), lambda x, f, d: -2.0 * x * d * d),
    "sinh": Smooth(np.sinh, lambda x, f: np.cosh(x), lambda x, f, d: f),
    "cosh": Smooth(np.cosh, lambda x, f: np.sinh(x), lambda x, f, d: f),
    "tanh": Smooth(np.tanh, lambda x, f: 1.0 - f * f, lambda x, f, d: -2.0 * f * d),
    "plogis": Smooth(expit, lambda x, f: f * expit(-x), lambda x, f, d: d * (expit(-x) - f)),
    "qlogis": Smooth(logit, lambda x, f: 1.0 / (x * (1.0 - x)), lambda x, f, d: (2.0 * x - 1.0) * d * d),
    "pnorm": Smooth(ndtr, lambda x, f: _density(x), lambda x, f, d: -x * d),
    "qnorm": Smooth(ndtri, lambda x, f: 1.0 / _density(f), lambda x, f, d: f * d * d),
    "abs": Smooth(np.abs, lambda x, f: np.sign(x), lambda x, f, d: 0.0),
    "unary -": Smooth(np.negative, lambda x, f: -1.0, lambda x, f, d: 0.0),
    "unary !": _steps(lambda x: 1.0 * (x == 0)),
    "floor": _steps(np.floor),
    "ceiling": _steps(np.ceil),
    "trunc": _steps(np.trunc),
    "sign": _steps(np.sign),
}

#: ``a^b`` where only a, and where only b, holds a parameter.
POWER_OF, TO_POWER = "parameter ^", "^ parameter"
#: ``rule(order, a, b)``: value and partial derivatives of a function of several arguments.
Rule: TypeAlias = Callable[..., Partials]


def _plus(order: int, a: Numbers, b: Numbers) -> Partials:
    return Partials(a + b, {0: 1.0, 1: 1.0}, {})


def _minus(order: int, a: Numbers, b: Numbers) -> Partials:
    return Partials(a - b, {0: 1.0, 1: -1.0}, {})


def _times(order: int, a: Numbers, b: Numbers) -> Partials:
    return Partials(a * b, {0: b, 1: a}, {(0, 1): 1.0})


def _over(order: int, a: Numbers, b: Numbers) -> Partials:
    inverse = np.true_divide(1.0, b)
    ratio = np.true_divide(a, b)
    if order == 0:
        return Partials(ratio, {}, {})
    slope = -ratio * inverse
    second = {(0, 1): -inverse * inverse, (1, 1): -2.0 * slope * inverse} if order > 1 else {}
    return Partials(ratio, {0: inverse, 1: slope}, second)


def _power_of(order: int, a: Numbers, b: Numbers) -> Partials:
    """Return ``a^b`` as a function of a."""
    f = _raised(a, b)
    first = {0: _scaled(b, a, b - 1.0)} if order > 0 else {}
    return Partials(f, first, {(0, 0): _scaled(b * (b - 1.0), a, b - 2.0)} if order > 1 else {})


def _to_power(order: int, a: Numbers, b: Numbers) -> Partials:
    """Return ``a^b`` as a function of b; at a = 0 the derivatives are their limits from above."""
    f = _raised(a, b)
    if order == 0:
        return Partials(f, {}, {})
    logs = np.log(a)
    slope = _vanishing(f, logs)
    return Partials(f, {1: slope}, {(1, 1): _vanishing(slope, logs)} if order > 1 else {})


def _power(order: int, a: Numbers, b: Numbers) -> Partials:
    """Return ``a^b`` as a function of both."""
    base, exponent = _power_of(order, a, b), _to_power(order, a, b)
    second = {**base.second, **exponent.second}
    if order > 1:
        second[0, 1] = _raised(a, b - 1.0) + _vanishing(base.first[0], np.log(a))
    return Partials(base.value, {**base.first, **exponent.first}, second)


def _raised(a: Numbers, b: Numbers) -> Numbers:
    return np.power(a, b)


def _scaled(factor: Numbers, a: Numbers, exponent: Numbers) -> Numbers:
    """Return ``factor a^exponent``, zero where the factor is, whatever the power."""
    return np.where(np.equal(factor, 0.0), 0.0, factor * _raised(a, exponent))


def _vanishing(power: Numbers, logs: Numbers) -> Numbers:
    """Return a power of a times log(a), which goes to zero with the power."""
    return np.where(np.equal(power, 0.0), 0.0, power * logs)


def _modulo(order: int, a: Numbers, b: Numbers) -> Partials:
    return Partials(np.mod(a, b), {0: 1.0, 1: -np.floor_divide(a, b)}, {})


def _choose(order: int, test: Numbers, yes: Numbers, no: Numbers) -> Partials:
    """Return ``ifelse(test, yes, no)``, differentiated on each side of the test."""
    holds = np.not_equal(test, 0.0)
    return Partials(np.where(holds, yes, no), {1: 1.0 * holds, 2: 1.0 * ~holds}, {})


def _extreme(order: int, a: Numbers, b: Numbers, takes_first: Numbers) -> Partials:
    return Partials(np.where(takes_first, a, b), {0: 1.0 * takes_first, 1: 1.0 * ~takes_first}, {})


def _smaller(order: int, a: Numbers, b: Numbers) -> Partials:
    return _extreme(order, a, b, np.less_equal(a, b))


def _larger(order: int, a: Numbers, b: Numbers) -> Partials:
    return _extreme(order, a, b, np.greater_equal(a, b))


def _jump(function: Callable[[Any, Any], Any]) -> Rule:
    """Return a function of two arguments that is constant but for its jumps."""
    return lambda order, a, b: Partials(1.0 * function(a, b), {}, {})


def _truth(function: Callable[[Any, Any], Any]) -> Rule:
    return _jump(lambda a, b: function(np.not_equal(a, 0.0), np.not_equal(b, 0.0)))


SEVERAL: Mapping[str, Rule] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _over,
    "^": _power,
    POWER_OF: _power_of,
    TO_POWER: _to_power,
    "%%": _modulo,
    "%/%": _jump(np.floor_divide),
    "<": _jump(np.less),
    ">": _jump(np.greater),
    "<=": _jump(np.less_equal),
    ">=": _jump(np.greater_equal),
    "==": _jump(np.equal),
    "!=": _jump(np.not_equal),
    "&": _truth(np.logical_and),
    "&&": _truth(np.logical_and),
    "|": _truth(np.logical_or),
    "||": _truth(np.logical_or),
    "pmin": _smaller,
    "pmax": _larger,
    "ifelse": _choose,
}
