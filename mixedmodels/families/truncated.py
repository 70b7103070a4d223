"""Zero-truncated counts and, with a probability of zeros, hurdle models."""

from __future__ import annotations

from mixedmodels.advice import advises
from mixedmodels.families.family import Family
from mixedmodels.families.links import Link
from mixedmodels.families.negative_binomial import nbinom1, nbinom2
from mixedmodels.families.poisson import poisson
from mixedmodels.families.zero_part import WithZeroPart, hurdle


@advises
def truncated_poisson(link: str | Link = "log", *, zi: bool = False) -> WithZeroPart:
    """Return the zero-truncated Poisson family, with `zi` the hurdle model.

    mu is the mean before truncation, as in glmmTMB.

    Parameters
    ----------
    link : str or Link
        Link of the Poisson family.
    zi : bool
        Whether zeros occur, with a probability of their own (intercept only).

    Returns
    -------
    WithZeroPart
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Examples
    --------
    >>> truncated_poisson(zi=True).name
    'hurdle poisson'
    """
    return _truncated(poisson(link), zi)


@advises
def truncated_nbinom2(link: str | Link = "log", *, zi: bool = False) -> WithZeroPart:
    """Return the zero-truncated negative binomial family of variance mu + mu^2 / theta.

    Parameters
    ----------
    link : str or Link
        Link of the negative binomial family.
    zi : bool
        Whether zeros occur, with a probability of their own (intercept only): the hurdle model.

    Returns
    -------
    WithZeroPart
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Examples
    --------
    >>> truncated_nbinom2().name
    'truncated nbinom2'
    """
    return _truncated(nbinom2(link), zi)


@advises
def truncated_nbinom1(link: str | Link = "log", *, zi: bool = False) -> WithZeroPart:
    """Return the zero-truncated negative binomial family of variance mu (1 + alpha).

    Parameters
    ----------
    link : str or Link
        Link of the negative binomial family.
    zi : bool
        Whether zeros occur, with a probability of their own (intercept only): the hurdle model.

    Returns
    -------
    WithZeroPart
        What `family=` of :func:`mixedmodels.glmer` and :func:`mixedmodels.glm` takes.

    Examples
    --------
    >>> truncated_nbinom1().name
    'truncated nbinom1'
    """
    return _truncated(nbinom1(link), zi)


def _truncated(base: Family, zi: bool) -> WithZeroPart:
    return hurdle(base) if zi else WithZeroPart(base, "truncated")
