"""Fit a linear model to sums over its rows: moments, or a source that is read in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mixedmodels.absent_rows import AbsentRows
from mixedmodels.checks import check_design, refuse_random_terms
from mixedmodels.control import LmerControl
from mixedmodels.engines.least_squares import LeastSquaresEstimates, fit_least_squares
from mixedmodels.errors import DataError
from mixedmodels.fits.summed_design import SummedDesign
from mixedmodels.lmer_of_sums import summed
from mixedmodels.models.summed_lm import SummedLinearModel
from mixedmodels.moments import Moments


def fit(formula: str | Moments, data: Any, asked: Mapping[str, Any]) -> SummedLinearModel:
    """Fit the model; arguments as for :func:`mixedmodels.lm`.

    Parameters
    ----------
    asked : mapping
        Arguments that decide what is summed; None where they were not given.

    Raises
    ------
    ControlError, DataError
        If arguments came after the sums were made, or there are too few rows.
    """
    sums = summed(formula, data, {name: value for name, value in asked.items() if value is not None})
    design = sums.fitting_design({})
    refuse_random_terms(design.design, "lm", "lmer")
    check_design(design.design, LmerControl(), linear=False)
    return SummedLinearModel(design, sums.call(), _estimates(design))


def _estimates(design: SummedDesign) -> LeastSquaresEstimates:
    """Return least squares by the few rows that have the products of all."""
    fixed, sums = design.fixed, design.sums
    n, p = sums.n, len(fixed.projection)
    if n <= p:
        raise DataError(f"{n} rows with positive weight cannot estimate {p} coefficients and sigma.")
    found = fit_least_squares(fixed.y, fixed.X, np.ones(len(fixed.y)), None)
    absent: Any = AbsentRows(sums.n_rows)
    return replace(
        found,
        fitted=absent,
        leverage=absent,
        rss=fixed.rss,
        df_residual=n - p,
        sigma=float(np.sqrt(fixed.rss / (n - p))),
        loglik=float(0.5 * (sums.sum_log_weights - n * (1.0 + np.log(2.0 * np.pi * fixed.rss / n)))),
    )
