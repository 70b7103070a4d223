"""Fit a mixed model for repeated measures: the whole story."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy.typing as npt

from mixedmodels.advice import advises
from mixedmodels.checks import check_design, numeric_response, refuse_random_terms
from mixedmodels.control import Information, LmerControl, one_of
from mixedmodels.formula.design.design import NaAction
from mixedmodels.formula.language.residual_term import split_residual
from mixedmodels.models.structured import MmrmModel
from mixedmodels.request import read_request


@advises
def mmrm(
    formula: str,
    data: Any,
    *,
    REML: bool = True,
    weights: str | npt.ArrayLike | None = None,
    dispersion: str | None = None,
    information: Information = "observed",
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
) -> MmrmModel:
    """Fit a mixed model for repeated measures, in the syntax of R's package mmrm.

    The covariance between the visits of a subject is a term of the formula. Subjects may miss visits; tests
    of the fixed effects are Satterthwaite's, or Kenward and Roger's with ``ddf="kenward-roger"``.

    Parameters
    ----------
    formula : str
        Fixed effects and one covariance structure:
        ``"FEV1 ~ RACE + SEX + ARMCD * AVISIT + us(AVISIT | USUBJID)"``. Structures are us, cs, csh, ar1,
        ar1h, toep, toeph, ad, adh and the spatial ones; ``us(AVISIT | ARMCD / USUBJID)`` has parameters of
        its own in each arm.
    data : DataFrame, dict of arrays, polars DataFrame or pyarrow Table
        The variables, one row for each subject and visit.
    REML : bool
        Whether to maximise the restricted likelihood.
    weights : str or array_like, optional
        Prior weights: covariances are divided by the roots of those of both rows.
    dispersion : str, optional
        Further variance functions, as for :func:`mixedmodels.gls`.
    information : {"observed", "expected"}
        Information about the covariance parameters that Kenward and Roger's method takes: observed as SAS, or
        expected as R's pbkrtest.
    offset, subset, na_action, contrasts, env
        As for :func:`mixedmodels.lmer`.

    Returns
    -------
    MmrmModel

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
    >>> m = mm.mmrm("Reaction ~ Days + ar1h(Days | Subject)", data)
    >>> m.convergence().verdict
    'converged'
    """
    one_of("REML", REML, (True, False))
    one_of("information", information, get_args(Information))
    mean, structure = split_residual(formula)
    request = read_request(
        mean, data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env, residual=structure, dispersion=dispersion,
        information=None if information == "observed" else information,
    )  # fmt: skip
    design = request.design
    refuse_random_terms(design, "mmrm", "lmer")
    y = numeric_response(design, "glm")
    check_design(design, LmerControl(), linear=False)
    return MmrmModel.fitted_to(design, y, request.call, request.data, REML)
