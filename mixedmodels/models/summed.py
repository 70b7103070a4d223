"""A linear mixed model that was fitted to sums over rows: everything but the rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import NO_ROWS, AbsentResponse, AbsentRows
from mixedmodels.arrays import FloatArray
from mixedmodels.checks import warn_unless_converged
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.call import Call
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.summed_design import SummedDesign
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.new_data import variables_on
from mixedmodels.formula.evaluation.evaluate import as_numbers
from mixedmodels.formula.language.syntax_tree import deparse
from mixedmodels.missing import NA
from mixedmodels.models.linear import LinearMixedModel
from mixedmodels.prediction.streamed import in_batches, written
from mixedmodels.streams.open_source import is_stream
from mixedmodels.tidy.augment import augment

Path: TypeAlias = str | os.PathLike[str]


class SummedLinearMixedModel(LinearMixedModel):
    """A linear mixed model fitted to :class:`mixedmodels.Moments`.

    Made by :func:`mixedmodels.lmer` of moments, or of a source that is read in batches. Estimates, tests,
    intervals, random effects and predictions at new rows are those of :class:`LinearMixedModel`; what needs
    the rows it was fitted to says so.

    Parameters
    ----------
    summed : SummedDesign
        Names, recipes and sums.
    call : Call
        How the model was asked for.
    estimates : LinearEstimates
        The fit.
    problem : LinearProblem, optional
        The cross-products; formed again when needed.
    """

    summed: SummedDesign

    def __init__(
        self,
        summed: SummedDesign,
        call: Call,
        estimates: LinearEstimates,
        problem: LinearProblem | None = None,
    ) -> None:
        n, fixed = summed.design.n_rows, summed.fixed
        absent: Any = AbsentRows(n)
        y: Any = AbsentResponse(n, fixed.rss + float(fixed.projection @ fixed.projection))
        Fit.__init__(self, summed.design, y, absent, call, absent)
        self.summed = summed
        self.estimates = estimates
        if problem is not None:
            self.problem = problem

    @cached_property
    def problem(self) -> LinearProblem:
        """The engine's form of the design."""
        return self.summed.problem()

    # Rows, read in batches.

    def predict(self, newdata: Any = None, *arguments: Any, to: Path | None = None, **options: Any) -> Any:
        """Predict at new rows: those of a table, or those of a source batch by batch.

        Parameters
        ----------
        newdata : table or source
            Rows to predict, those of the fit among them.
        to : path, optional
            A Parquet file into which the predictions of a source are written.
        *arguments, **options
            As of :meth:`LinearMixedModel.predict`.

        Returns
        -------
        Series or DataFrame of a table; of a source an iterator of DataFrames, or the number of rows written.
        """
        if newdata is None:
            raise NotAvailableError(NO_ROWS)
        if not is_stream(newdata):
            return super().predict(newdata, *arguments, **options)
        ask = super().predict
        return self._streamed(newdata, lambda rows: ask(rows, *arguments, **options), to)

    def fitted(self, source: Any = None, to: Path | None = None) -> Any:
        """Return fitted values of the rows of a source, batch by batch; arguments as of :meth:`predict`."""
        return self._rows_of(source, lambda rows: rows[[".fitted"]], to)

    def residuals(self, source: Any = None, to: Any = None) -> Any:
        """Return the residuals of the rows of a source, batch by batch; arguments as of :meth:`predict`."""
        return self._rows_of(source, lambda rows: rows[[".resid"]], to)

    def augment(
        self,
        data: Any = None,
        newdata: Any = None,
        *,
        allow_new_levels: bool = False,
        to: Path | None = None,
    ) -> Any:
        """Return the rows of a source with .fitted, .fixed and .resid; arguments as of :meth:`predict`."""
        if newdata is not None:
            return augment(self, None, newdata, allow_new_levels=allow_new_levels)
        source = data
        return self._rows_of(source, lambda rows: rows, to)

    def _rows_of(
        self, source: Any, choose: Callable[[pd.DataFrame], pd.DataFrame], to: Path | None
    ) -> Iterator[pd.DataFrame] | int:
        if source is None:
            raise NotAvailableError(NO_ROWS)
        return self._streamed(source, lambda rows: choose(self._augmented(rows)), to)

    def _augmented(self, rows: pd.DataFrame) -> pd.DataFrame:
        fitted = LinearMixedModel.predict(self, rows)
        fixed = LinearMixedModel.predict(self, rows, re_form=NA)
        response = self.design.formula.response
        assert response is not None
        text = deparse(response)
        y = as_numbers(variables_on(self.design, rows, {text: response}, ())[text], text)
        added = {".fitted": np.asarray(fitted), ".fixed": np.asarray(fixed), ".resid": y - np.asarray(fitted)}
        return rows.assign(**added)

    def _streamed(
        self, source: Any, make: Callable[[pd.DataFrame], Any], to: Path | None
    ) -> Iterator[pd.DataFrame] | int:
        tables = in_batches(self.design, source, make)
        return tables if to is None else written(tables, to)

    # What the sums say.

    def nobs(self) -> int:
        """Return the number of observations, those of zero weight left out."""
        return self.problem.n

    @property
    def mean_information(self) -> float:
        """Mean of the prior weights."""
        return self.summed.sums.sum_weights / self.design.n_rows

    def deviance(self) -> float:
        """Return -2 log-likelihood at the estimates; of a REML fit, the ML value at the REML estimates."""
        if not self.is_reml:
            return self.estimates.solution.objective
        e, n = self.estimates.solution, self.nobs()
        logs = e.log_det_L2 - self.problem.sum_log_weights
        return float(logs + n * (1.0 + np.log(2.0 * np.pi * e.pwrss / n)))

    def _scaled_residuals(self) -> None:
        return None

    def refitML(self) -> SummedLinearMixedModel:
        """Fit the same model by maximum likelihood."""
        if not self.is_reml:
            return self
        H = self.estimates.inverse_hessian
        estimates = fit_linear(self.problem, False, self._warm_start, inverse_hessian=H)
        warn_unless_converged(estimates.convergence)
        return SummedLinearMixedModel(self.summed, self.call, estimates, self.problem)

    def refit(self, newresp: Any) -> LinearMixedModel:
        """Raise: a new response has rows, the model has none."""
        raise NotAvailableError(NO_ROWS)

    def with_design(self, design: Design) -> LinearMixedModel:
        """Raise: another design has rows, the model has none."""
        raise NotAvailableError(NO_ROWS)

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> LinearMixedModel:
        """Raise: other rows are fitted by :func:`mixedmodels.lmer`."""
        raise NotAvailableError(NO_ROWS)
