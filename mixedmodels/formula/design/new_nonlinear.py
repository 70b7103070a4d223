"""The mean of a fitted nonlinear model on new data; X and Z are those of `new_data`."""

from __future__ import annotations

from typing import Any

from mixedmodels.formula.design.new_data import variables_on
from mixedmodels.formula.design.nonlinear import MeanFunction, NonlinearDesign
from mixedmodels.formula.evaluation.input_frames import input_frame


def mean_on(nonlinear: NonlinearDesign, new_data: Any) -> MeanFunction:
    """Return the mean bound to the rows of new data, NaN in rows where a variable is missing.

    Parameters
    ----------
    nonlinear : NonlinearDesign
        The design of the fit, made from a formula.
    new_data : table
        Any number of rows, one included.

    Raises
    ------
    DataError
        When a variable of the mean is absent.
    """
    expression, design = nonlinear.expression, nonlinear.design
    assert expression is not None, "a mean made by hand has no expression"
    columns = variables_on(design, new_data, expression.variables, ())
    return expression.bound(columns, input_frame(new_data).n_rows, design.recipe.env)
