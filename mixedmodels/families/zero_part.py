"""Counts with a zero part of their own: zero inflation, hurdles and zero truncation.

The zero part is one probability pi, the intercept-only ``ziformula = ~1`` of glmmTMB. With the count
distribution f of mean mu (before inflation or truncation) and g = log f(0):

    inflated    P(0) = pi + (1 - pi) f(0),   P(y) = (1 - pi) f(y)
    hurdle      P(0) = pi,                   P(y) = (1 - pi) f(y) / (1 - f(0))
    truncated   P(y) = f(y) / (1 - f(0)) for y > 0
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeAlias, cast

import numpy as np
from scipy.special import expit, log_expit

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import FamilyError
from mixedmodels.families.base import EMPTY, LARGEST_SHAPE, refuse_rows, weighted_mean
from mixedmodels.families.family import Derivatives, Family, Hessian, PhiDerivatives, Tails
from mixedmodels.families.links import Jet, Link, get_link
from mixedmodels.families.saturated import deviance_by_search

ZeroPart: TypeAlias = Literal["inflated", "hurdle", "truncated"]
_PREFIX: dict[ZeroPart, str] = {"inflated": "zero-inflated", "hurdle": "hurdle", "truncated": "truncated"}
# A log mean below this gives counts that are all zero in double precision, and 1 / mu that overflows.
_LOWEST_ETA = -690.0


@dataclass(frozen=True, slots=True)
class WithZeroPart:
    """A count family whose zeros have a probability pi of their own.

    Attributes
    ----------
    base : Family
        Distribution of the counts before inflation or truncation.
    part : {"inflated", "hurdle", "truncated"}
        How the zeros arise.
    """

    base: Family
    part: ZeroPart

    is_canonical: ClassVar[bool] = False
    has_expected_information: ClassVar[bool] = False
    glm_hessian: ClassVar[Hessian] = "observed"
    is_quasi: ClassVar[bool] = False
    has_dispersion: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Name of the count family with what is done to its zeros."""
        return f"{_PREFIX[self.part]} {self.base.name}"

    @property
    def link(self) -> Link:
        """The link of the count family."""
        return self.base.link

    @property
    def has_zero_probability(self) -> bool:
        """Whether pi is a parameter."""
        return self.part != "truncated"

    @property
    def phi_names(self) -> tuple[str, ...]:
        """Parameters of the count family, then ``"zi"``."""
        return (*self.base.phi_names, "zi") if self.has_zero_probability else self.base.phi_names

    def _split(self, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        k = len(self.base.phi_names)
        return phi[:k], phi[k:]

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError when y is not a count, or its zeros do not suit the zero part."""
        self.base.check(y, weights)
        zeros = (y == 0.0) & (weights > 0.0)
        if self.part == "truncated":
            refuse_rows(
                zeros, y, f"The {self.name} family has no zeros; with zi=True it becomes a hurdle model."
            )
        elif not zeros.any():
            raise FamilyError(
                f"The response has no zeros, so the {self.name} family cannot estimate their probability; "
                + ("use the family without zi." if self.part == "inflated" else "use it with zi=False.")
            )

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return y halfway moved to its mean."""
        return np.asarray(0.5 * (y + weighted_mean(y, weights)) + 0.1)

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the start of the count family and the share of zeros (half of it for inflation)."""
        base = self.base.start_phi(y, mu, weights)
        if not self.has_zero_probability:
            return base
        share = weighted_mean((y == 0.0).astype(np.float64), weights)
        pi = np.clip(share if self.part == "hurdle" else 0.5 * share, 0.01, 0.99)
        return np.append(base, pi)

    def tails(self, y: FloatArray) -> Tails:
        """Return the rows that gain as mu goes to zero.

        Inflated zeros do; of truncated counts it is the ones, which are all there is left at mu = 0. What a
        hurdle says of the zeros is free of mu.
        """
        none = np.zeros(len(y), dtype=bool)
        if self.part == "inflated":
            return replace(self.base.tails(y), is_exact=False)
        return Tails(y == 1.0, none, y == 0.0, "there is no count above one", is_exact=False)

    def phi_limits(self, phi: FloatArray) -> tuple[str, ...]:
        """Return the limits of the count family, and what a probability close to zero means."""
        base, pi = self._split(phi)
        limits = self.base.phi_limits(base)
        has_theta = self.part != "inflated" and self.base.phi_names == ("theta",)
        if has_theta and base[0] * LARGEST_SHAPE < 1.0:
            limits += (
                "theta runs to zero: the counts above zero are as dispersed as a logarithmic series, which "
                "is the limit of the truncated negative binomial; the fixed effects are those of that limit.",
            )
        if self.part == "inflated" and pi[0] * LARGEST_SHAPE < 1.0:
            limits += (f"zi runs to zero: there are no more zeros than the {self.base.name} family expects.",)
        return limits

    def phi_to_free(self, phi: FloatArray) -> FloatArray:
        """Return the free parameters of the count family and logit(pi)."""
        base, pi = self._split(phi)
        return np.concatenate([self.base.phi_to_free(base), np.log(pi) - np.log1p(-pi)])

    def phi_from_free(self, free: FloatArray) -> FloatArray:
        """Return phi from unbounded coordinates."""
        base, zeta = self._split(free)
        # Probabilities of exactly 0 or 1 would have infinite logarithms.
        return np.concatenate([self.base.phi_from_free(base), expit(np.clip(zeta, -700.0, 36.0))])

    def phi_natural_derivative(self, phi: FloatArray) -> FloatArray:
        """Return d phi / d free: pi (1 - pi) for the probability."""
        base, pi = self._split(phi)
        return np.concatenate([self.base.phi_natural_derivative(base), pi * (1.0 - pi)])

    def response_mean(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return E(y)."""
        base, pi = self._split(phi)
        share = 1.0 - pi[0] if len(pi) else 1.0
        if self.part == "inflated":
            return np.asarray(share * mu)
        return np.asarray(share * mu / -np.expm1(_log_zero(self.base, mu, base)))

    def log_constant(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the constant of the count family for y > 0, zero for the zeros."""
        return np.where(y > 0.0, self.base.log_constant(y, weights), 0.0)

    def evaluate(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray,
        phi: FloatArray,
        order: int = 2,
        observed: bool = False,
        constant: FloatArray | None = None,
    ) -> Derivatives:
        """Return log-likelihood terms and derivatives in eta; the information is the observed one."""
        base, pi = self._split(phi)
        zeta = np.asarray(np.log(pi[0]) - np.log1p(-pi[0]) if len(pi) else -np.inf)
        eta = np.maximum(eta, _LOWEST_ETA) if self.link.name == "log" else eta
        unit = np.ones_like(y)
        g = _jet(self.base.evaluate(np.zeros_like(y), eta, unit, base, order=3))
        counts = _jet(self.base.evaluate(y, eta, unit, base, order=3))
        if self.part == "inflated":
            zeros, positive = inflated_zero(g, zeta), counts
        else:
            zeros, positive = _constant_like(g, np.asarray(log_expit(zeta))), truncated(counts, g)
        share = log_expit(-zeta)
        positive = (positive[0] + share, *positive[1:])
        loglik, d1, d2, d3 = (
            np.where(weights > 0.0, weights * np.where(y > 0.0, p, z), 0.0)
            for p, z in zip(positive, zeros, strict=True)
        )
        if order < 3:
            return Derivatives(loglik, d1, d2, -d2, EMPTY, EMPTY)
        return Derivatives(loglik, d1, d2, -d2, d3, -d3)

    def phi_derivatives(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray, phi: FloatArray, observed: bool = False
    ) -> PhiDerivatives:
        """Return derivatives in the free coordinates of phi: those of the count family, then logit(pi)."""
        base, pi = self._split(phi)
        eta = np.maximum(eta, _LOWEST_ETA) if self.link.name == "log" else eta
        unit = np.ones_like(y)
        zero = np.zeros_like(y)
        g = _jet(self.base.evaluate(zero, eta, unit, base, order=3))
        g_phi = self.base.phi_derivatives(zero, eta, unit, base, observed=True)
        y_phi = self.base.phi_derivatives(y, eta, unit, base, observed=True)
        if self.part == "inflated":
            zeta = np.log(pi[0]) - np.log1p(-pi[0])
            zeros, positive = _inflated_zero_phi(g, g_phi, zeta), _stack(y_phi)
        else:
            zeros, positive = np.zeros((3, *g_phi.loglik.shape)), _truncated_phi(g, g_phi, y_phi)
        parts = np.where(y > 0.0, positive, zeros)
        if self.has_zero_probability:
            in_pi = self._zero_probability_derivatives(y, g, pi[0])
            parts = np.concatenate([parts, in_pi[:, None, :]], axis=1)
        loglik, d1, d2 = np.where(weights > 0.0, weights * parts, 0.0)
        return PhiDerivatives(loglik, d1, -d2, d2)

    def _zero_probability_derivatives(self, y: FloatArray, g: Jet, pi: FloatArray) -> FloatArray:
        """Return the derivatives of loglik, d1 and d2 in logit(pi), shape (3, n)."""
        out = np.zeros((3, len(y)))
        if self.part == "hurdle":
            out[0] = np.where(y > 0.0, -pi, 1.0 - pi)
            return out
        zeta = np.log(pi) - np.log1p(-pi)
        q = expit(g[0] - zeta)
        g1 = np.where(q > 0.0, g[1], 0.0)
        g2 = np.where(q > 0.0, g[2], 0.0)
        spread = q * (1.0 - q)
        out[0] = np.where(y > 0.0, -pi, expit(zeta - g[0]) - pi)
        out[1] = np.where(y > 0.0, 0.0, -spread * g1)
        out[2] = np.where(y > 0.0, 0.0, -spread * (g2 + (1.0 - 2.0 * q) * g1 * g1))
        return out

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return Var(y), zeros included."""
        base, pi = self._split(phi)
        second = self.base.variance(mu, base) + mu * mu
        share = 1.0 - pi[0] if len(pi) else 1.0
        if self.part != "inflated":
            share = share / -np.expm1(_log_zero(self.base, mu, base))
        return np.asarray(share * second - (share * mu) ** 2)

    def variance_inflation(self, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return ones: prior weights multiply the log-likelihood of a row."""
        return np.ones_like(weights)

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return twice the log-likelihood ratio of each row against its own best mean."""
        on_log_scale = replace(self, base=replace(cast(Any, self.base), link=get_link("log")))
        eta = np.log(np.maximum(mu, np.finfo(np.float64).tiny))
        high = float(np.log1p(y.max(initial=0.0)) + np.log1p(self._split(phi)[0]).sum(axis=0).max()) + 5.0
        return deviance_by_search(on_log_scale, y, eta, weights, phi, -40.0, high)

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw counts; those of a hurdle are drawn again until they are positive."""
        base, pi = self._split(phi)
        y = self.base.simulate(rng, mu, weights, base)
        if self.part != "inflated":
            y = _positive_counts(rng, self.base, y, mu, weights, base)
        if self.has_zero_probability:
            y = np.where(rng.random(len(y)) < pi[0], 0.0, y)
        return y


def zero_inflated(base: Family) -> WithZeroPart:
    """Return the zero-inflated version of a count family."""
    return WithZeroPart(base, "inflated")


def hurdle(base: Family) -> WithZeroPart:
    """Return the hurdle version of a count family."""
    return WithZeroPart(base, "hurdle")


def inflated_zero(g: Jet, zeta: FloatArray) -> Jet:
    """Return log(pi + (1 - pi) f(0)) and its derivatives, pi = expit(zeta), from g = log f(0).

    With q the probability that a zero is one of the counts, q = expit(g - zeta).
    """
    g0, g1, g2, g3 = g
    q = expit(g0 - zeta)
    # q underflows long before the derivatives of g overflow; their product is zero.
    alive = q > 0.0
    g1, g2, g3 = np.where(alive, g1, 0.0), np.where(alive, g2, 0.0), np.where(alive, g3, 0.0)
    spread = q * (1.0 - q)
    value = np.logaddexp(zeta, g0) - np.logaddexp(0.0, zeta)
    d2 = q * g2 + spread * g1 * g1
    d3 = q * g3 + spread * (3.0 * g1 * g2 + (1.0 - 2.0 * q) * g1 * g1 * g1)
    return value, q * g1, d2, d3


def truncated(counts: Jet, g: Jet) -> Jet:
    """Return log f(y) - log(1 - f(0)) and its derivatives.

    The powers of r = f(0) / (1 - f(0)) meet the derivatives of g only in products that stay finite when
    mu is close to zero, where r grows like 1 / mu.
    """
    g0, g1, g2, g3 = g
    r = _odds_of_zero(g0)
    a = r * g1
    second = a * (g1 + a)
    h2 = r * g2 + second
    h3 = r * g3 + 3.0 * (a + r * a) * g2 + second * (g1 + 2.0 * a)
    return counts[0] - _log_positive(g0), counts[1] + a, counts[2] + h2, counts[3] + h3


def _odds_of_zero(g0: FloatArray) -> FloatArray:
    """Return f(0) / (1 - f(0))."""
    distance = np.minimum(-g0, 700.0)
    return np.where(-g0 > 700.0, 0.0, 1.0 / np.expm1(distance))


def _log_positive(g0: FloatArray) -> FloatArray:
    """Return log(1 - f(0))."""
    near = np.log(-np.expm1(np.maximum(g0, -1.0)))
    return np.where(g0 > -1.0, near, np.log1p(-np.exp(np.minimum(g0, -1.0))))


def _truncated_phi(g: Jet, g_phi: PhiDerivatives, y_phi: PhiDerivatives) -> FloatArray:
    """Return the derivatives in phi of a truncated distribution, shape (3, n_phi, n)."""
    g0, g1, g2, _ = g
    r = _odds_of_zero(g0)
    a, a_phi = r * g1, r * g_phi.loglik
    d1 = y_phi.d1 + r * g_phi.d1 + a * (g_phi.loglik + a_phi)
    cross = (a + r * a) * (2.0 * g_phi.d1) + (a_phi + r * a_phi) * g2
    d2 = y_phi.d2 + r * g_phi.d2 + cross + a * (g1 + a) * (g_phi.loglik + 2.0 * a_phi)
    return np.stack([y_phi.loglik + a_phi, d1, d2])


def _inflated_zero_phi(g: Jet, g_phi: PhiDerivatives, zeta: FloatArray) -> FloatArray:
    """Return the derivatives in phi of log(pi + (1 - pi) f(0)), shape (3, n_phi, n)."""
    q = expit(g[0] - zeta)
    alive = q > 0.0
    g1, g2 = np.where(alive, g[1], 0.0), np.where(alive, g[2], 0.0)
    l0, l1, l2 = (np.where(alive, part, 0.0) for part in (g_phi.loglik, g_phi.d1, g_phi.d2))
    spread = q * (1.0 - q)
    d1 = q * l1 + spread * g1 * l0
    d2 = q * l2 + spread * (2.0 * g1 * l1 + g2 * l0 + (1.0 - 2.0 * q) * g1 * g1 * l0)
    return np.stack([q * l0, d1, d2])


def _stack(phi: PhiDerivatives) -> FloatArray:
    return np.stack([phi.loglik, phi.d1, phi.d2])


def _jet(rows: Derivatives) -> Jet:
    return rows.loglik, rows.d1, rows.d2, rows.d3


def _constant_like(jet: Jet, value: FloatArray) -> Jet:
    zero = np.zeros_like(jet[0])
    return value + zero, zero, zero, zero


def _log_zero(base: Family, mu: FloatArray, phi: FloatArray) -> FloatArray:
    """Return log f(0) at mean mu, at most the logarithm just below 1."""
    eta = base.link.link(np.maximum(mu, np.exp(_LOWEST_ETA)))
    return base.evaluate(np.zeros_like(mu), eta, np.ones_like(mu), phi).loglik


def _positive_counts(
    rng: np.random.Generator,
    base: Family,
    y: FloatArray,
    mu: FloatArray,
    weights: FloatArray,
    phi: FloatArray,
) -> FloatArray:
    """Return y with its zeros drawn again; means so small that 1 is almost certain give 1."""
    y = np.where((y == 0.0) & (mu < 1e-6), 1.0, y)
    zero = y == 0.0
    while zero.any():
        y[zero] = base.simulate(rng, mu[zero], weights[zero], phi if phi.ndim == 1 else phi[:, zero])
        zero = y == 0.0
    return y
