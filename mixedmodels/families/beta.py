"""The beta family: proportions strictly between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from scipy.special import betaln

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.families.base import (
    FamilyBase,
    check_weights,
    checked_link,
    outside,
    refuse_rows,
)
from mixedmodels.families.family import Derivatives, Hessian, PhiDerivatives
from mixedmodels.families.links import Jet, Link
from mixedmodels.families.special import polygammas
from mixedmodels.families.unit_interval import (
    SMALLEST_SHAPE,
    UNIT_LINKS,
    Outer,
    add,
    as_derivatives,
    beta_deviance,
    beta_draws,
    bounded,
    compose,
    scaled,
    shape_parameter,
    slopes_in_log_precision,
)

Curve: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, slots=True)
class Beta(FamilyBase):
    """Beta distribution with shapes mu phi and (1 - mu) phi, variance mu (1 - mu) / (1 + phi).

    Prior weights multiply the log-likelihood of a row.
    """

    name: ClassVar[str] = "beta"
    phi_names: ClassVar[tuple[str, ...]] = ("precision",)
    glm_hessian: ClassVar[Hessian] = "observed"

    @property
    def is_canonical(self) -> bool:
        """Whether the link is the identity, in which the log-likelihood is y-free from d2 on."""
        return self.link.name == "identity"

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError, naming the first offending row, when y is not strictly between 0 and 1."""
        check_weights(weights)
        refuse_rows(
            ~((y > 0.0) & (y < 1.0)),
            y,
            "y values must be 0 < y < 1 for the beta family; for counted proportions use binomial or "
            "betabinomial.",
        )

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return y, kept off 0 and 1."""
        return np.clip(y, 0.01, 0.99)

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the moment estimate of the precision."""
        counted = weights if np.any(weights > 0.0) else np.ones_like(y)
        squared = max(float(np.average((y - mu) ** 2, weights=counted)), 1e-4)
        return np.array(
            [np.clip(float(np.average(mu * (1.0 - mu), weights=counted)) / squared - 1.0, 0.5, 1e3)]
        )

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
        """Return log-likelihood terms and derivatives in eta."""
        a, b = self.link.log_probabilities(eta)
        (left, left_excess), (right, right_excess) = shape_parameter(a[0], phi), shape_parameter(b[0], phi)
        log_y, log_1y = np.log(y), np.log1p(-y)
        curves = _curve(left), _curve(right)
        P, Q = _side(left, log_y, curves[0]), _side(right, log_1y, curves[1])
        value = (
            left_excess + right_excess - betaln(left, right) + (left - 1.0) * log_y + (right - 1.0) * log_1y
        )
        jet = scaled((value, *add(compose(P, a), compose(Q, b))[1:]), weights)
        if observed:
            found = as_derivatives(jet, None, None, order)
        else:
            information, slope = _information((curves[0], a), (curves[1], b))
            found = as_derivatives(jet, weights * information, weights * slope, order)
        return outside(found, self.link.gives_unit_mean(eta), weights)

    def phi_derivatives(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray, phi: FloatArray, observed: bool = False
    ) -> PhiDerivatives:
        """Return derivatives in log(precision), in which both shapes grow at their own rate."""
        a, b = self.link.log_probabilities(eta)
        left, right = shape_parameter(a[0], phi)[0], shape_parameter(b[0], phi)[0]
        curves = _curve(left), _curve(right)
        P, Q = _side(left, np.log(y), curves[0]), _side(right, np.log1p(-y), curves[1])
        loglik = _curve(np.atleast_1d(phi[0]))[0] + P[1] + Q[1]
        d1, d2 = slopes_in_log_precision(P, Q, a, b)
        information = (
            -d2 if observed else curves[0][2] * bounded(a[1]) ** 2 + curves[1][2] * bounded(b[1]) ** 2
        )
        inside = self.link.gives_unit_mean(eta)
        parts = (np.where(inside, weights * part, 0.0)[None] for part in (loglik, d1, information, d2))
        return PhiDerivatives(*parts)

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return mu (1 - mu) / (1 + phi)."""
        return np.asarray(mu * (1.0 - mu) / (1.0 + phi[0]))

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return twice the log-likelihood ratio of each row against its own best mean."""
        return beta_deviance(beta(), y, mu, weights, phi)

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw proportions, kept strictly between 0 and 1 where rounding would reach them."""
        tiny, eps = np.finfo(np.float64).tiny, np.finfo(np.float64).eps
        return np.asarray(np.clip(beta_draws(rng, mu, phi), tiny, 1.0 - eps))


@advises
def beta(link: str | Link = "logit") -> Beta:
    """Return the beta family, mean mu and estimated precision phi, as glmmTMB's ``beta_family``.

    Parameters
    ----------
    link : str or Link
        logit, probit, cloglog, loglog, cauchit, log or identity.

    Returns
    -------
    Beta
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If the family has no such link.

    Examples
    --------
    >>> beta().phi_names
    ('precision',)
    """
    return Beta(checked_link(link, "beta", UNIT_LINKS))


def _curve(a: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return a digamma(a), a^2 trigamma(a) and the derivative of the latter in log(a)."""
    d0, d1, d2 = polygammas(a)
    square = a * (a * d1)
    slope = np.where(a > SMALLEST_SHAPE, 2.0 * square + a * (a * (a * d2)), 0.0)
    return a * d0, square, slope


def _side(a: FloatArray, log_y: FloatArray, curve: Curve) -> Outer:
    """Return -log Gamma(a) + a log(y) and its derivatives in log(a); the value itself is not used."""
    inside = a > SMALLEST_SHAPE
    linear, square, slope = curve
    first = a * log_y - linear
    second = np.where(inside, first - square, 0.0)
    return np.zeros_like(a), first, second, np.where(inside, second - slope, 0.0)


def _information(left: tuple[Curve, Jet], right: tuple[Curve, Jet]) -> tuple[FloatArray, FloatArray]:
    """Return the expected information in eta and its derivative: a^2 trigamma(a) A'^2, both sides."""
    total, total_slope = np.zeros_like(left[0][0]), np.zeros_like(left[0][0])
    for (_, square, slope), (_, d1, d2, _) in (left, right):
        h1, h2 = bounded(d1), bounded(d2)
        total = total + square * h1 * h1
        total_slope = total_slope + slope * h1**3 + 2.0 * square * h1 * h2
    return total, total_slope
