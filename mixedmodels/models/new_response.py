"""A new response for the rows of a fitted generalized model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataError
from mixedmodels.formula.design import Design, Response


def new_response(newresp: Any, design: Design) -> Response:
    """Return the response of a design with new values.

    Parameters
    ----------
    newresp : array_like, shape (n,) or (n, 2)
        Values on the scale of the response: successes of a ``cbind`` response, whose numbers of trials
        stay, or its two columns; 0 and 1 for a factor.
    design : Design
        The model.

    Raises
    ------
    DataError
        If the shape is wrong or a value is not finite.
    """
    values = _used_rows(np.asarray(newresp, dtype=np.float64), design)
    old = design.response
    if old.failures is None:
        if values.ndim != 1:
            raise DataError(f"newresp has {values.shape[1]} columns; the response {old.text} is one.")
        kind = "numeric" if old.kind == "factor" else old.kind
        return replace(old, values=values, kind=kind, levels=())
    if values.ndim == 1:
        values = np.column_stack([values, old.values + old.failures - values])
    return replace(old, values=values[:, 0].copy(), failures=values[:, 1].copy())


def _used_rows(values: FloatArray, design: Design) -> FloatArray:
    """Return `values` at the rows used; all input rows may be given."""
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] != 2):
        raise DataError(f"newresp has shape {values.shape}; it must have one column, or two for cbind().")
    if len(values) == design.missing.n_input:
        values = values[design.missing.kept]
    if len(values) != design.n_rows:
        raise DataError(
            f"newresp has length {len(values)}; the model uses {design.n_rows} rows, one value for each."
        )
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).reshape(len(values), -1).all(axis=1)))
        raise DataError(f"newresp is not finite at row {row} (counting from 0).")
    return values
