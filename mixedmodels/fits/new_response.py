"""A new response for the rows of a fitted model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataError
from mixedmodels.formula.design.design import Design, Response
from mixedmodels.formula.evaluation.input_frames import in_row_order

# A proportion times its number of trials is a whole number up to rounding.
WHOLE = 1e-8


def response_values(newresp: Any, design: Design, columns: int = 1) -> FloatArray:
    """Return the values of a new response at the rows used, shape (n,) or (n, 2).

    Parameters
    ----------
    newresp : array_like
        One value for each row used, or for each input row; a pandas Series is matched by label, and a
        table of one column is that column.
    design : Design
        The model.
    columns : int
        Largest number of columns.

    Raises
    ------
    DataError
        If these are not numbers, the shape is wrong or a value is not finite.
    """
    if np.shape(newresp)[1:] == (1,):
        # What simulate(1) returns: a table of one column.
        newresp = newresp.iloc[:, 0] if hasattr(newresp, "iloc") else np.asarray(newresp)[:, 0]
    labels = design.missing.input_index
    if labels is None or np.shape(newresp)[:1] != (len(labels),):
        labels = design.index
    newresp = in_row_order(newresp, "newresp", labels)
    try:
        values = np.asarray(newresp, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError("newresp must be numbers, one for each row of the model.") from error
    if values.ndim not in (1, columns) or (values.ndim == 2 and values.shape[1] != 2):
        raise DataError(f"newresp has shape {values.shape}; the model needs one value for each row.")
    if len(values) == design.missing.n_input:
        values = values[design.missing.kept]
    if len(values) != design.n_rows:
        raise DataError(
            f"newresp has length {len(values)}; the model uses {design.n_rows} rows, one value for each."
        )
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise DataError(f"newresp is not finite at row {int(np.argmin(finite))} (counting from 0).")
    return values


def new_response(newresp: Any, design: Design) -> Response:
    """Return the response of a generalized model with new values.

    Parameters
    ----------
    newresp : array_like, shape (n,) or (n, 2)
        Values on the scale of the response, 0 and 1 for a factor. For a ``cbind`` response its two
        columns, or numbers of successes or proportions of the trials, whose numbers stay.
    design : Design
        The model.

    Raises
    ------
    DataError
        If the values do not fit.
    """
    old = design.response
    values = response_values(newresp, design, 1 if old.failures is None else 2)
    if old.failures is None:
        return replace(old, values=values, kind="numeric" if old.kind == "factor" else old.kind, levels=())
    if values.ndim == 1:
        trials = old.values + old.failures
        successes = _successes(values, trials)
        values = np.column_stack([successes, trials - successes])
    return replace(old, values=values[:, 0].copy(), failures=values[:, 1].copy())


def _successes(values: FloatArray, trials: FloatArray) -> FloatArray:
    """Return numbers of successes from such numbers, or from proportions where some value is none."""
    if np.all(values == np.round(values)):
        return values
    counts = values * trials
    whole = np.abs(counts - np.round(counts)) <= WHOLE * (1.0 + trials)
    if not np.all(whole & (values >= 0.0) & (values <= 1.0)):
        raise DataError(
            "newresp is neither whole numbers of successes nor proportions that give whole numbers of the "
            "trials of each row."
        )
    return np.round(counts)
