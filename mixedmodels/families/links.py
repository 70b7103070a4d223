"""Link functions: eta = g(mu), with the derivatives of the inverse.

Besides the mean itself a link gives the logarithm of the mean and of its complement as functions of eta.
Families on the positive half-line are written in ``log mu``, families on the unit interval in
``log mu`` and ``log(1 - mu)``: in these coordinates every term stays finite at eta = +-700, where the mean
has long reached 0 or 1 in floating point.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from scipy.special import erfcx, expit, ndtr, ndtri

from mixedmodels.advice import advises
from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.errors import FamilyError

Jet: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
"""A function of eta with its first, second and third derivative, each of shape (n,)."""

# exp(709.78) is the largest double; beyond 700 a mean is clamped instead of overflowing.
LARGEST_EXPONENT = 700.0
# Means, weights and third derivatives of power links hold up to its tenth negative power: still doubles.
SMALLEST_MAGNITUDE = 1e-30
_LARGEST_PROBIT = 1e50


class Link(Protocol):
    """A monotone map between the mean and the linear predictor, safe at extreme eta."""

    @property
    def name(self) -> str:
        """Name as R prints it: ``"logit"``, ``"1/mu^2"``."""

    @property
    def maps_to_unit_interval(self) -> bool:
        """Whether every eta gives a mean in (0, 1)."""

    @property
    def is_monotone(self) -> bool:
        """Whether no two eta give the same mean."""

    def link(self, mu: FloatArray) -> FloatArray:
        """Return eta = g(mu)."""

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Return mu = g^-1(eta)."""

    def derivatives(self, eta: FloatArray) -> Jet:
        """Return mu and its first, second and third derivative in eta."""

    def log_mean(self, eta: FloatArray) -> Jet:
        """Return log(mu) and its derivatives in eta; meaningful only where `gives_positive_mean`."""

    def log_complement(self, eta: FloatArray) -> Jet:
        """Return log(1 - mu) and its derivatives in eta; meaningful only where `gives_unit_mean`."""

    def log_probabilities(self, eta: FloatArray) -> tuple[Jet, Jet]:
        """Return log(mu) and log(1 - mu) with their derivatives, sharing what they have in common."""

    def gives_mean(self, eta: FloatArray) -> BoolArray:
        """Return where the inverse is defined: a fractional power is not for negative eta."""

    def gives_positive_mean(self, eta: FloatArray) -> BoolArray:
        """Return where eta leads to a mean greater than zero."""

    def gives_unit_mean(self, eta: FloatArray) -> BoolArray:
        """Return where eta leads to a mean strictly between zero and one."""


def _log_of(jet: Jet) -> Jet:
    """Return the logarithm of a positive function with its derivatives."""
    f, f1, f2, f3 = jet
    r1, r2, r3 = f1 / f, f2 / f, f3 / f
    return np.log(f), r1, r2 - r1 * r1, r3 - 3.0 * r1 * r2 + 2.0 * r1 * r1 * r1


def _mirror(jet: Jet) -> Jet:
    """Return the derivatives of f(-eta), given those of f at -eta."""
    f, f1, f2, f3 = jet
    return f, -f1, f2, -f3


def _is_everywhere(eta: FloatArray) -> BoolArray:
    return ~np.isnan(eta)


@dataclass(frozen=True, slots=True)
class _AnyLink(ABC):
    """What all links share."""

    @property
    def is_monotone(self) -> bool:
        """Whether no two eta give the same mean: all but even powers."""
        return True

    @abstractmethod
    def log_mean(self, eta: FloatArray) -> Jet:
        """Return log(mu) and its derivatives in eta."""

    @abstractmethod
    def log_complement(self, eta: FloatArray) -> Jet:
        """Return log(1 - mu) and its derivatives in eta."""

    def log_probabilities(self, eta: FloatArray) -> tuple[Jet, Jet]:
        """Return log(mu) and log(1 - mu) with their derivatives."""
        return self.log_mean(eta), self.log_complement(eta)


