"""Accessors as functions: ``fixef(m)`` is ``m.fixef()``, under lme4's names and in snake case.

Each has the signature and the docstring of its method, and takes any fitted model: what one cannot answer,
it says.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast, overload

import pandas as pd
from scipy import sparse

from mixedmodels.advice import advises, shown
from mixedmodels.errors import DataWarning, NotAvailableError, warn
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.inference.anova import check_models
from mixedmodels.inference.comparability import (
    different_approximations,
    different_criteria,
    different_responses,
    different_sizes,
)
from mixedmodels.inference.robust import RobustType
from mixedmodels.models.fitted_model import FittedModel
from mixedmodels.models.fixed_effects_model import FixedEffectsModel
from mixedmodels.models.generalized import VcovMethod
from mixedmodels.models.mixed_model import MixedModel
from mixedmodels.prediction.re_form import ReForm
from mixedmodels.prediction.request import DfOfLimits, IntervalType, NewNaAction, PredictionType

P = ParamSpec("P")
R = TypeVar("R")
Model = TypeVar("Model", bound=FittedModel)
Function = TypeVar("Function", bound=Callable[..., Any])


def _ask(model: Any, method: str, /, *args: Any, **kwargs: Any) -> Any:
    """Return what a method of a model answers.

    Raises
    ------
    NotAvailableError
        If this is no fitted model, or one of a kind that has no such method.
    """
    if not isinstance(model, Fit):
        raise NotAvailableError(f"{method}() needs a fitted model; {shown(model)} is none.")
    try:
        bound = getattr(model, method)
    except AttributeError as error:
        raise NotAvailableError(str(error)) from None
    return bound(*args, **kwargs)


def _function_of(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[FittedModel, P], R]:
    """Return a method as a function of any fitted model, with its parameters and its docstring."""
    name = method.__name__

    def ask(model: Any, /, *args: Any, **kwargs: Any) -> Any:
        return _ask(model, name, *args, **kwargs)

    ask.__name__ = ask.__qualname__ = name
    return cast(Callable[Concatenate[FittedModel, P], R], _documented_by(method)(ask))


def _documented_by(method: Callable[..., Any]) -> Callable[[Function], Function]:
    """Give a function the parameters and the docstring of a method, whose model is its first argument."""
    signature = inspect.signature(method)
    own, *others = signature.parameters.values()
    first = own.replace(name="model", kind=own.POSITIONAL_ONLY, annotation="FittedModel")

    def document(function: Function) -> Function:
        function.__doc__ = method.__doc__
        vars(function)["__signature__"] = signature.replace(parameters=[first, *others])
        return advises(function)

    return document


# Criteria: of one model a number, of several a table.


def _criterion(method: str, model: FittedModel, others: tuple[FittedModel, ...]) -> float | pd.DataFrame:
    """Return one model's criterion, or a table for several as in R."""
    check_models((model, *others), method)
    if not others:
        return cast(float, getattr(model, method)())
    models = (model, *others)
    rows = [f"MODEL{i + 1}" for i in range(len(models))]
    _warn_unless_comparable(models, rows)
    values = {"df": [m.npar for m in models], method.upper(): [getattr(m, method)() for m in models]}
    return pd.DataFrame(values, index=rows)


def _warn_unless_comparable(models: Sequence[Fit], names: Sequence[str]) -> None:
    """Warn if the criteria of these fits say nothing about which model is better."""
    difference = (
        different_sizes(models)
        or different_responses(models)
        or different_criteria(models)
        or different_approximations(models, names)
    )
    if difference:
        warn(f"these criteria are not comparable: {difference}", DataWarning)


@overload
def aic(model: FittedModel, /) -> float: ...
@overload
def aic(model: FittedModel, other: FittedModel, /, *others: FittedModel) -> pd.DataFrame: ...
@advises
def aic(model: FittedModel, /, *others: FittedModel) -> float | pd.DataFrame:
    """Return Akaike's information criterion; of several models a table, with their numbers of parameters.

    Parameters
    ----------
    model, *others : fitted models
        Models of the same response; a warning says why criteria are not comparable.

    Returns
    -------
    float or DataFrame
        Columns ``df`` and ``AIC``, a row for each model.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"), REML=False)
    >>> round(mm.aic(m), 2)
    1763.94
    """
    return _criterion("aic", model, others)


