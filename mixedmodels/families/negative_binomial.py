"""Negative binomial families: theta known, theta estimated (nbinom2), and linear variance (nbinom1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import numpy as np
from scipy.special import gammaln, xlogy

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import FamilyError
from mixedmodels.families.base import EMPTY, LARGEST_SHAPE, check_counts, checked_link, count_tails
from mixedmodels.families.family import Family, Hessian, Tails
from mixedmodels.families.links import Link
from mixedmodels.families.poisson import poisson_counts
from mixedmodels.families.positive import POSITIVE_LINKS, LogMeanPhiTerms, LogMeanTerms, PositiveFamily
from mixedmodels.families.saturated import deviance_by_search
from mixedmodels.families.special import log_gamma_difference, logistic, polygamma_differences, rising
from mixedmodels.families.zero_part import zero_inflated

# Sizes mu / alpha beyond these bounds change nothing, and their cubes are still doubles.
_LARGEST_SIZE = 1e100


@dataclass(frozen=True, slots=True)
class _Counts(PositiveFamily):
    """What the negative binomial families share; prior weights multiply the log-likelihood of a row."""

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError, naming the first offending row, when y is not a count."""
        check_counts(y, weights, "negative binomial")

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return y, with 1/6 in place of 0, as MASS."""
        return np.where(y == 0.0, 1.0 / 6.0, y)

    def tails(self, y: FloatArray) -> Tails:
        """Return the counts of zero."""
        return count_tails(y)

    def log_constant(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return -w log(y!)."""
        return np.asarray(-weights * gammaln(y + 1.0))


@dataclass(frozen=True, slots=True)
class NegativeBinomial(_Counts):
    """Negative binomial distribution with variance mu + mu^2 / theta.

    Attributes
    ----------
    theta : float or None
        The known shape, or None when it is estimated with the other parameters.
    name : str
        ``"Negative Binomial(2.5)"`` as MASS prints it, or ``"nbinom2"``.
    hessian : {"expected", "observed"}
        Behind the standard errors of a glm: MASS's for ``negative_binomial``, glmmTMB's for ``nbinom2``.
    """

    theta: float | None
    name: str
    hessian: Hessian

    @property
    def glm_hessian(self) -> Hessian:
        """Which information the standard errors of a model without random effects come from."""
        return self.hessian

    @property
    def phi_names(self) -> tuple[str, ...]:
        """``("theta",)`` when theta is estimated."""
        return ("theta",) if self.theta is None else ()

    def _shape(self, phi: FloatArray) -> FloatArray:
        return np.asarray(phi[0] if self.theta is None else self.theta)

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the moment estimate of theta."""
        if self.theta is not None:
            return EMPTY
        excess = float(np.sum(weights * ((y - mu) ** 2 - mu)))
        squares = float(np.sum(weights * mu * mu))
        return np.array([np.clip(squares / max(excess, 1e-3 * squares), 0.05, 1e3)])

    def phi_limits(self, phi: FloatArray) -> tuple[str, ...]:
        """Return what a theta close to infinity means."""
        if self.theta is not None or phi[0] < LARGEST_SHAPE:
            return ()
        return (
            "theta runs to infinity: the counts are not overdispersed, and the Poisson family fits them.",
        )

    def terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray, constant: FloatArray
    ) -> LogMeanTerms:
        """Return the terms with p = mu / (theta + mu), in forms that tend to the Poisson's."""
        theta = self._shape(phi)
        log_theta = np.log(theta)
        excess = t - log_theta
        p, q, softplus = logistic(excess)
        rise = _by_count(log_gamma_difference, y, theta)
        kernel = rise + y * (excess - softplus) - theta * softplus
        curvature = weights * (y + theta) * p * q
        information = weights * theta * p
        return LogMeanTerms(
            weights * kernel + constant,
            weights * (y * q - theta * p),
            -curvature,
            -curvature * (q - p),
            information,
            information * q,
        )

    def phi_terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> LogMeanPhiTerms:
        """Return the derivatives in log(theta)."""
        if self.theta is not None:
            return PositiveFamily.phi_terms(self, y, t, weights, phi)
        theta = phi[0]
        log_theta = np.log(theta)
        p, q, softplus = logistic(t - log_theta)
        rise = _by_count(_first_difference, y, theta)
        loglik = weights * (theta * (rise - softplus) + theta * p - y * q)
        l1 = weights * p * (y * q - theta * p)
        l2 = weights * p * q * ((y + theta) * (q - p) - theta)
        return LogMeanPhiTerms(loglik[None], l1[None], l2[None], (weights * theta * p * p)[None])

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return mu + mu^2 / theta."""
        return np.asarray(mu + mu * (mu / self._shape(phi)))

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return 2 w [y log(y / mu) - (y + theta) log((y + theta) / (mu + theta))]."""
        theta = self._shape(phi)
        floor = np.maximum(mu, np.finfo(np.float64).tiny)
        shift = (y + theta) * np.log1p((y - floor) / (floor + theta))
        return np.asarray(np.maximum(2.0 * weights * (xlogy(y, y) - xlogy(y, floor) - shift), 0.0))

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw counts as Poisson with Gamma means."""
        theta = self._shape(phi)
        return poisson_counts(rng, mu * rng.gamma(theta, size=len(mu)) / theta)


@dataclass(frozen=True, slots=True)
class NegativeBinomial1(_Counts):
    """Negative binomial distribution with variance mu (1 + alpha), glmmTMB's nbinom1."""

    name: ClassVar[str] = "nbinom1"
    phi_names: ClassVar[tuple[str, ...]] = ("alpha",)
    has_expected_information: ClassVar[bool] = False
    glm_hessian: ClassVar[Hessian] = "observed"

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the mean squared Pearson residual of a Poisson model minus 1."""
        squared = np.average((y - mu) ** 2 / mu, weights=weights if np.any(weights > 0.0) else None)
        return np.array([np.clip(squared - 1.0, 0.01, 1e3)])

    def phi_limits(self, phi: FloatArray) -> tuple[str, ...]:
        """Return what an alpha close to zero means."""
        if phi[0] > 1.0 / LARGEST_SHAPE:
            return ()
        return ("alpha runs to zero: the counts are not overdispersed; the Poisson family fits them.",)

    def terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray, constant: FloatArray
    ) -> LogMeanTerms:
        """Return the terms as functions of the size s = mu / alpha."""
        alpha = phi[0]
        s = _size(t, alpha)
        log1p_alpha = np.log1p(alpha)
        kernel = log_gamma_difference(y, s) - s * log1p_alpha + y * (np.log(alpha) - log1p_alpha)
        l1, l2, l3 = _size_derivatives(y, s, log1p_alpha)
        return LogMeanTerms(weights * kernel + constant, weights * l1, weights * l2, weights * l3)

    def phi_terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> LogMeanPhiTerms:
        """Return the derivatives in log(alpha), of which the size is a decreasing function."""
        alpha = phi[0]
        s = _size(t, alpha)
        l1, l2, l3 = _size_derivatives(y, s, np.log1p(alpha))
        share = s * (alpha / (1.0 + alpha))
        return LogMeanPhiTerms(
            (weights * (y / (1.0 + alpha) - share - l1))[None],
            (weights * (-l2 - share))[None],
            (weights * (-l3 - share))[None],
        )

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return mu (1 + alpha)."""
        return np.asarray(mu * (1.0 + phi[0]))

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return twice the log-likelihood ratio of each row against its own best mean."""
        eta = np.log(np.maximum(mu, np.finfo(np.float64).tiny))
        high = float(np.log1p(y.max(initial=0.0)) + np.log1p(phi[0]).max()) + 5.0
        return deviance_by_search(nbinom1("log"), y, eta, weights, phi, -40.0, high)

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw counts as Poisson with Gamma means of scale alpha."""
        return poisson_counts(rng, phi[0] * rng.gamma(mu / phi[0]))


