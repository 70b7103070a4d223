"""From what a user writes as `family` to a Family."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, cast

from mixedmodels.errors import FamilyError
from mixedmodels.families.binomial import binomial
from mixedmodels.families.family import Family
from mixedmodels.families.poisson import poisson

_FAMILIES: dict[str, Callable[..., Family]] = {
    "binomial": binomial,
    "poisson": poisson,
}


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
        return cast(Family, family)
    if callable(family):
        return _by_constructor(cast(Callable[..., Any], family))
    raise FamilyError(f"{family!r} is not a family. Families are {', '.join(_FAMILIES)}.")


def _by_name(name: str) -> Family:
    key = name.strip()
    if key in _FAMILIES:
        return _FAMILIES[key]()
    near = difflib.get_close_matches(key, _FAMILIES, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise FamilyError(f"Unknown family {name!r}.{hint} Families are {', '.join(_FAMILIES)}.")


def _by_constructor(constructor: Callable[..., Any]) -> Family:
    made = constructor()
    if not callable(getattr(made, "evaluate", None)):
        raise FamilyError(f"{constructor!r} does not make a family.")
    return cast(Family, made)
