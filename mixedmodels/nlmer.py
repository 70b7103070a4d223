"""Fit a nonlinear mixed model: the whole story."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.checks import (
    check_design,
    check_hessian,
    check_nested_residuals,
    check_response_varies,
    check_two_levels,
    numeric_response,
)
from mixedmodels.control import LmerControl, as_control, one_of, whole_number
from mixedmodels.engines.nonlinear.estimates import Method, NonlinearEstimates
from mixedmodels.engines.nonlinear.lindstrom_bates import Criterion
from mixedmodels.engines.nonlinear.other_starts import other_start
from mixedmodels.engines.nonlinear.search import LOWER
from mixedmodels.engines.nonlinear_family.estimates import NonlinearFamilyEstimates
from mixedmodels.errors import ControlError, ConvergenceError, FormulaError
from mixedmodels.factorization.threads import at_most
from mixedmodels.families import Family, get_family, initialize, refuse_quasi
from mixedmodels.formula.design.design import NaAction
from mixedmodels.formula.design.nonlinear import NonlinearDesign
from mixedmodels.models.nonlinear import NonlinearMixedModel, estimated
from mixedmodels.models.nonlinear_family import GeneralizedNonlinearMixedModel
from mixedmodels.models.structured_nonlinear import StructuredNonlinearMixedModel
from mixedmodels.nonlinear_request import NonlinearRequest, link_of_response, read_nonlinear
from mixedmodels.optimization.watch import Verbosity, say_what_was_done, watched

_Fitted = TypeVar(
    "_Fitted", NonlinearEstimates, StructuredNonlinearMixedModel, GeneralizedNonlinearMixedModel
)


@overload
def nlmer(
    formula: str,
    data: Any,
    *,
    fixed: Any = None,
    random: Any = None,
    groups: Any = None,
    start: Any = None,
    family: None = None,
    nAGQ: int = 1,
    method: Method = "laplace",
    REML: Criterion = False,
    hessian: str | None = None,
    weights: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    control: LmerControl | Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: None = None,
    dispersion: None = None,
    verbose: Verbosity = None,
) -> NonlinearMixedModel: ...
@overload
def nlmer(
    formula: str,
    data: Any,
    *,
    fixed: Any = None,
    random: Any = None,
    groups: Any = None,
    start: Any = None,
    family: None = None,
    nAGQ: int = 1,
    method: Method = "laplace",
    REML: Criterion = False,
    hessian: str | None = None,
    weights: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    control: LmerControl | Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str,
    dispersion: str | None = None,
    verbose: Verbosity = None,
) -> StructuredNonlinearMixedModel: ...
@overload
def nlmer(
    formula: str,
    data: Any,
    *,
    fixed: Any = None,
    random: Any = None,
    groups: Any = None,
    start: Any = None,
    family: None = None,
    nAGQ: int = 1,
    method: Method = "laplace",
    REML: Criterion = False,
    hessian: str | None = None,
    weights: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    control: LmerControl | Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str | None = None,
    dispersion: str,
    verbose: Verbosity = None,
) -> StructuredNonlinearMixedModel: ...
@overload
def nlmer(
    formula: str,
    data: Any,
    *,
    fixed: Any = None,
    random: Any = None,
    groups: Any = None,
    start: Any = None,
    family: Any,
    nAGQ: int = 1,
    method: Method = "laplace",
    REML: Criterion = False,
    hessian: str | None = None,
    weights: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    control: LmerControl | Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: None = None,
    dispersion: None = None,
    verbose: Verbosity = None,
) -> NonlinearMixedModel | GeneralizedNonlinearMixedModel: ...
@advises
def nlmer(
    formula: str,
    data: Any,
    *,
    fixed: Any = None,
    random: Any = None,
    groups: Any = None,
    start: Any = None,
    family: Any = None,
    nAGQ: int = 1,
    method: Method = "laplace",
    REML: Criterion = False,
    hessian: str | None = None,
    weights: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    control: LmerControl | Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str | None = None,
    dispersion: str | None = None,
    verbose: Verbosity = None,
) -> NonlinearMixedModel | GeneralizedNonlinearMixedModel:
    """Fit a nonlinear mixed model by maximum likelihood.

    Parameters
    ----------
    formula : str
        lme4's three parts, ``"y ~ SSlogis(x, Asym, xmid, scal) ~ Asym | g"``, or the first two of them, as
        nlme has it, with `random`. The mean is any expression of columns and parameters.
    data : DataFrame, dict of arrays, polars DataFrame or pyarrow Table
        The variables.
    fixed : str, list or mapping, optional
        What parameters depend on: ``"A + k ~ 1"``, ``{"A": "~ treatment"}``. By default on nothing.
    random : str, list or mapping, optional
        Random effects of parameters, in place of the third part: ``"A + k ~ 1 | g"``; ``||`` for
        uncorrelated ones.
    groups : str, optional
        The grouping factor, where `random` does not name it.
    start : mapping, Series or sequence, optional
        Starting values by parameter or by fixed effect; self-starting models (SSlogis and others) find them.
    family : str, constructor or Family, optional
        Distribution of the response about ``linkinv(mean)``: ``"poisson"`` for counts whose logarithm is the
        curve, ``mm.poisson("identity")`` for counts about the curve itself. Its parameters are estimated.
        By default, and for ``"gaussian"``, normal residuals of one variance.
    nAGQ : int
        Nodes of adaptive Gauss-Hermite quadrature for each random effect, of one grouping factor; 1 is
        Laplace's approximation.
    method : {"laplace", "lindstrom-bates"}
        Laplace's approximation (and quadrature), or nlme's alternation, whose likelihood is that of the model
        linearised at its end.
    REML : {False, True, "maximised"}
        With method="lindstrom-bates": the REML criterion and its sigma as nlme reports them, at the
        covariance parameters of maximum likelihood; or truly maximised.
    hessian : {"expected", "observed"}, optional
        Curvature of Laplace's approximation: Gauss and Newton's, which lme4 has (and FOCE), the default; or
        the exact one, the default with a family, as for :func:`mixedmodels.glmer`.
    residual, dispersion : str, optional
        With method="lindstrom-bates": correlation of the residuals within groups, and their variances, as for
        :func:`mixedmodels.lmer`; REML is then the maximised criterion.
    relmat : mapping, optional
        With method="lindstrom-bates": covariances or precisions of the levels of grouping factors, as for
        :func:`mixedmodels.lmer`.
    weights, subset, na_action, contrasts, control, env, verbose
        As for :func:`mixedmodels.lmer`. In `env` a function of the mean may stand, alone or with its
        gradient, ``{"f": (f, gradient)}``.

    Returns
    -------
    NonlinearMixedModel
        Or a GeneralizedNonlinearMixedModel with a family, a StructuredNonlinearMixedModel where `residual` or
        `dispersion` is given.

    Raises
    ------
    FormulaError, DataError, FamilyError, ControlError
        If the formula, the data, the family or an option is at fault; the message names it.
    ConvergenceError
        If the mean is not finite where the search begins.

    References
    ----------
    Lindstrom & Bates (1990), Biometrics 46, 673-687. Pinheiro & Bates (1995), J. Comput. Graph. Stat. 4,
    12-35.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> curve = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"
    >>> m = mm.nlmer(curve, mm.load_dataset("Orange"))
    >>> m.fixef().round(2).tolist()
    [192.05, 727.91, 348.07]
    """
    _check_options(nAGQ, method, REML, hessian, family)
    if (residual is not None or dispersion is not None) and method == "laplace":
        raise ControlError(
            "residual= and dispersion= are for method='lindstrom-bates', of the linearised model."
        )
    chosen = _chosen_family(family, method, residual, dispersion)
    _check_relationship(relmat, method, chosen, residual is not None or dispersion is not None)
    options = as_control(control, LmerControl)
    request = read_nonlinear(
        formula, data, fixed=fixed, random=random, groups=groups, start=start, weights=weights, subset=subset,
        na_action=na_action, contrasts=contrasts, env=env, relmat=relmat, residual=residual,
        dispersion=dispersion, family=chosen,
    )  # fmt: skip
    model: NonlinearMixedModel | GeneralizedNonlinearMixedModel
    with watched("nlmer", verbose), at_most(options.n_threads):
        if chosen is None:
            model = fit_nonlinear_request(request, options, nAGQ, method, REML, hessian == "observed")
        else:
            model = fit_family_request(request, options, chosen, nAGQ, hessian)
    say_what_was_done("nlmer", verbose, model.optimization, model.convergence())
    return model


def fit_nonlinear_request(
    request: NonlinearRequest,
    options: LmerControl,
    nAGQ: int,
    method: Method,
    REML: Criterion,
    observed: bool,
) -> NonlinearMixedModel:
    """Check what was asked for and fit its nonlinear mixed model."""
    nonlinear = request.nonlinear
    _require_random_terms(nonlinear)
    y = numeric_response(nonlinear.design)
    check_design(nonlinear.design, options, linear=True)
    check_nested_residuals(nonlinear.design)
    _check_quadrature(nonlinear, nAGQ)
    assert nonlinear.start is not None

    def structured(start: FloatArray) -> StructuredNonlinearMixedModel:
        return StructuredNonlinearMixedModel.fitted_to(
            nonlinear, y, start, request.call, request.data, REML is not False
        )

    def independent(start: FloatArray) -> NonlinearEstimates:
        return estimated(nonlinear, y, start, method=method, REML=REML, nAGQ=nAGQ, observed=observed)

    with _naming_start(nonlinear):
        if nonlinear.design.residual is not None or nonlinear.design.dispersion:
            model = structured(nonlinear.start)
            other = _other_start(nonlinear, y, model.estimates, nonlinear.design.weights)
            return model if other is None else _lower(model, partial(structured, other))
        estimates = independent(nonlinear.start)
        other = _other_start(nonlinear, y, estimates, nonlinear.design.weights)
        if other is not None:
            estimates = _lower(estimates, partial(independent, other))
    return NonlinearMixedModel.judged(nonlinear, y, request.call, request.data, estimates)


def fit_family_request(
    request: NonlinearRequest, options: LmerControl, family: Family, nAGQ: int, hessian: str | None
) -> GeneralizedNonlinearMixedModel:
    """Check what was asked for and fit a nonlinear mixed model whose response has a family."""
    check_hessian(hessian, family)
    nonlinear = request.nonlinear
    _require_random_terms(nonlinear)
    check_two_levels(nonlinear.design.response)
    y, weights = initialize(nonlinear.design.response, nonlinear.design.weights, family)
    check_response_varies(y, nonlinear.design.response.text)
    check_design(nonlinear.design, options, linear=False)
    _check_quadrature(nonlinear, nAGQ)

    def fitted(from_start: NonlinearDesign) -> GeneralizedNonlinearMixedModel:
        return GeneralizedNonlinearMixedModel.fitted_to(
            from_start, y, weights, request.call, request.data, family, nAGQ=nAGQ, hessian=hessian
        )

    with _naming_start(nonlinear):
        model = fitted(nonlinear)
        through = link_of_response(nonlinear.design, family)
        other = _other_start(nonlinear, through, model.estimates, model.row_information)
        return model if other is None else _lower(model, lambda: fitted(replace(nonlinear, start=other)))


def _other_start(
    nonlinear: NonlinearDesign,
    y: FloatArray,
    found: NonlinearEstimates | NonlinearFamilyEstimates,
    weights: FloatArray | None,
) -> FloatArray | None:
    """Return a start with a better curve than a fit, or than where one began that did not end; or None."""
    assumed = nonlinear.start
    assert assumed is not None
    near = found.beta if found.convergence.is_optimum else assumed
    return other_start(nonlinear.mean, nonlinear.design.X, nonlinear.fixed_parameter, y, near, weights)


def _lower(found: _Fitted, again: Callable[[], _Fitted]) -> _Fitted:
    """Return the lower of a fit and one from another start, if that leads to an optimum."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an attempt that may come to nothing
            other = again()
    except (ConvergenceError, np.linalg.LinAlgError):
        return found
    estimates, others = _estimates(found), _estimates(other)
    lower = others.objective < estimates.objective - LOWER
    return other if lower and others.convergence.verdict in ("converged", "boundary") else found


