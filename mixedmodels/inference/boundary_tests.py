"""Tests of a variance that the hypothesis puts on the boundary of its range.

Where models differ by a random effect, the smaller one has its variance at zero, and half of all data would
rather have it negative: the likelihood ratio is zero for them, and chi-square with all degrees of freedom
gives p-values that are too large. Its distribution is a mixture of chi-squares with fewer (Self & Liang 1987,
J. Am. Stat. Assoc. 82; Stram & Lee 1994, Biometrics 50).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.control import whole_number
from mixedmodels.errors import ControlError
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import RandomTerm

#: Likelihood ratios below it are those of two fits with the same optimum: each objective ends within its
#: tolerance of the lowest, and the mixture has an atom at zero.
NO_RATIO = 1e-6


@advises
def boundary_p_value(chisq: Any, added_variances: int = 1, added_covariances: int = 0) -> FloatArray:
    """Return p-values of likelihood ratios for variances that are zero under the hypothesis.

    For one variance with k covariances the mixture of chi-squares with k and k + 1 degrees of freedom, half
    and half; for r variances without covariances that of 0 to r with binomial weights, which holds where
    their estimates are independent, as those of different grouping factors in balanced data.

    Parameters
    ----------
    chisq : array_like
        Likelihood-ratio statistics.
    added_variances : int
        Variances that the larger model has and the smaller has not.
    added_covariances : int
        Covariances of the added effect with others; for more than one variance these must be none.

    Returns
    -------
    ndarray
        P-values in the shape of `chisq`; NaN where the weights of the mixture depend on the data.

    Raises
    ------
    ControlError
        If `chisq` is no number, or a count is negative.

    Examples
    --------
    >>> float(boundary_p_value(2.705543).round(4))
    0.05
    """
    variances = whole_number("added_variances", added_variances, 1)
    covariances = whole_number("added_covariances", added_covariances)
    try:
        statistic = np.asarray(chisq, dtype=np.float64)
        statistic = np.where(statistic < NO_RATIO, 0.0, statistic)
    except (TypeError, ValueError):
        raise ControlError(f"chisq must be a number or an array of numbers, not {shown(chisq)}.") from None
    if variances > 1 and covariances:
        return np.full(statistic.shape, np.nan)
    tails = [
        math.comb(variances, j) / 2.0**variances * _tail(statistic, covariances + j)
        for j in range(variances + 1)
    ]
    return np.asarray(np.sum(tails, axis=0))


def boundary_bounds(chisq: float, free: int, total: int) -> tuple[float, float]:
    """Return bounds of the p-value of a likelihood ratio for several effects that are absent at once.

    The parameters added range over a convex cone that holds `free` whole lines and one half-line more, and
    lies in a half-space of all `total` of them. The squared length of a projection on a cone grows with the
    cone, so that the p-value lies between those of the two, whatever the information is.

    Parameters
    ----------
    chisq : float
        Likelihood-ratio statistic.
    free, total : int
        As :func:`added_cone` returns them.
    """
    statistic = np.maximum(np.asarray(chisq, dtype=np.float64), 0.0)
    low, high = (float(0.5 * (_tail(statistic, k) + _tail(statistic, k + 1))) for k in (free, total - 1))
    return low, high


def _tail(statistic: FloatArray, df: int) -> FloatArray:
    """Return P(chi-square >= statistic); with no degrees of freedom all its mass is at zero."""
    return np.asarray(special.chdtrc(df, statistic) if df else np.where(statistic > 0.0, 0.0, 1.0))


def added_effect(small: Fit, large: Fit) -> tuple[int, int] | None:
    """Return how many variances and covariances one added random effect brings.

    None unless the models have the same fixed effects and family and the larger differs by exactly one
    random effect: a term of its own, or one more coefficient in a term whose effects may all be correlated.
    """
    if _fixed_part(small) != _fixed_part(large):
        return None
    return added_to_terms(small.random, large.random)


def added_to_terms(small: Sequence[RandomTerm], large: Sequence[RandomTerm]) -> tuple[int, int] | None:
    """Return the same for the random-effects terms of two models that are alike in all else."""
    before, after = ([_described(term) for term in terms] for terms in (small, large))
    gone = [term for term in before if term not in after]
    new = [term for term in after if term not in before]
    if len(after) - len(before) == len(new) - len(gone) and len(new) == 1 and len(gone) <= 1:
        return _added(gone, new[0])
    return None


def added_cone(small: Fit, large: Fit) -> tuple[int, int] | None:
    """Return how many lines the cone of the parameters holds that random effects add, and its dimension.

    Each term of the smaller model stands in the larger one, as it is or with further coefficients: these
    bring a positive semidefinite matrix of their own, or variances alone, and free covariances with those
    before. None where models differ in anything else, or a structure has parameters that mean nothing at a
    variance of zero.
    """
    if _fixed_part(small) != _fixed_part(large):
        return None
    before, after = ([_described(term) for term in model.random] for model in (small, large))
    gone = [term for term in before if term not in after]
    new = [term for term in after if term not in before]
    free = total = 0
    for group, columns, structure, related in new:
        own = [
            t
            for t in gone
            if t[0] == group and t[1] < columns and t[2] in (structure, "us") and t[3] == related
        ]
        if len(own) > 1 or structure not in ("us", "diag"):
            return None
        old = 0
        if own:
            gone.remove(own[0])
            old = len(own[0][1])
        k = len(columns) - old
        lines = k * old if structure == "us" else 0
        free += lines
        total += lines + (k * (k + 1) // 2 if structure == "us" else k)
    return (free, total) if new and not gone else None


def _fixed_part(model: Fit) -> tuple[object, ...]:
    family = model.family()
    return (
        frozenset(model.design.x_names),
        None if family is None else (family.name, family.link.name),
    )


def _described(term: RandomTerm) -> tuple[str, frozenset[str], str, bool]:
    """Return what tells a term from others: factor, coefficients, structure, whether levels are related."""
    structure = "us" if term.size == 1 else term.structure.name
    return term.group, frozenset(term.columns), structure, term.relationship is not None


def _added(
    gone: Sequence[tuple[str, frozenset[str], str, bool]], new: tuple[str, frozenset[str], str, bool]
) -> tuple[int, int] | None:
    group, columns, structure, related = new
    if not gone:
        return (1, 0) if len(columns) == 1 else None
    old_group, old_columns, old_structure, old_related = gone[0]
    same = group == old_group and structure == old_structure and related == old_related
    if not (same and old_columns < columns and len(columns) == len(old_columns) + 1):
        return None
    if structure == "us":
        return 1, len(old_columns)
    return (1, 0) if structure == "diag" else None
