"""The minimiser on functions whose minimum is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixedmodels.optimization.quasi_newton import minimize, updated


def _rosenbrock(x):
    a, b = 1.0 - x[0], x[1] - x[0] ** 2
    return float(a * a + 100.0 * b * b), np.array([-2.0 * a - 400.0 * x[0] * b, 200.0 * b])


def test_rosenbrock_from_the_classic_start():
    found = minimize(_rosenbrock, np.array([-1.2, 1.0]), 0.01 * np.eye(2), tolerance=1e-14)
    assert found.converged
    # The decrement tolerance 1e-14 leaves the square root of it in x.
    np.testing.assert_allclose(found.x, 1.0, atol=1e-6)
    assert found.n_evaluations < 60


@given(seed=st.integers(0, 10_000), k=st.integers(1, 6))
def test_quadratic_with_its_own_hessian_takes_one_step(seed, k):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, k))
    A = root @ root.T + np.eye(k)
    minimum = rng.normal(size=k)
    found = minimize(
        lambda x: (float((x - minimum) @ A @ (x - minimum)) / 2.0, A @ (x - minimum)),
        np.zeros(k),
        np.linalg.inv(A),
    )
    assert found.n_evaluations <= 2
    np.testing.assert_allclose(found.x, minimum, atol=1e-8)


def test_a_known_first_point_is_not_evaluated_again():
    start = np.array([3.0])
    found = minimize(lambda x: (float(x @ x), 2.0 * x), start, np.eye(1), first=(9.0, 2.0 * start))
    plain = minimize(lambda x: (float(x @ x), 2.0 * x), start, np.eye(1))
    assert found.n_evaluations == plain.n_evaluations - 1


def test_points_that_cannot_be_computed_are_stepped_back_from():
    def barrier(x):
        if x[0] <= 0.0:
            raise np.linalg.LinAlgError("not defined")
        return float(x[0] - np.log(x[0])), np.array([1.0 - 1.0 / x[0]])

    found = minimize(barrier, np.array([5.0]), 100.0 * np.eye(1), tolerance=1e-12)
    assert found.converged
    assert found.x[0] == pytest.approx(1.0, abs=1e-5)


def test_the_budget_of_evaluations_is_kept_and_said():
    found = minimize(_rosenbrock, np.array([-1.2, 1.0]), 0.01 * np.eye(2), max_evaluations=5)
    assert not found.converged
    assert "exhausted" in found.message


def test_update_satisfies_the_secant_equation_and_skips_negative_curvature():
    step, change = np.array([1.0, 2.0]), np.array([0.5, 3.0])
    np.testing.assert_allclose(updated(np.eye(2), step, change) @ change, step, atol=1e-14)
    assert updated(np.eye(2), step, -change) is not None
    np.testing.assert_array_equal(updated(np.eye(2), step, -change), np.eye(2))


def test_the_last_step_of_a_fast_search_is_left_to_the_caller():
    center = np.array([1.0, -2.0, 0.5])
    scale = np.array([1.0, 3.0, 10.0])

    def bowl(x):
        d = x - center
        return float(scale @ (d**2 + 0.01 * d**3)) / 2.0, scale * (2.0 * d + 0.03 * d**2) / 2.0

    start = center + np.array([0.01, 0.02, -0.01])
    slow = minimize(bowl, start, np.diag(1.0 / scale), tolerance=1e-16)
    fast = minimize(bowl, start, np.diag(1.0 / scale), tolerance=1e-16, closing=1e-12)
    assert fast.n_evaluations < slow.n_evaluations
    assert fast.converged
    last = fast.x - fast.inverse_hessian @ fast.gradient
    # What it says is left is what the objective says.
    assert bowl(last)[0] - bowl(center)[0] < 1e-12
    assert 0.0 < fast.decrement <= 1e-12
    assert np.abs(last - center).max() < 1e-6
    far = minimize(bowl, start, 0.3 * np.diag(1.0 / scale), tolerance=1e-16, closing=1e-12)
    # A curvature three times too large tells less well what is left.
    assert bowl(far.x - far.inverse_hessian @ far.gradient)[0] - bowl(center)[0] < 1e-11
