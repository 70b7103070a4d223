"""Products of columns by level, and the basis of a few columns: compiled, by NumPy, and by hand."""

import numpy as np
import pytest

from mixedmodels.kernels import level_products as kernels


@pytest.mark.parametrize("seed", range(20))
def test_products_by_level_are_sums_over_rows(seed):
    rng = np.random.default_rng(seed)
    n, q, S, p = (int(rng.integers(1, most)) for most in (60, 9, 5, 6))
    codes = rng.integers(0, q, n).astype(np.int32)
    Z, X = rng.normal(size=(n, S)), np.asfortranarray(rng.normal(size=(n, p)))
    if seed % 2:
        Z = np.asfortranarray(Z)
    faces, cross = kernels.level_products(codes, q, Z, X)
    same, beside = kernels.level_products_numpy(codes, q, Z, X)
    np.testing.assert_array_equal(faces, same)
    np.testing.assert_array_equal(cross, beside)
    for level in range(q):
        rows = codes == level
        np.testing.assert_allclose(faces[:, :, level], Z[rows].T @ Z[rows], atol=1e-12)
        np.testing.assert_allclose(cross[:, :, level], X[rows].T @ Z[rows], atol=1e-12)


@pytest.mark.parametrize("S", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", range(5))
def test_the_basis_of_columns_is_a_factor_of_their_products(S, seed):
    Z = np.random.default_rng(seed).normal(size=(40, S)) * 10.0 ** np.arange(S)
    gram = Z.T @ Z / 40
    C, inverse = kernels.reversed_cholesky(gram, 1e-4)
    np.testing.assert_allclose(C.T @ C, gram, rtol=1e-12, atol=1e-12 * gram.max())
    np.testing.assert_allclose(inverse @ C, np.eye(S), atol=1e-10)
    assert (np.triu(C, 1) == 0.0).all() and (np.triu(inverse, 1) == 0.0).all()
    for ours, theirs in zip((C, inverse), kernels.reversed_cholesky_numpy(gram, 1e-4), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 * np.abs(theirs).max())


def test_dependent_columns_are_left_to_others():
    for gram in (np.ones((2, 2)), np.zeros((2, 2)), np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9]])):
        assert kernels.reversed_cholesky(gram, 1e-4) is None
        assert kernels.reversed_cholesky_numpy(gram, 1e-4) is None
