"""Fit a linear model to each group by itself: the whole story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.checks import numeric_response
from mixedmodels.control import true_or_false
from mixedmodels.engines.least_squares import fit_least_squares
from mixedmodels.errors import DataWarning, FormulaError, warn
from mixedmodels.formula.design.design import Design, NaAction
from mixedmodels.formula.design.rows import design_of_rows
from mixedmodels.formula.language.parse import parse_tilde
from mixedmodels.formula.language.syntax_tree import Binary, deparse, strip_parens
from mixedmodels.models.lm import LinearModel
from mixedmodels.models.lm_list import LmList
from mixedmodels.request import Request, read_request

#: Names of groups that a warning lists.
LISTED = 5


@advises
def lm_list(
    formula: str,
    data: Any,
    *,
    pool: bool = True,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
) -> LmList:
    """Fit a linear model to each group by itself, to look at before a mixed model.

    The counterpart of lme4's ``lmList``. Columns of the model are computed from all rows, so that levels of
    factors, and bases such as ``poly(x, 2)``, mean the same in every group.

    Parameters
    ----------
    formula : str
        The model and, after a bar, the groups: ``"Reaction ~ Days | Subject"``.
    data : DataFrame, dict of arrays, polars DataFrame or pyarrow Table
        The variables.
    pool : bool
        Whether standard errors, tests and limits take one residual standard deviation for all groups.
    weights, offset, subset, na_action, contrasts, env
        As for :func:`mixedmodels.lm`.

    Returns
    -------
    LmList

    Raises
    ------
    FormulaError, DataError
        If the formula or the data are at fault; the message names it.

    Warns
    -----
    DataWarning
        If the rows of some groups do not determine all coefficients.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fits = mm.lm_list("Reaction ~ Days | Subject", mm.load_dataset("sleepstudy"))
    >>> fits.coef().round(2).loc["308"].tolist()
    [244.19, 21.76]
    >>> round(fits.sigma(), 4)
    25.5918
    """
    true_or_false(pool=pool)
    request = read_request(
        _with_groups(formula), data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env,
    )  # fmt: skip
    fits = _fits(request, numeric_response(request.design, "glm"))
    _warn_of_undetermined(request.design, fits)
    return LmList(formula, request.design, fits, pool)


def _with_groups(formula: str) -> str:
    """Return ``y ~ x | g`` with the groups as a random intercept, ``y ~ x + (1 | g)``.

    Raises
    ------
    FormulaError
        If it is not of that form.
    """
    response, right = parse_tilde(formula)
    bar = strip_parens(right)
    if response is None or not isinstance(bar, Binary) or bar.operator != "|":
        raise FormulaError(
            "lm_list() needs a model and, after a bar, its groups: 'y ~ x | g'. For random effects, "
            "'y ~ x + (x | g)', there is lmer().",
            formula,
            0,
        )
    return f"{deparse(response)} ~ {deparse(bar.left)} + (1 | {deparse(bar.right)})"


def _fits(request: Request, y: FloatArray) -> dict[str, LinearModel]:
    """Return the model of each group.

    Raises
    ------
    FormulaError
        If there is more than one grouping factor.
    """
    design = request.design
    if len(design.random) != 1:
        groups = ", ".join(term.group for term in design.random)
        raise FormulaError(
            f"lm_list() has one grouping factor after the bar, not {groups}. Write 'y ~ x | a:b' for the "
            "combinations of two.",
            design.recipe.text,
            0,
        )
    term = design.random[0]
    order = np.argsort(term.codes, kind="stable")
    ends = np.cumsum(np.bincount(term.codes, minlength=term.n_levels))[:-1]
    whole = replace(design, random=())
    found = {}
    for level, rows in zip(term.levels, np.split(order, ends), strict=True):
        own = design_of_rows(whole, rows)
        weights = np.ones(len(rows)) if own.weights is None else own.weights
        estimates = fit_least_squares(y[rows], own.X, weights, own.offset)
        found[level] = LinearModel(own, y[rows], request.call, request.data, estimates)
    return found


def _warn_of_undetermined(design: Design, fits: Mapping[str, LinearModel]) -> None:
    """Warn of groups whose rows do not determine all coefficients."""
    short = [level for level, fit in fits.items() if len(fit.design.x_names) < len(design.x_names)]
    if short:
        more = ", ..." if len(short) > LISTED else ""
        warn(
            f"the rows of {len(short)} of {len(fits)} groups do not determine all coefficients, and some are "
            f"NaN there: {design.random[0].group} {', '.join(short[:LISTED])}{more}",
            DataWarning,
        )
