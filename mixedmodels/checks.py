"""Check a design before it is fitted: whether its parameters can be told apart at all."""

from __future__ import annotations

import warnings

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.control import Check, LmerControl
from mixedmodels.errors import DataError, DataWarning, FormulaError
from mixedmodels.formula.design import Design, RandomTerm


def require_random_terms(design: Design) -> None:
    """Raise FormulaError if the formula has no random effects."""
    if not design.random:
        raise FormulaError(
            "No random effects terms specified in formula. Write one such as '+ (1 | group)', or fit a "
            "model without random effects with glm(formula, data, family='gaussian').",
            design.formula.text,
        )


def check_random_terms(design: Design, control: LmerControl, residual_variance: bool) -> None:
    """Check the numbers of levels and of random effects against the number of observations.

    Parameters
    ----------
    design : Design
        The model.
    control : LmerControl
        What to do about each finding.
    residual_variance : bool
        Whether a residual variance must be told apart from the random effects as well (linear models).

    Raises
    ------
    DataError
        With lme4's words, if a check fails and its option is ``"stop"``.
    """
    limit = design.n_rows if residual_variance else design.n_rows + 1
    relation = "<" if residual_variance else "<="
    single = [t for t in design.random if t.n_levels < 2]
    if single:
        found = ", ".join(f"{t.group} has only {t.levels[0]!r}" for t in single)
        _act(control.check_nlev_gtr_1, f"grouping factors must have > 1 sampled level: {found}")
    free = [t for t in design.random if t.relationship is None]
    groups = list(dict.fromkeys(t.group for t in free if t.n_levels >= limit))
    if groups:
        _act(
            control.check_nobs_vs_nlev,
            f"number of levels of each grouping factor must be {relation} number of observations "
            f"(problems: {', '.join(groups)}); are the sides of '|' swapped?",
        )
    if all(t.structure.name == "us" for t in design.random):
        for term in free:
            _check_effects(term, design.n_rows, limit, control.check_nobs_vs_nRE, residual_variance)


def _check_effects(term: RandomTerm, n: int, limit: int, action: Check, residual_variance: bool) -> None:
    effects = term.n_levels * term.size
    if effects < limit:
        return
    comparison = "<=" if residual_variance else "<"
    residual = " and the residual variance (or scale parameter)" if residual_variance else ""
    _act(
        action,
        f"number of observations (={n}) {comparison} number of random effects (={effects}) for term "
        f"({term.expression}); the random-effects parameters{residual} are probably unidentifiable",
    )


def _act(action: Check, message: str) -> None:
    if action == "stop":
        raise DataError(message)
    if action == "warning":
        warnings.warn(message, DataWarning, stacklevel=4)


def check_response_varies(y: FloatArray, text: str) -> None:
    """Raise DataError if all values of the response are equal."""
    if len(y) > 1 and np.ptp(y) == 0.0:
        raise DataError(
            f"Response is constant: every value of {text} is {y[0]:g}, so there is no variation to model."
        )


def numeric_response(design: Design) -> FloatArray:
    """Return the response of a linear model.

    Raises
    ------
    DataError
        If the response is a factor, text or ``cbind()``, or is constant.
    """
    response = design.response
    if response.kind not in ("numeric", "logical"):
        what = "two columns" if response.kind == "cbind" else "a factor"
        raise DataError(
            f"response must be numeric: {response.text} is {what}. For counts, proportions and two-level "
            "factors use glmer() with family='binomial' or another family."
        )
    check_response_varies(response.values, response.text)
    return response.values


def warn_dropped(design: Design) -> None:
    """Warn about columns dropped from a rank-deficient model matrix, naming them."""
    k = len(design.dropped)
    if k:
        what = "column / coefficient" if k == 1 else "columns / coefficients"
        warnings.warn(
            f"fixed-effect model matrix is rank deficient so dropping {k} {what}: "
            f"{', '.join(design.dropped)}",
            DataWarning,
            stacklevel=3,
        )
