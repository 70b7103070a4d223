"""Fit a generalized linear mixed model: the whole story."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.checks import (
    check_design,
    check_hessian,
    check_response_varies,
    check_two_levels,
    identified,
    refuse_constant_levels,
    refuse_offset,
    warn_if_family_forgotten,
    warn_unless_converged,
)
from mixedmodels.control import GlmerControl, Start, as_control, one_of, whole_number
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import ControlError
from mixedmodels.factorization.threads import at_most
from mixedmodels.families import get_family, initialize, log_constant, refuse_quasi
from mixedmodels.families.family import Family
from mixedmodels.families.modelled_dispersion import check_has_dispersion
from mixedmodels.fits.family_dispersion import with_dispersion_of
from mixedmodels.formula.design.design import Design, NaAction
from mixedmodels.generalized_request import maximized, refuse_for_linear, start_vector
from mixedmodels.glm import fit_glm_request
from mixedmodels.models.generalized import GeneralizedLinearMixedModel
from mixedmodels.models.glm import GeneralizedLinearModel
from mixedmodels.models.mixed_model import MixedModel
from mixedmodels.optimization.watch import Verbosity, say_what_was_done, watched
from mixedmodels.request import Request, read_request
from mixedmodels.separation_checks import naming_separation, separated

with on_first_use():
    from mixedmodels import glmer_of_counts, linear_request
    from mixedmodels.engines import pql as penalized
    from mixedmodels.engines.glm import separation
    from mixedmodels.formula.language import dispersion as variance_terms
    from mixedmodels.models import pql as quasi_likelihood
    from mixedmodels.streams import open_source

if TYPE_CHECKING:
    from mixedmodels.formula.language.dispersion import VarianceCall
    from mixedmodels.models.linear import LinearMixedModel
    from mixedmodels.models.pql import QuasiLikelihoodMixedModel
    from mixedmodels.models.structured_mixed import StructuredLinearMixedModel

    #: What glmer() returns: which of them, the formula and the family say.
    AnyModel: TypeAlias = (
        GeneralizedLinearMixedModel | QuasiLikelihoodMixedModel | GeneralizedLinearModel | LinearMixedModel
    )

Mixed = TypeVar("Mixed", bound=MixedModel)


@overload
def glmer(
    formula: str,
    data: Any,
    family: Any = None,
    nAGQ: int | Literal["auto"] = 1,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Start = None,
    control: GlmerControl | Mapping[str, Any] | None = None,
    method: Literal["ml"] = "ml",
    hessian: Literal["observed", "expected"] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    dispersion: None = None,
    verbose: Verbosity = None,
) -> GeneralizedLinearMixedModel | GeneralizedLinearModel | LinearMixedModel: ...
@overload
def glmer(
    formula: str,
    data: Any,
    family: Any = None,
    nAGQ: int | Literal["auto"] = 1,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Start = None,
    control: GlmerControl | Mapping[str, Any] | None = None,
    method: Literal["ml"] = "ml",
    hessian: Literal["observed", "expected"] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    dispersion: str,
    verbose: Verbosity = None,
) -> GeneralizedLinearMixedModel | StructuredLinearMixedModel: ...
@overload
def glmer(
    formula: str,
    data: Any,
    family: Any = None,
    nAGQ: int | Literal["auto"] = 1,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Start = None,
    control: GlmerControl | Mapping[str, Any] | None = None,
    method: Literal["pql"],
    hessian: Literal["observed", "expected"] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    dispersion: None = None,
    verbose: Verbosity = None,
) -> QuasiLikelihoodMixedModel | GeneralizedLinearModel: ...
@advises
def glmer(
    formula: str,
    data: Any,
    family: Any = None,
    nAGQ: int | Literal["auto"] = 1,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Start = None,
    control: GlmerControl | Mapping[str, Any] | None = None,
    method: Literal["ml", "pql"] = "ml",
    hessian: Literal["observed", "expected"] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    dispersion: str | None = None,
    verbose: Verbosity = None,
) -> AnyModel | StructuredLinearMixedModel:
    """Fit a generalized linear mixed model by maximum likelihood.

    Parameters
    ----------
    formula : str
        lme4 formula. Without random effects the generalized linear model is fitted, as by
        :func:`mixedmodels.glm`.
    data : DataFrame, dict of arrays, polars DataFrame, pyarrow Table or source
        The variables; a source as for :func:`mixedmodels.moments` is read in batches and equal rows are
        counted, so that only the different ones are in memory.
    family : str, constructor or Family
        ``"binomial"``, ``mm.binomial(link="probit")`` and the like; ``"gaussian"``, also where it is left
        out, with the identity link fits the linear mixed model.
    nAGQ : int or "auto"
        1 for the Laplace approximation, more for that many nodes of adaptive Gauss-Hermite quadrature in
        each dimension, 0 for the faster approximation that finds the fixed effects with the random ones.
        "auto" raises the number of nodes until no estimate moves by more than a hundredth of its standard
        error; ``m.quadrature_sequence()`` shows the fits. Where more nodes than were asked for would move an
        estimate by half a standard error the verdict is "inexact", with a warning; 1,000 is the limit.
    weights : str or array_like, optional
        Prior weights; numbers of trials when the response is a proportion. Beside ``cbind()`` they
        multiply the log-likelihood of a row, as in lme4.
    offset : str or array_like, optional
        Known part of the linear predictor, added to any ``offset()`` in the formula.
    subset, na_action, contrasts, env, relmat, verbose
        As for :func:`mixedmodels.lmer`.
    start : array_like or mapping, optional
        Starting values of theta, or ``{"theta": ..., "fixef": ...}``.
    control : GlmerControl or mapping, optional
        Options.
    method : {"ml", "pql"}
        Maximum likelihood, or penalized quasi-likelihood (Breslow & Clayton 1993) as MASS::glmmPQL, which
        estimates a dispersion and has no likelihood.
    hessian : {"observed", "expected"}, optional
        Information in the Laplace approximation and in the placing of quadrature nodes. The observed one,
        the default, makes it the second-order expansion for every family and link, as glmmTMB; the expected
        one gives lme4's values. They are the same for canonical links (logit, the Poisson's log), and fits
        with different ones are not comparable.
    dispersion : str, optional
        Predictors of the family's dispersion parameter, ``"~ x"``, as glmmTMB's ``dispformula``: the log
        of the dispersion (gaussian, Gamma, inverse Gaussian), theta (nbinom2), alpha (nbinom1) or precision
        (beta, betabinomial) is linear in them, and the coefficients are estimated with the others. For the
        gaussian family with the identity link as for :func:`mixedmodels.lmer`.

    Returns
    -------
    GeneralizedLinearMixedModel
        Or a QuasiLikelihoodMixedModel for ``method="pql"``, a GeneralizedLinearModel without random
        effects, a LinearMixedModel for the gaussian family with the identity link. The formula and the
        family decide, which no type checker reads: to it the result is one of these, until ``assert
        isinstance(m, mm.GeneralizedLinearMixedModel)``. Functions such as ``mm.ranef(m)`` take any of them.

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
    one_of("hessian", hessian, (None, "observed", "expected"))
    nodes = nAGQ if nAGQ == "auto" else whole_number("nAGQ", nAGQ)
    options = as_control(control, GlmerControl)
    chosen = get_family("gaussian" if family is None else family)
    is_linear = chosen.name == "gaussian" and chosen.link.name == "identity"
    if not isinstance(data, (pd.DataFrame, Mapping)) and open_source.is_stream(data):
        wanted = glmer_of_counts.Wanted(chosen, family is None, nodes, method, hessian, dispersion)
        asked = {
            "weights": weights, "offset": offset, "subset": subset, "na_action": na_action,
            "contrasts": contrasts, "env": env,
        }  # fmt: skip
        return glmer_of_counts.fit(formula, data, wanted, start, options, relmat, verbose, asked)
    request = read_request(
        formula, data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env, relmat=relmat,
        dispersion=dispersion if dispersion is None or is_linear else _read_dispersion(dispersion, chosen),
    )  # fmt: skip
    design = request.design
    if dispersion is not None:
        _check_dispersion(design, method)
    if family is None:
        warn_if_family_forgotten("glmer", design)
    if not design.random:
        return fit_glm_request(request, chosen, options)
    if is_linear:
        refuse_for_linear(nodes != 1 or method != "ml" or hessian is not None)
        with watched("glmer", verbose), at_most(options.n_threads):
            if design.dispersion:
                return _said(linear_request.fit_structured_request(request, False, start, options), verbose)
            return _said(linear_request.fit_linear_request(request, True, start, options), verbose)
    if method == "ml":
        refuse_quasi(chosen)
        check_hessian(hessian, chosen)
    check_two_levels(design.response)
    refuse_offset(design, chosen)
    y, trials = initialize(design.response, design.weights, chosen)
    check_response_varies(y, design.response.text)
    check_design(design, options, linear=False)
    refuse_constant_levels(design, y, chosen)
    begin = None if method == "pql" else start_vector(start, design, y, trials, chosen)
    chosen = with_dispersion_of(design, chosen)
    with watched("glmer", verbose), at_most(options.n_threads):
        if method == "pql":
            return _said(_fit_pql(request, y, trials, chosen), verbose)
        return _said(_fit_ml(request, y, trials, chosen, nodes, begin, hessian), verbose)


