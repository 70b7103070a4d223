"""Numbers that rows of new data have beside the variables of the model: prior weights and an offset."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataError
from mixedmodels.fits.fit import Fit
from mixedmodels.formula import build_design
from mixedmodels.formula.design.new_data import row_values


def new_weights(model: Fit, newdata: Any, n_rows: int, given: Any = None) -> FloatArray:
    """Return the prior weights of new rows, numbers of trials included, shape (m,).

    Parameters
    ----------
    model : Fit
        The fit.
    newdata : table
        New rows.
    n_rows : int
        Their number, m.
    given : optional
        Weights in place of those of the fit: a number, one value a row, a column or an expression.

    Raises
    ------
    DataError
        If they cannot be known (the weights were an array, or a column they need is missing), or one given is
        negative.
    """
    design, call = model.design, model.call
    if given is not None:
        values = row_values(design, newdata, given, "weights")
        if (values < 0.0).any():
            row = int(np.argmax(values < 0.0))
            raise DataError(
                f"weights must not be negative, but that of row {row} (counting from 0) is {values[row]:g}."
            )
        return values
    if n_rows == 0:
        return np.ones(0)
    if call.weights_are_array:
        raise DataError(
            "the model has weights given as an array, which newdata cannot supply; give the weights of the "
            "new rows as weights=, or fit the model with the weights as a column name."
        )
    weights = np.ones(n_rows)
    env = design.recipe.env
    if design.response.failures is not None:
        response = build_design(f"{design.response.text} ~ 1", newdata, na_action="fail", env=env).response
        assert response.failures is not None
        weights = response.values + response.failures
    if call.weights is not None:
        rows = build_design(f"I({call.weights}) ~ 1", newdata, na_action="fail", env=env)
        weights = weights * rows.response.values
    return weights
