"""Families and links: pure functions of (y, eta, phi)."""

from mixedmodels.families.beta import beta
from mixedmodels.families.beta_binomial import betabinomial
from mixedmodels.families.binomial import binomial
from mixedmodels.families.family import Derivatives, Family, PhiDerivatives
from mixedmodels.families.gamma import Gamma
from mixedmodels.families.gaussian import gaussian
from mixedmodels.families.inverse_gaussian import inverse_gaussian
from mixedmodels.families.links import Link, get_link, power
from mixedmodels.families.lookup import FAMILY_NAMES, get_family
from mixedmodels.families.negative_binomial import nbinom1, nbinom2, negative_binomial
from mixedmodels.families.poisson import poisson
from mixedmodels.families.quasi import quasi, quasibinomial, quasipoisson, refuse_quasi
from mixedmodels.families.response import initialize, log_constant
from mixedmodels.families.truncated import truncated_nbinom1, truncated_nbinom2, truncated_poisson

__all__ = [
    "FAMILY_NAMES",
    "Derivatives",
    "Family",
    "Gamma",
    "Link",
    "PhiDerivatives",
    "beta",
    "betabinomial",
    "binomial",
    "gaussian",
    "get_family",
    "get_link",
    "initialize",
    "inverse_gaussian",
    "log_constant",
    "nbinom1",
    "nbinom2",
    "negative_binomial",
    "poisson",
    "power",
    "quasi",
    "quasibinomial",
    "quasipoisson",
    "refuse_quasi",
    "truncated_nbinom1",
    "truncated_nbinom2",
    "truncated_poisson",
]