@overload
def bic(model: FittedModel, /) -> float: ...
@overload
def bic(model: FittedModel, other: FittedModel, /, *others: FittedModel) -> pd.DataFrame: ...
@advises
def bic(model: FittedModel, /, *others: FittedModel) -> float | pd.DataFrame:
    """Return Schwarz's information criterion; of several models a table, with their numbers of parameters.

    Parameters
    ----------
    model, *others : fitted models
        Models of the same response; a warning says why criteria are not comparable.

    Returns
    -------
    float or DataFrame
        Columns ``df`` and ``BIC``, a row for each model.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> sleepstudy = mm.load_dataset("sleepstudy")
    >>> m0 = mm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, REML=False)
    >>> m1 = mm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy, REML=False)
    >>> mm.bic(m0, m1).round(1)
            df     BIC
    MODEL1   4  1814.9
    MODEL2   6  1783.1
    """
    return _criterion("bic", model, others)


# Accessors whose answer, or whose arguments, depend on the kind of model.


@overload
def coef(model: MixedModel, /) -> dict[str, pd.DataFrame]: ...
@overload
def coef(model: FixedEffectsModel, /) -> pd.Series[float]: ...
@advises
def coef(model: FittedModel, /) -> dict[str, pd.DataFrame] | pd.Series[float]:
    """Return the coefficients of each level of the grouping factors, or those of a model without any.

    Parameters
    ----------
    model : fitted model
        Any.

    Returns
    -------
    dict of DataFrame
        By grouping factor: fixed plus random effects, a row for each level; of models without random
        effects a Series, the fixed effects.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.coef(m)["Subject"].loc["308"].round(2).tolist()
    [253.66, 19.67]
    """
    return cast("dict[str, pd.DataFrame] | pd.Series[float]", _ask(model, "coef"))


@advises
def refit(model: Model, /, newresp: Any) -> Model:
    """Fit the same model to another response.

    Parameters
    ----------
    model : fitted model
        Any.
    newresp : array_like, shape (n,)
        New response at the rows used (or at all input rows, of which those used are taken): numbers of
        successes for a ``cbind`` response (or two columns), proportions where weights are trials, else values
        on the scale of y.

    Returns
    -------
    fitted model
        Of the same kind.

    Raises
    ------
    DataError, FamilyError
        If the length is wrong, or a value is not finite or outside the range of the family.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.refit(m, 2.0 * m.model_frame()["Reaction"]).fixef().round(2).tolist()
    [502.81, 20.93]
    """
    return cast(Model, _ask(model, "refit", newresp))


@advises
def refitML(model: Model, /) -> Model:
    """Return the fit by maximum likelihood: of a model fitted by REML another one, else the model itself.

    Parameters
    ----------
    model : fitted model
        Any.

    Returns
    -------
    fitted model
        Of the same kind.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> round(mm.refitML(m).deviance(), 2)
    1751.94
    """
    return cast(Model, _ask(model, "refitML"))


@advises
def vcov(
    model: FittedModel,
    /,
    type: RobustType | Literal["kenward-roger"] | None = None,
    cluster: Any = None,
    full: bool = False,
    method: VcovMethod | None = None,
) -> pd.DataFrame:
    """Return the covariance matrix of the fixed effects.

    Parameters
    ----------
    model : fitted model
        Any.
    type : {"CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3", "kenward-roger"}, optional
        A cluster-robust covariance; or, of linear mixed models, the one adjusted for the variances being
        estimates. By default that of the model.
    cluster : str or array_like, optional
        Clusters of a robust covariance.
    full : bool
        Whether to return the joint covariance of prediction errors of (b, beta) of a mixed model, dense.
    method : {"hessian", "rx"}, optional
        Of a generalized mixed model: from the Hessian of the objective (the default), or with theta as known.

    Returns
    -------
    DataFrame, shape (p, p)
        By name of coefficient.

    Raises
    ------
    ControlError, DataError, NotAvailableError
        If `type`, `cluster` or `method` is unknown, or this kind of model does not have it.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.vcov(m, "CR2").loc["Days"].round(3).tolist()
    [-1.451, 2.389]
    """
    given = {"type": type, "cluster": cluster, "full": full or None, "method": method}
    return cast(
        pd.DataFrame,
        _ask(model, "vcov", **{name: value for name, value in given.items() if value is not None}),
    )


# Accessors whose answer depends on an argument.


