"""Products of sparse rows with a dense inverse, at the entries alone, against all of the product."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.factorization import dense
from mixedmodels.factorization.constant import sparse_rest
from mixedmodels.factorization.constant.sparse_rest import batches_of_pairs, pairs_of_levels
from mixedmodels.formula.design.theta import term_factors


@pytest.mark.parametrize("n", [1, 5, dense.TILE, dense.TILE + 1, 2 * dense.TILE + 37])
def test_upper_triangles_are_filled(n):
    A = np.random.default_rng(n).normal(size=(n, n))
    expected = np.tril(A) + np.tril(A, -1).T
    np.testing.assert_array_equal(dense.mirror(A), expected)
    np.testing.assert_array_equal(dense.fill_upper(A), expected)
    np.testing.assert_array_equal(A, expected)


def test_pairs_of_levels():
    starts, second = pairs_of_levels(np.array([0, 0, 0, 2, 2, 5]))
    assert starts.tolist() == [0, 1, 3, 6, 7, 9, 10]
    assert second.tolist() == [0, 0, 1, 0, 1, 2, 3, 3, 4, 5]


def test_batches_hold_every_level_once(monkeypatch):
    monkeypatch.setattr(sparse_rest, "PAIRS_AT_ONCE", 7)
    counts = np.array([3, 0, 2, 5, 1, 4, 0, 2])
    levels = np.array([0, 1, 2, 3, 5, 7], dtype=np.int32)
    parts = list(batches_of_pairs(counts, levels))
    assert len(parts) > 1 and np.concatenate(parts).tolist() == [0, 2, 3, 5, 7]


def crossed(a, b, slopes, seed):
    rng = np.random.default_rng(seed)
    n = len(a)
    x = rng.normal(size=n)
    y = x + rng.normal(size=a.max() + 1)[a] + 0.7 * rng.normal(size=b.max() + 1)[b] + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "a": [f"a{i}" for i in a], "b": [f"b{i}" for i in b]})
    return mm.lmer(f"y ~ x + ({'x' if slopes else '1'} | a) + (1 | b)", data)


@pytest.mark.parametrize("at_once", [5, 1 << 22])
@pytest.mark.parametrize("slopes", [False, True])
def test_leverages_of_crossed_factors(at_once, slopes, monkeypatch):
    """Light levels go pair by pair, heavy ones as dense rows: both against dense algebra."""
    monkeypatch.setattr(sparse_rest, "PAIRS_AT_ONCE", at_once)
    rng = np.random.default_rng(3)
    # One level of a meets every level of b, others a few.
    a = np.concatenate([np.zeros(45, dtype=int), rng.integers(1, 60, 240)])
    b = np.concatenate([np.arange(45), rng.integers(0, 45, 240)])
    m = crossed(a, b, slopes, 7)
    Z = m.model_matrix(type="random")
    Z = np.asarray(Z.todense() if hasattr(Z, "todense") else Z)
    blocks = []
    for term, T in zip(m.random, term_factors(m.random, m.theta_values), strict=True):
        blocks.append(np.kron(np.eye(term.n_levels), T @ T.T))
    G = np.zeros((Z.shape[1], Z.shape[1]))
    start = 0
    for block in blocks:
        G[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    V = Z @ G @ Z.T + np.eye(len(Z))
    inverse = np.linalg.inv(V)
    X = m.design.X
    P = inverse - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
    np.testing.assert_allclose(m.hatvalues(), 1.0 - np.diag(P), rtol=1e-8)
