"""From the left side of a formula to (y, weights), as the family reads it."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataWarning, FamilyError, listed, warn
from mixedmodels.families.base import is_integer
from mixedmodels.families.family import Family
from mixedmodels.formula.design.design import Design, Response
from mixedmodels.kernels.whole_counts import LARGEST, are_whole, proportions

# Families whose prior weights are numbers of trials and whose response may be a factor or cbind().
TRIALS_FAMILIES = ("binomial", "quasibinomial", "betabinomial")
# Families of counts, and the largest of a single row.
LARGEST_COUNTS = {"binomial": 1.0, "poisson": LARGEST}


def initialize(
    response: Response, weights: FloatArray | None, family: Family
) -> tuple[FloatArray, FloatArray]:
    """Return the response on the scale of the family, and the prior weights.

    For the binomial families ``cbind(successes, failures)`` becomes a proportion whose weight is the
    number of trials times the weight given (see `log_constant`), a factor becomes 0 for its first level
    and 1 for its second. Fractions where the family counts are used with a warning: they have no
    probability, but estimates by quasi-likelihood.

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

    Warns
    -----
    DataWarning
        If counts, or proportions times trials, are not whole numbers.
    """
    if weights is None:
        counted = _whole_counts(response, family)
        if counted is not None:
            return counted
    given = np.ones(len(response.values)) if weights is None else np.asarray(weights, dtype=np.float64)
    y = np.asarray(response.values, dtype=np.float64)
    if response.kind == "cbind":
        y, trials = _proportions(response, family)
        _refuse_weighted_trials(given, response.text, family)
        _warn_fractions(y, trials, response.text, family)
        given = given * trials
    elif response.kind == "factor":
        y = _indicator(response, family)
    family.check(y, given)
    if response.kind != "cbind":
        _warn_fractions(y, given, response.text, family)
    return y, given


def _whole_counts(response: Response, family: Family) -> tuple[FloatArray, FloatArray] | None:
    """Return y and weights of whole counts, which nothing is to be said about; None of any other response."""
    if family.name not in LARGEST_COUNTS:
        return None
    values = np.asarray(response.values, dtype=np.float64)
    if response.kind == "cbind":
        is_pair = family.name == "binomial" and response.failures is not None
        return proportions(values, np.asarray(response.failures, dtype=np.float64)) if is_pair else None
    if response.kind != "numeric" or not are_whole(values, LARGEST_COUNTS[family.name]):
        return None
    return values, np.ones(len(values))


def log_constant(design: Design, y: FloatArray, weights: FloatArray, family: Family) -> FloatArray:
    """Return the terms of the rows' log-likelihoods that are free of parameters, shape (n,).

    Weights given beside ``cbind(successes, failures)`` multiply the log-likelihood of a row, as in R's glm
    and lme4: the term of a row with weight w and n trials is w log C(n, ny), not log C(wn, wny).

    Parameters
    ----------
    design : Design
        The model, with the kind of the response and the weights as given.
    y, weights : ndarray, shape (n,)
        Response and weights as `initialize` returns them.
    family : Family
        The family.
    """
    return constant_terms(design.response.kind, design.weights, y, weights, family)


def constant_terms(
    kind: str, given: FloatArray | None, y: FloatArray, weights: FloatArray, family: Family
) -> FloatArray:
    """Return the same for a response of some kind and the weights as given, None for none."""
    if given is None or kind != "cbind" or family.name != "binomial":
        return family.log_constant(y, weights)
    trials = np.divide(weights, given, out=np.zeros_like(weights), where=given > 0.0)
    return given * family.log_constant(y, trials)


def _proportions(response: Response, family: Family) -> tuple[FloatArray, FloatArray]:
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
    return successes / np.where(trials > 0.0, trials, 1.0), trials


def _refuse_weighted_trials(weights: FloatArray, text: str, family: Family) -> None:
    """Raise for weights of beta-binomial rows, whose log-likelihood is not linear in the number of trials."""
    if family.name == "betabinomial" and np.any(weights != 1.0):
        raise FamilyError(
            f"The betabinomial family takes no weights beside {text}, whose sums are the numbers of trials. "
            "Leave the weights out, or repeat rows that count more than once."
        )


def _indicator(response: Response, family: Family) -> FloatArray:
    """Return 0 for the first level of a factor and 1 for the second."""
    if family.name not in TRIALS_FAMILIES:
        raise FamilyError(
            f"The response {response.text} is categorical (levels {listed(response.levels)}); the "
            f"{family.name} family needs numbers."
        )
    codes = np.asarray(response.values)
    observed = np.unique(codes)
    if len(observed) > 2:
        found = [response.levels[int(code)] for code in observed]
        raise FamilyError(
            f"The {family.name} family needs exactly two levels; {response.text} has {len(found)}: "
            f"{listed(found)}. Write the success, as in I({response.text} == {found[-1]!r})."
        )
    success = max(float(observed.max(initial=0.0)), 1.0)
    return np.where(codes == success, 1.0, 0.0)


def _warn_fractions(y: FloatArray, weights: FloatArray, text: str, family: Family) -> None:
    """Warn when a response is not whole where the family counts: it has no probability under it."""
    if family.is_quasi:
        return
    if family.name in TRIALS_FAMILIES:
        bad = ~is_integer(y * weights) & (y > 0.0) & (y < 1.0)
        values, what = y * weights, "number of successes"
        advice = "For proportions give the numbers of trials as weights."
    elif "poisson" in family.name or "nbinom" in family.name or family.name.startswith("Negative Binomial"):
        bad, values, what = ~is_integer(y), y, "count"
        advice = "For rates model the count with an offset log(exposure); for measurements take Gamma."
    else:
        return
    if bad.any():
        row = int(np.argmax(bad))
        rows = int(np.count_nonzero(bad))
        warn(
            f"non-integer {what} in {text} for the {family.name} family in {rows} "
            f"row{'s' if rows > 1 else ''} (row {row}, counting from 0: {values[row]:g}). The estimates are "
            f"those of quasi-likelihood and the log-likelihood is not that of a distribution. {advice}",
            DataWarning,
        )
