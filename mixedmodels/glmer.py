"""Fit a generalized linear mixed model: the whole story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import (
    check_design,
    check_response_varies,
    check_two_levels,
    naming_separation,
    separated,
    warn_unless_converged,
)
from mixedmodels.control import GlmerControl, Start, as_control, one_of, starting_values, whole_number
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.engines.generalized.stable_quadrature import fit_until_stable
from mixedmodels.engines.glm.fit import fit_glm
from mixedmodels.engines.glm.separation import judged
from mixedmodels.engines.pql import fit_pql
from mixedmodels.errors import ControlError
from mixedmodels.families import get_family, initialize, log_constant, refuse_quasi
from mixedmodels.families.family import Family
from mixedmodels.fits.call import record_call
from mixedmodels.formula import build_design
from mixedmodels.formula.design.design import Design, NaAction
from mixedmodels.formula.design.kept_data import keep
from mixedmodels.glm import fit_design
from mixedmodels.lmer import fit_linear_design
from mixedmodels.models.generalized import GeneralizedLinearMixedModel
from mixedmodels.models.pql import QuasiLikelihoodMixedModel


def glmer(
    formula: str,
    data: Any,
    family: Any = "gaussian",
    nAGQ: int | Literal["auto"] = 1,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Start = None,
    control: GlmerControl | Mapping[str, Any] | None = None,
    method: Literal["ml", "pql"] = "ml",
    hessian: Literal["expected", "observed"] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
) -> Any:
    """Fit a generalized linear mixed model by maximum likelihood.

    Parameters
    ----------
    formula : str
        lme4 formula. Without random effects the generalized linear model is fitted, as by
        :func:`mixedmodels.glm`.
    data : DataFrame, dict of arrays, polars DataFrame or pyarrow Table
        The variables.
    family : str, constructor or Family
        ``"binomial"``, ``mm.binomial(link="probit")`` and the like; gaussian with the identity link fits
        the linear mixed model.
    nAGQ : int or "auto"
        1 for the Laplace approximation, more for that many nodes of adaptive Gauss-Hermite quadrature in
        each dimension, 0 for the faster approximation that finds the fixed effects with the random ones.
        "auto" raises the number of nodes until no estimate moves by more than a hundredth of its standard
        error; ``m.quadrature_sequence()`` shows the fits.
    weights : str or array_like, optional
        Prior weights; numbers of trials when the response is a proportion. Beside ``cbind()`` they
        multiply the log-likelihood of a row, as in lme4.
    offset : str or array_like, optional
        Known part of the linear predictor, added to any ``offset()`` in the formula.
    subset, na_action, contrasts, env, relmat
        As for :func:`mixedmodels.lmer`.
    start : array_like or mapping, optional
        Starting values of theta, or ``{"theta": ..., "fixef": ...}``.
    control : GlmerControl or mapping, optional
        Options.
    method : {"ml", "pql"}
        Maximum likelihood, or penalized quasi-likelihood (Breslow & Clayton 1993) as MASS::glmmPQL, which
        estimates a dispersion and has no likelihood.
    hessian : {"expected", "observed"}, optional
        Information in the Laplace approximation; by default expected where the family has it, as lme4,
        else observed.

    Returns
    -------
    GeneralizedLinearMixedModel
        Or a QuasiLikelihoodMixedModel for ``method="pql"``, a GeneralizedLinearModel without random
        effects, a LinearMixedModel for the gaussian family with the identity link.

    Raises
    ------
    FormulaError, DataError, FamilyError, ControlError
        If the formula, the data, the family or an option is at fault; the message names it.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> cbpp = mm.load_dataset("cbpp")
    >>> m = mm.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, "binomial")
    >>> round(-2 * m.loglik(), 3)
    184.053
    """
    one_of("method", method, ("ml", "pql"))
    one_of("hessian", hessian, (None, "expected", "observed"))
    nodes = nAGQ if nAGQ == "auto" else whole_number("nAGQ", nAGQ)
    options = as_control(control, GlmerControl)
    chosen = get_family(family)
    design = build_design(
        formula, data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env, relmat=relmat,
    )  # fmt: skip
    call, kept = record_call(data, weights, offset, subset), keep(data)
    if not design.random:
        return fit_design(design, chosen, options, call, kept)
    if chosen.name == "gaussian" and chosen.link.name == "identity":
        _refuse_for_linear(nodes != 1 or method != "ml" or hessian is not None)
        return fit_linear_design(design, True, start, options, call, kept)
    if method == "ml":
        refuse_quasi(chosen)
    check_two_levels(design.response)
    y, trials = initialize(design.response, design.weights, chosen)
    check_response_varies(y, design.response.text)
    check_design(design, options, linear=False)
    if method == "pql":
        with naming_separation(design, kept, y, trials, chosen):
            pql = fit_pql(y, trials, design.X, design.random, design.offset, chosen)
        unit = np.ones(len(chosen.phi_names))
        findings = separated(design, kept, y, trials, chosen, pql.linear.beta, pql.eta, unit)
        if not findings:
            warn_unless_converged(pql.convergence)
        pql = replace(pql, convergence=judged(pql.convergence, findings))
        return QuasiLikelihoodMixedModel(design, y, trials, call, kept, chosen, pql)
    observed = (hessian or chosen.default_hessian) == "observed"
    constant = log_constant(design, y, trials, chosen)
    problem = generalized_problem(
        y, trials, design.X, design.random, design.offset, chosen, observed, constant
    )
    begin = _start_vector(start, design, y, trials, chosen)
    with naming_separation(design, kept, y, trials, chosen):
        estimates = (
            fit_until_stable(problem, begin) if nodes == "auto" else fit_generalized(problem, nodes, begin)
        )
    fitted = estimates.beta, estimates.eta, estimates.phi
    findings = separated(design, kept, y, trials, chosen, *fitted)
    if not findings:
        warn_unless_converged(estimates.convergence)
    # A square root link turns back at a mean of zero, without an edge.
    verdict = judged(estimates.convergence, findings, reaches_edges=not chosen.link.is_monotone)
    estimates = replace(estimates, convergence=verdict)
    return GeneralizedLinearMixedModel(design, y, trials, call, kept, chosen, estimates, observed, problem)


def glmer_nb(formula: str, data: Any, **options: Any) -> GeneralizedLinearMixedModel:
    """Fit a negative binomial mixed model, its theta estimated with the other parameters.

    The same as :func:`glmer` with ``family="nbinom2"`` and lme4's Laplace approximation (expected
    information); unlike lme4's ``glmer.nb`` the standard errors account for the estimation of theta.

    Parameters
    ----------
    formula, data, **options
        As for :func:`glmer`; a family may be given to choose its link.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.glmer_nb("y ~ base + trt + (1 | subject)", mm.load_dataset("epil"))
    >>> list(m.family_parameters().index)
    ['theta']
    """
    settings: dict[str, Any] = {"family": "nbinom2", "hessian": "expected", **options}
    fit: GeneralizedLinearMixedModel = glmer(formula, data, **settings)
    return fit


def _refuse_for_linear(given: bool) -> None:
    """Raise if arguments were given that the linear mixed model does not have."""
    if given:
        raise ControlError(
            "the gaussian family with the identity link is the linear mixed model, to which nAGQ, method and "
            "hessian do not apply; use lmer()."
        )


def _start_vector(
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
    plain = fit_glm(y, weights, design.X, design.offset, family)
    theta = starting_values(start, "theta", len(initial), ("theta", "fixef"))
    beta = starting_values(start, "fixef", len(plain.beta), ("theta", "fixef"))
    parts = (initial if theta is None else theta, plain.beta if beta is None else beta, plain.phi)
    return np.concatenate(parts)
