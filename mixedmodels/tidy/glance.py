"""One row for a whole fit, in the columns of R's broom.mixed: ``glance(m)``."""

from __future__ import annotations

import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.fits.fit import Fit
from mixedmodels.tidy.tidy import check_fit


@advises
def glance(model: Fit) -> pd.DataFrame:
    """Return what describes a whole model as a table of one row, in the columns of R's broom.mixed.

    Parameters
    ----------
    model : fitted model
        The model.

    Returns
    -------
    DataFrame
        Columns nobs, sigma, logLik, AIC, BIC, deviance (REMLcrit of a REML fit) and df.residual; a fit
        without a likelihood lacks those that follow from one.

    Raises
    ------
    ControlError
        If `model` is no fitted model.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.glance(m).round(2)["REMLcrit"].item()
    1743.63
    """
    check_fit(model, "glance")
    values: dict[str, float] = {"nobs": model.nobs(), "sigma": model.sigma()}
    if model.has_likelihood and not model.is_quasi:
        values |= {"logLik": model.loglik(), "AIC": model.aic(), "BIC": model.bic()}
    if model.is_reml:
        values["REMLcrit"] = -2.0 * model.loglik()
    elif model.has_likelihood:
        values["deviance"] = model.deviance()
    return pd.DataFrame([values | {"df.residual": model.df_residual()}])
