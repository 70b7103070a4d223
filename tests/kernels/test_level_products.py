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


def _rows(seed):
    rng = np.random.default_rng(seed)
    n, q, p, S = int(rng.integers(30, 200)), *(int(rng.integers(1, most)) for most in (12, 6, 5))
    X = rng.normal(size=(n, p)) + rng.normal()
    X[:, 0] = 1.0
    Z = X[:, :S] if seed % 3 == 0 and p >= S else rng.normal(size=(n, S))
    X = np.asfortranarray(X) if seed % 2 else X
    return 100.0 + rng.normal(size=n), X, Z, rng.integers(0, q, n).astype(np.int32), q


@pytest.mark.parametrize("seed", range(30))
def test_the_pass_over_the_rows_of_a_plain_model(seed):
    y, X, Z, codes, q = _rows(seed)
    ours = kernels.plain_rows(y, X, Z, codes, q, 0.01, 1e-4)
    theirs = kernels.plain_rows_numpy(y, X, Z, codes, q, 0.01, 1e-4)
    for one, other in zip(ours, theirs, strict=True):
        size = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11 * size)
    R_inverse, log_det, XX, C, C_inverse, scales, Q, faces, XZ, Ze, fixed, rss, total = ours
    # By hand: least squares, and dense products of indicators.
    e = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    orthonormal, indicators = X @ R_inverse, np.eye(q)[codes]
    np.testing.assert_allclose(XX, np.eye(X.shape[1]), atol=1e-11)
    np.testing.assert_allclose(Q.T @ C, Z, atol=1e-11)
    np.testing.assert_allclose(Q @ Q.T / len(y), np.eye(len(Q)), atol=1e-11)
    np.testing.assert_allclose(C @ C_inverse, np.eye(len(C)), atol=1e-11)
    np.testing.assert_allclose(scales, 1.0 / np.sqrt((Z**2).mean(axis=0)), rtol=1e-12)
    np.testing.assert_allclose(faces, np.einsum("ir,jr,rl->ijl", Q, Q, indicators), atol=1e-10)
    np.testing.assert_allclose(XZ, np.einsum("ra,ir,rl->ail", orthonormal, Q, indicators), atol=1e-10)
    np.testing.assert_allclose(Ze, np.einsum("ir,r,rl->il", Q, e, indicators), atol=1e-9)
    np.testing.assert_allclose(fixed[0], orthonormal.T @ y, rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(fixed[1], 0.0, atol=1e-11)
    assert rss == pytest.approx(e @ e, rel=1e-10) and total == pytest.approx(y @ y, rel=1e-13)
    assert log_det == pytest.approx(np.linalg.slogdet(X.T @ X)[1], rel=1e-9, abs=1e-9)


def test_columns_that_squares_do_not_tell_apart_are_left_to_others():
    y, X, Z, codes, q = _rows(4)
    for kernel in (kernels.plain_rows, kernels.plain_rows_numpy):
        assert kernel(y, np.column_stack([X, X[:, 0] + 1e-6 * y]), Z, codes, q, 0.1, 1e-4) is None
        assert kernel(y, np.column_stack([X, 0.0 * y]), Z, codes, q, 0.1, 1e-4) is None
        assert kernel(y, X, np.column_stack([Z, Z[:, 0] + 1e-9 * y]), codes, q, 0.1, 1e-4) is None


@pytest.mark.parametrize("seed", range(20))
def test_lengths_and_angles_of_columns(seed):
    _, X, Z, codes, q = _rows(seed)
    lengths, R = kernels.unit_cholesky(X)
    same, triangle = kernels.unit_cholesky_numpy(X)
    np.testing.assert_allclose(lengths, same, rtol=1e-13)
    np.testing.assert_allclose(R, triangle, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(lengths, np.linalg.norm(X, axis=0), rtol=1e-13)
    np.testing.assert_allclose(R.T @ R * np.outer(lengths, lengths), X.T @ X, rtol=1e-10, atol=1e-10)
    for kernel in (kernels.unit_cholesky, kernels.unit_cholesky_numpy):
        none, absent = kernel(np.column_stack([X, np.zeros(len(X))]))
        assert none[-1] == 0.0 and absent is None
    pair = np.column_stack([Z[:, 0], np.where(codes % 2 == 0, 3.0 * Z[:, 0], X[:, -1])])
    grams = [own.T @ own for own in (pair[codes == level] for level in range(q))]
    regular = sum(np.linalg.det(gram) > 1e-4 * gram[0, 0] * gram[1, 1] for gram in grams)
    assert kernels.regular_pairs(codes, q, pair, 1e-4) == regular
    assert kernels.regular_pairs_numpy(codes, q, pair, 1e-4) == regular


def test_levels_that_rows_have_are_counted():
    for codes in ([], [0, 0, 2], [-1, 1, -1, 3], [3, 2, 1, 0], [-1]):
        codes = np.array(codes, np.int32)
        expected = len(set(codes.tolist()) - {-1})
        assert kernels.count_present(codes, 4) == kernels.count_present_numpy(codes, 4) == expected
