"""A predictor split into its cluster means and the deviations from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.errors import ControlError, DataError
from mixedmodels.formula.evaluation.columns import Logical, Numeric, as_factor
from mixedmodels.formula.evaluation.input_frames import InputFrame, input_frame


@advises
def demean(data: Any, x: str | Sequence[str], by: str) -> pd.DataFrame:
    """Split predictors into the means of clusters and the deviations from them (Bell & Jones 2015).

    With both in a model, the coefficient of the within part is the effect of a change inside a cluster, free
    of all that differs between clusters; that of the between part compares clusters.

    Parameters
    ----------
    data : DataFrame, dict of arrays, polars DataFrame or pyarrow Table
        The variables.
    x : str or sequence of str
        Numeric columns.
    by : str
        Column that names the clusters.

    Returns
    -------
    DataFrame
        Columns ``x_between`` and ``x_within`` of each predictor, at the rows of the data. A missing value of
        x is left out of its mean and stays missing within; rows without a cluster are missing in both.

    Raises
    ------
    DataError
        If a column is not there, or not numeric.

    References
    ----------
    Bell & Jones (2015), Explaining fixed effects, Political Sci. Res. Methods 3: 133-153.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> sleep = mm.load_dataset("sleepstudy")
    >>> mm.demean(sleep, "Days", by="Subject").head(2)
       Days_between  Days_within
    0           4.5         -4.5
    1           4.5         -3.5
    """
    names = [x] if isinstance(x, str) else list(x) if isinstance(x, Sequence) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise ControlError(f"x must be the name of a column, or several of them, not {shown(x)}.")
    if not isinstance(by, str):
        raise ControlError(f"by must be the name of the column of clusters, not {shown(by)}.")
    frame = input_frame(data)
    frame.require([*names, by])
    codes = as_factor(frame.column(by)).codes
    parts: dict[str, FloatArray] = {}
    for name in names:
        values = _numbers(frame, name)
        between = _means(values, codes)
        parts[f"{name}_between"], parts[f"{name}_within"] = between, values - between
    return pd.DataFrame(parts, index=frame.index)


def _numbers(frame: InputFrame, name: str) -> FloatArray:
    """Return a column as numbers, NaN where it is missing."""
    column = frame.column(name)
    if not isinstance(column, (Numeric, Logical)):
        raise DataError(
            f"demean() needs numbers, and column {name!r} holds none. Of a factor, split its indicators: "
            f"(data[{name!r}] == 'level').astype(float)."
        )
    values = np.array(column.values, dtype=np.float64)
    missing = column.missing()
    if missing is not None:
        values[missing] = np.nan
    return values


def _means(values: FloatArray, codes: CodeArray) -> FloatArray:
    """Return the mean of each row's cluster; NaN in rows without one, and in clusters without values."""
    known = (codes >= 0) & ~np.isnan(values)
    size = int(codes.max(initial=-1)) + 1
    counts = np.bincount(codes[known], minlength=size)
    sums = np.bincount(codes[known], values[known], minlength=size)
    means = np.full(size + 1, np.nan)
    means[:size] = np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)
    return np.asarray(means[codes])