@advises
def negative_binomial(theta: float | None = None, link: str | Link = "log") -> Family:
    """Return the negative binomial family with variance mu + mu^2 / theta, as MASS and ``glmer.nb``.

    Parameters
    ----------
    theta : float, optional
        The known shape; estimated with the other parameters when it is not given.
    link : str or Link
        log, sqrt, identity, inverse, 1/mu^2 or a power.

    Returns
    -------
    Family
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If theta is not positive, or the family has no such link.

    Examples
    --------
    >>> negative_binomial(theta=2.5).name
    'Negative Binomial(2.5)'
    """
    checked = checked_link(link, "negative binomial", POSITIVE_LINKS)
    if theta is None:
        return NegativeBinomial(checked, None, "Negative Binomial", "expected")
    if not isinstance(theta, Real) or not 0.0 < theta < np.inf:
        raise FamilyError(
            f"theta of the negative binomial must be a positive number, not {theta!r}; leave it out to "
            "have it estimated, and give a link by name: negative_binomial(link='sqrt')."
        )
    return NegativeBinomial(checked, float(theta), f"Negative Binomial({theta:.4g})", "expected")


@advises
def nbinom2(link: str | Link = "log", *, zi: bool = False) -> Family:
    """Return the negative binomial family with variance mu + mu^2 / theta, theta estimated.

    Parameters
    ----------
    link : str or Link
        log, sqrt, identity, inverse, 1/mu^2 or a power.
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
    >>> nbinom2(zi=True).phi_names
    ('theta', 'zi')
    """
    base = NegativeBinomial(checked_link(link, "nbinom2", POSITIVE_LINKS), None, "nbinom2", "observed")
    return zero_inflated(base) if zi else base


@advises
def nbinom1(link: str | Link = "log", *, zi: bool = False) -> Family:
    """Return the negative binomial family with variance mu (1 + alpha), alpha estimated.

    Parameters
    ----------
    link : str or Link
        log, sqrt, identity, inverse, 1/mu^2 or a power.
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
    >>> nbinom1().phi_names
    ('alpha',)
    """
    base = NegativeBinomial1(checked_link(link, "nbinom1", POSITIVE_LINKS))
    return zero_inflated(base) if zi else base


def _size(t: FloatArray, alpha: FloatArray) -> FloatArray:
    bound = float(np.log(_LARGEST_SIZE))
    return np.asarray(np.exp(np.clip(t - np.log(alpha), -bound, bound)))


def _size_derivatives(
    y: FloatArray, s: FloatArray, log1p_alpha: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return three derivatives in log(s) of log Gamma(y + s) - log Gamma(s) - s log(1 + alpha)."""
    first, second, third = rising(y, s)
    slope = s * log1p_alpha
    return first - slope, second - slope, third - slope


def _first_difference(count: FloatArray, theta: FloatArray) -> FloatArray:
    return polygamma_differences(count, theta)[0]


def _by_count(
    function: Callable[[FloatArray, FloatArray], FloatArray], y: FloatArray, theta: FloatArray
) -> FloatArray:
    """Return function(y, theta), computed once for each count where counts are small whole numbers."""
    largest = y.max(initial=0.0)
    if np.ndim(theta) or not 0.0 <= largest < len(y):
        return function(y, np.broadcast_to(theta, y.shape))
    counts = y.astype(np.intp)
    if not np.array_equal(counts, y):
        return function(y, np.full_like(y, theta))
    of_counts = np.arange(largest + 1.0)
    return np.asarray(function(of_counts, np.full_like(of_counts, theta))[counts])