@overload
def predict(
    model: FittedModel,
    /,
    newdata: Any = None,
    re_form: ReForm = None,
    type: PredictionType = "link",
    allow_new_levels: bool = False,
    se_fit: Literal[False] = False,
    random_only: bool = False,
    *,
    offset: Any = None,
    interval: None = None,
    level: float = 0.95,
    df: DfOfLimits = None,
    weights: Any = None,
    na_action: NewNaAction = "pass",
) -> pd.Series[float]: ...
@overload
def predict(
    model: FittedModel,
    /,
    newdata: Any = None,
    re_form: ReForm = None,
    type: PredictionType = "link",
    allow_new_levels: bool = False,
    se_fit: bool = False,
    random_only: bool = False,
    *,
    offset: Any = None,
    interval: IntervalType,
    level: float = 0.95,
    df: DfOfLimits = None,
    weights: Any = None,
    na_action: NewNaAction = "pass",
) -> pd.DataFrame: ...
@overload
def predict(
    model: FittedModel,
    /,
    newdata: Any = None,
    re_form: ReForm = None,
    type: PredictionType = "link",
    allow_new_levels: bool = False,
    *,
    se_fit: Literal[True],
    random_only: bool = False,
    offset: Any = None,
    interval: IntervalType | None = None,
    level: float = 0.95,
    df: DfOfLimits = None,
    weights: Any = None,
    na_action: NewNaAction = "pass",
) -> pd.DataFrame: ...
@overload
def predict(
    model: FittedModel,
    /,
    newdata: Any = None,
    re_form: ReForm = None,
    type: PredictionType = "link",
    allow_new_levels: bool = False,
    se_fit: bool = False,
    random_only: bool = False,
    *,
    offset: Any = None,
    interval: IntervalType | None = None,
    level: float = 0.95,
    df: DfOfLimits = None,
    weights: Any = None,
    na_action: NewNaAction = "pass",
) -> pd.Series[float] | pd.DataFrame: ...
@_documented_by(MixedModel.predict)
def predict(model: FittedModel, /, *args: Any, **kwargs: Any) -> pd.Series[float] | pd.DataFrame:
    """Predict."""
    return cast("pd.Series[float] | pd.DataFrame", _ask(model, "predict", *args, **kwargs))


@overload
def model_matrix(
    model: FittedModel, /, type: Literal["fixed"] = "fixed", newdata: Any = None
) -> pd.DataFrame: ...
@overload
def model_matrix(model: FittedModel, /, type: Literal["random"], newdata: Any = None) -> sparse.csc_array: ...
@_documented_by(MixedModel.model_matrix)
def model_matrix(model: FittedModel, /, *args: Any, **kwargs: Any) -> pd.DataFrame | sparse.csc_array:
    """Return the model matrix."""
    return cast("pd.DataFrame | sparse.csc_array", _ask(model, "model_matrix", *args, **kwargs))


REMLcrit = _function_of(MixedFit.REMLcrit)
VarCorr = _function_of(MixedModel.VarCorr)
confint = _function_of(FittedModel.confint)
convergence = _function_of(Fit.convergence)
cooks_distance = _function_of(FittedModel.cooks_distance)
deviance = _function_of(Fit.deviance)
df_residual = _function_of(Fit.df_residual)
family = _function_of(Fit.family)
fitted = _function_of(FittedModel.fitted)
fixef = _function_of(Fit.fixef)
formula = _function_of(Fit.formula)
getME = _function_of(MixedModel.getME)
hatvalues = _function_of(FittedModel.hatvalues)
is_singular = _function_of(MixedModel.is_singular)
loglik = _function_of(Fit.loglik)
model_frame = _function_of(FittedModel.model_frame)
ngrps = _function_of(MixedFit.ngrps)
nobs = _function_of(Fit.nobs)
ranef = _function_of(MixedModel.ranef)
residuals = _function_of(FittedModel.residuals)
rstandard = _function_of(FittedModel.rstandard)
rstudent = _function_of(FittedModel.rstudent)
sigma = _function_of(Fit.sigma)
summary = _function_of(FittedModel.summary)
terms = _function_of(Fit.terms)
theta = _function_of(MixedFit.theta)
weights = _function_of(FittedModel.weights)

# lme4's spelling where it differs.
AIC = aic
BIC = bic
isSingular = is_singular
logLik = loglik
resid = residuals