@dataclass(frozen=True, slots=True)
class _UnitLink(_AnyLink):
    """What the links onto (0, 1) share."""

    maps_to_unit_interval: ClassVar[bool] = True

    def gives_mean(self, eta: FloatArray) -> BoolArray:
        """Return where eta is a number."""
        return _is_everywhere(eta)

    def gives_positive_mean(self, eta: FloatArray) -> BoolArray:
        """Return where eta is a number."""
        return _is_everywhere(eta)

    def gives_unit_mean(self, eta: FloatArray) -> BoolArray:
        """Return where eta is a number."""
        return _is_everywhere(eta)


@dataclass(frozen=True, slots=True)
class Logit(_UnitLink):
    """eta = log(mu / (1 - mu))."""

    name: ClassVar[str] = "logit"

    def link(self, mu: FloatArray) -> FloatArray:
        """Return log(mu / (1 - mu))."""
        return np.asarray(np.log(mu) - np.log1p(-mu))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Return 1 / (1 + exp(-eta))."""
        return np.asarray(expit(eta))

    def derivatives(self, eta: FloatArray) -> Jet:
        """Return mu and its first, second and third derivative in eta."""
        p, q = expit(eta), expit(-eta)
        v = p * q
        return p, v, v * (q - p), v * (1.0 - 6.0 * v)

    def log_mean(self, eta: FloatArray) -> Jet:
        """Return -log(1 + exp(-eta)) and its derivatives."""
        p, q = expit(eta), expit(-eta)
        v = p * q
        return np.minimum(eta, 0.0) - np.log1p(np.exp(-np.abs(eta))), q, -v, v * (p - q)

    def log_complement(self, eta: FloatArray) -> Jet:
        """Return -log(1 + exp(eta)) and its derivatives."""
        return _mirror(self.log_mean(-eta))

    def log_probabilities(self, eta: FloatArray) -> tuple[Jet, Jet]:
        """Return log(mu) and log(1 - mu) with their derivatives, from one exponential."""
        e = np.exp(-np.abs(eta))
        s = 1.0 / (1.0 + e)
        small, log_total = e * s, np.log1p(e)
        positive = eta > 0.0
        p, q = np.where(positive, s, small), np.where(positive, small, s)
        v = small * s
        slope = v * (p - q)
        low, high = np.minimum(eta, 0.0), np.maximum(eta, 0.0)
        return (low - log_total, q, -v, slope), (-high - log_total, -p, -v, slope)


@dataclass(frozen=True, slots=True)
class Probit(_UnitLink):
    """eta = Phi^-1(mu)."""

    name: ClassVar[str] = "probit"

    def link(self, mu: FloatArray) -> FloatArray:
        """Return the standard normal quantile of mu."""
        return np.asarray(ndtri(mu))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Return the standard normal distribution function."""
        return np.asarray(ndtr(eta))

    def derivatives(self, eta: FloatArray) -> Jet:
        """Return mu and its first, second and third derivative in eta."""
        x = np.clip(eta, -_LARGEST_PROBIT, _LARGEST_PROBIT)
        density = np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)
        return ndtr(x), density, -x * density, (x * x - 1.0) * density

    def log_mean(self, eta: FloatArray) -> Jet:
        """Return log Phi(eta) and its derivatives."""
        return self.log_probabilities(eta)[0]

    def log_complement(self, eta: FloatArray) -> Jet:
        """Return log Phi(-eta) and its derivatives."""
        return self.log_probabilities(eta)[1]

    def log_probabilities(self, eta: FloatArray) -> tuple[Jet, Jet]:
        """Return log Phi(eta) and log Phi(-eta) with their derivatives, from one erfcx and one exponential.

        With x = |eta| the smaller probability is exp(-x^2 / 2) h, h = erfcx(x / sqrt 2) / 2.
        """
        x = np.minimum(np.abs(eta), _LARGEST_PROBIT)
        half = erfcx(x / np.sqrt(2.0)) / 2.0
        kernel = np.exp(-0.5 * x * x)
        tail = _probit_jet(-x, np.log(half) - 0.5 * x * x, 1.0 / (half * np.sqrt(2.0 * np.pi)))
        far = x > -_PROBIT_TAIL
        if far.any():
            for part, value in zip(tail[1:], _probit_tail(x[far]), strict=True):
                part[far] = value
        small = kernel * half
        body = _probit_jet(x, np.log1p(-small), kernel / (np.sqrt(2.0 * np.pi) * (1.0 - small)))
        lower = eta < 0.0
        below = tuple(np.where(lower, t, b) for t, b in zip(tail, body, strict=True))
        above = tuple(np.where(lower, b, t) for t, b in zip(tail, body, strict=True))
        return (below[0], below[1], below[2], below[3]), (above[0], -above[1], above[2], -above[3])


