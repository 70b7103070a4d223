"""Families and links: pure functions of (y, eta, phi)."""

from mixedmodels.families.binomial import binomial
from mixedmodels.families.family import Derivatives, Family, PhiDerivatives
from mixedmodels.families.links import Link, get_link, power
from mixedmodels.families.lookup import get_family
from mixedmodels.families.poisson import poisson
from mixedmodels.families.response import initialize

__all__ = [
    "Derivatives",
    "Family",
    "Link",
    "PhiDerivatives",
    "binomial",
    "get_family",
    "get_link",
    "initialize",
    "poisson",
    "power",
]
