"""Every covariance structure: its factor, its exact derivatives, its coordinates."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.covariance import covariance_structure

# Central differences of step 1e-6 carry errors of about 1e-10 from rounding and truncation, times the
# curvature of R near the bounds of rho, which the strategies keep 0.02 away from.
DIFFERENCE_TOLERANCE = 2e-6
ROUNDING = 1e-12

NAMES = ["us", "diag", "cs", "ar1"]
SIZES = [1, 2, 3, 5]
structures = st.builds(
    covariance_structure, st.sampled_from(NAMES), st.sampled_from(SIZES), st.sampled_from([None, True, False])
)


def random_theta(structure, seed):
    rng = np.random.default_rng(seed)
    theta = rng.uniform(0.2, 2.0, structure.n_theta)
    if structure.name == "us":
        return rng.normal(size=structure.n_theta)
    if hasattr(structure, "rho_bounds") and structure.size > 1:
        low, high = structure.rho_bounds()
        theta[-1] = rng.uniform(low + 0.02, high - 0.02)
    return theta


def differences(function, at, step=1e-6):
    result = []
    for k in range(len(at)):
        shift = np.zeros(len(at))
        shift[k] = step
        result.append((function(at + shift) - function(at - shift)) / (2 * step))
    return np.array(result)


@given(structures, st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_pullback_is_the_derivative_of_the_factor(structure, seed):
    theta = random_theta(structure, seed)
    dT = np.random.default_rng(seed + 1).normal(size=(structure.size, structure.size))
    expected = differences(lambda t: np.sum(np.tril(dT) * structure.factor(t)), theta)
    np.testing.assert_allclose(structure.pullback(theta, dT), expected, atol=DIFFERENCE_TOLERANCE * 10)


@given(structures, st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_free_coordinates_round_trip_and_chain(structure, seed):
    theta = random_theta(structure, seed)
    free = structure.to_free(theta)
    np.testing.assert_allclose(structure.from_free(free), theta, atol=ROUNDING)
    target = np.random.default_rng(seed).normal(size=structure.n_theta)
    expected = differences(lambda z: target @ structure.from_free(z), free)
    np.testing.assert_allclose(structure.free_pullback(free, target), expected, atol=DIFFERENCE_TOLERANCE)


@given(structures, st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_factor_is_lower_triangular_and_start_is_the_identity(structure, seed):
    T = structure.factor(random_theta(structure, seed))
    assert np.array_equal(T, np.tril(T))
    np.testing.assert_allclose(structure.factor(structure.start()), np.eye(structure.size), atol=1e-11)
    assert len(structure.is_lower_bound()) == structure.n_theta
    columns = tuple("abcde"[: structure.size])
    assert len(structure.parameter_names(columns)) == structure.n_theta
    assert structure.scales(np.ones(structure.size)).shape == (structure.n_theta,)


@given(structures, st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_canonical_keeps_the_covariance(structure, seed):
    theta = random_theta(structure, seed)
    if structure.name in ("us", "diag"):
        theta = theta * np.random.default_rng(seed).choice([-1.0, 1.0], len(theta))
    T, C = structure.factor(theta), structure.factor(structure.canonical(theta))
    np.testing.assert_allclose(C @ C.T, T @ T.T, atol=ROUNDING * 10)
    assert np.all(np.diag(C) >= 0)


@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("rho", [-0.15, 0.0, 0.4, 0.99])
def test_compound_symmetry_has_one_correlation(size, rho):
    sd = np.arange(1.0, size + 1)
    T = covariance_structure("cs", size).factor(np.append(sd, rho))
    expected = np.outer(sd, sd) * np.where(np.eye(size) == 1, 1.0, rho)
    np.testing.assert_allclose(T @ T.T, expected, atol=1e-10)


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.4, 0.99])
def test_autoregression_has_powers(rho):
    lag = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    T = covariance_structure("ar1", 5).factor(np.array([2.0, rho]))
    np.testing.assert_allclose(T @ T.T, 4 * rho**lag, atol=1e-11)


@pytest.mark.parametrize("name", ["cs", "ar1"])
@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("end", [0, 1])
def test_correlations_at_their_bounds_are_legal(name, size, end):
    structure = covariance_structure(name, size, True)
    rho = structure.rho_bounds()[end]
    T = structure.factor(np.array([1.0, rho]))
    lag = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    expected = rho**lag if name == "ar1" else np.where(lag == 0, 1.0, rho)
    # The factor stays 1e-12 of the interval inside the bound, see covariance/correlation.py.
    np.testing.assert_allclose(T @ T.T, expected, atol=1e-11)
    free = structure.to_free(np.array([1.0, rho]))
    dC = np.random.default_rng(1).normal(size=(size, size))
    gradient = structure.free_pullback(
        free, structure.pullback(structure.from_free(free), 2 * (dC + dC.T) @ T)
    )
    assert np.all(np.isfinite(gradient))
    assert abs(gradient[1]) < 1e-4  # rho = mid + half sin(z) is stationary in z at its bounds


@pytest.mark.parametrize("name", ["cs", "ar1", "diag"])
def test_zero_deviations_are_legal(name):
    structure = covariance_structure(name, 3, False)
    theta = np.zeros(structure.n_theta)
    assert np.array_equal(structure.factor(theta), np.zeros((3, 3)))
    assert np.all(np.isfinite(structure.pullback(theta, np.ones((3, 3)))))
    assert np.all(np.isfinite(structure.to_free(theta)))


def test_one_coefficient_is_the_same_in_every_structure():
    for name in NAMES:
        structure = covariance_structure(name, 1)
        assert structure.n_theta == 1
        assert structure.factor(np.array([1.5])) == pytest.approx(1.5)


def test_parameter_names_follow_lme4():
    columns = ("(Intercept)", "Days")
    assert covariance_structure("us", 2).parameter_names(columns) == (
        "(Intercept)",
        "Days.(Intercept)",
        "Days",
    )
    assert covariance_structure("cs", 2).parameter_names(columns) == ("(Intercept)", "Days", "rho")
    assert covariance_structure("ar1", 2).parameter_names(columns) == ("sd", "rho")
    assert covariance_structure("diag", 2, True).parameter_names(columns) == ("sd",)


def test_defaults_are_those_of_lme4():
    assert covariance_structure("cs", 3).n_theta == 4
    assert covariance_structure("cs", 3, True).n_theta == 2
    assert covariance_structure("diag", 3).n_theta == 3
    assert covariance_structure("ar1", 3).n_theta == 2
    assert covariance_structure("ar1", 3, False).n_theta == 4
    assert math.isclose(covariance_structure("cs", 5).rho_bounds()[0], -0.25)
