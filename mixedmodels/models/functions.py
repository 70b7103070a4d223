"""Accessors as functions: ``fixef(m)`` is ``m.fixef()``, under lme4's names and in snake case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.errors import DataWarning, NotAvailableError, warn
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.anova import check_models
from mixedmodels.inference.comparability import (
    different_approximations,
    different_criteria,
    different_responses,
    different_sizes,
)


def _accessor(method: str) -> Callable[..., Any]:
    """Return a function that calls `method` of the model it is given."""

    def ask(model: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(model, Fit):
            raise NotAvailableError(f"{method}() needs a fitted model; {shown(model)} is none.")
        try:
            bound = getattr(model, method)
        except AttributeError as error:
            raise NotAvailableError(str(error)) from None
        return bound(*args, **kwargs)

    ask.__name__ = ask.__qualname__ = method
    ask.__doc__ = f"Return ``model.{method}(...)``."
    return advises(ask)


def _criterion(method: str) -> Callable[..., Any]:
    """Return a function that gives one model's criterion, or a table for several as in R."""

    def ask(model: Any, /, *others: Any) -> Any:
        check_models((model, *others), method)
        if not others:
            return getattr(model, method)()
        models = (model, *others)
        rows = [f"MODEL{i + 1}" for i in range(len(models))]
        _warn_unless_comparable(models, rows)
        values = {"df": [m.npar for m in models], method.upper(): [getattr(m, method)() for m in models]}
        return pd.DataFrame(values, index=rows)

    ask.__name__ = ask.__qualname__ = method
    ask.__doc__ = f"Return ``model.{method}()``; of several models, a table with their degrees of freedom."
    return advises(ask)


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


aic = _criterion("aic")
bic = _criterion("bic")
REMLcrit = _accessor("REMLcrit")
VarCorr = _accessor("VarCorr")
coef = _accessor("coef")
confint = _accessor("confint")
convergence = _accessor("convergence")
cooks_distance = _accessor("cooks_distance")
deviance = _accessor("deviance")
df_residual = _accessor("df_residual")
family = _accessor("family")
fitted = _accessor("fitted")
fixef = _accessor("fixef")
formula = _accessor("formula")
getME = _accessor("getME")
hatvalues = _accessor("hatvalues")
is_singular = _accessor("is_singular")
loglik = _accessor("loglik")
model_frame = _accessor("model_frame")
model_matrix = _accessor("model_matrix")
ngrps = _accessor("ngrps")
nobs = _accessor("nobs")
predict = _accessor("predict")
ranef = _accessor("ranef")
refit = _accessor("refit")
refitML = _accessor("refitML")
residuals = _accessor("residuals")
rstandard = _accessor("rstandard")
rstudent = _accessor("rstudent")
sigma = _accessor("sigma")
summary = _accessor("summary")
terms = _accessor("terms")
theta = _accessor("theta")
vcov = _accessor("vcov")
weights = _accessor("weights")

# lme4's spelling where it differs.
AIC = aic
BIC = bic
isSingular = is_singular
logLik = loglik
resid = residuals
