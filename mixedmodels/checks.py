"""Check a design before it is fitted: whether its parameters can be told apart at all."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.control import LmerControl
from mixedmodels.engines.glm.separation import FittedRows, Separation, find_separation
from mixedmodels.errors import (
    ControlError,
    ConvergenceError,
    ConvergenceWarning,
    DataError,
    DataWarning,
    FamilyError,
    FormulaError,
)
from mixedmodels.families.family import Family
from mixedmodels.families.response import TRIALS_FAMILIES
from mixedmodels.formula import check_random_terms
from mixedmodels.formula.design.design import Design, Response
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.optimization.report import ConvergenceReport
from mixedmodels.reports.fit_text import rank_message

# Residuals of a column that is the response, relative to it: the rounding of least squares.
REPRODUCED = 1e-10


def require_random_terms(design: Design) -> None:
    """Raise FormulaError if the formula has no random effects."""
    if not design.random:
        raise FormulaError(
            "No random effects terms specified in formula. Write one such as '+ (1 | group)', or fit a "
            "model without random effects with glm(formula, data, family='gaussian').",
            design.formula.text,
        )


def check_design(design: Design, control: LmerControl, linear: bool) -> None:
    """Check numbers of levels and random effects, and warn about columns that were dropped.

    Raises
    ------
    DataError
        If a check fails and its option is ``"stop"``.
    """
    if control.check_random_terms != "ignore":
        try:
            check_random_terms(design, linear)
        except DataError as error:
            if control.check_random_terms == "stop":
                raise
            warnings.warn(str(error), DataWarning, stacklevel=4)
    if design.dropped and control.check_rank != "ignore":
        message = f"{rank_message(len(design.dropped))}: {', '.join(design.dropped)}"
        if control.check_rank == "stop":
            raise DataError(message)
        warnings.warn(message, DataWarning, stacklevel=4)


def refuse_reproduced_response(design: Design) -> None:
    """Raise where a column of a random-effects term is the response, or a straight line in it.

    The likelihood of such a model has no upper bound; rounding decides how its search ends.
    """
    y = design.response.values
    for term in design.random:
        for name, column in zip(term.columns, term.Z.T, strict=True):
            line = np.column_stack([np.ones_like(y), column])
            residual = y - line @ np.linalg.lstsq(line, y, rcond=None)[0]
            if np.abs(residual).max() <= REPRODUCED * np.abs(y).max():
                raise DataError(
                    f"the random-effects term ({term.expression}) reproduces the response: {name} is "
                    f"{design.response.text} itself, or a straight line in it. Take it out of the term."
                )


def unfit(started: bool) -> DataError | ControlError:
    """Return the error of a linear mixed model whose equations are singular, with its likely cause."""
    if started:
        return ControlError(
            "the equations of the model are singular on the way from the start of theta; leave start out, or "
            "give values nearer to 1 (theta is relative to the residual standard deviation)."
        )
    return DataError(
        "the equations of the model are singular: the random effects reproduce the response, or predictors "
        "differ too much in size. Take such terms out, or centre and scale the predictors."
    )


def warn_unless_converged(report: ConvergenceReport) -> None:
    """Warn, with its reasons, about a fit that did not reach its optimum."""
    if not report.is_optimum:
        reasons = "; ".join(report.reasons) or "the optimiser stopped early"
        warnings.warn(f"the model did not converge: {reasons}", ConvergenceWarning, stacklevel=4)


def separated(
    design: Design,
    data: Any,
    y: FloatArray,
    weights: FloatArray,
    family: Family,
    beta: FloatArray,
    eta: FloatArray,
    phi: FloatArray,
) -> tuple[Separation, ...]:
    """Return, and warn about, what keeps fixed effects from having finite estimates."""
    mu = family.link.inverse(design.X @ beta + (0.0 if design.offset is None else design.offset))
    exact = family.tails(y).is_exact
    information = eta if exact else family.evaluate(y, eta, weights, phi).information
    findings = _findings(design, data, y, weights, family, FittedRows(beta, mu, eta, information))
    for finding in findings:
        warnings.warn(finding.message, DataWarning, stacklevel=4)
    return findings


def _findings(
    design: Design,
    data: Any,
    y: FloatArray,
    weights: FloatArray,
    family: Family,
    fitted: FittedRows | None,
) -> tuple[Separation, ...]:
    """Return what is found about separation, in the words of the data."""
    arguments = (y, weights, design.X, design.x_names, family, fitted)
    if not find_separation(*arguments):
        return ()
    frame = used_variables(data, design)
    factors = [v.name for v in design.recipe.fixed.variables if v.levels is not None and v.name in frame]
    return find_separation(*arguments, {name: frame[name].astype(str).tolist() for name in factors})


@contextmanager
def naming_separation(
    design: Design, data: Any, y: FloatArray, weights: FloatArray, family: Family
) -> Iterator[None]:
    """Give a fit that fails the words for what is separated in its data, if that is why.

    Raises
    ------
    ConvergenceError
        The one raised inside, or one that names coefficients and cells.
    """
    try:
        yield
    except ConvergenceError as error:
        findings = _findings(design, data, y, weights, family, None)
        if not findings:
            raise
        found = " ".join(finding.message for finding in findings)
        raise ConvergenceError(f"{found} {_advice(family, findings)} ({error})") from error


def _advice(family: Family, findings: Sequence[Separation]) -> str:
    """Return what to do about a model that cannot be fitted because of what was found."""
    advice = "Leave these rows or terms out, or join the cell with another."
    if not any(finding.kind == "edge" for finding in findings):
        return advice
    inside = "logit" if family.name in TRIALS_FAMILIES else "log"
    return f"{advice[:-1]}, or take the {inside} link, which keeps every mean in its range."


def check_response_varies(y: FloatArray, text: str) -> None:
    """Raise DataError if all values of the response are equal."""
    if len(y) > 1 and np.ptp(y) == 0.0:
        raise DataError(
            f"Response is constant: every value of {text} is {y[0]:g}, so there is no variation to model."
        )


def check_two_levels(response: Response) -> None:
    """Raise FamilyError if the response of a binomial model is a factor with more than two levels.

    R takes every level but the first as a success, which is rarely meant.
    """
    if len(response.levels) > 2:
        raise FamilyError(
            f"a binomial response needs exactly two levels, got {len(response.levels)} in {response.text}: "
            f"{', '.join(response.levels)}. Compare with one level, as in {response.text} == "
            f"{response.levels[-1]!r}."
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
