"""The interface of a family: everything the engines ask about the distribution of y given eta.

A family is a set of pure functions of the response y, the linear predictor eta, the prior weights w and
the family's own parameters phi. To add a family, write one small frozen class with these methods:
``FamilyBase`` has the defaults, ``PositiveFamily`` adds every link to log-likelihood terms written in
log(mu); the geometric distribution of ``tests/families/test_custom_family.py`` is an example.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.families.links import Link

Hessian = Literal["expected", "observed"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Derivatives:
    """Log-likelihood terms of the rows and their derivatives in eta, prior weights included.

    Attributes
    ----------
    loglik : ndarray, shape (n,)
        log f(y_i | eta_i, phi) with its full normalising constant.
    d1, d2, d3 : ndarray, shape (n,)
        First, second and third derivative in eta; `d3` is empty unless asked for.
    information : ndarray, shape (n,)
        Weight W_i of the row in L: the expected information -E[d2] where the family has one
        (lme4's definition), else -d2.
    d_information : ndarray, shape (n,)
        Derivative of `information` in eta; empty unless asked for.

    Notes
    -----
    Where eta leads to a mean outside the family's range (an inverse link with eta <= 0, a log link of a
    binomial with eta >= 0), `loglik` is -inf and the derivatives are zero: a line search steps back.
    A row of weight zero contributes zero everywhere.
    """

    loglik: FloatArray
    d1: FloatArray
    d2: FloatArray
    information: FloatArray
    d3: FloatArray
    d_information: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PhiDerivatives:
    """Derivatives in the family's own parameters, on their unbounded (free) scale.

    Attributes
    ----------
    loglik : ndarray, shape (n_phi, n)
        Derivative of the log-likelihood terms.
    d1 : ndarray, shape (n_phi, n)
        Derivative of d1 (mixed second derivative in eta and phi).
    information, d2 : ndarray, shape (n_phi, n)
        Derivative of `information` and of `d2`.
    """

    loglik: FloatArray
    d1: FloatArray
    information: FloatArray
    d2: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tails:
    """Rows whose likelihood never falls as their mean goes to an end of its range.

    They decide whether coefficients have finite estimates, whatever eta and phi are.

    Attributes
    ----------
    to_zero, to_one : ndarray, shape (n,)
        Rows that gain all the way as their mean goes to 0, and to 1.
    silent : ndarray, shape (n,)
        Rows whose likelihood does not depend on their mean.
    lacks_at_zero, lacks_at_one : str
        What is missing where all rows gain towards 0, and towards 1, as in "there is no success".
    is_exact : bool
        Whether the likelihood of every other row vanishes at both ends; then only these rows can take a
        coefficient to infinity.
    """

    to_zero: BoolArray
    to_one: BoolArray
    silent: BoolArray
    lacks_at_zero: str = ""
    lacks_at_one: str = ""
    is_exact: bool = True


class Family(Protocol):
    """Distribution of the response given the linear predictor.

    `phi` is on its natural scale (dispersion, shape, theta of the negative binomial); the optimiser
    works with `phi_to_free(phi)`, usually the logarithm. What takes rows takes phi of each row too, of shape
    (n_phi, n), as :class:`ModelledDispersion` has it.
    """

    @property
    def name(self) -> str:
        """Name as R prints it: ``"binomial"``, ``"poisson"``, ``"Gamma"``, ``"inverse.gaussian"``."""

    @property
    def link(self) -> Link:
        """The link function."""

    @property
    def phi_names(self) -> tuple[str, ...]:
        """Names of the family's own parameters; empty for binomial and Poisson."""

    @property
    def is_canonical(self) -> bool:
        """Whether observed and expected information coincide for every y."""

    @property
    def has_expected_information(self) -> bool:
        """Whether -E[d2] has a closed form; otherwise `information` is always -d2."""

    @property
    def glm_hessian(self) -> Hessian:
        """Which information the standard errors of a model without random effects come from.

        ``"expected"``, as R's ``glm``, for binomial, Poisson and MASS's negative binomial; ``"observed"``,
        as glmmTMB, for all others. A mixed model takes the observed one of every family.
        """

    @property
    def is_quasi(self) -> bool:
        """Whether the family has a variance function but no likelihood: refused in mixed models."""

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError, naming the first offending row, when y is outside the family's range."""

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return fitted values to start from, inside the range of the link."""

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return moment estimates of phi, shape (n_phi,)."""

    def tails(self, y: FloatArray) -> Tails:
        """Return the rows that can take a coefficient to infinity."""

    def phi_limits(self, phi: FloatArray) -> tuple[str, ...]:
        """Return one sentence for each parameter that has run to the end of its range.

        There the likelihood is flat in the parameter and a simpler family is the limit, as the Poisson is
        of the negative binomial: a verdict of ``"boundary"``, not a failure to converge.
        """

    def phi_to_free(self, phi: FloatArray) -> FloatArray:
        """Return unbounded coordinates of phi."""

    def phi_from_free(self, free: FloatArray) -> FloatArray:
        """Return phi from unbounded coordinates."""

    def phi_natural_derivative(self, phi: FloatArray) -> FloatArray:
        """Return d phi / d free for each parameter, for standard errors on the natural scale."""

    @property
    def has_dispersion(self) -> bool:
        """Whether phi is the single dispersion of an exponential family: Var(y) = phi V(mu) / w."""

    def response_mean(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return E(y): mu, except with a zero part, where mu is the mean of the counts before it."""

    def log_constant(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the part of the log-likelihood terms that depends on neither eta nor phi, shape (n,)."""

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
        """Return log-likelihood terms and derivatives in eta.

        `constant` is ``log_constant(y, weights)``; an engine that evaluates many times computes it once
        and passes it, otherwise it is computed here.

        `order` 2 leaves `d3` and `d_information` empty, 3 fills them. With `observed`, `information`
        is -d2 even where the expected information exists. Never overflows: eta of +-700 is legal.
        """

    def phi_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray,
        phi: FloatArray,
        observed: bool = False,
    ) -> PhiDerivatives:
        """Return derivatives in the free coordinates of phi."""

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return Var(y) for unit prior weight at mean mu."""

    def variance_inflation(self, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return the variance of the rows in units of ``variance / weights``, shape (n,); 1 for most."""

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return the squared deviance residuals, non-negative, prior weights included."""

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw responses with means mu, on the scale of y (proportions for a binomial with trials)."""