def _estimates(found: _Fitted) -> NonlinearEstimates | NonlinearFamilyEstimates:
    return found if isinstance(found, NonlinearEstimates) else found.estimates


@contextmanager
def _naming_start(nonlinear: NonlinearDesign) -> Iterator[None]:
    """Say where a search began that could not."""
    try:
        yield
    except (ConvergenceError, np.linalg.LinAlgError) as error:
        raise ConvergenceError(
            f"the model could not be fitted from start={_shown(nonlinear)}: {error} Give other starting "
            "values, nearer to the data, or take random effects out."
        ) from error


def _require_random_terms(nonlinear: NonlinearDesign) -> None:
    """Refuse a nonlinear model without random effects."""
    if not nonlinear.design.random:
        names = nonlinear.mean.parameters
        raise FormulaError(
            f"the model has no random effects: say which parameters have some, '... ~ {names[0]} | g' or "
            f"random='{names[0]} ~ 1 | g', with g the grouping factor.",
            nonlinear.design.formula.text,
        )


def _chosen_family(family: Any, method: Any, residual: Any, dispersion: Any) -> Family | None:
    """Return the family, None for normal residuals about the mean itself."""
    if family is None:
        return None
    chosen = get_family(family)
    if chosen.name == "gaussian" and chosen.link.name == "identity":
        return None
    refuse_quasi(chosen)
    if method != "laplace":
        raise ControlError(
            f"method={method!r} is for normal residuals; a {chosen.name} response has method='laplace', "
            "which nAGQ= makes as exact as is wanted."
        )
    if residual is not None or dispersion is not None:
        raise ControlError(
            f"residual= and dispersion= are for normal residuals; the {chosen.name} family has neither."
        )
    return chosen