def _said(model: Mixed, verbose: Verbosity) -> Mixed:
    """Return a model, having said what its search did if someone wants to know."""
    say_what_was_done("glmer", verbose, model.optimization, model.convergence())
    return model


def _fit_pql(
    request: Request, y: FloatArray, trials: FloatArray, chosen: Family
) -> QuasiLikelihoodMixedModel:
    """Fit by penalized quasi-likelihood, and say what is to be thought of it."""
    design, kept = request.design, request.data
    with naming_separation(design, kept, y, trials, chosen):
        pql = penalized.fit_pql(y, trials, design.X, design.random, design.offset, chosen)
    unit = np.ones(len(chosen.phi_names))
    findings = separated(design, kept, y, trials, chosen, pql.beta, pql.eta, unit)
    verdict = identified(
        pql.convergence, design, pql.linear.theta, pql.working_weights, REML=False, residual=True
    )
    if not findings:
        warn_unless_converged(verdict)
    pql = replace(pql, convergence=separation.judged(verdict, findings))
    return quasi_likelihood.QuasiLikelihoodMixedModel(design, y, trials, request.call, kept, chosen, pql)


def _fit_ml(
    request: Request,
    y: FloatArray,
    trials: FloatArray,
    chosen: Family,
    nodes: int | Literal["auto"],
    begin: FloatArray | None,
    hessian: Literal["observed", "expected"] | None,
) -> GeneralizedLinearMixedModel:
    """Fit by maximum likelihood, and say what is to be thought of it."""
    design, kept = request.design, request.data
    constant = log_constant(design, y, trials, chosen)
    problem, estimates = maximized(design, kept, y, trials, constant, chosen, nodes, begin, hessian)
    return GeneralizedLinearMixedModel(
        design, y, trials, request.call, kept, chosen, estimates, problem.observed, problem
    )


