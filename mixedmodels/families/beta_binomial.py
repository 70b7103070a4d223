"""The beta-binomial family: proportions of trials whose success probability varies between rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import FamilyError
from mixedmodels.families.base import (
    LARGEST_SHAPE,
    FamilyBase,
    check_proportions,
    checked_link,
    outside,
    trial_tails,
)
from mixedmodels.families.binomial import log_binomial_coefficient, whole_trials
from mixedmodels.families.family import Derivatives, Hessian, PhiDerivatives, Tails
from mixedmodels.families.links import Link
from mixedmodels.families.special import rising_jet, rising_jet_at
from mixedmodels.families.unit_interval import (
    SMALLEST_SHAPE,
    UNIT_LINKS,
    Outer,
    add,
    as_derivatives,
    beta_deviance,
    beta_draws,
    compose,
    shape_parameter,
    slopes_in_log_precision,
)
from mixedmodels.kernels.family_rows import beta_binomial_rows

# Precisions from which the loop over rows needs no care.
LEAST_PHI = 1e-50


@dataclass(frozen=True, slots=True)
class BetaBinomial(FamilyBase):
    """Beta-binomial distribution: n = weights trials, success probability Beta(mu phi, (1 - mu) phi)."""

    name: ClassVar[str] = "betabinomial"
    phi_names: ClassVar[tuple[str, ...]] = ("precision",)
    has_expected_information: ClassVar[bool] = False
    glm_hessian: ClassVar[Hessian] = "observed"

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError when y is not a proportion, or there are only single trials."""
        check_proportions(y, weights, self.name)
        if weights.max(initial=0.0) <= 1.0:
            raise FamilyError(
                "With single trials the betabinomial family is the binomial: its precision cannot be "
                "estimated. Use binomial, or give numbers of trials."
            )

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return (n y + 1/2) / (n + 1)."""
        return np.asarray((weights * y + 0.5) / (weights + 1.0))

    def tails(self, y: FloatArray) -> Tails:
        """Return the rows without a success and those without a failure."""
        return trial_tails(y)

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the moment estimate of the precision from the overdispersion."""
        counted = weights > 1.0
        n, p = weights[counted], mu[counted]
        X2 = float(np.mean(n * (y[counted] - p) ** 2 / np.maximum(p * (1.0 - p), 1e-10)))
        correlation = (X2 - 1.0) / max(float(np.mean(n)) - 1.0, 1e-3)
        return np.array([np.clip(1.0 / max(correlation, 1e-3) - 1.0, 0.5, 1e3)])

    def phi_limits(self, phi: FloatArray) -> tuple[str, ...]:
        """Return what a precision close to infinity means."""
        if phi[0] < LARGEST_SHAPE:
            return ()
        return ("precision runs to infinity: the proportions are not overdispersed; the binomial fits them.",)

    def log_constant(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return log C(n, ny)."""
        return log_binomial_coefficient(y, weights)

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
        if constant is None:
            constant = log_binomial_coefficient(y, weights)
        rows = self._logit_rows(y, eta, weights, phi, in_phi=False)
        if rows is not None:
            loglik, d1, d2, d3 = rows
            return as_derivatives((loglik + constant, d1, d2, d3), None, None, order)
        a, b = self.link.log_probabilities(eta)
        P, Q = _sides(y, weights, a[0], b[0], phi)
        jet = add(compose(P, a), compose(Q, b))
        loglik = jet[0] - rising_jet_at(weights, phi[0])[0] + constant
        found = as_derivatives((loglik, *jet[1:]), None, None, order)
        return outside(found, self.link.gives_unit_mean(eta), weights)

    def phi_derivatives(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray, phi: FloatArray, observed: bool = False
    ) -> PhiDerivatives:
        """Return derivatives in log(precision), in which both shapes grow at their own rate."""
        rows = self._logit_rows(y, eta, weights, phi, in_phi=True)
        if rows is not None:
            loglik, d1, d2 = rows
            return PhiDerivatives(loglik[None], d1[None], -d2[None], d2[None])
        a, b = self.link.log_probabilities(eta)
        P, Q = _sides(y, weights, a[0], b[0], phi)
        loglik = P[1] + Q[1] - rising_jet_at(weights, phi[0])[1]
        d1, d2 = slopes_in_log_precision(P, Q, a, b)
        inside = self.link.gives_unit_mean(eta)
        return PhiDerivatives(*(np.where(inside, part, 0.0)[None] for part in (loglik, d1, -d2, d2)))

    def _logit_rows(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray, phi: FloatArray, *, in_phi: bool
    ) -> tuple[FloatArray, ...] | None:
        """Return the terms of the rows by the compiled loop, None where it does not know them."""
        is_plain = self.link.name == "logit" and y.shape == eta.shape == weights.shape
        # A modelled dispersion has a precision for each row.
        if not is_plain or np.ndim(phi[0]) or not LEAST_PHI < phi[0] < LARGEST_SHAPE:
            return None
        flat = [np.ascontiguousarray(rows).ravel() for rows in (y, eta, weights)]
        found = beta_binomial_rows(flat[0], flat[1], flat[2], float(phi[0]), in_phi)
        return None if found is None else tuple(part.reshape(eta.shape) for part in found)

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return mu (1 - mu), the variance of one trial."""
        return np.asarray(mu * (1.0 - mu))

    def variance_inflation(self, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return 1 + (n - 1) / (phi + 1): trials of one row are correlated by 1 / (phi + 1)."""
        return np.asarray(1.0 + np.maximum(weights - 1.0, 0.0) / (phi[0] + 1.0))

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return twice the log-likelihood ratio of each row against its own best mean."""
        return beta_deviance(betabinomial(), y, mu, weights, phi)

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw proportions of successes among `weights` trials; a row without trials gives 0."""
        trials = whole_trials(weights)
        p = beta_draws(rng, mu, phi)
        return np.asarray(rng.binomial(trials, p) / np.maximum(trials, 1))


@advises
def betabinomial(link: str | Link = "logit") -> BetaBinomial:
    """Return the beta-binomial family with estimated precision, as glmmTMB's.

    Parameters
    ----------
    link : str or Link
        logit, probit, cloglog, loglog, cauchit, log or identity.

    Returns
    -------
    BetaBinomial
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If the family has no such link.

    Examples
    --------
    >>> betabinomial().phi_names
    ('precision',)
    """
    return BetaBinomial(checked_link(link, "betabinomial", UNIT_LINKS))


def _sides(
    y: FloatArray, weights: FloatArray, log_mu: FloatArray, log_1mu: FloatArray, phi: FloatArray
) -> tuple[Outer, Outer]:
    """Return the terms of the successes in log(mu) and of the failures in log(1 - mu)."""
    successes = weights * y
    return (
        _outer(successes, *shape_parameter(log_mu, phi)),
        _outer(np.maximum(weights - successes, 0.0), *shape_parameter(log_1mu, phi)),
    )


def _outer(count: FloatArray, a: FloatArray, excess: FloatArray) -> Outer:
    """Return log Gamma(count + a) - log Gamma(a) and its derivatives in log(a)."""
    inside = a > SMALLEST_SHAPE
    value, first, second, third = rising_jet(count, a)
    return (
        value + np.where(count > 0.0, excess, 0.0),
        first,
        np.where(inside, second, 0.0),
        np.where(inside, third, 0.0),
    )