def _check_relationship(relmat: Any, method: Method, family: Family | None, structured: bool) -> None:
    """Refuse related levels where they are not to be had."""
    if relmat and (method != "lindstrom-bates" or family is not None or structured):
        instead = "leave out residual= and dispersion=" if structured else "write method='lindstrom-bates'"
        if family is not None:
            instead = "mm.glmer(..., relmat=) has them beside a linear predictor"
        raise ControlError(
            "relmat= ties levels together by their covariance, which nlmer() has for independent normal "
            f"residuals with method='lindstrom-bates' alone: {instead}."
        )


def _check_options(nAGQ: Any, method: Any, REML: Any, hessian: Any, family: Any) -> None:
    """Refuse options that are unknown or contradict each other."""
    whole_number("nAGQ", nAGQ, 1)
    one_of("method", method, ("laplace", "lindstrom-bates"))
    one_of("REML", REML, (False, True, "maximised"))
    one_of("hessian", hessian, (None, "expected", "observed"))
    if REML is not False and method == "laplace":
        raise ControlError(
            "REML is defined for a linear model: method='lindstrom-bates' has it, of the linearised one."
        )
    if method == "lindstrom-bates" and (nAGQ > 1 or hessian == "observed"):
        raise ControlError("method='lindstrom-bates' linearises the mean: it has neither nAGQ nor hessian.")
    if nAGQ > 1 and hessian == "observed" and family is None:
        raise ControlError(
            "quadrature has its nodes where the expected Hessian puts them: leave out hessian."
        )


def _check_quadrature(nonlinear: NonlinearDesign, nAGQ: int) -> None:
    """Refuse quadrature for several grouping factors."""
    groups = list(dict.fromkeys(term.group for term in nonlinear.design.random))
    if nAGQ > 1 and len(groups) > 1:
        raise ControlError(
            f"nAGQ > 1 is for one grouping factor; this model has {len(groups)}: {', '.join(groups)}. Use "
            "nAGQ=1."
        )


def _shown(nonlinear: NonlinearDesign) -> str:
    """Return starting values as they are written."""
    assert nonlinear.start is not None
    pairs = zip(nonlinear.design.x_names, nonlinear.start.tolist(), strict=True)
    return "{" + ", ".join(f"{name!r}: {value:.6g}" for name, value in pairs) + "}"
