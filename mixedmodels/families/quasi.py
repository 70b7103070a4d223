"""Quasi families: a link and a variance function, but no distribution and so no likelihood.

Estimates are those of the exponential family with the same variance function at dispersion 1; the
dispersion itself comes from Pearson's X2 after the fit (McCullagh & Nelder 1989, chapter 9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NoReturn, TypeAlias, get_args

import numpy as np

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import FamilyError, NotAvailableError
from mixedmodels.families.base import EMPTY, FamilyBase, check_counts, check_positive
from mixedmodels.families.binomial import binomial
from mixedmodels.families.family import Derivatives, Family, Tails
from mixedmodels.families.gamma import Gamma
from mixedmodels.families.gaussian import gaussian
from mixedmodels.families.inverse_gaussian import inverse_gaussian
from mixedmodels.families.links import Link
from mixedmodels.families.poisson import poisson

VarianceFunction: TypeAlias = Literal["constant", "mu(1-mu)", "mu", "mu^2", "mu^3"]


@dataclass(frozen=True, slots=True)
class Quasi(FamilyBase):
    """Quasi-likelihood with the variance function of another family.

    Attributes
    ----------
    name : str
        ``"quasibinomial"``, ``"quasipoisson"`` or ``"quasi"``.
    model : Family
        Exponential family with the same link and variance function.
    """

    name: str
    model: Family

    is_quasi: ClassVar[bool] = True

    @property
    def is_canonical(self) -> bool:
        """Whether observed and expected information coincide."""
        return self.model.is_canonical

    @property
    def _unit(self) -> FloatArray:
        return np.ones(1) if self.model.has_dispersion else EMPTY

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError when y is outside the range of the variance function; fractions are legal."""
        if self.model.name == "poisson":
            check_counts(y, weights, self.name)
        elif self.model.name in ("Gamma", "inverse.gaussian"):
            check_positive(y, weights, self.name)
        else:
            self.model.check(y, weights)

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return fitted values to start from."""
        return self.model.start_mu(y, weights)

    def tails(self, y: FloatArray) -> Tails:
        """Return the tails of the model."""
        return self.model.tails(y)

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
        """Return the quasi-log-likelihood at dispersion 1, up to a constant, and its derivatives."""
        zero = np.zeros_like(y) if constant is None else constant
        return self.model.evaluate(y, eta, weights, self._unit, order, observed, zero)

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return the variance function."""
        return self.model.variance(mu, self._unit)

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return the squared deviance residuals."""
        return self.model.deviance(y, mu, weights, self._unit)

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> NoReturn:
        """Refuse: there is no distribution to draw from."""
        raise NotAvailableError(f"The {self.name} family has no distribution to simulate from.")


@advises
def quasibinomial(link: str | Link = "logit") -> Quasi:
    """Return the quasi family with variance phi mu (1 - mu) / n, for models without random effects.

    Parameters
    ----------
    link : str or Link
        logit, probit, cloglog, loglog, cauchit, log or identity.

    Returns
    -------
    Quasi
        What `family=` of :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If the family has no such link.

    Examples
    --------
    >>> quasibinomial().is_quasi
    True
    """
    model = binomial(link)
    return Quasi(model.link, "quasibinomial", model)


@advises
def quasipoisson(link: str | Link = "log") -> Quasi:
    """Return the quasi family with variance phi mu, for models without random effects.

    Parameters
    ----------
    link : str or Link
        log, identity, sqrt, inverse, 1/mu^2 or a power.

    Returns
    -------
    Quasi
        What `family=` of :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If the family has no such link.

    Examples
    --------
    >>> quasipoisson().link.name
    'log'
    """
    model = poisson(link)
    return Quasi(model.link, "quasipoisson", model)


@advises
def quasi(link: str | Link = "identity", variance: VarianceFunction = "constant") -> Quasi:
    """Return the quasi family with any of five variance functions, for models without random effects.

    Parameters
    ----------
    link : str or Link
        A link that the exponential family with this variance function has.
    variance : {"constant", "mu(1-mu)", "mu", "mu^2", "mu^3"}
        Variance as a function of the mean, up to the dispersion.

    Returns
    -------
    Quasi
        What `family=` of :func:`mixedmodels.glm` takes.

    Raises
    ------
    FamilyError
        If the variance function is not one of the five, or the link does not suit it.

    Examples
    --------
    >>> quasi(link="log", variance="mu^2").name
    'quasi'
    """
    if variance not in get_args(VarianceFunction):
        raise FamilyError(
            f"Unknown variance function {variance!r}; they are {', '.join(get_args(VarianceFunction))}."
        )
    makers = {
        "constant": gaussian,
        "mu(1-mu)": binomial,
        "mu": poisson,
        "mu^2": Gamma,
        "mu^3": inverse_gaussian,
    }
    model: Family = makers[variance](link)  # type: ignore[operator]
    return Quasi(model.link, "quasi", model)


def refuse_quasi(family: Family) -> None:
    """Raise FamilyError when a quasi family is meant for a mixed model.

    Raises
    ------
    FamilyError
        If the family is a quasi family; the message names the alternatives.
    """
    if not family.is_quasi:
        return
    base = family.name.removeprefix("quasi")
    instead = {
        "binomial": "family='betabinomial', or 'binomial' with a random effect of the observation",
        "poisson": "family='nbinom2' or 'nbinom1', or 'poisson' with a random effect of the observation",
    }.get(base, "a family with a dispersion parameter, such as Gamma or gaussian")
    raise FamilyError(
        f"The {family.name} family cannot be used in a mixed model: it has no likelihood, so the variances "
        f"of the random effects are not defined. Use {instead} ((1 | row) with row = 0, 1, 2, ...); "
        f"method='pql' with family={base or 'gaussian'!r} estimates a dispersion as a quasi family does."
    )
