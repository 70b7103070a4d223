"""A linear model that was fitted to sums over rows: everything but the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mixedmodels.absent_rows import NO_ROWS, AbsentResponse, AbsentRows
from mixedmodels.arrays import FloatArray
from mixedmodels.engines.least_squares import LeastSquaresEstimates, fit_least_squares
from mixedmodels.errors import DataError, NotAvailableError
from mixedmodels.fits.call import Call
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.summed_design import SummedDesign
from mixedmodels.formula.design.design import Design
from mixedmodels.models.lm import LinearModel
from mixedmodels.prediction.streamed import in_batches
from mixedmodels.streams.open_source import is_stream


class SummedLinearModel(LinearModel):
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

    def predict(self, newdata: Any = None, *arguments: Any, **options: Any) -> Any:
        """Predict at new rows: those of a table, or batch by batch those of a source; as of LinearModel."""
        if newdata is None:
            raise NotAvailableError(NO_ROWS)
        if not is_stream(newdata):
            return super().predict(newdata, *arguments, **options)
        ask = super().predict
        return in_batches(self.design, newdata, lambda rows: ask(rows, *arguments, **options), None)

    def refit(self, newresp: Any) -> Any:
        """Raise: a new response has rows, the model has none."""
        raise NotAvailableError(NO_ROWS)

    def with_design(self, design: Design) -> SummedLinearModel:
        """Fit the same kind of model to some of its fixed effects.

        Raises
        ------
        NotAvailableError
            If the sums have no such column.
        """
        smaller = self.summed.smaller(design)
        return SummedLinearModel(smaller, self.call, least_squares_of_sums(smaller))

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> Any:
        """Raise: other rows are fitted by :func:`mixedmodels.lm`."""
        raise NotAvailableError(NO_ROWS)

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
