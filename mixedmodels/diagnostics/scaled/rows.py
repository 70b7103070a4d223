"""Values for the rows of scaled residuals: a predictor, a time, coordinates, by name or as given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import ControlError, DataError
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.evaluation.input_frames import in_row_order
from mixedmodels.inference.clusters import Clusters

Values = np.ndarray[tuple[int, ...], np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class ResidualRows:
    """The rows of scaled residuals: those of the fit that have weight, or groups of them.

    Attributes
    ----------
    fit : Fit
        The fit.
    used : ndarray of int
        Its rows with weight.
    codes : ndarray of int
        Row of the residuals that each of these belongs to.
    groups : Clusters, optional
        The groups; None where each row is its own.
    """

    fit: Fit
    used: IntArray
    codes: IntArray
    groups: Clusters | None

    @property
    def size(self) -> int:
        """Number of residuals."""
        return len(self.used) if self.groups is None else self.groups.size

    def series(self, values: FloatArray, name: str) -> pd.Series:
        """Label one value for each residual; NaN at rows without weight."""
        if self.groups is not None:
            return pd.Series(values, index=pd.Index(self.groups.labels, name=self.groups.name), name=name)
        every = np.full(len(self.fit.y), np.nan)
        every[self.used] = values
        return self.fit.by_row(every, name)

    def numbers(self, values: Any, argument: str) -> FloatArray:
        """Return numbers for the residuals; means of groups.

        Raises
        ------
        ControlError, DataError
            If there is no such column, or the values are no numbers, or too few or many.
        """
        found = self._values(values, argument)
        numbers = _as_numbers(found)
        if numbers is None:
            raise DataError(f"{argument} must be numbers or dates, not {shown(found[0])}.")
        if not np.isfinite(numbers).all():
            raise DataError(f"{argument} has missing or infinite values.")
        return self._means(numbers)

    def numbers_or_codes(self, values: Any, argument: str) -> tuple[FloatArray | None, Values]:
        """Return numbers (None of a factor), and the values as they are.

        Raises
        ------
        ControlError, DataError
            As :meth:`numbers`, and where a factor has two values in a group.
        """
        found = self._values(values, argument)
        numbers = None if found.dtype == bool else _as_numbers(found)
        if numbers is not None:
            return self.numbers(values, argument), self._means(numbers)
        if pd.isna(found).any():
            raise DataError(f"{argument} has missing values.")
        first = np.empty(self.size, dtype=object)
        if len(found) != self.size or self.groups is not None:
            codes = self.codes if len(found) != self.size else np.arange(self.size)
            first[codes[::-1]] = found[::-1]
            if (first[codes] != found).any():
                raise DataError(f"{argument} has different values in one group of {self._group_name}.")
            return None, first
        return None, found.astype(object)

    @property
    def _group_name(self) -> str:
        return "" if self.groups is None else self.groups.name

    def _means(self, numbers: FloatArray) -> FloatArray:
        if self.groups is None or len(numbers) == self.size:
            return numbers
        counts = np.maximum(np.bincount(self.codes, minlength=self.size), 1)
        return np.asarray(np.bincount(self.codes, numbers, minlength=self.size) / counts)

    def _values(self, values: Any, argument: str) -> Values:
        """Return values of the rows used or, if so many are given, of the residuals."""
        if isinstance(values, str):
            values = self._column(values, argument)
        else:
            values = self._by_label(values, argument)
        if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
            values = pd.Series(values).astype(str)
        array = np.asarray(values)
        missing, n = self.fit.design.missing, len(self.fit.y)
        if array.ndim == 1 and self.groups is not None and len(array) == self.size:
            return array
        if array.ndim == 1 and len(array) == missing.n_input != n:
            array = array[missing.kept]
        if array.ndim != 1 or len(array) != n:
            each = f"the {self.size} groups, or the " if self.groups is not None else "the "
            raise DataError(f"{argument} must give one value for each of {each}{n} rows used.")
        return array[self.used]

    def _by_label(self, values: Any, argument: str) -> Any:
        """Return a Series of groups, of input rows or of rows used in the order of these."""
        labels = self.fit.design.missing.input_index
        if self.groups is not None and np.shape(values)[:1] == (self.size,):
            labels = pd.Index(self.groups.labels)
        if labels is None or np.shape(values)[:1] != (len(labels),):
            labels = self.fit.design.index
        return in_row_order(values, argument, labels)

    def _column(self, name: str, argument: str) -> Any:
        data = self.fit.data
        if data is None or name not in data:
            raise ControlError(f"{argument} {name!r} is not a column of the data.")
        column = data[name]
        if isinstance(column, pd.Series) and column.index.is_unique:
            return column.loc[self.fit.design.index]
        return column


def residual_rows(fit: Fit, groups: Clusters | None) -> ResidualRows:
    """Return the rows of the residuals of a fit."""
    used = np.flatnonzero(fit.prior_weights > 0.0)
    codes = np.arange(len(used)) if groups is None else groups.codes[used]
    return ResidualRows(fit, used, codes, groups)


def _as_numbers(values: Values) -> FloatArray | None:
    """Return numbers or dates as floats, None of anything else."""
    if values.dtype.kind in "mM":
        return np.where(np.isnat(values), np.nan, values.astype(np.int64).astype(np.float64))
    if values.dtype.kind in "SU" or any(isinstance(value, str) for value in values):
        return None
    try:
        return np.asarray(pd.to_numeric(values), dtype=np.float64)
    except (TypeError, ValueError):
        return None
