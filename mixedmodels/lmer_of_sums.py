"""Fit a linear mixed model to sums over its rows: moments, or a source that is read in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mixedmodels.checks import check_design, require_random_terms, unfit, warn_unless_converged
from mixedmodels.control import LmerControl, Start, starting_values
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.moments.identification import identified_by_sums
from mixedmodels.errors import ControlError
from mixedmodels.factorization.threads import at_most
from mixedmodels.formula.design.theta import theta_names
from mixedmodels.models.summed import SummedLinearMixedModel
from mixedmodels.moments import Moments, moments
from mixedmodels.optimization.watch import Verbosity, say_what_was_done, watched
from mixedmodels.streams.open_source import is_stream


def is_asked(formula: object, data: object) -> bool:
    """Tell whether a model is to be fitted to sums over its rows rather than to the rows."""
    return isinstance(formula, Moments) or (isinstance(formula, str) and is_stream(data))


def fit(
    formula: str | Moments,
    data: Any,
    REML: bool,
    start: Start,
    options: LmerControl,
    relmat: Mapping[str, Any] | None,
    verbose: Verbosity,
    structure: tuple[str | None, ...],
    asked: Mapping[str, Any],
) -> SummedLinearMixedModel:
    """Fit the model; arguments as for :func:`mixedmodels.lmer`.

    Parameters
    ----------
    structure : tuple
        Structures of the residuals, of which there may be none: within a group they need rows.
    asked : mapping
        Arguments that decide what is summed; None where they were not given.

    Raises
    ------
    ControlError
        If an argument needs rows, or came after the sums were made.
    """
    if any(part is not None for part in structure):
        raise ControlError("residual= and dispersion= need the rows in memory: give data as one table.")
    sums = summed(formula, data, {name: value for name, value in asked.items() if value is not None})
    with watched("lmer", verbose), at_most(options.n_threads):
        model = fit_moments(sums, REML, start, options, relmat)
    say_what_was_done("lmer", verbose, model.optimization, model.convergence())
    return model


def summed(formula: str | Moments, data: Any, asked: Mapping[str, Any]) -> Moments:
    """Return moments as they are, or those of a source.

    Raises
    ------
    ControlError
        If data or arguments come after the sums were made.
    """
    if not isinstance(formula, Moments):
        return moments(formula, data, **asked)
    if data is not None:
        raise ControlError("moments hold all that is needed of the data: leave out data.")
    if asked:
        name = next(iter(asked))
        raise ControlError(
            f"{name}= decides what is summed: give it to moments(formula, source, {name}=...)."
        )
    return formula


def fit_moments(
    sums: Moments,
    REML: bool,
    start: Start,
    options: LmerControl,
    relmat: Mapping[str, Any] | None,
) -> SummedLinearMixedModel:
    """Fit a linear mixed model to the sums over its rows."""
    summed = sums.fitting_design(relmat or {})
    design = summed.design
    require_random_terms(design)
    check_design(design, options, linear=True)
    theta = starting_values(start, "theta", sum(t.structure.n_theta for t in design.random), ("theta",))
    problem = summed.problem()
    REML = REML and design.X.shape[1] > 0
    try:
        estimates = fit_linear(problem, REML, theta)
    except np.linalg.LinAlgError as error:
        raise unfit(start is not None) from error
    verdict = identified_by_sums(
        estimates.convergence, problem, estimates.theta, REML, theta_names(design.random)
    )
    estimates = replace(estimates, convergence=verdict)
    warn_unless_converged(estimates.convergence)
    return SummedLinearMixedModel(summed, sums.call(), estimates, problem)
