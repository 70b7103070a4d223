"""The binomial family: proportions y with prior weights as numbers of trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import xlog1py, xlogy

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import FamilyError
from mixedmodels.families.base import (
    EMPTY,
    FamilyBase,
    check_proportions,
    checked_link,
    is_integer,
    outside,
    trial_tails,
)
from mixedmodels.families.family import Derivatives, Tails
from mixedmodels.families.links import Jet, Link
from mixedmodels.families.unit_interval import (
    UNIT_LINKS,
    add,
    as_derivatives,
    scaled,
)
from mixedmodels.kernels.family_rows import logit_rows, logit_rows_numpy
from mixedmodels.kernels.whole_counts import log_choose, log_choose_numpy

_EPSILON = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True)
class Binomial(FamilyBase):
    """Binomial distribution of the number of successes, y its proportion among `weights` trials.

    The constant log C(n, ny) is continued by gamma functions when ny is not a whole number, so that for
    0/1 data arbitrary positive weights multiply the log-likelihood of the row.
    """

    name: ClassVar[str] = "binomial"

    @property
    def is_canonical(self) -> bool:
        """Whether the link is the logit."""
        return self.link.name == "logit"

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError, naming the first offending row, when y is not in [0, 1]."""
        check_proportions(y, weights, self.name)

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return (n y + 1/2) / (n + 1), as R."""
        return np.asarray((weights * y + 0.5) / (weights + 1.0))

    def tails(self, y: FloatArray) -> Tails:
        """Return the rows without a success and those without a failure."""
        return trial_tails(y)

    def log_constant(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return log C(n, ny)."""
        return log_choose(y, weights)

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
        if constant is None:
            constant = log_binomial_coefficient(y, weights)
        if self.is_canonical:
            return evaluate_logit(y, eta, weights, constant, order)
        inside = self.link.gives_unit_mean(eta)
        found = evaluate_any_link(y, self.link, eta, weights, constant, order, observed)
        return outside(found, inside, weights)

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return mu (1 - mu)."""
        return np.asarray(mu * (1.0 - mu))

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return 2 n [y log(y / mu) + (1 - y) log((1 - y) / (1 - mu))]."""
        return binomial_deviance(y, mu, weights)

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw proportions of successes among `weights` trials; a row without trials gives 0."""
        trials = whole_trials(weights)
        return np.asarray(rng.binomial(trials, np.clip(mu, 0.0, 1.0)) / np.maximum(trials, 1))


@advises
def binomial(link: str | Link = "logit") -> Binomial:
    """Return the binomial family.

    Parameters
    ----------
    link : str or Link
        logit, probit, cloglog, loglog, cauchit, log or identity.

    Returns
    -------
    Binomial
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If the family has no such link.

    Examples
    --------
    >>> binomial(link="probit").link.name
    'probit'
    """
    return Binomial(checked_link(link, "binomial", UNIT_LINKS))


def log_binomial_coefficient(y: FloatArray, weights: FloatArray) -> FloatArray:
    """Return log C(n, ny) for proportions y among n = weights trials, of any shape."""
    y, weights = np.asarray(y, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    return log_choose(y, weights) if y.ndim == weights.ndim == 1 else log_choose_numpy(y, weights)


def evaluate_logit(
    y: FloatArray, eta: FloatArray, weights: FloatArray, constant: FloatArray, order: int
) -> Derivatives:
    """Return the derivatives for the logit link with one exponential a row."""
    is_plain = y.shape == eta.shape == weights.shape == (len(eta),)
    loglik, d1, v, slope = (logit_rows if is_plain else logit_rows_numpy)(y, eta, weights)
    loglik += constant
    if order < 3:
        return Derivatives(loglik, d1, -v, v, EMPTY, EMPTY)
    return Derivatives(loglik, d1, -v, v, -slope, slope)


def evaluate_any_link(
    y: FloatArray,
    link: Link,
    eta: FloatArray,
    weights: FloatArray,
    constant: FloatArray,
    order: int,
    observed: bool,
) -> Derivatives:
    """Return the derivatives of n [y log mu + (1 - y) log(1 - mu)] through the logarithms of both."""
    a, b = link.log_probabilities(eta)
    loglik = scaled(add(_times(y, a), _times(1.0 - y, b)), weights)
    jet = (loglik[0] + constant, *loglik[1:])
    if observed:
        return as_derivatives(jet, None, None, order)
    # n mu'^2 / (mu (1 - mu)) = -n A' B'.
    information = -weights * a[1] * b[1]
    slope = -weights * (a[2] * b[1] + a[1] * b[2])
    return as_derivatives(jet, information, slope, order)


def binomial_deviance(y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the squared deviance residuals of proportions y with means mu."""
    p = np.clip(mu, _TINY, 1.0 - 0.5 * _EPSILON)
    terms = xlogy(y, y) - xlogy(y, p) + xlogy(1.0 - y, 1.0 - y) - xlog1py(1.0 - y, -p)
    return np.asarray(np.maximum(2.0 * weights * terms, 0.0))


def whole_trials(weights: FloatArray) -> IntArray:
    """Return the weights as numbers of trials, or raise FamilyError when they are not whole numbers."""
    if not is_integer(weights).all():
        raise FamilyError(
            "Binomial responses can only be simulated when the weights are whole numbers of trials."
        )
    return np.round(weights).astype(np.intp)


def _times(factor: FloatArray, jet: Jet) -> Jet:
    """Return the jet times a factor, zero where the factor is zero even if the jet is infinite."""
    return factor * jet[0], factor * jet[1], factor * jet[2], factor * jet[3]
