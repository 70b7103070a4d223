"""The gaussian family with any link: y of mean mu and variance phi / w."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.families.base import (
    EMPTY,
    FamilyBase,
    check_weights,
    dispersion_moment,
    outside,
    refuse_rows,
    weighted_mean,
)
from mixedmodels.families.family import Derivatives, Hessian, PhiDerivatives, Tails
from mixedmodels.families.links import Jet, Link, get_link

# exp(230) = 1e100: squares and products with a precision stay finite.
_LOG_BOUND = 230.0


@dataclass(frozen=True, slots=True)
class Gaussian(FamilyBase):
    """Normal distribution of variance phi / w about a mean that any link gives."""

    name: ClassVar[str] = "gaussian"
    phi_names: ClassVar[tuple[str, ...]] = ("dispersion",)
    glm_hessian: ClassVar[Hessian] = "observed"
    has_dispersion: ClassVar[bool] = True

    @property
    def is_canonical(self) -> bool:
        """Whether the link is the identity."""
        return self.link.name == "identity"

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError, naming the first offending row, when y is not finite."""
        check_weights(weights)
        refuse_rows(~np.isfinite(y), y, "The gaussian family needs a finite response.")

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return y for the identity link, else the mean of y moved into the range of the link."""
        if self.link.name == "identity":
            return y
        mean = weighted_mean(y, weights)
        if self.link.maps_to_unit_interval:
            return np.full(len(y), np.clip(mean, 0.01, 0.99))
        least = 0.1 * (float(np.std(y)) or 1.0)
        if self.link.name == "inverse":
            return np.full(len(y), np.copysign(max(abs(mean), least), mean))
        return np.full(len(y), max(mean, least))

    def tails(self, y: FloatArray) -> Tails:
        """Return the responses at or beyond the ends of what the link gives; others lose little there."""
        none = np.zeros(len(y), dtype=bool)
        ends = self.link.maps_to_unit_interval
        below = y <= 0.0 if ends or self.link.name == "log" else none
        above = y >= 1.0 if ends else none
        lacks = "there is no response above 0", "there is no response below 1"
        return Tails(below, above, none, *lacks, is_exact=self.link.name == "identity")

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the mean squared residual."""
        return dispersion_moment(y, mu, weights, np.ones_like(y))

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
        counts = weights > 0.0
        k = weights / phi[0]
        mu, m1, m2, m3 = _mean(self.link, eta)
        residual = y - mu
        precision = np.where(counts, k, 1.0)
        loglik = counts * 0.5 * np.log(precision / (2.0 * np.pi)) - 0.5 * k * residual * residual
        expected = k * m1 * m1
        d2 = k * residual * m2 - expected
        slope = 2.0 * k * m1 * m2
        d3 = k * residual * m3 - 1.5 * slope
        information, slope = (-d2, -d3) if observed else (expected, slope)
        if order < 3:
            d3 = slope = EMPTY
        found = Derivatives(loglik, k * residual * m1, d2, information, d3, slope)
        return outside(found, self.link.gives_mean(eta), weights)

    def phi_derivatives(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray, phi: FloatArray, observed: bool = False
    ) -> PhiDerivatives:
        """Return derivatives in log(phi)."""
        k = weights / phi[0]
        mu, m1, m2, _ = _mean(self.link, eta)
        residual = y - mu
        loglik = 0.5 * k * residual * residual - 0.5 * (weights > 0.0)
        d2 = k * (m1 * m1 - residual * m2)
        information = -d2 if observed else -k * m1 * m1
        inside = self.link.gives_mean(eta)
        parts = (loglik, -k * residual * m1, information, d2)
        return PhiDerivatives(*(np.where(inside, part, 0.0)[None] for part in parts))

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return phi."""
        return np.asarray(phi[0] + np.zeros_like(mu))

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return w (y - mu)^2."""
        return np.asarray(weights * (y - mu) ** 2)

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw responses with variance phi / w; a row of weight zero gets its mean."""
        counts = weights > 0.0
        scale = np.sqrt(phi[0] / np.where(counts, weights, 1.0))
        return np.asarray(mu + counts * scale * rng.standard_normal(len(mu)))


@advises
def gaussian(link: str | Link = "identity") -> Gaussian:
    """Return the gaussian family.

    Parameters
    ----------
    link : str or Link
        Any link.

    Returns
    -------
    Gaussian
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If there is no such link.

    Examples
    --------
    >>> gaussian(link="log").name
    'gaussian'
    """
    return Gaussian(get_link(link))


def _mean(link: Link, eta: FloatArray) -> Jet:
    """Return the mean and its derivatives, bounded so that their squares are finite."""
    return link.derivatives(np.minimum(eta, _LOG_BOUND) if link.name == "log" else eta)
