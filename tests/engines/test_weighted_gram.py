"""Products of the columns of a matrix by stretches of rows are those of the whole."""

import numpy as np
import pytest

from mixedmodels.engines import weighted_gram as module
from mixedmodels.engines.weighted_gram import weighted_gram


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
