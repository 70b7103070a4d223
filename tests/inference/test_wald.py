"""Wald tests and intervals against the normal distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mixedmodels.errors import ControlError
from mixedmodels.inference.wald import wald_intervals, wald_table


def test_table():
    table = wald_table(np.array([2.0, -1.0]), np.array([1.0, 0.5]), p_values=True)
    np.testing.assert_allclose(table[:, 2], [2.0, -2.0])
    np.testing.assert_allclose(table[:, 3], 2 * stats.norm.sf(2.0))
    assert wald_table(np.ones(2), np.ones(2), p_values=False).shape == (2, 3)


def test_intervals():
    table = wald_intervals(np.array([0.0]), np.array([1.0]), 0.9)
    np.testing.assert_allclose(table, [[-stats.norm.ppf(0.95), stats.norm.ppf(0.95)]])


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_impossible_levels(level):
    with pytest.raises(ControlError, match="level"):
        wald_intervals(np.zeros(1), np.ones(1), level)
