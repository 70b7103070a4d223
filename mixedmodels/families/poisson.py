"""The Poisson family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import gammaln, xlogy

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.families.base import check_counts, checked_link, count_tails
from mixedmodels.families.family import Family, Tails
from mixedmodels.families.links import Link
from mixedmodels.families.positive import POSITIVE_LINKS, LogMeanTerms, PositiveFamily
from mixedmodels.families.zero_part import zero_inflated

# Above, the skewness of a count is below 1e-7 and the spacing of doubles above 1.
LARGEST_POISSON_MEAN = 1e15


@dataclass(frozen=True, slots=True)
class Poisson(PositiveFamily):
    """Poisson distribution; prior weights multiply the log-likelihood of a row, as in R."""

    name: ClassVar[str] = "poisson"

    @property
    def is_canonical(self) -> bool:
        """Whether the link is the logarithm."""
        return self.link.name == "log"

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError, naming the first offending row, when y is not a count."""
        check_counts(y, weights, "Poisson")

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return y + 0.1, as R."""
        return y + 0.1

    def tails(self, y: FloatArray) -> Tails:
        """Return the counts of zero."""
        return count_tails(y)

    def log_constant(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return -w log(y!)."""
        return np.asarray(-weights * gammaln(y + 1.0))

    def terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray, constant: FloatArray
    ) -> LogMeanTerms:
        """Return w (y t - exp(t)) + constant and its derivatives in t."""
        mean = weights * np.exp(t)
        counts = weights * y
        return LogMeanTerms(counts * t - mean + constant, counts - mean, -mean, -mean, mean, mean)

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return mu."""
        return mu

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return 2 w [y log(y / mu) - (y - mu)]."""
        return poisson_deviance(y, mu, weights)

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw counts; a weight is a number of equal rows and does not change the distribution of one."""
        return poisson_counts(rng, mu)


@advises
def poisson(link: str | Link = "log", *, zi: bool = False) -> Family:
    """Return the Poisson family.

    Parameters
    ----------
    link : str or Link
        log, identity, sqrt, inverse, 1/mu^2 or a power.
    zi : bool
        Whether to add zeros with a probability of their own (zero inflation, intercept only).

    Returns
    -------
    Family
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If the family has no such link.

    Examples
    --------
    >>> poisson(link="sqrt").link.name
    'sqrt'
    """
    base = Poisson(checked_link(link, "poisson", POSITIVE_LINKS))
    return zero_inflated(base) if zi else base


def poisson_counts(rng: np.random.Generator, mu: FloatArray) -> FloatArray:
    """Draw Poisson counts; means beyond the generator's range, of the size of 2^53, as rounded normals."""
    large = mu > LARGEST_POISSON_MEAN
    counts = rng.poisson(np.where(large, 1.0, mu)).astype(np.float64)
    if large.any():
        counts[large] = np.round(
            mu[large] + np.sqrt(mu[large]) * rng.standard_normal(np.count_nonzero(large))
        )
    return counts


def poisson_deviance(y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the squared deviance residuals of counts y with means mu."""
    floor = np.maximum(mu, np.finfo(np.float64).tiny)
    return np.asarray(np.maximum(2.0 * weights * (xlogy(y, y) - xlogy(y, floor) - (y - mu)), 0.0))