def _probit_jet(x: FloatArray, value: FloatArray, mills: FloatArray) -> Jet:
    """Return log Phi(x) and its derivatives, given its value and phi(x) / Phi(x)."""
    shifted = mills + x
    return value, mills, -mills * shifted, mills * (shifted * (mills + shifted) - 1.0)


_PROBIT_TAIL = -30.0
# Coefficients of phi(x)/Phi(-x) = x + 1/x - 2/x^3 + 10/x^5 - ... for large x (the reverted Mills ratio).
_MILLS_SERIES = (1.0, -2.0, 10.0, -74.0, 706.0, -8162.0)


def _probit_tail(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the first three derivatives of log Phi at eta = -x for large x."""
    inverse = 1.0 / x
    d1, d2, d3 = x.copy(), np.full_like(x, -1.0), np.zeros_like(x)
    for k, c in enumerate(_MILLS_SERIES):
        power = 2 * k + 1
        d1 += c * inverse**power
        d2 += c * power * inverse ** (power + 1)
        d3 += c * power * (power + 1) * inverse ** (power + 2)
    return d1, d2, d3


@dataclass(frozen=True, slots=True)
class Cloglog(_UnitLink):
    """eta = log(-log(1 - mu))."""

    name: ClassVar[str] = "cloglog"

    def link(self, mu: FloatArray) -> FloatArray:
        """Return log(-log(1 - mu))."""
        return np.asarray(np.log(-np.log1p(-mu)))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Return 1 - exp(-exp(eta))."""
        return np.asarray(-np.expm1(-np.exp(np.minimum(eta, LARGEST_EXPONENT))))

    def derivatives(self, eta: FloatArray) -> Jet:
        """Return mu and its first, second and third derivative in eta."""
        # From eta = 30 on exp(-exp(eta)) is zero and so are all derivatives.
        x = np.minimum(eta, 30.0)
        z = np.exp(x)
        density = np.exp(x - z)
        return -np.expm1(-z), density, density * (1.0 - z), density * (1.0 - 3.0 * z + z * z)

    def log_mean(self, eta: FloatArray) -> Jet:
        """Return log(1 - exp(-exp(eta))) and its derivatives."""
        # From z = 700 on log(1 - exp(-z)) and its derivatives are zero in double precision.
        largest = np.log(LARGEST_EXPONENT)
        x = np.clip(eta, -LARGEST_EXPONENT, largest)
        z = np.exp(x)
        q = np.where(eta > largest, 0.0, z / np.expm1(z))
        small = z < 1e-2
        g = np.where(small, -z * (0.5 + z * (1.0 / 12.0 - z * z / 720.0)), 1.0 - z - q)
        d2 = q * g
        # log(1 - exp(-z)): relative to z where z is small, by log1p where exp(-z) is.
        value = np.where(z < 1.0, x + np.log(-np.expm1(-z) / z), np.log1p(-np.exp(-np.maximum(z, 0.5))))
        return value, q, d2, d2 * g - q * (z + d2)

    def log_complement(self, eta: FloatArray) -> Jet:
        """Return -exp(eta), which is its own derivative."""
        value = -np.exp(np.clip(eta, -LARGEST_EXPONENT, LARGEST_EXPONENT))
        return value, value, value, value


@dataclass(frozen=True, slots=True)
class Loglog(_UnitLink):
    """eta = -log(-log(mu)), the mirror image of the complementary log-log."""

    name: ClassVar[str] = "loglog"

    def link(self, mu: FloatArray) -> FloatArray:
        """Return -log(-log(mu))."""
        return np.asarray(-np.log(-np.log(mu)))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Return exp(-exp(-eta))."""
        return np.asarray(np.exp(-np.exp(np.minimum(-eta, LARGEST_EXPONENT))))

    def derivatives(self, eta: FloatArray) -> Jet:
        """Return mu and its first, second and third derivative in eta."""
        _, d1, d2, d3 = Cloglog().derivatives(-eta)
        return self.inverse(eta), d1, -d2, d3

    def log_mean(self, eta: FloatArray) -> Jet:
        """Return -exp(-eta) and its derivatives."""
        return _mirror(Cloglog().log_complement(-eta))

    def log_complement(self, eta: FloatArray) -> Jet:
        """Return log(1 - exp(-exp(-eta))) and its derivatives."""
        return _mirror(Cloglog().log_mean(-eta))


@dataclass(frozen=True, slots=True)
class Cauchit(_UnitLink):
    """eta = tan(pi (mu - 1/2))."""

    name: ClassVar[str] = "cauchit"

    def link(self, mu: FloatArray) -> FloatArray:
        """Return the standard Cauchy quantile of mu."""
        # The cotangent keeps full accuracy in the lower tail, the mirrored one in the upper.
        return np.asarray(np.where(mu <= 0.5, -1.0 / np.tan(np.pi * mu), 1.0 / np.tan(np.pi * (1.0 - mu))))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Return the standard Cauchy distribution function."""
        # arctan2 keeps full accuracy in the lower tail.
        return np.asarray(np.arctan2(1.0, -eta) / np.pi)

    def derivatives(self, eta: FloatArray) -> Jet:
        """Return mu and its first, second and third derivative in eta."""
        x = np.clip(eta, -_LARGEST_PROBIT, _LARGEST_PROBIT)
        density = 1.0 / (1.0 + x * x)
        d1 = density / np.pi
        return self.inverse(x), d1, -2.0 * x * density * d1, (6.0 * x * x - 2.0) * density * density * d1

    def log_mean(self, eta: FloatArray) -> Jet:
        """Return log(mu) and its derivatives."""
        return _log_of(self.derivatives(eta))

    def log_complement(self, eta: FloatArray) -> Jet:
        """Return log(1 - mu) and its derivatives."""
        return _mirror(self.log_mean(-eta))


def _log_complement_of(log_mean: Jet) -> Jet:
    """Return log(1 - mu) and its derivatives from log(mu) < 0 and its derivatives."""
    t, t1, t2, t3 = log_mean
    inside = np.minimum(t, -SMALLEST_MAGNITUDE)
    # Two forms of log(1 - exp(t)), each where it is accurate; the bounds keep the unused one finite.
    near, far = np.log(-np.expm1(np.maximum(inside, -1.0))), np.log1p(-np.exp(np.minimum(inside, -0.5)))
    value = np.where(inside > -np.log(2.0), near, far)
    odds = 1.0 / np.expm1(-np.maximum(inside, -LARGEST_EXPONENT))
    b1 = -odds
    b2 = -odds * (1.0 + odds)
    b3 = b2 * (1.0 + 2.0 * odds)
    return value, b1 * t1, b2 * t1 * t1 + b1 * t2, b3 * t1 * t1 * t1 + 3.0 * b2 * t1 * t2 + b1 * t3


@dataclass(frozen=True, slots=True)
class Log(_AnyLink):
    """eta = log(mu)."""

    name: ClassVar[str] = "log"
    maps_to_unit_interval: ClassVar[bool] = False

    def link(self, mu: FloatArray) -> FloatArray:
        """Return log(mu)."""
        return np.asarray(np.log(mu))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Return exp(eta)."""
        return np.asarray(np.exp(np.clip(eta, -LARGEST_EXPONENT, LARGEST_EXPONENT)))

    def derivatives(self, eta: FloatArray) -> Jet:
        """Return mu, which is its own derivative."""
        mu = self.inverse(eta)
        return mu, mu, mu, mu

    def log_mean(self, eta: FloatArray) -> Jet:
        """Return eta and its derivatives."""
        zero = np.zeros_like(eta)
        return eta, np.ones_like(eta), zero, zero

    def log_complement(self, eta: FloatArray) -> Jet:
        """Return log(1 - exp(eta)) and its derivatives."""
        return _log_complement_of(self.log_mean(eta))

    def gives_mean(self, eta: FloatArray) -> BoolArray:
        """Return where eta is a number."""
        return _is_everywhere(eta)

    def gives_positive_mean(self, eta: FloatArray) -> BoolArray:
        """Return where eta is a number."""
        return _is_everywhere(eta)

    def gives_unit_mean(self, eta: FloatArray) -> BoolArray:
        """Return where eta is negative."""
        return np.asarray(eta < 0.0)


@dataclass(frozen=True, slots=True)
class Power(_AnyLink):
    """eta = mu^exponent: identity, sqrt, inverse, 1/mu^2 and every other power but 0.

    With an even 1 / exponent (the square root: mu = eta^2) the inverse is defined for negative eta too,
    as in R; otherwise a negative eta has no mean in the range of the positive families.
    """

    exponent: float
    name: str
    maps_to_unit_interval: ClassVar[bool] = False

    def link(self, mu: FloatArray) -> FloatArray:
        """Return mu^exponent."""
        return np.asarray(_power(mu, self.exponent))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Return eta^(1 / exponent)."""
        return np.asarray(_power(self._clamped(eta), 1.0 / self.exponent))

    def derivatives(self, eta: FloatArray) -> Jet:
        """Return mu and its first, second and third derivative in eta."""
        c = 1.0 / self.exponent
        if c == 1.0:
            zero = np.zeros_like(eta)
            return eta, np.ones_like(eta), zero, zero
        x = self._clamped(eta)
        mu = _power(x, c)
        if c == 2.0:
            return mu, 2.0 * x, np.full_like(x, 2.0), np.zeros_like(x)
        d1 = c * mu / x
        d2 = (c - 1.0) * d1 / x
        return mu, d1, d2, (c - 2.0) * d2 / x

    def log_mean(self, eta: FloatArray) -> Jet:
        """Return log|eta| / exponent and its derivatives."""
        c = 1.0 / self.exponent
        x = _away_from_zero(eta)
        d1 = c / x
        d2 = -d1 / x
        return c * np.log(np.abs(x)), d1, d2, -2.0 * d2 / x

    def log_complement(self, eta: FloatArray) -> Jet:
        """Return log(1 - mu) and its derivatives."""
        return _log_complement_of(self.log_mean(eta))

    def gives_mean(self, eta: FloatArray) -> BoolArray:
        """Return where the inverse is defined: for negative eta only if 1 / exponent is an integer."""
        return _is_everywhere(eta) if (1.0 / self.exponent).is_integer() else np.asarray(eta > 0.0)

    def gives_positive_mean(self, eta: FloatArray) -> BoolArray:
        """Return where the mean is positive: eta > 0, or everywhere for an even power."""
        return _is_everywhere(eta) if not self.is_monotone else np.asarray(eta > 0.0)

    def gives_unit_mean(self, eta: FloatArray) -> BoolArray:
        """Return where the mean lies strictly between 0 and 1."""
        inside = np.abs(eta) > 1.0 if self.exponent < 0.0 else np.abs(eta) < 1.0
        return np.asarray(inside & (eta != 0.0) & self.gives_positive_mean(eta))

    @property
    def is_monotone(self) -> bool:
        """Whether no two eta give the same mean: not for an even power, as the square root's inverse."""
        return (1.0 / self.exponent) % 2.0 != 0.0

    def _clamped(self, eta: FloatArray) -> FloatArray:
        """Keep eta where its powers exist: away from the pole of a negative power, out of negative bases."""
        c = 1.0 / self.exponent
        if c < 0.0 or not c.is_integer():
            eta = eta if c.is_integer() else np.abs(eta)
            return _away_from_zero(eta)
        return eta


def _power(base: FloatArray, exponent: float) -> FloatArray:
    """Return base^exponent, by division and square root where these are exact."""
    if exponent == 1.0:
        return base
    if exponent == -1.0:
        return np.asarray(1.0 / base)
    if exponent == 0.5:
        return np.sqrt(base)
    return np.asarray(base**exponent)


def _away_from_zero(eta: FloatArray) -> FloatArray:
    """Move values closer to zero than the smallest magnitude out to it, keeping their sign."""
    return np.where(np.abs(eta) < SMALLEST_MAGNITUDE, np.copysign(SMALLEST_MAGNITUDE, eta), eta)


@advises
def power(exponent: float) -> Link:
    """Return the link eta = mu^exponent, the logarithm for exponent 0.

    R's ``power()`` turns every negative exponent into the logarithm; here -1 is the inverse and -2 is
    1/mu^2, as their names say.
    """
    exponent = float(exponent)
    if not np.isfinite(exponent):
        raise FamilyError(f"The exponent of a power link must be a finite number, not {exponent}.")
    for link in _LINKS.values():
        if isinstance(link, Power) and link.exponent == exponent and exponent != 0.5:
            return link
    return Log() if exponent == 0.0 else Power(exponent, f"mu^{exponent:.3g}")


_LINKS: dict[str, Link] = {
    "logit": Logit(),
    "probit": Probit(),
    "cloglog": Cloglog(),
    "loglog": Loglog(),
    "cauchit": Cauchit(),
    "log": Log(),
    "sqrt": Power(0.5, "sqrt"),
    "inverse": Power(-1.0, "inverse"),
    "1/mu^2": Power(-2.0, "1/mu^2"),
    "identity": Power(1.0, "identity"),
}
LINK_NAMES = tuple(_LINKS)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
#: A power as R writes it, ``power(1/3)``, and as it is printed, ``mu^0.333``.
_POWER = re.compile(rf"power\(\s*(?:lambda\s*=\s*)?({_NUMBER})\s*(?:/\s*({_NUMBER})\s*)?\)|mu\^({_NUMBER})")


def get_link(link: str | Link) -> Link:
    """Return the link of that name, or the link itself.

    Names are R's; ``"power(0.333)"`` and ``"power(1/3)"`` are :func:`power`, as is ``"mu^0.333"``.

    Raises
    ------
    FamilyError
        If there is no such link; the message lists those there are.

    Examples
    --------
    >>> get_link("cloglog").name
    'cloglog'
    """
    found = find_link(link) if isinstance(link, str) else link
    if found is None:
        raise FamilyError(
            f"Unknown link {link!r}. Links are {', '.join(LINK_NAMES)} and 'power(0.5)' of any exponent."
        )
    return found


def find_link(name: str) -> Link | None:
    """Return the link of that name, ``"power(2)"`` and ``"mu^2"`` being a power, or None if there is none."""
    written = _POWER.fullmatch(name)
    if written is None:
        return _LINKS.get(name)
    numerator, divisor = float(written[1] or written[3]), float(written[2] or 1.0)
    return power(numerator / divisor) if divisor else None
