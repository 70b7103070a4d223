"""Fit a marginal model by generalized estimating equations: the whole story."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.checks import (
    check_design,
    check_response_varies,
    check_two_levels,
    refuse_offset,
    refuse_random_terms,
    warn_if_family_forgotten,
    warn_unless_converged,
)
from mixedmodels.control import LmerControl
from mixedmodels.engines.gee.variance import check_family
from mixedmodels.engines.glm.fit import maximize
from mixedmodels.errors import ControlError, DataError
from mixedmodels.families import get_family, initialize
from mixedmodels.families.family import Family
from mixedmodels.fits.gee import GeeOptions
from mixedmodels.formula.design.design import Design, NaAction
from mixedmodels.inference.gee.covariance import CovType, checked_type
from mixedmodels.models.gee import GeeModel
from mixedmodels.request import Request, read_grouped_request
from mixedmodels.separation_checks import naming_separation, refuse_separation

#: Working correlations that are the same whatever the order of times is.
UNORDERED = ("independence", "exchangeable", "unstructured")


@advises
def gee(
    formula: str,
    data: Any,
    groups: str | npt.ArrayLike,
    family: Any = None,
    *,
    corr: Any = "independence",
    time: str | npt.ArrayLike | None = None,
    scale: float | None = None,
    cov_type: CovType = "robust",
    start: npt.ArrayLike | None = None,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
) -> GeeModel:
    """Fit a marginal model of correlated responses by generalized estimating equations.

    Coefficients are about means in the population, where those of a mixed model are about a subject. Their
    standard errors hold whatever the correlation within groups is, if there are many groups; the working
    correlation makes estimates more precise the nearer it is to the true one. Estimates are geepack's.

    Parameters
    ----------
    formula : str
        Formula without random effects.
    data : DataFrame, dict of arrays, polars DataFrame or pyarrow Table
        The variables.
    groups : str or array_like
        Which rows are correlated: a column, an expression such as ``"site:patient"``, or one value a row.
        Rows of a group need not follow each other.
    family : str, constructor or Family
        Binomial, poisson, gaussian, Gamma, inverse_gaussian or a quasi family, with any link; gaussian where
        it is left out. The variance is the scale times the family's, over the weights.
    corr : str or array_like
        Working correlation: ``"independence"``, ``"exchangeable"``, ``"ar1"``, ``"unstructured"``,
        ``"m-dependent(2)"`` (zero beyond 2 steps), ``"toeplitz"`` (``"stationary"``: one for each number of
        steps), or a correlation matrix, one row and column for each time.
    time : str or array_like, optional
        Where rows are within their groups: steps are counted among the values that occur in the data, so that
        a group may lack some. By default rows count in their order.
    scale : float, optional
        The scale phi, as 1 for binomial and Poisson variances; estimated where it is left out, as the
        weighted mean of squared Pearson residuals.
    cov_type : str
        Kind of the standard errors, as :meth:`GeeModel.vcov` has them: ``"robust"``, ``"naive"``,
        ``"kauermann-carroll"``, ``"mancl-derouen"``, ``"fay-graubard"``, ``"one-step jackknife"`` or
        ``"jackknife"``.
    start : array_like, optional
        Coefficients to begin from, by default those under independence.
    weights : str or array_like, optional
        Prior weights, the numbers of trials of a ``cbind`` response included, as geepack has them: they
        divide variances, and the scale is a mean of unweighted squared residuals that counts rows by them.
    offset, subset, na_action, contrasts, env
        As for :func:`mixedmodels.glmer`.

    Returns
    -------
    GeeModel

    Raises
    ------
    FormulaError, DataError, FamilyError, ControlError
        If the formula, the data, the family or an option is at fault; the message names it.
    ConvergenceError
        If coefficients have no finite estimates, or the moment estimates are no correlation matrix.

    Warns
    -----
    ConvergenceWarning
        If the equations were not solved.

    References
    ----------
    Liang & Zeger (1986), Biometrika 73, 13-22. Halekoh, Hojsgaard & Yan (2006), J. Stat. Softw. 15(2).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.load_dataset("ohio")
    >>> m = mm.gee("resp ~ age * smoke", data, groups="id", family="binomial", corr="exchangeable")
    >>> m.fixef().round(4).tolist()
    [-1.9005, -0.1412, 0.3138, 0.0708]
    """
    options = GeeOptions(corr, _scale(scale), checked_type(cov_type, "cov_type"))
    others = {"corr": corr, "scale": scale, "cov_type": cov_type}
    request = read_grouped_request(
        formula, data, groups=groups, time=time, weights=weights, offset=offset, subset=subset,
        na_action=na_action, contrasts=contrasts, env=env, others=others,
        in_order=not (isinstance(corr, str) and corr in UNORDERED),
    )  # fmt: skip
    refuse_random_terms(request.design, "gee", "glmer")
    if family is None:
        warn_if_family_forgotten("gee", request.design)
    chosen = get_family("gaussian" if family is None else family)
    return _fit(request, chosen, options, start)


def _fit(request: Request, family: Family, options: GeeOptions, start: Any) -> GeeModel:
    """Check what was asked for and solve its estimating equations."""
    design, data = request.design, request.data
    check_family(family)
    check_two_levels(design.response)
    refuse_offset(design, family)
    y, weights = initialize(design.response, design.weights, family)
    check_design(design, LmerControl(), linear=False)
    _check_groups(design, weights)
    beta = _start(request, y, weights, family, start)
    model = GeeModel.fitted_to(design, y, weights, request.call, data, family, options, beta)
    warn_unless_converged(model.convergence())
    return model


def _start(request: Request, y: FloatArray, weights: FloatArray, family: Family, start: Any) -> FloatArray:
    """Return the coefficients under independence, or those to begin from that were given.

    Raises
    ------
    ConvergenceError
        If coefficients have no finite estimates.
    DataError
        If the response is constant.
    """
    design = request.design
    if family.name not in ("binomial", "quasibinomial"):
        check_response_varies(y, design.response.text)
    offset = np.zeros(len(y)) if design.offset is None else design.offset
    with naming_separation(design, request.data, y, weights, family):
        point, _, _ = maximize(y, weights, design.X, offset, family)
    refuse_separation(design, request.data, y, weights, family, point.beta, point.eta, point.phi)
    if start is None:
        return point.beta
    try:
        given = np.asarray(start, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape != point.beta.shape or not np.isfinite(given).all():
        raise ControlError(
            f"start must be {len(point.beta)} numbers, one for each coefficient: {', '.join(design.x_names)}."
        )
    return given


def _check_groups(design: Design, weights: FloatArray) -> None:
    """Raise DataError where there are not two groups, without which there is no variation between groups."""
    groups = design.residual
    assert groups is not None
    used = np.unique(groups.codes[weights > 0.0])
    if len(used) < 2:
        raise DataError(
            f"{groups.group_name} has one group only, {groups.groups[used[0]]}: standard errors come from "
            "the variation between groups, and need many."
        )


def _scale(scale: Any) -> float | None:
    """Return the scale that was given."""
    if scale is None:
        return None
    if isinstance(scale, bool) or not isinstance(scale, (int, float, np.number)) or not 0.0 < scale < np.inf:
        raise ControlError(f"scale must be a positive number, such as 1, or None, not {shown(scale)}.")
    return float(scale)
