"""Accessors as functions: ``fixef(m)`` is ``m.fixef()``, under lme4's names and in snake case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mixedmodels.errors import NotAvailableError


def _accessor(method: str) -> Callable[..., Any]:
    """Return a function that calls `method` of the model it is given."""

    def ask(model: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            bound = getattr(model, method)
        except AttributeError:
            raise NotAvailableError(f"a {type(model).__name__} has no {method}().") from None
        return bound(*args, **kwargs)

    ask.__name__ = ask.__qualname__ = method
    ask.__doc__ = f"Return ``model.{method}(...)``."
    return ask


REMLcrit = _accessor("REMLcrit")
VarCorr = _accessor("VarCorr")
aic = _accessor("aic")
bic = _accessor("bic")
coef = _accessor("coef")
confint = _accessor("confint")
convergence = _accessor("convergence")
deviance = _accessor("deviance")
df_residual = _accessor("df_residual")
factorization = _accessor("factorization")
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
optimization = _accessor("optimization")
predict = _accessor("predict")
ranef = _accessor("ranef")
refit = _accessor("refit")
refitML = _accessor("refitML")
residuals = _accessor("residuals")
sigma = _accessor("sigma")
simulate = _accessor("simulate")
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
