"""What a model without rows says about the rows of a source, batch by batch."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeAlias, cast

import pandas as pd

from mixedmodels.absent_rows import NO_ROWS
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import NotAvailableError
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.new_data import variables_on
from mixedmodels.formula.evaluation.evaluate import as_numbers
from mixedmodels.formula.language.syntax_tree import deparse
from mixedmodels.models.fitted_model import FittedModel
from mixedmodels.prediction.streamed import in_batches, written
from mixedmodels.streams.open_source import is_stream
from mixedmodels.tidy.augment import augment

Path: TypeAlias = str | os.PathLike[str]


class StreamedRows(FittedModel):
    """A model whose rows are nowhere held; a base before that of its kind."""

    #: Whether residuals depend on prior weights.
    _residuals_need_weights: ClassVar[bool] = False

    @abstractmethod
    def _augmented(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows with .fitted and .resid, of a mixed model .fixed, of a generalized one .mu."""

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
        ask = cast(Any, super()).predict
        if not is_stream(newdata):
            return ask(newdata, *arguments, **options)
        return self._streamed(newdata, lambda rows: ask(rows, *arguments, **options), to)

    def fitted(self, source: Any = None, to: Path | None = None) -> Any:
        """Return fitted values of the rows of a source, batch by batch; arguments as of :meth:`predict`."""
        return self._rows_of(source, self._fitted_column, to)

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
        """Return the rows of a source with .fitted and .resid; arguments as of :meth:`predict`."""
        if newdata is not None:
            return augment(self, None, newdata, allow_new_levels=allow_new_levels)
        source = data
        return self._rows_of(source, lambda rows: rows, to)

    def _fitted_column(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows[[".fitted"]]

    def _rows_of(
        self, source: Any, choose: Callable[[pd.DataFrame], pd.DataFrame], to: Path | None
    ) -> Iterator[pd.DataFrame] | int:
        if source is None:
            raise NotAvailableError(NO_ROWS)
        weights = self.call.weights if self._residuals_need_weights else None
        return self._streamed(source, lambda rows: choose(self._augmented(rows)), to, weights)

    def _streamed(
        self, source: Any, make: Callable[[pd.DataFrame], Any], to: Path | None, weights: str | None = None
    ) -> Iterator[pd.DataFrame] | int:
        tables = in_batches(self.design, source, make, weights)
        return tables if to is None else written(tables, to)

    # What needs other rows.

    def _scaled_residuals(self) -> None:
        return None

    def refit(self, newresp: Any) -> Any:
        """Raise: a new response has rows, the model has none."""
        raise NotAvailableError(NO_ROWS)

    def with_design(self, design: Design) -> Any:
        """Raise: another design has rows, the model has none."""
        raise NotAvailableError(NO_ROWS)

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> Any:
        """Raise: other rows are fitted by :func:`mixedmodels.lmer` or :func:`mixedmodels.glmer`."""
        raise NotAvailableError(NO_ROWS)


def numeric_response(design: Design, rows: pd.DataFrame) -> FloatArray:
    """Return the response of a linear model at some rows."""
    response = design.formula.response
    assert response is not None
    text = deparse(response)
    return as_numbers(variables_on(design, rows, {text: response}, ())[text], text)
