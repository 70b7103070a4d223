"""Tables of model comparison against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mixedmodels.fits.criteria import akaike, schwarz
from mixedmodels.inference.comparison import (
    chi_square_tail,
    deviance_table,
    likelihood_ratio_table,
    sequential_table,
)


def test_information_criteria():
    assert akaike(-10.0, 3) == 26.0
    assert schwarz(-10.0, 3, 100) == pytest.approx(20 + 3 * np.log(100))


def test_likelihood_ratios_are_never_negative():
    table = likelihood_ratio_table([3, 4, 6], [-20.0, -20.5, -15.0], 50)
    assert np.isnan(table[0, 5])
    assert table[1, 5] == 0.0
    assert table[2, 5] == pytest.approx(11.0)
    assert table[2, 7] == pytest.approx(stats.chi2.sf(11.0, 2))


def test_equal_numbers_of_parameters_have_no_p_value():
    table = likelihood_ratio_table([3, 3], [-20.0, -19.0], 50)
    assert table[1, 5] == 2.0
    assert np.isnan(table[1, 7])
    assert np.isnan(chi_square_tail(np.array([1.0]), np.array([np.nan])))[0]


def test_analysis_of_deviance():
    table = deviance_table([33, 30], [74.21, 62.62], 1.94)
    assert table[1, 4] == pytest.approx((74.21 - 62.62) / 3 / 1.94)
    assert table[1, 5] == pytest.approx(stats.f.sf(table[1, 4], 3, 30))


def test_sequential_sums_of_squares_are_those_of_nested_least_squares():
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(40), rng.normal(size=(40, 3))])
    y = rng.normal(size=40) + X @ [1.0, 0.5, 0.0, -1.0]
    beta = np.linalg.lstsq(X, y, rcond=None)[0]
    table = sequential_table(beta, np.linalg.inv(X.T @ X), np.array([0, 1, 1, 2]), 1.0)

    def rss(columns):
        part = X[:, :columns]
        return ((y - part @ np.linalg.lstsq(part, y, rcond=None)[0]) ** 2).sum()

    np.testing.assert_allclose(table[:, 1], [rss(1) - rss(3), rss(3) - rss(4)])
    np.testing.assert_array_equal(table[:, 0], [2, 1])
