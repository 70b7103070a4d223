"""A linear model that was fitted to sums over rows: everything but the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import AbsentResponse, AbsentRows
from mixedmodels.arrays import FloatArray
from mixedmodels.engines.least_squares import LeastSquaresEstimates, fit_least_squares
from mixedmodels.errors import DataError
from mixedmodels.fits.call import Call
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.summed_design import SummedDesign
from mixedmodels.formula.design.design import Design
from mixedmodels.models.lm import LinearModel
from mixedmodels.models.streamed_rows import StreamedRows, numeric_response


class SummedLinearModel(StreamedRows, LinearModel):
    """A linear model fitted to :class:`mixedmodels.Moments`.

    Made by :func:`mixedmodels.lm` of moments, or of a source that is read in batches. Coefficients, tests,
    intervals and predictions at new rows are those of :class:`LinearModel`; what needs the rows it was fitted
    to says so.

    Parameters
    ----------
    summed : SummedDesign
        Names, recipes and sums.
    call : Call
        How the model was asked for.
    estimates : LeastSquaresEstimates
        The fit.
    """

    def __init__(self, summed: SummedDesign, call: Call, estimates: LeastSquaresEstimates) -> None:
        n, fixed = summed.design.n_rows, summed.fixed
        absent: Any = AbsentRows(n)
        y: Any = AbsentResponse(n, fixed.rss + float(fixed.projection @ fixed.projection))
        Fit.__init__(self, summed.design, y, absent, call, absent)
        self.summed, self.estimates, self.row_summary = summed, estimates, summed.summary

    def nobs(self) -> int:
        """Return the number of observations, those of zero weight left out."""
        return self.summed.sums.n

    def _augmented(self, rows: pd.DataFrame) -> pd.DataFrame:
        fitted = np.asarray(LinearModel.predict(self, rows))
        return rows.assign(**{".fitted": fitted, ".resid": numeric_response(self.design, rows) - fitted})

    def with_design(self, design: Design) -> SummedLinearModel:
        """Fit the same kind of model to some of its fixed effects.

        Raises
        ------
        NotAvailableError
            If the sums have no such column.
        """
        smaller = self.summed.smaller(design)
        return SummedLinearModel(smaller, self.call, least_squares_of_sums(smaller))

    def _explained(self) -> float:
        return float(np.square(self.effects[int(self.design.recipe.fixed.intercept) :]).sum())

    def _row_residuals(self) -> tuple[FloatArray, tuple[str, ...], bool]:
        return np.empty(0), (), self.design.weights is not None


def least_squares_of_sums(design: SummedDesign) -> LeastSquaresEstimates:
    """Return least squares by the few rows that have the products of all.

    Raises
    ------
    DataError
        If there are too few rows.
    """
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
