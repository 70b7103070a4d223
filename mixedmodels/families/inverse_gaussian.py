"""The inverse Gaussian family: y of mean mu and variance phi mu^3 / w."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.families.base import check_positive, checked_link, dispersion_moment, weighted_mean
from mixedmodels.families.family import Hessian, Tails
from mixedmodels.families.links import Link
from mixedmodels.families.positive import POSITIVE_LINKS, LogMeanPhiTerms, LogMeanTerms, PositiveFamily


@dataclass(frozen=True, slots=True)
class InverseGaussian(PositiveFamily):
    """Inverse Gaussian distribution with shape w / phi."""

    name: ClassVar[str] = "inverse.gaussian"
    phi_names: ClassVar[tuple[str, ...]] = ("dispersion",)
    glm_hessian: ClassVar[Hessian] = "observed"
    has_dispersion: ClassVar[bool] = True
    # exp(-2 t) times y and the shape must stay below the largest double.
    exponent_bound: ClassVar[float] = 300.0

    @property
    def is_canonical(self) -> bool:
        """Whether the link is 1/mu^2."""
        return self.link.name == "1/mu^2"

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError, naming the first offending row, when y is not positive."""
        check_positive(y, weights, self.name)

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the mean of y."""
        return np.full(len(y), weighted_mean(y, weights))

    def tails(self, y: FloatArray) -> Tails:
        """Return no row; a mean far too large costs each but a bounded amount."""
        return replace(PositiveFamily.tails(self, y), is_exact=False)

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the maximum likelihood estimate given mu, the mean deviance."""
        return dispersion_moment(y, mu, weights, y * mu * mu)

    def terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray, constant: FloatArray
    ) -> LogMeanTerms:
        """Return the terms l = log(k / (2 pi y^3)) / 2 - k (y - mu)^2 / (2 y mu^2) with k = w / phi."""
        counts = weights > 0.0
        k = weights / phi[0]
        shape = np.where(counts, k, 1.0)
        inverse = np.exp(-t)
        residual = y * inverse - 1.0
        linear, quadratic = k * inverse, k * inverse * (y * inverse)
        loglik = counts * 0.5 * np.log(shape / (2.0 * np.pi * y**3)) - 0.5 * (k / y) * residual * residual
        return LogMeanTerms(
            loglik,
            linear * residual,
            linear - 2.0 * quadratic,
            4.0 * quadratic - linear,
            linear,
            -linear,
        )

    def phi_terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> LogMeanPhiTerms:
        """Return the derivatives in log(phi): every term but the normalising one is proportional to k."""
        k = weights / phi[0]
        inverse = np.exp(-t)
        residual = y * inverse - 1.0
        linear, quadratic = k * inverse, k * inverse * (y * inverse)
        loglik = 0.5 * (k / y) * residual * residual - 0.5 * (weights > 0.0)
        return LogMeanPhiTerms(
            loglik[None], (-linear * residual)[None], (2.0 * quadratic - linear)[None], -linear[None]
        )

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return phi mu^3."""
        return np.asarray(phi[0] * mu**3)

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return w (y - mu)^2 / (y mu^2)."""
        return np.asarray(weights * ((y - mu) / mu) ** 2 / y)

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw responses with shape w / phi; a row of weight zero gets its mean."""
        counts = weights > 0.0
        drawn = rng.wald(mu, np.where(counts, weights, 1.0) / phi[0])
        return np.asarray(np.maximum(np.where(counts, drawn, mu), np.finfo(np.float64).tiny))


@advises
def inverse_gaussian(link: str | Link = "1/mu^2") -> InverseGaussian:
    """Return the inverse Gaussian family; its dispersion is estimated by maximum likelihood.

    Parameters
    ----------
    link : str or Link
        1/mu^2, inverse, log, identity, sqrt or a power.

    Returns
    -------
    InverseGaussian
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If the family has no such link.

    Examples
    --------
    >>> inverse_gaussian(link="log").name
    'inverse.gaussian'
    """
    return InverseGaussian(checked_link(link, "inverse.gaussian", POSITIVE_LINKS))
