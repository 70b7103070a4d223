"""The basis of a term's columns: orthogonal, lower triangular, and free of the place of the predictor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.covariance import Unstructured
from mixedmodels.engines.column_basis import column_basis, moved_theta
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.problem_from_data import evaluate_at, generalized_problem
from mixedmodels.families import get_family
from mixedmodels.formula.design.design import RandomTerm


@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(-6, 6), st.floats(0, 4))
@settings(max_examples=60, deadline=None)
def test_the_columns_are_orthogonal_in_any_units_and_far_from_zero(seed, S, unit, distance):
    rng = np.random.default_rng(seed)
    Z = np.column_stack([np.ones(50), rng.normal(10.0**distance, 1.0, size=(50, S))])[:, :S] * 10.0**unit
    basis = column_basis(Z)
    Q = basis.columns(Z)
    np.testing.assert_allclose(Q.T @ Q / 50, np.eye(S), atol=1e-15 * 10.0 ** (2 * distance) + 1e-12)
    np.testing.assert_allclose(Q @ basis.C, Z, rtol=1e-9)
    assert not np.triu(basis.C, 1).any()
    assert (np.diagonal(basis.C) > 0.0).all()


def test_nearly_collinear_columns_keep_their_digits():
    x = np.linspace(0.0, 1.0, 40)
    Z = np.column_stack([x, x + 1e-9 * np.cos(40.0 * x)])
    C = column_basis(Z).C
    # The small pivot is what is left of the first column beside the second, known here in closed form.
    rest = Z[:, 0] - Z[:, 1] * (Z[:, 1] @ Z[:, 0]) / (Z[:, 1] @ Z[:, 1])
    np.testing.assert_allclose(C[0, 0], np.sqrt(rest @ rest / 40), rtol=1e-6)


@pytest.mark.parametrize("Z", [np.ones((5, 2)), np.column_stack([np.ones(5), np.zeros(5)])])
def test_dependent_columns_keep_their_directions(Z):
    np.testing.assert_array_equal(column_basis(Z).C, np.eye(2))


def test_theta_goes_in_and_out():
    structure, theta = Unstructured(3), np.array([2.0, -1.0, 0.5, 0.0, 0.3, 1.5])
    basis = column_basis(np.random.default_rng(3).normal(5.0, 1.0, size=(30, 3)))
    inner = moved_theta(structure, basis.C, theta)
    np.testing.assert_allclose(structure.factor(inner), basis.C @ structure.factor(theta), atol=1e-14)
    np.testing.assert_allclose(moved_theta(structure, basis.inverse, inner), theta, atol=1e-13)


def poisson_with_years(shift):
    rng = np.random.default_rng(8)
    codes, x = np.repeat(np.arange(20), 15), rng.normal(size=300)
    b = rng.normal(size=(20, 2)) * [0.6, 0.3]
    y = rng.poisson(np.exp(1.0 + b[codes, 0] + b[codes, 1] * x)).astype(float)
    Z = np.column_stack([np.ones(300), x + shift])
    names, levels = ("(Intercept)", "x"), tuple(map(str, range(20)))
    term = RandomTerm("g", "g", "x | g", names, Z, codes, levels, Unstructured(2))
    return generalized_problem(y, None, Z, [term], None, get_family("poisson"))


def test_a_generalized_fit_does_not_depend_on_where_the_predictor_is():
    here, there = poisson_with_years(0.0), poisson_with_years(2000.0)
    assert here.column_bases == (None,)
    assert there.column_bases[0] is not None
    one, other = fit_generalized(here, 1), fit_generalized(there, 1)
    assert other.convergence.verdict == "converged"
    np.testing.assert_allclose(other.objective, one.objective, rtol=1e-10)
    np.testing.assert_allclose(other.eta, one.eta, atol=1e-5)
    # Var(b0 + b1 x) at the old zero, and the slope's variance.
    T, moved = (Unstructured(2).factor(fit.theta) for fit in (one, other))
    at = np.array([[1.0, 2000.0], [0.0, 1.0]])
    np.testing.assert_allclose(at @ moved @ moved.T @ at.T, T @ T.T, rtol=1e-4)


def test_the_objective_is_that_of_the_theta_given_in_any_basis():
    here, there = poisson_with_years(0.0), poisson_with_years(2000.0)
    T = np.array([[0.7, 0.0], [0.1, 0.4]])
    Sigma = np.array([[1.0, -2000.0], [0.0, 1.0]]) @ T
    moved = np.linalg.cholesky(Sigma @ Sigma.T)
    beta = np.array([1.0, 0.05])
    values = [
        evaluate_at(problem, np.concatenate([T[[0, 1, 1], [0, 0, 1]], b]))
        for problem, T, b in ((here, T, beta), (there, moved, beta - [2000.0 * 0.05, 0.0]))
    ]
    np.testing.assert_allclose(values[1], values[0], rtol=1e-10)
