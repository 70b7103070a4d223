"""From what a user writes as `family` to a Family."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from mixedmodels.advice import unknown_family
from mixedmodels.errors import FamilyError
from mixedmodels.families.beta import beta
from mixedmodels.families.beta_binomial import betabinomial
from mixedmodels.families.binomial import binomial
from mixedmodels.families.family import Family
from mixedmodels.families.gamma import Gamma
from mixedmodels.families.gaussian import gaussian
from mixedmodels.families.inverse_gaussian import inverse_gaussian
from mixedmodels.families.links import Link, get_link, power
from mixedmodels.families.modelled_dispersion import base_of
from mixedmodels.families.negative_binomial import nbinom1, nbinom2, negative_binomial
from mixedmodels.families.poisson import poisson
from mixedmodels.families.quasi import quasi, quasibinomial, quasipoisson
from mixedmodels.families.truncated import truncated_nbinom1, truncated_nbinom2, truncated_poisson

_FAMILIES: dict[str, Callable[..., Family]] = {
    "binomial": binomial,
    "poisson": poisson,
    "gaussian": gaussian,
    "Gamma": Gamma,
    "inverse.gaussian": inverse_gaussian,
    "negative_binomial": negative_binomial,
    "nbinom1": nbinom1,
    "nbinom2": nbinom2,
    "betabinomial": betabinomial,
    "beta": beta,
    "zero_inflated_poisson": partial(poisson, zi=True),
    "zero_inflated_nbinom1": partial(nbinom1, zi=True),
    "zero_inflated_nbinom2": partial(nbinom2, zi=True),
    "truncated_poisson": truncated_poisson,
    "truncated_nbinom1": truncated_nbinom1,
    "truncated_nbinom2": truncated_nbinom2,
    "hurdle_poisson": partial(truncated_poisson, zi=True),
    "hurdle_nbinom1": partial(truncated_nbinom1, zi=True),
    "hurdle_nbinom2": partial(truncated_nbinom2, zi=True),
    "quasibinomial": quasibinomial,
    "quasipoisson": quasipoisson,
    "quasi": quasi,
}
FAMILY_NAMES = tuple(_FAMILIES)
# Other spellings: glmmTMB's, statsmodels', and words.
_SYNONYMS = {
    "beta_family": "beta",
    "beta_binomial": "betabinomial",
    "inverse_gaussian": "inverse.gaussian",
    "inversegaussian": "inverse.gaussian",
    "gamma": "Gamma",
    "normal": "gaussian",
    "bernoulli": "binomial",
    "negative.binomial": "negative_binomial",
    "negativebinomial": "negative_binomial",
    "zip": "zero_inflated_poisson",
    "zinb": "zero_inflated_nbinom2",
}
# Class names of statsmodels.genmod.families and its links.
_STATSMODELS_LINKS = {
    "logit": "logit",
    "probit": "probit",
    "cloglog": "cloglog",
    "loglog": "loglog",
    "cauchy": "cauchit",
    "log": "log",
    "sqrt": "sqrt",
    "inversepower": "inverse",
    "inverse_power": "inverse",
    "inversesquared": "1/mu^2",
    "inverse_squared": "1/mu^2",
    "identity": "identity",
}
_STATSMODELS_FAMILIES = ("binomial", "poisson", "gaussian", "gamma", "inversegaussian", "negativebinomial")


def family_with_link(name: str, link: str | None) -> Family:
    """Return the family with a name, with another link than its usual one if one is named.

    Raises
    ------
    FamilyError
        If there is no such family, or it has no such link.
    """
    return _by_name(name) if link is None else _by_name(name, link=link)


def get_family(family: object) -> Family:
    """Return the family meant by a name, a constructor or an object.

    Parameters
    ----------
    family : str, callable or object
        R's or glmmTMB's name (``"binomial"``, ``"nbinom2"``), a constructor (``mm.binomial``), a family
        (``mm.binomial(link="probit")``), or a statsmodels family, recognised by its class name.

    Raises
    ------
    FamilyError
        If there is no such family; the message suggests the nearest name.

    Examples
    --------
    >>> get_family("poisson").link.name
    'log'
    """
    if isinstance(family, str):
        return _by_name(family)
    if callable(getattr(family, "evaluate", None)) and not isinstance(family, type):
        # The family of a fit may hold a model of its dispersion, which belongs to the fit's rows.
        return base_of(cast(Family, family))
    if isinstance(family, type):
        return _by_class(family)
    if _is_statsmodels(family):
        return _from_statsmodels(family)
    if callable(family):
        return _by_constructor(cast(Callable[..., Any], family))
    raise FamilyError(f"{family!r} is not a family. Families are {', '.join(FAMILY_NAMES)}.")


def _by_name(name: str, **link: str) -> Family:
    key = name.strip().removesuffix("()")
    folded = key.lower().replace(" ", "_").replace("-", "_")
    for candidate in (key, folded, _SYNONYMS.get(folded, "")):
        if candidate in _FAMILIES:
            return _FAMILIES[candidate](**link)
    raise unknown_family(name, FAMILY_NAMES)


def _by_class(made: type) -> Family:
    """Return the family with its default link for a family class, ours or that of statsmodels."""
    if made.__name__.lower() not in (*_STATSMODELS_FAMILIES, "gammafamily", "beta", "betabinomial"):
        raise FamilyError(f"{made!r} is not a family class. Families are {', '.join(FAMILY_NAMES)}.")
    return _by_name(made.__name__.removesuffix("Family"))


def _by_constructor(constructor: Callable[..., Any]) -> Family:
    try:
        made = constructor()
    except TypeError as error:
        raise FamilyError(f"{constructor!r} does not make a family when called: {error}.") from error
    if not callable(getattr(made, "evaluate", None)):
        raise FamilyError(f"{constructor!r} does not make a family.")
    return cast(Family, made)


def _is_statsmodels(family: object) -> bool:
    return type(family).__name__.lower() in _STATSMODELS_FAMILIES and hasattr(family, "link")


def _from_statsmodels(family: object) -> Family:
    """Return our family for a statsmodels object, whose negative binomial has alpha = 1 / theta."""
    link = _statsmodels_link(getattr(family, "link"))  # noqa: B009 - duck typing
    kind = type(family).__name__.lower()
    if kind == "negativebinomial":
        return negative_binomial(1.0 / float(getattr(family, "alpha")), link)  # noqa: B009
    return _FAMILIES[_SYNONYMS.get(kind, kind)](link)


def _statsmodels_link(link: object) -> Link:
    name = type(link).__name__.lower()
    if name in _STATSMODELS_LINKS:
        return get_link(_STATSMODELS_LINKS[name])
    exponent = getattr(link, "power", None)
    if name == "power" and isinstance(exponent, (int, float)):
        return power(float(exponent))
    raise FamilyError(f"There is no link like {type(link).__name__}; give the link by name.")
