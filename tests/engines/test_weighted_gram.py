"""Products of the columns of a matrix by stretches of rows are those of the whole."""

import numpy as np
import pytest

from mixedmodels.engines import weighted_gram as module
from mixedmodels.engines.weighted_gram import by_columns, level_products, weighted_gram


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("n", "p"), [(50, 1), (53, 4), (7, 7), (5, 0), (0, 3)])
def test_it_is_the_dense_product(monkeypatch, order, n, p):
    monkeypatch.setattr(module, "STRETCH", 40)
    rng = np.random.default_rng(n + p)
    X, W = np.asarray(rng.normal(size=(n, p)), order=order), rng.random(n)
    expected = np.einsum("ij,i,ik->jk", X, W, X)
    found = weighted_gram(X, W)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(found, found.T)


def test_weights_may_be_negative():
    rng = np.random.default_rng(1)
    X, W = rng.normal(size=(60, 5)), rng.normal(size=60)
    np.testing.assert_allclose(weighted_gram(X, W), np.einsum("ij,i,ik->jk", X, W, X), rtol=1e-12, atol=1e-13)


def test_what_is_not_a_number_stays_so():
    X = np.ones((4, 2))
    assert np.isnan(weighted_gram(X, np.array([1.0, np.nan, -1.0, 2.0]))).all()
    assert np.isnan(weighted_gram(X, np.array([1.0, np.nan, 1.0, 2.0]))).all()


@pytest.mark.parametrize("stretch", [1, 30, 10_000])
def test_sums_of_levels_are_those_of_all_rows(monkeypatch, stretch):
    monkeypatch.setattr(module, "STRETCH", stretch)
    rng = np.random.default_rng(stretch)
    codes = np.sort(np.concatenate([np.arange(9), rng.integers(9, size=60)]))
    X, W, indicators = rng.normal(size=(69, 3)), rng.normal(size=69), codes == np.arange(9)[:, None]
    found = level_products(X, W, np.searchsorted(codes, np.arange(9)))
    np.testing.assert_allclose(found, (indicators @ (X * W[:, None])).T, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("p", [0, 1, 5, 12])
def test_a_linear_function_of_the_rows_is_that_of_all_columns(monkeypatch, p):
    monkeypatch.setattr(module, "COLUMNS", 5)
    rng = np.random.default_rng(p)
    X, W, A = rng.normal(size=(20, p)), rng.normal(size=20), rng.normal(size=(20, 4))
    np.testing.assert_allclose(by_columns(X, W, lambda rows: rows @ A), (X * W[:, None]).T @ A, atol=1e-13)
