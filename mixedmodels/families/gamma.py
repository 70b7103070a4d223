"""The Gamma family: y of mean mu and variance phi mu^2 / w."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.families.base import check_positive, checked_link, dispersion_moment, weighted_mean
from mixedmodels.families.family import Hessian
from mixedmodels.families.links import Link
from mixedmodels.families.positive import POSITIVE_LINKS, LogMeanPhiTerms, LogMeanTerms, PositiveFamily
from mixedmodels.families.special import gamma_normalizer, log_minus_digamma


@dataclass(frozen=True, slots=True)
class GammaFamily(PositiveFamily):
    """Gamma distribution with shape w / phi; sqrt(phi) is the coefficient of variation."""

    name: ClassVar[str] = "Gamma"
    phi_names: ClassVar[tuple[str, ...]] = ("dispersion",)
    glm_hessian: ClassVar[Hessian] = "observed"
    has_dispersion: ClassVar[bool] = True
    # exp(-t) is multiplied by y and the shape, so it must stay well below the largest double.
    exponent_bound: ClassVar[float] = 600.0

    @property
    def is_canonical(self) -> bool:
        """Whether the link is the inverse."""
        return self.link.name == "inverse"

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError, naming the first offending row, when y is not positive."""
        check_positive(y, weights, self.name)

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the mean of y: single values close to zero would make wild starts."""
        return np.full(len(y), weighted_mean(y, weights))

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the mean squared Pearson residual."""
        return dispersion_moment(y, mu, weights, mu * mu)

    def terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray, constant: FloatArray
    ) -> LogMeanTerms:
        """Return the terms with shape k = w / phi and ratio r = y / mu.

        l = k (1 + log r - r) - log y + k log k - k - log Gamma(k).
        """
        counts = weights > 0.0
        k = weights / phi[0]
        log_ratio = np.log(y) - t
        # A large shape multiplies what is left of r - 1 when r is close to one.
        excess = np.expm1(log_ratio)
        shape = np.where(counts, k, 1.0)
        loglik = k * (log_ratio - excess) + counts * (gamma_normalizer(shape) - np.log(y))
        fitted = k * (1.0 + excess)
        return LogMeanTerms(loglik, k * excess, -fitted, fitted, k, np.zeros_like(k))

    def phi_terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> LogMeanPhiTerms:
        """Return the derivatives in log(phi): the shape falls as phi rises, d k / d log(phi) = -k."""
        k = weights / phi[0]
        log_ratio = np.log(y) - t
        excess = np.expm1(log_ratio)
        shape = np.where(weights > 0.0, k, 1.0)
        loglik = -k * (log_minus_digamma(shape) + log_ratio - excess)
        fitted = k * (1.0 + excess)
        return LogMeanPhiTerms(loglik[None], (-k * excess)[None], fitted[None], -k[None])

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return phi mu^2."""
        return np.asarray(phi[0] * mu * mu)

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return 2 w [(y - mu) / mu - log(y / mu)]."""
        return np.asarray(np.maximum(2.0 * weights * ((y - mu) / mu - np.log(y / mu)), 0.0))

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw responses with shape w / phi; a row of weight zero gets its mean."""
        shape = np.where(weights > 0.0, weights, np.inf) / phi[0]
        finite = np.isfinite(shape)
        drawn = rng.gamma(np.where(finite, shape, 1.0)) / np.where(finite, shape, 1.0)
        # A shape close to zero draws values below the smallest double, which must not become zero.
        return np.asarray(np.maximum(mu * np.where(finite, drawn, 1.0), np.finfo(np.float64).tiny))


@advises
def Gamma(link: str | Link = "inverse") -> GammaFamily:
    """Return the Gamma family; its dispersion is estimated by maximum likelihood.

    Parameters
    ----------
    link : str or Link
        inverse, log, identity, sqrt, 1/mu^2 or a power.

    Returns
    -------
    GammaFamily
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If the family has no such link.

    Examples
    --------
    >>> Gamma(link="log").phi_names
    ('dispersion',)
    """
    return GammaFamily(checked_link(link, "Gamma", POSITIVE_LINKS))
