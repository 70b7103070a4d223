"""Fit a linear model with structured residuals: generalized least squares, the whole story."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy.typing as npt

from mixedmodels.advice import advises
from mixedmodels.checks import check_design, numeric_response, refuse_random_terms
from mixedmodels.control import Information, LmerControl, one_of
from mixedmodels.formula.design.design import NaAction
from mixedmodels.models.structured import GlsModel
from mixedmodels.request import read_request


@advises
def gls(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    dispersion: str | None = None,
    REML: bool = True,
    information: Information = "observed",
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
) -> GlsModel:
    """Fit a linear model whose residuals are correlated within groups, or of unequal variances.

    The counterpart of nlme's ``gls``: ``correlation = corAR1(form = ~ time | g)`` is
    ``residual="ar1(time | g)"``, ``weights = varIdent(form = ~ 1 | sex)`` is ``dispersion="ident(sex)"``.

    Parameters
    ----------
    formula : str
        Formula without random effects, ``"distance ~ age * Sex"``.
    data : DataFrame, dict of arrays, polars DataFrame or pyarrow Table
        The variables.
    residual : str, optional
        Correlation of the residuals within groups: ``"ar1(visit | subject)"``, ``"us(visit | subject)"``,
        ``"exp(x + y | field)"``. Rows are placed by the values of the time variable.
    dispersion : str, optional
        Variances of the residuals: ``"ident(sex)"``, ``"power(age)"``, ``"power(fitted)"``, ``"exp(x)"``,
        ``"constpower(x)"``, ``"~ sex + age"``, products of these.
    REML : bool
        Whether to maximise the restricted likelihood.
    information : {"observed", "expected"}
        Information about the covariance parameters that Kenward and Roger's method takes.
    weights : str or array_like, optional
        Prior (precision) weights: variances are divided by them.
    offset, subset, na_action, contrasts, env
        As for :func:`mixedmodels.lmer`.

    Returns
    -------
    GlsModel

    Raises
    ------
    FormulaError, DataError, ControlError
        If the formula, the data or an option is at fault; the message names it.

    Warns
    -----
    ConvergenceWarning, IdentificationWarning
        If the optimum was not reached, or is one of many.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.load_dataset("sleepstudy")
    >>> m = mm.gls("Reaction ~ Days", data, residual="ar1(Days | Subject)")
    >>> round(m.loglik(), 3)
    -869.603
    """
    one_of("REML", REML, (True, False))
    one_of("information", information, get_args(Information))
    request = read_request(
        formula, data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env, residual=residual, dispersion=dispersion,
        information=None if information == "observed" else information,
    )  # fmt: skip
    design = request.design
    refuse_random_terms(design, "gls", "lmer")
    y = numeric_response(design, "glm")
    check_design(design, LmerControl(), linear=False)
    return GlsModel.fitted_to(design, y, request.call, request.data, REML)