@advises
def glmer_nb(
    formula: str,
    data: Any,
    family: Any = "nbinom2",
    nAGQ: int | Literal["auto"] = 1,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Start = None,
    control: GlmerControl | Mapping[str, Any] | None = None,
    hessian: Literal["expected", "observed"] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    dispersion: str | None = None,
    verbose: Verbosity = None,
) -> GeneralizedLinearMixedModel | GeneralizedLinearModel:
    """Fit a negative binomial mixed model, its theta estimated with the other parameters.

    The same as :func:`glmer` with ``family="nbinom2"``; unlike lme4's ``glmer.nb`` the standard errors
    account for the estimation of theta. ``hessian="expected"`` gives lme4's Laplace approximation.

    Parameters
    ----------
    formula, data, nAGQ, weights, offset, subset, na_action, contrasts, start, control, env, relmat, verbose
        As for :func:`glmer`.
    family : str, constructor or Family
        A negative binomial with another link or variance: ``mm.nbinom2(link="sqrt")``, ``"nbinom1"``, also
        one with a zero part.
    hessian : {"expected", "observed"}, optional
        As for :func:`glmer`; by default expected where the family has it.
    dispersion : str, optional
        Predictors of log(theta), ``"~ x"``, as for :func:`glmer`.

    Returns
    -------
    GeneralizedLinearMixedModel
        Or a GeneralizedLinearModel for a formula without random effects.

    Raises
    ------
    FormulaError, DataError, ControlError
        If the formula, the data or an option is at fault: a family that is no negative binomial, for one.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.glmer_nb("y ~ base + trt + (1 | subject)", mm.load_dataset("epil"))
    >>> list(m.family_parameters().index)
    ['theta']
    """
    chosen = get_family(family)
    if not (chosen.phi_names and ("nbinom" in chosen.name or chosen.name == "Negative Binomial")):
        raise ControlError(_no_negative_binomial(family, chosen))
    fitter: Callable[..., Any] = glmer  # its types tell dispersion from none, which is open here
    found = fitter(
        formula, data, chosen, nAGQ, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, start=start, control=control, hessian=hessian, env=env, relmat=relmat,
        dispersion=dispersion, verbose=verbose,
    )  # fmt: skip
    # A negative binomial is not gaussian.
    assert isinstance(found, (GeneralizedLinearMixedModel, GeneralizedLinearModel))
    return found


def _no_negative_binomial(family: Any, chosen: Family) -> str:
    """Return what is wrong with a family given to glmer_nb()."""
    known = chosen.name.startswith("Negative Binomial")
    what = "a negative binomial of known theta" if known else f"the {chosen.name} family"
    return (
        f"glmer_nb() fits a negative binomial whose theta is estimated, not {what} ({shown(family)}). Use "
        "glmer(formula, data, family=...) for other families, and family=mm.nbinom2(link=...) for the link."
    )


def _read_dispersion(text: str, family: Family) -> tuple[VarianceCall, ...]:
    """Return the terms of a dispersion model, if the family can have one."""
    refuse_quasi(family)
    check_has_dispersion(family)
    return variance_terms.parse_family_dispersion(text)


def _check_dispersion(design: Design, method: str) -> None:
    """Raise ControlError where dispersion= is given to a model that cannot have it."""
    if not design.random:
        raise ControlError(
            "dispersion= of glmer() is for models with random effects, and the formula has none; gls() "
            "has it for the gaussian family with the identity link."
        )
    if method == "pql":
        raise ControlError(
            "dispersion= needs a likelihood, which method='pql' does not have; leave method out."
        )
