"""Fit a linear model by least squares: the whole story."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.checks import check_design, numeric_response, refuse_random_terms
from mixedmodels.control import LmerControl
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.least_squares import LeastSquaresEstimates, fit_least_squares
from mixedmodels.errors import DataError, DataWarning, MissingArgumentError, warn
from mixedmodels.formula.design.design import Design, NaAction
from mixedmodels.formula.design.fixed_effects import independent_columns
from mixedmodels.models.lm import LinearModel
from mixedmodels.request import read_request

with on_first_use():
    from mixedmodels import lm_of_sums, lmer_of_sums

# Share of the size of the fitted values, squared, below which residuals are rounding: that of R's summary.lm.
PERFECT_FIT = 1e-30


@advises
def lm(
    formula: Any,
    data: Any = None,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
) -> LinearModel:
    """Fit a linear model by ordinary or weighted least squares.

    Coefficients have t tests with n - p degrees of freedom and ``print(m.summary())`` is R's text.
    ``anova(m)`` tests term after term and ``anova(m0, m1)`` two such models by F tests; a model with random
    effects is tested against one without by likelihood ratios, ``anova(m, lmer(...))``.

    Parameters
    ----------
    formula : str or Moments
        Formula without random effects, ``"weight ~ group"``; or sums over the rows, from :func:`moments`.
    data : DataFrame, dict of arrays, polars DataFrame, pyarrow Table or source
        The variables; a source that :func:`moments` reads in batches is summed up.
    weights : str or array_like, optional
        Prior (precision) weights: ``Var(y_i) = sigma^2 / w_i``. A row of weight zero does not count.
    offset, subset, na_action, contrasts, env
        As for :func:`mixedmodels.lmer`.

    Returns
    -------
    LinearModel

    Raises
    ------
    DataError, ControlError
        If the formula, the data or an option is at fault; the message names it.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lm("Reaction ~ Days", mm.load_dataset("sleepstudy"))
    >>> m.confint().round(3).loc["Days"].tolist()
    [8.024, 12.911]
    """
    in_memory = isinstance(formula, str) and isinstance(data, (pd.DataFrame, Mapping))
    if not in_memory and lmer_of_sums.is_asked(formula, data):
        asked = {"weights": weights, "offset": offset, "subset": subset, "contrasts": contrasts, "env": env}
        asked["na_action"] = None if na_action == "omit" else na_action
        return lm_of_sums.fit(formula, data, asked)
    if data is None:
        raise MissingArgumentError("lm() needs data, as in lm('y ~ x', data).")
    request = read_request(
        formula, data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env,
    )  # fmt: skip
    design = request.design
    refuse_random_terms(design, "lm", "lmer")
    y = numeric_response(design, "glm")
    check_design(design, LmerControl(), linear=False)
    w = np.ones(len(y)) if design.weights is None else design.weights
    _check_weighted_rank(design)
    estimates = fit_least_squares(y, design.X, w, design.offset)
    _warn_of_perfect_fit(estimates, int(np.count_nonzero(w > 0.0)))
    return LinearModel(design, y, request.call, request.data, estimates)


def _check_weighted_rank(design: Design) -> None:
    """Raise DataError where columns depend on each other once the rows of weight zero are left out."""
    if design.weights is None or np.all(design.weights > 0.0):
        return
    kept = independent_columns(design.X[design.weights > 0.0])
    if len(kept) < design.X.shape[1]:
        lost = [name for k, name in enumerate(design.x_names) if k not in kept]
        raise DataError(
            f"without the rows of weight zero the data do not determine {', '.join(lost)}; leave these rows "
            "out with subset=, and the columns are dropped."
        )


def _warn_of_perfect_fit(estimates: LeastSquaresEstimates, n_rows: int) -> None:
    """Warn where residuals are rounding errors: tests would divide by them."""
    size = float(np.mean(estimates.fitted) ** 2 + np.var(estimates.fitted))
    left = estimates.df_residual
    if left > 0 and estimates.rss / left < PERFECT_FIT * size:
        warn(
            f"essentially perfect fit: the residuals of the {n_rows} rows are rounding errors, so standard "
            "errors and tests mean nothing",
            DataWarning,
        )
