"""Check a design before it is fitted: whether its parameters can be told apart at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.control import LmerControl
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import (
    ApproximationWarning,
    ControlError,
    ConvergenceWarning,
    DataError,
    DataWarning,
    FamilyError,
    FormulaError,
    FormulaWarning,
    IdentificationWarning,
    MixedModelsError,
    NotAvailableError,
    listed,
    warn,
)
from mixedmodels.formula import check_random_terms
from mixedmodels.formula.design.constant_levels import constant_within
from mixedmodels.formula.design.design import Design, Response
from mixedmodels.formula.design.repeated import without_repeated_terms
from mixedmodels.formula.language.syntax_tree import deparse
from mixedmodels.optimization.identification import unidentified
from mixedmodels.optimization.report import ConvergenceReport

with on_first_use():
    from mixedmodels.engines.residual import batches, problem
    from mixedmodels.optimization import identification_words
    from mixedmodels.reports import fit_text

if TYPE_CHECKING:
    from mixedmodels.families.family import Family

# What a warning about an optimum of an approximation begins with, and one about a search that stopped.
COARSE, STOPPED = "the likelihood is not approximated well enough", "the model did not converge"
#: Families of continuous responses with a dispersion that may vanish.
CONTINUOUS = ("gaussian", "Gamma", "inverse.gaussian", "beta")
#: Standard error of a linear predictor, in units of itself or 1, of a mean about which the data say nothing.
RUNAWAY = 1e3
# Residuals of a column that is the response, relative to it: the rounding of least squares.
REPRODUCED = 1e-10
# Means of exp(300) and their squares are numbers still; no logarithm of an exposure comes near this.
LARGEST_LOG_MEAN = 300.0
# Rows of one dense covariance: each evaluation takes the cube of it in operations, a second or so.
LARGEST_CLUSTER = 3000


def require_random_terms(design: Design) -> None:
    """Raise FormulaError if the formula has no random effects."""
    if not design.random:
        raise FormulaError(
            "No random effects terms specified in formula. Write one such as '+ (1 | group)', or fit a "
            "model without random effects with lm(formula, data).",
            design.formula.text,
        )


def refuse_random_terms(design: Design, function: str, instead: str) -> None:
    """Raise FormulaError if the formula of a function without random effects has some."""
    if design.random:
        message = f"{function}() fits no random effects; use {instead}() for this formula."
        raise FormulaError(message, design.formula.text)


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
            warn(str(error), DataWarning)
    if design.dropped and control.check_rank != "ignore":
        message = f"{fit_text.rank_message(len(design.dropped))}: {listed(design.dropped)}"
        if control.check_rank == "stop":
            raise DataError(message)
        warn(message, DataWarning)


def with_terms_once(design: Design) -> Design:
    """Return the design with every random-effects term once, and warn about those left out."""
    design, messages = without_repeated_terms(design)
    for message in messages:
        warn(message, FormulaWarning)
    return design


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


def refuse_offset(design: Design, family: Family) -> None:
    """Raise where an offset alone puts means beyond any number: an exposure given without its logarithm."""
    if design.offset is None or family.link.name != "log":
        return
    largest = float(np.abs(design.offset).max(initial=0.0))
    if largest > LARGEST_LOG_MEAN:
        given = [f"offset({deparse(node)})" for node in design.recipe.offsets] or ["the offset argument"]
        raise DataError(
            f"{' + '.join(given)} reaches {largest:.3g}, and the mean of the {family.name} family with its "
            "log link is exp() of it, beyond any number. An exposure enters by its logarithm, as in "
            "offset(log(exposure))."
        )


def refuse_constant_levels(design: Design, y: FloatArray, family: Family | None = None) -> None:
    """Raise where random intercepts reproduce a continuous response, whose dispersion then vanishes.

    The likelihood of such a model has no upper bound; rounding decides how its search ends.
    """
    eta = y
    if family is not None:
        if family.name not in CONTINUOUS:
            return
        with np.errstate(all="ignore"):
            eta = family.link.link(y)
    group = constant_within(design, eta if design.offset is None else eta - design.offset)
    if group is not None:
        raise DataError(
            f"{design.response.text} does not vary within the levels of {group}, fixed effects aside: random "
            "effects reproduce every value and leave no dispersion to estimate. Fit one row for each level "
            f"of {group}, or take the term out."
        )


def without_runaway(
    report: ConvergenceReport, design: Design, family: Family, eta: FloatArray, vcov: FloatArray
) -> ConvergenceReport:
    """Return the verdict on a gaussian fit: not converged where its means have run to the end of their range.

    A log or an inverse link keeps means from zero; where they are best at zero no coefficient is.
    """
    if family.name != "gaussian" or family.link.name == "identity" or report.verdict == "not converged":
        return report
    spread = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", design.X, vcov, design.X), 0.0))
    lost = ~(spread < RUNAWAY * np.maximum(1.0, np.abs(eta)))
    if not lost.any():
        return report
    reason = (
        f"The fixed effects have no finite estimates: {int(lost.sum())} of {len(eta)} means have run to the "
        f"end of the range of link {family.link.name!r}. Another link may fit, such as the identity."
    )
    return replace(report, verdict="not converged", reasons=(reason, *report.reasons))


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
    """Warn, with its reasons, about a fit that did not reach its optimum, or one of many."""
    if not report.is_optimum:
        reasons = "; ".join(report.reasons) or "the optimiser stopped early"
        coarse = report.verdict == "inexact"
        what, kind = (COARSE, ApproximationWarning) if coarse else (STOPPED, ConvergenceWarning)
        warn(f"{what}: {reasons}", kind)
    elif report.verdict == "not identified":
        warn(
            f"the model is not identified: {' '.join(report.reasons)} Each estimate of these is one of many "
            "that fit equally well; take a term out of the model.",
            IdentificationWarning,
        )


def check_hessian(hessian: str | None, family: Family) -> None:
    """Raise ControlError if the expected information is asked for and has no closed form."""
    if hessian == "expected" and not family.has_expected_information:
        raise ControlError(
            f"hessian='expected' is not available for the {family.name} family, whose expected information "
            "has no closed form; leave hessian out for the observed information."
        )


def identified(
    report: ConvergenceReport,
    design: Design,
    theta: FloatArray,
    weights: FloatArray | None,
    *,
    REML: bool,
    residual: bool,
    objective: Callable[[FloatArray], float] | None = None,
) -> ConvergenceReport:
    """Return the verdict on a fit, "not identified" where covariance parameters are open.

    The design may leave them so, or the data, of which the objective at a theta tells.
    """
    root = None if weights is None else np.sqrt(weights)
    fixed = design.fixed if REML else None
    asked = objective if report.is_optimum else None
    found = unidentified(
        design.random, theta, fixed, partial(_fixed_labels, design), root, residual=residual, objective=asked
    )
    if not found:
        return report
    verdict = "not identified" if report.is_optimum else report.verdict
    return replace(report, verdict=verdict, reasons=(*found, *report.reasons))


def _fixed_labels(design: Design) -> list[str]:
    """Return, for each column of X, the term it belongs to."""
    recipe = design.recipe.fixed
    names = [variable.name for variable in recipe.variables]
    labels = {
        term.pattern: ":".join(names[i] for i in sorted(i for i, _ in term.factors)) for term in recipe.terms
    }
    return [labels.get(recipe.assign[k], identification_words.INTERCEPT) for k in design.recipe.kept]


def warn_if_family_forgotten(function: str, design: Design) -> None:
    """Warn where no family was given and the response looks like that of a binomial or Poisson model."""
    response, y = design.response, design.response.values
    looks = None
    if response.kind == "logical" or (response.kind == "numeric" and np.isin(y, (0.0, 1.0)).all()):
        looks = "holds only " + ("True and False" if response.kind == "logical" else "0 and 1"), "binomial"
    elif response.kind == "numeric" and y.min() == 0.0 and np.array_equal(y, np.round(y)):
        looks = "holds counts, zero among them", "poisson"
    elif response.kind == "numeric" and design.weights is not None and y.min() >= 0.0 and y.max() <= 1.0:
        looks = "holds proportions, with weights", "binomial"
    if looks is not None:
        what, family = looks
        warn(
            f"{function}() was given no family and fits a gaussian model, but {response.text} {what}: "
            f"did you mean family={family!r}? Write family='gaussian' if not.",
            DataWarning,
        )


def check_response_varies(y: FloatArray, text: str) -> None:
    """Raise DataError if all values of the response are equal."""
    if len(y) > 1 and y[0] == y[-1] and y.max() == y.min():
        raise DataError(
            f"Response is constant: every value of {text} is {y[0]:g}, so there is no variation to model."
        )


def check_two_levels(response: Response) -> None:
    """Raise FamilyError if the response of a binomial model is a factor with more than two levels.

    R takes every level but the first as a success, which is rarely meant.
    """
    _refuse_ordered(response, FamilyError)
    if len(response.levels) > 2:
        raise FamilyError(
            f"a binomial response needs exactly two levels, got {len(response.levels)} in {response.text}: "
            f"{listed(response.levels)}. Compare with one level, as in {response.text} == "
            f"{response.levels[-1]!r}."
        )


def _refuse_ordered(response: Response, error: type[MixedModelsError]) -> None:
    """Raise where a response is ordered and has three levels or more."""
    if response.is_ordered and len(response.levels) > 2:
        text, second, last = response.text, response.levels[1], response.levels[-1]
        raise error(
            f"{text} is ordered, with {len(response.levels)} levels, and models of ordered responses are not "
            f"available; fit its cuts one by one with family='binomial', from {text} >= {second!r} to {text} "
            f">= {last!r}, or numbers given to the levels, as.numeric({text})."
        )


def numeric_response(design: Design, generalized: str = "glmer") -> FloatArray:
    """Return the response of a linear model; `generalized` is the function for other responses.

    Raises
    ------
    DataError
        If the response is a factor, text or ``cbind()``, or is constant.
    """
    response = design.response
    _refuse_ordered(response, DataError)
    if response.kind not in ("numeric", "logical"):
        what = "two columns" if response.kind == "cbind" else "a factor"
        raise DataError(
            f"response must be numeric: {response.text} is {what}. For counts, proportions and two-level "
            f"factors use {generalized}() with family='binomial' or another family."
        )
    check_response_varies(response.values, response.text)
    return response.values


def check_tied_rows(design: Design) -> None:
    """Raise where random effects of related levels meet structured residuals in a way that has no equations.

    Raises
    ------
    NotAvailableError
        If levels are related and a residual group has several of them, or they tie too many rows together.
    """
    related = [term for term in design.random if term.relationship is not None]
    if not related:
        return
    residual = design.residual
    codes = np.arange(design.n_rows) if residual is None else residual.codes
    split = problem.split_levels(codes, design.random)
    if split is not None and residual is not None and residual.structure.n_parameters:
        raise NotAvailableError(
            f"residuals are correlated within {residual.group_name or 'the whole data'}, which has several "
            f"levels of {split.group}; beside levels that are related, those of {related[0].group}, the "
            "groups of residual= must be nested in those of every random effect."
        )
    largest = int(np.bincount(batches.clusters_of_rows(codes, design.random)).max())
    if largest > LARGEST_CLUSTER:
        raise NotAvailableError(
            f"related levels of {related[0].group} tie {largest:,} rows together, whose covariance is dense "
            f"where residuals are structured (limit {LARGEST_CLUSTER:,})."
        )


def check_nested_residuals(design: Design) -> None:
    """Raise unless residual groups are nested in the levels of every random effect, as they must be here.

    Raises
    ------
    DataError
        If a residual group has several levels of a grouping factor.
    NotAvailableError
        If crossed random effects tie too many rows together.
    """
    residual = design.residual
    if residual is not None and residual.structure.n_parameters:
        split = problem.split_levels(residual.codes, design.random)
        if split is not None:
            group = residual.group_name or "the whole data"
            raise DataError(
                f"residuals are correlated within {group}, which has several levels of {split.group}: the "
                "groups of residual= must be nested in those of every random effect. Write "
                f"{residual.structure.name}({residual.time_name or 1} | {split.group}), or leave out "
                f"({split.expression})."
            )
    codes = np.arange(design.n_rows) if residual is None else residual.codes
    largest = int(np.bincount(batches.clusters_of_rows(codes, design.random)).max())
    if largest > LARGEST_CLUSTER:
        raise NotAvailableError(
            f"crossed random effects tie {largest:,} rows together, whose covariance is dense where "
            f"residuals are structured (limit {LARGEST_CLUSTER:,}); nested random effects have no such limit."
        )
