"""The multifrontal factorization against dense algebra."""

from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array

from mixedmodels.factorization.sparse import order as sparse_order
from mixedmodels.factorization.sparse import symbolic as sparse_symbolic
from mixedmodels.factorization.sparse.cholesky import factor_fronts, invert_fronts, solve_fronts
from mixedmodels.factorization.sparse.symbolic import build_fronts

# Systems here have condition numbers up to about 1e3.
ROUNDING = 1e-11


@st.composite
def systems(draw):
    """Draw the pattern of some levels, their sizes, and a positive definite matrix with a border on it."""
    q, p = draw(st.integers(1, 20)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    meets = rng.random((q, q)) < draw(st.sampled_from([0.0, 0.05, 0.2, 1.0]))
    meets = meets | meets.T | np.eye(q, dtype=bool)
    sizes = rng.integers(1, 4, q)
    level = np.repeat(np.arange(q), sizes)
    n = len(level) + p
    occurs = np.ones((n, n), dtype=bool)
    occurs[: n - p, : n - p] = meets[np.ix_(level, level)]
    A = np.where(occurs, rng.normal(size=(n, n)), 0.0)
    A = A + A.T
    A += np.diag(np.abs(A).sum(axis=1) + 0.1)
    return csc_array(meets), rng.permutation(q), sizes, p, A, occurs


def _factored(system, merge):
    adjacency, order, sizes, p, A, occurs = system
    overhead = sparse_symbolic.FRONT_SECONDS if merge else 0.0
    with (
        patch.object(sparse_symbolic, "FRONT_SECONDS", overhead),
        patch.object(sparse_symbolic, "HALF_SPEED", 0),
    ):
        fronts = build_fronts(adjacency, order, sizes, p)
    rows, columns = np.nonzero(np.tril(occurs))
    panels = np.zeros(fronts.size)
    panels[fronts.slots(rows, columns)] = A[rows, columns]
    factor_fronts(fronts, panels)
    return fronts, panels, rows, columns


@pytest.mark.parametrize("merge", [True, False], ids=["merged", "small"])
@settings(max_examples=60)
@given(system=systems())
def test_factor_solution_and_inverse_equal_dense_ones(merge, system):
    p, A = system[3], system[4]
    fronts, panels, rows, columns = _factored(system, merge)
    n = len(A)
    pivots = panels[fronts.slots(np.arange(n), np.arange(n))]
    assert 2.0 * np.log(pivots).sum() == pytest.approx(np.linalg.slogdet(A)[1], rel=ROUNDING)
    b = np.arange(1.0, n + 1.0)
    z = np.empty(n)
    z[fronts.position] = b
    np.testing.assert_allclose(A @ solve_fronts(fronts, panels, z)[fronts.position], b, rtol=1e-9)
    inverse = invert_fronts(fronts, panels)[fronts.slots(rows, columns)]
    np.testing.assert_allclose(inverse, np.linalg.inv(A)[rows, columns], rtol=1e-9, atol=ROUNDING)
    if p:
        held = invert_fronts(fronts, panels, np.zeros((p, p)))[fronts.slots(rows, columns)]
        expected = np.zeros((n, n))
        expected[: n - p, : n - p] = np.linalg.inv(A[: n - p, : n - p])
        np.testing.assert_allclose(held, expected[rows, columns], rtol=1e-9, atol=ROUNDING)


def test_indefinite_matrices_are_refused():
    adjacency = csc_array(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]]))
    fronts = build_fronts(adjacency, np.arange(3), np.ones(3, dtype=np.intp), 0)
    panels = np.zeros(fronts.size)
    panels[fronts.slots(np.arange(3), np.arange(3))] = [1.0, -1.0, 1.0]
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        factor_fronts(fronts, panels)


def _grid(m):
    """Return the pattern of an m x m grid of neighbours."""
    line = np.eye(m) + np.eye(m, k=1) + np.eye(m, k=-1)
    return csc_array(np.kron(line, line) > 0)


def _fill(order):
    grid = _grid(30)
    return build_fronts(grid, order, np.ones(900, dtype=np.intp), 0).size


@pytest.mark.parametrize("suitesparse", [True, False])
def test_orders_save_fill(suitesparse):
    if suitesparse and sparse_order.cholmod() is None:
        pytest.skip("scikit-sparse is not installed")
    with patch.object(sparse_order, "cholmod", sparse_order.cholmod if suitesparse else lambda: None):
        order = sparse_order.fill_reducing_order(_grid(30))
    np.testing.assert_array_equal(np.sort(order), np.arange(900))
    with patch.object(sparse_symbolic, "FRONT_SECONDS", 0.0), patch.object(sparse_symbolic, "HALF_SPEED", 0):
        assert _fill(order) < 0.7 * _fill(np.arange(900))


def test_both_interfaces_of_scikit_sparse_are_understood():
    reverse = np.arange(9)[::-1]
    old = SimpleNamespace(analyze=lambda A, ordering_method: SimpleNamespace(P=lambda: reverse))
    new = SimpleNamespace(CholeskyFactor=lambda A, order: SimpleNamespace(perm=reverse))
    for module in (old, new):
        with patch.object(sparse_order, "cholmod", lambda module=module: module):
            np.testing.assert_array_equal(sparse_order.fill_reducing_order(_grid(3)), reverse)
