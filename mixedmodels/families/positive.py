"""Families on the positive half-line written in t = log mu.

In t the terms of a log-likelihood are sums of exponentials that cannot cancel, and for the log link they
are the derivatives in eta themselves.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.families.base import EMPTY, FamilyBase, outside
from mixedmodels.families.family import Derivatives, PhiDerivatives
from mixedmodels.families.links import LARGEST_EXPONENT, Link

POSITIVE_LINKS = ("log", "identity", "sqrt", "inverse", "1/mu^2")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LogMeanTerms:
    """Log-likelihood terms and their derivatives in t = log(mu), prior weights included.

    Attributes
    ----------
    loglik, l1, l2, l3 : ndarray, shape (n,)
        Log-likelihood and its derivatives.
    information, d_information : ndarray, shape (n,), or None
        Expected information in t and its derivative; None where there is no closed form.
    """

    loglik: FloatArray
    l1: FloatArray
    l2: FloatArray
    l3: FloatArray
    information: FloatArray | None = None
    d_information: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LogMeanPhiTerms:
    """Derivatives in the free family parameters of the terms in t, each of shape (n_phi, n)."""

    loglik: FloatArray
    l1: FloatArray
    l2: FloatArray
    information: FloatArray | None = None


def chain(
    terms: LogMeanTerms, link: Link, eta: FloatArray, weights: FloatArray, order: int, observed: bool
) -> Derivatives:
    """Return the derivatives in eta of terms given in t = log(mu(eta))."""
    if link.name == "log":
        return _log_link(terms, order, observed)
    _, t1, t2, t3 = link.log_mean(eta)
    t11 = t1 * t1
    d2 = terms.l2 * t11 + terms.l1 * t2
    d3 = EMPTY if order < 3 else terms.l3 * t11 * t1 + 3.0 * terms.l2 * t1 * t2 + terms.l1 * t3
    if observed or terms.information is None or terms.d_information is None:
        information, slope = -d2, -d3
    else:
        information = terms.information * t11
        slope = terms.d_information * t11 * t1 + 2.0 * terms.information * t1 * t2 if order > 2 else EMPTY
    found = Derivatives(terms.loglik, terms.l1 * t1, d2, information, d3, slope)
    return outside(found, link.gives_positive_mean(eta), weights)


def _log_link(terms: LogMeanTerms, order: int, observed: bool) -> Derivatives:
    """Return the terms as they are: t is eta."""
    information, slope = terms.information, terms.d_information
    if observed or information is None or slope is None:
        information, slope = -terms.l2, -terms.l3
    if order < 3:
        return Derivatives(terms.loglik, terms.l1, terms.l2, information, EMPTY, EMPTY)
    return Derivatives(terms.loglik, terms.l1, terms.l2, information, terms.l3, slope)


def chain_phi(terms: LogMeanPhiTerms, link: Link, eta: FloatArray, observed: bool) -> PhiDerivatives:
    """Return the derivatives in phi of the log-likelihood and its derivatives in eta."""
    _, t1, t2, _ = link.log_mean(eta)
    inside = link.gives_positive_mean(eta)
    d1 = np.where(inside, terms.l1 * t1, 0.0)
    d2 = np.where(inside, terms.l2 * t1 * t1 + terms.l1 * t2, 0.0)
    if observed or terms.information is None:
        information = -d2
    else:
        information = np.where(inside, terms.information * t1 * t1, 0.0)
    return PhiDerivatives(np.where(inside, terms.loglik, 0.0), d1, information, d2)


@dataclass(frozen=True, slots=True)
class PositiveFamily(FamilyBase):
    """A family given by its terms in t = log(mu); `evaluate` adds the link."""

    exponent_bound: ClassVar[float] = LARGEST_EXPONENT

    @abstractmethod
    def terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray, constant: FloatArray
    ) -> LogMeanTerms:
        """Return the log-likelihood terms and their derivatives in t; |t| <= `exponent_bound`."""

    def phi_terms(
        self, y: FloatArray, t: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> LogMeanPhiTerms:
        """Return the derivatives of the terms in the free parameters; none by default."""
        none = np.empty((0, len(y)))
        return LogMeanPhiTerms(none, none, none, none)

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
            constant = self.log_constant(y, weights)
        t = np.clip(self.link.log_mean(eta)[0], -self.exponent_bound, self.exponent_bound)
        return chain(self.terms(y, t, weights, phi, constant), self.link, eta, weights, order, observed)

    def phi_derivatives(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray, phi: FloatArray, observed: bool = False
    ) -> PhiDerivatives:
        """Return derivatives in the free coordinates of phi."""
        t = np.clip(self.link.log_mean(eta)[0], -self.exponent_bound, self.exponent_bound)
        return chain_phi(self.phi_terms(y, t, weights, phi), self.link, eta, observed)
