"""Central differences against derivatives known in closed form, in whatever units."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.differences import derivative, hessian, hessian_by_standard_errors, jacobian


def test_derivative_of_each_element():
    x = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_allclose(derivative(np.sin, x, np.full(3, 1e-5)), np.cos(x), atol=1e-10)


def test_jacobian_has_the_parameter_last():
    def table(x):
        return np.array([[x[0] * x[1], x[0]], [x[1] ** 2, np.exp(x[0])], [0.0, x[1]]])

    a, b = 0.5, 2.0
    expected = [[[b, a], [1.0, 0.0]], [[0.0, 2.0 * b], [np.exp(a), 0.0]], [[0.0, 0.0], [0.0, 1.0]]]
    np.testing.assert_allclose(jacobian(table, np.array([a, b]), np.full(2, 1e-5)), expected, atol=1e-9)


def log_likelihood_parts(seed, m):
    """Return gradient and Hessian of a smooth -2 log-likelihood with curvature of higher order."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(20, m))

    def gradient(x):
        return 2.0 * A.T @ np.sinh(A @ x)

    return gradient, lambda x: 2.0 * A.T @ (np.cosh(A @ x)[:, None] * A), 0.3 * rng.normal(size=m)


@given(st.integers(0, 10_000), st.integers(1, 5), st.lists(st.integers(-9, 9), min_size=5, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_hessian_by_standard_errors_is_right_in_any_units(seed, m, powers):
    gradient, exact, x = log_likelihood_parts(seed, m)
    units = 10.0 ** np.array(powers[:m])
    unknown = np.full(m, np.inf)
    found = hessian_by_standard_errors(lambda z: gradient(z / units) / units, x * units, unknown, units)
    np.testing.assert_allclose(found * np.outer(units, units), exact(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("wrong", [1e-12, 1e12, 0.0, -1.0])
def test_wrong_variances_are_found_out(wrong):
    gradient, exact, x = log_likelihood_parts(1, 3)
    found = hessian_by_standard_errors(gradient, x, np.full(3, wrong), np.ones(3))
    np.testing.assert_allclose(found, exact(x), rtol=1e-4, atol=1e-4)


def test_hessian_with_steps_given():
    gradient, exact, x = log_likelihood_parts(2, 4)
    np.testing.assert_allclose(hessian(gradient, x, np.full(4, 1e-4)), exact(x), rtol=1e-6, atol=1e-6)


def test_no_parameters_have_an_empty_hessian():
    empty = np.zeros(0)
    assert hessian_by_standard_errors(lambda x: x, empty, empty, empty).shape == (0, 0)
    assert hessian(lambda x: x, empty, empty).shape == (0, 0)
