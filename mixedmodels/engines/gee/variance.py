"""Variance functions of the families that estimating equations take, and their slopes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import FamilyError
from mixedmodels.families.family import Family
from mixedmodels.families.quasi import Quasi

#: Derivative of the variance function in the mean, by family.
SLOPES: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "gaussian": np.zeros_like,
    "binomial": lambda mu: 1.0 - 2.0 * mu,
    "poisson": np.ones_like,
    "Gamma": lambda mu: 2.0 * mu,
    "inverse.gaussian": lambda mu: 3.0 * mu**2,
}


def model_name(family: Family) -> str:
    """Return the name of the exponential family with the same variance function."""
    return family.model.name if isinstance(family, Quasi) else family.name


def check_family(family: Family) -> None:
    """Raise FamilyError unless the variance is a known function of the mean, up to a scale."""
    if model_name(family) not in SLOPES:
        raise FamilyError(
            f"gee() models means and a variance that is a function of them up to a scale: binomial, poisson, "
            f"gaussian, Gamma, inverse_gaussian, and the quasi families, not {family.name}."
        )


def variance(family: Family, mu: FloatArray) -> FloatArray:
    """Return the variance function at means mu, without scale."""
    unit = np.ones(1) if family.has_dispersion else np.empty(0)
    return family.variance(mu, unit)


def variance_slope(family: Family, mu: FloatArray) -> FloatArray:
    """Return the derivative of the variance function in the mean."""
    return SLOPES[model_name(family)](mu)


def in_range(family: Family, eta: FloatArray) -> bool:
    """Tell whether linear predictors give means at which there is a variance."""
    link, name = family.link, model_name(family)
    if name == "gaussian":
        return bool(link.gives_mean(eta).all())
    return bool((link.gives_unit_mean(eta) if name == "binomial" else link.gives_positive_mean(eta)).all())
