"""Canonical form and exact zeros."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixedmodels.optimization.canonical import canonical, is_saddle, with_exact_zeros
from tests.factorization.random_models import random_term


def _term(size):
    rng = np.random.default_rng(0)
    return random_term(rng.normal(size=(30, size)), np.arange(30) % 6, "g")


@given(seed=st.integers(0, 10_000), size=st.integers(1, 5))
def test_canonical_form_keeps_the_covariance_and_is_a_fixed_point(seed, size):
    rng = np.random.default_rng(seed)
    term = _term(size)
    T = np.tril(rng.normal(size=(size, size)))
    T[np.diag(rng.random(size) < 0.4)] = 0.0
    cols, rows = np.triu_indices(size)
    theta = canonical([term], T[rows, cols])
    ours = term.structure.factor(theta)
    np.testing.assert_allclose(ours @ ours.T, T @ T.T, atol=1e-12)
    assert (np.diagonal(ours) >= 0.0).all()
    dead = np.diagonal(ours) == 0.0
    assert not ours[:, dead].any()
    np.testing.assert_allclose(canonical([term], theta), theta, atol=1e-12)


def test_a_small_diagonal_becomes_zero_only_if_the_objective_allows():
    term, theta, scale = _term(1), np.array([1e-5]), np.ones(1)
    at_zero, value = with_exact_zeros(lambda t: float(t @ t), [term], theta, scale, 1e-10)
    assert at_zero[0] == 0.0
    assert value == 0.0
    kept, _ = with_exact_zeros(lambda t: 1.0 - float(t[0]), [term], theta, scale, 1.0 - 1e-5)
    assert kept[0] == 1e-5


@pytest.mark.parametrize(("slope", "saddle"), [(1.0, False), (-1.0, True), (0.0, False)])
def test_slope_in_the_variance_tells_saddle_from_optimum(slope, saddle):
    # d/dt of slope * t^2 at the probe t = 1e-3.
    assert is_saddle([_term(1)], np.zeros(1), np.ones(1), np.array([2e-3 * slope])) is saddle


def test_a_direction_between_two_null_coefficients_is_seen():
    # Derivative in the covariance [[1, -2], [-2, 1]] has a negative eigenvalue though both variances pay.
    gradient = 2e-3 * np.array([1.0, -2.0, 1.0])
    assert is_saddle([_term(2)], np.zeros(3), np.ones(3), gradient)
    assert not is_saddle([_term(2)], np.zeros(3), np.ones(3), 2e-3 * np.array([1.0, -0.5, 1.0]))
