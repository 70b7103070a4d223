"""From the design of a generalized linear mixed model to estimates, and what is to be thought of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import (
    identified,
    warn_unless_converged,
    without_runaway,
)
from mixedmodels.control import Start, starting_values
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.pirls import EdgeError
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.engines.generalized.start import balanced_pulls
from mixedmodels.errors import ControlError
from mixedmodels.families.family import Family
from mixedmodels.families.modelled_dispersion import ModelledDispersion
from mixedmodels.fits.family_dispersion import with_dispersion_of
from mixedmodels.formula.design.design import Design
from mixedmodels.separation_checks import naming_separation, separated, separated_in_data

with on_first_use():
    from mixedmodels.engines.generalized import stable_quadrature
    from mixedmodels.engines.glm import fit as without_effects
    from mixedmodels.engines.glm import separation

if TYPE_CHECKING:
    from mixedmodels.engines.glm.fit import GlmEstimates


def maximized(
    design: Design,
    kept: Any,
    y: FloatArray,
    weights: FloatArray,
    constant: FloatArray,
    family: Family,
    nodes: int | Literal["auto"],
    begin: FloatArray | None,
    hessian: Literal["observed", "expected"] | None,
) -> tuple[GeneralizedProblem, GeneralizedEstimates]:
    """Maximize the likelihood, and judge and warn about what was found.

    Parameters
    ----------
    design : Design
        The model.
    kept : table
        The data, for what is said about them.
    y, weights, constant : ndarray, shape (n,)
        Response and weights as the family reads them; terms of the log-likelihood without parameters.
    family : Family
        Distribution of the response.
    nodes : int or "auto"
        Nodes of the quadrature.
    begin : ndarray or None
        (theta, beta, phi) to start from.
    hessian : {"observed", "expected"} or None
        Information in the approximation.
    """
    problem = generalized_problem(
        y, weights, design.fixed, design.random, design.offset, family, hessian != "expected", constant
    )
    with naming_separation(design, kept, y, weights, family):
        problem, estimates = _estimated(problem, nodes, begin, may_change=hessian is None)
    found, pull = (estimates.beta, estimates.eta, estimates.phi), balanced_pulls(problem)
    findings = separated(design, kept, y, weights, family, *found, pull)
    verdict = identified(
        estimates.convergence, design, estimates.theta, design.weights, REML=False, residual=False
    )
    verdict = without_runaway(verdict, design, family, estimates.eta, estimates.vcov_rx)
    if not findings and verdict.verdict == "not converged":
        findings = separated_in_data(design, kept, y, weights, family)
    if not findings:
        warn_unless_converged(verdict)
    # A square root link turns back at a mean of zero, without an edge.
    verdict = separation.judged(verdict, findings, reaches_edges=not family.link.is_monotone)
    is_as_found = verdict is estimates.convergence
    return problem, estimates if is_as_found else replace(estimates, convergence=verdict)


def _estimated(
    problem: GeneralizedProblem, nodes: int | Literal["auto"], begin: FloatArray | None, may_change: bool
) -> tuple[GeneralizedProblem, GeneralizedEstimates]:
    """Return the problem and its estimates, by the expected information where the observed one has none."""
    fit = stable_quadrature.fit_until_stable if nodes == "auto" else partial(fit_generalized, nAGQ=nodes)
    try:
        return problem, fit(problem, start=begin)
    except EdgeError:
        if not may_change:
            raise
    problem = replace(problem, observed=False)
    estimates = fit(problem, start=begin)
    note = (
        "Fitted with hessian='expected': with the observed information the approximation is best where "
        f"fitted means reach the end of what the {problem.family.link.name} link allows, which is no optimum "
        "of the likelihood."
    )
    report = estimates.convergence
    report = replace(report, reasons=(*report.reasons, note))
    return problem, replace(estimates, convergence=report)


def refuse_for_linear(given: bool) -> None:
    """Raise if arguments were given that the linear mixed model does not have."""
    if given:
        raise ControlError(
            "the gaussian family with the identity link is the linear mixed model, to which nAGQ, method and "
            "hessian do not apply; use lmer()."
        )


def start_vector(
    start: Start, design: Design, y: FloatArray, weights: FloatArray, family: Family
) -> FloatArray | None:
    """Return (theta, beta, phi) to start from; what is not given comes from the model without random effects.

    Raises
    ------
    ControlError
        If a name is neither theta nor fixef, or a length is wrong.
    """
    if start is None:
        return None
    initial = np.concatenate([term.structure.start() for term in design.random])
    plain = without_effects.fit_glm(y, weights, design.X, design.offset, family)
    theta = starting_values(start, "theta", len(initial), ("theta", "fixef"))
    beta = starting_values(start, "fixef", len(plain.beta), ("theta", "fixef"))
    with_dispersion = with_dispersion_of(design, family)
    phi = with_dispersion.nearest(plain.phi) if isinstance(with_dispersion, ModelledDispersion) else plain.phi
    parts = (initial if theta is None else theta, plain.beta if beta is None else beta, phi)
    return np.concatenate(parts)


def judged_estimates(
    design: Design,
    data: Any,
    y: FloatArray,
    weights: FloatArray,
    family: Family,
    fit: Callable[[], GlmEstimates],
) -> GlmEstimates:
    """Return what a fit without random effects gives, its verdict that of the search and of separation.

    Raises
    ------
    ConvergenceError
        If the fit fails; a predictor that separates the response is named.
    """
    with naming_separation(design, data, y, weights, family):
        estimates = fit()
    fitted = estimates.beta, estimates.eta, estimates.phi
    findings = separated(design, data, y, weights, family, *fitted)
    if not findings:
        warn_unless_converged(estimates.convergence)
    return replace(
        estimates, convergence=separation.judged(estimates.convergence, findings, reaches_edges=True)
    )
