"""A linear model that was fitted to sums over rows: everything but the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedmodels.absent_rows import NO_ROWS, AbsentResponse, AbsentRows
from mixedmodels.arrays import FloatArray
from mixedmodels.engines.least_squares import LeastSquaresEstimates
from mixedmodels.errors import NotAvailableError
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
        self.summed, self.estimates = summed, estimates

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

    def with_design(self, design: Design) -> Any:
        """Raise: another design has rows, the model has none."""
        raise NotAvailableError(NO_ROWS)

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> Any:
        """Raise: other rows are fitted by :func:`mixedmodels.lm`."""
        raise NotAvailableError(NO_ROWS)

    def _explained(self) -> float:
        return float(np.square(self.effects[int(self.design.recipe.fixed.intercept) :]).sum())

    def _row_residuals(self) -> tuple[FloatArray, tuple[str, ...], bool]:
        return np.empty(0), (), self.design.weights is not None
