"""Columns whose sum of squares settles that they can be computed with, and those whose does not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mixedmodels.arrays import ones_view
from mixedmodels.errors import DataError
from mixedmodels.formula.evaluation.magnitude import refuse_extreme, sum_of_squares

X = np.linspace(-1.0, 1.0, 40)


@pytest.mark.parametrize(
    "values",
    [X, 0.0 * X, 1e74 * X, 1e-74 * X, np.where(X > 0.5, np.nan, X), ones_view(40, 1), np.arange(40), X > 0],
)
def test_ordinary_columns_pass(values):
    refuse_extreme(values, ["x"])


@pytest.mark.parametrize("factor", [1e76, 1e200, 1e-77, 1e-200])
def test_extreme_columns_are_refused_without_another_warning(factor):
    for values in (factor * X, np.where(X > 0.5, np.nan, factor * X), np.column_stack([X, factor * X])):
        with warnings.catch_warnings(), pytest.raises(DataError, match="has values up to"):
            warnings.simplefilter("error")
            refuse_extreme(values, ["x", "x"])


def test_sums_of_squares_that_overflow_are_infinite():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum_of_squares(np.full(3, 1e200)) == np.inf
    assert sum_of_squares(np.zeros(0)) == 0.0
    assert np.isnan(sum_of_squares(np.array([np.nan])))
