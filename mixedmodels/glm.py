"""Fit a generalized linear model: the model without random effects, to test one against none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.checks import (
    check_design,
    check_two_levels,
    refuse_offset,
    refuse_random_terms,
    warn_if_family_forgotten,
)
from mixedmodels.control import LmerControl
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.glm.fit import fit_glm
from mixedmodels.families import get_family, initialize, log_constant
from mixedmodels.families.family import Family
from mixedmodels.formula.design.design import NaAction
from mixedmodels.generalized_request import judged_estimates
from mixedmodels.models.glm import GeneralizedLinearModel
from mixedmodels.request import Request, read_request

with on_first_use():
    from mixedmodels import glm_of_counts


@advises
def glm(
    formula: str,
    data: Any,
    family: Any = None,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
) -> GeneralizedLinearModel:
    """Fit a generalized linear model by maximum likelihood or quasi-likelihood.

    Where the family has a dispersion (gaussian, Gamma, inverse Gaussian and the quasi families) the tests are
    t tests, their dispersion Pearson's X2 over n - p, as in R's summary; the likelihood takes its maximum.

    Parameters
    ----------
    formula : str
        Formula without random effects.
    data : DataFrame, dict of arrays, polars DataFrame or pyarrow Table; or a source
        The variables. Equal rows of a source, such as :func:`mixedmodels.moments` reads, are counted;
        families with a dispersion need a table.
    family : str, constructor or Family
        Any family of :func:`mixedmodels.glmer`, and ``"quasibinomial"``, ``"quasipoisson"``; gaussian where
        it is left out.
    weights, offset, subset, na_action, contrasts, env
        As for :func:`mixedmodels.glmer`.

    Returns
    -------
    GeneralizedLinearModel

    Raises
    ------
    FormulaError, DataError, FamilyError
        If the formula, the data or the family is at fault; the message names it.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.glm("cbind(incidence, size - incidence) ~ period", mm.load_dataset("cbpp"), "binomial")
    >>> round(float(m.fixef()["period2"]), 4)
    -1.1708
    """
    asked: dict[str, Any] = {
        "weights": weights, "offset": offset, "subset": subset, "na_action": na_action,
        "contrasts": contrasts, "env": env,
    }  # fmt: skip
    if not isinstance(data, (pd.DataFrame, Mapping)) and glm_of_counts.is_asked(formula, data):
        return glm_of_counts.fit(formula, data, family, asked)
    request = read_request(formula, data, **asked)
    refuse_random_terms(request.design, "glm", "glmer")
    if family is None:
        warn_if_family_forgotten("glm", request.design)
    chosen = get_family("gaussian" if family is None else family)
    return fit_glm_request(request, chosen, LmerControl())


def fit_glm_request(request: Request, family: Family, options: LmerControl) -> GeneralizedLinearModel:
    """Check what was asked for and fit its generalized linear model."""
    design, data = request.design, request.data
    check_two_levels(design.response)
    refuse_offset(design, family)
    y, weights = initialize(design.response, design.weights, family)
    check_design(design, options, linear=False)
    constant = log_constant(design, y, weights, family)
    estimates = judged_estimates(
        design, data, y, weights, family,
        lambda: fit_glm(y, weights, design.X, design.offset, family, constant),
    )  # fmt: skip
    return GeneralizedLinearModel(design, y, weights, request.call, data, family, estimates)
