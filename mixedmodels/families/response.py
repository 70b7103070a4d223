"""From the left side of a formula to (y, weights), as the family reads it."""

from __future__ import annotations

import warnings

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataWarning, FamilyError
from mixedmodels.families.base import is_integer
from mixedmodels.families.family import Family
from mixedmodels.formula.design import Response

# Families whose prior weights are numbers of trials and whose response may be a factor or cbind().
TRIALS_FAMILIES = ("binomial", "quasibinomial", "betabinomial")


def initialize(
    response: Response, weights: FloatArray | None, family: Family
) -> tuple[FloatArray, FloatArray]:
    """Return the response on the scale of the family, and the prior weights.

    For the binomial families ``cbind(successes, failures)`` becomes a proportion whose weight is the
    number of trials (times the weights given), a factor becomes 0 for its first level and 1 for all
    others, as in R.

    Parameters
    ----------
    response : Response
        Left side of the formula.
    weights : ndarray, shape (n,), or None
        Prior weights as given; None means all 1.
    family : Family
        The family.

    Returns
    -------
    y, weights : ndarray, each of shape (n,)

    Raises
    ------
    FamilyError
        If the family cannot have such a response; the first offending row is named.
    """
    given = np.ones(len(response.values)) if weights is None else np.asarray(weights, dtype=np.float64)
    y = np.asarray(response.values, dtype=np.float64)
    if response.kind == "cbind":
        y, given = _proportions(response, given, family)
    elif response.kind == "factor":
        y = _indicator(response, family)
    family.check(y, given)
    if family.name == "binomial" and response.kind == "numeric":
        _warn_fractions(y, given, response.text)
    return y, given


def _proportions(response: Response, weights: FloatArray, family: Family) -> tuple[FloatArray, FloatArray]:
    """Return proportions and trials of cbind(successes, failures)."""
    if family.name not in TRIALS_FAMILIES:
        raise FamilyError(
            f"The response {response.text} has two columns, which only the binomial families can use; "
            f"the {family.name} family needs one."
        )
    successes, failures = response.values, response.failures
    if failures is None:
        raise FamilyError(f"The response {response.text} lacks its second column, the failures.")
    bad = ~((successes >= 0.0) & (failures >= 0.0) & np.isfinite(successes) & np.isfinite(failures))
    if bad.any():
        row = int(np.argmax(bad))
        raise FamilyError(
            f"{response.text} needs numbers of successes and failures that are finite and not negative. "
            f"Row {row} (counting from 0) holds {successes[row]:g} and {failures[row]:g}."
        )
    trials = successes + failures
    return successes / np.where(trials > 0.0, trials, 1.0), weights * trials


def _indicator(response: Response, family: Family) -> FloatArray:
    """Return 0 for the first level of a factor and 1 for the others."""
    if family.name not in TRIALS_FAMILIES:
        raise FamilyError(
            f"The response {response.text} is categorical (levels {', '.join(response.levels[:4])}"
            f"{', ...' if len(response.levels) > 4 else ''}); the {family.name} family needs numbers."
        )
    return (np.asarray(response.values) > 0.0).astype(np.float64)


def _warn_fractions(y: FloatArray, weights: FloatArray, text: str) -> None:
    """Warn when proportions times trials are not whole numbers: the trials were probably forgotten."""
    fraction = ~is_integer(y * weights) & (y > 0.0) & (y < 1.0)
    if fraction.any():
        row = int(np.argmax(fraction))
        warnings.warn(
            f"{text} times its weight is not a whole number of successes in {np.count_nonzero(fraction)} "
            f"rows (row {row}, counting from 0: {y[row]:g} of {weights[row]:g}). For proportions give the "
            "numbers of trials as weights.",
            DataWarning,
            stacklevel=2,
        )
