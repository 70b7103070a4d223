"""Every residual correlation structure: derivatives, positive definiteness, invariance, whitening."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.covariance.residual.by_group import ByGroup
from mixedmodels.covariance.residual.structure import Markov
from mixedmodels.differences import jacobian
from tests.covariance.residual.structures import (
    ALL,
    BY_DISTANCE,
    named,
    random_positions,
    random_rho,
)

# Central differences of step 1e-6: 1e-10 from rounding, and 1e-12 times third derivatives, which are large
# where a correlation changes quickly.
DIFFERENCES = 1e-5
ROUNDING = 1e-9

cases = st.tuples(st.sampled_from(ALL), st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6))


def symmetric(rng, shape):
    dC = rng.normal(size=shape)
    return dC + np.swapaxes(dC, 1, 2)


@given(cases)
@settings(max_examples=150, deadline=None)
def test_pullback_is_the_derivative_of_the_correlation(case):
    structure, seed, K, T = case
    rng = np.random.default_rng(seed)
    positions, rho = random_positions(structure, rng, K, T), random_rho(structure, rng)
    dC = symmetric(rng, (K, T, T))

    def value(x):
        return np.sum(dC * structure.correlation(x, positions))

    if structure.n_parameters:
        steps = 1e-6 * np.maximum(np.abs(rho), 0.1)
        expected = jacobian(value, rho, steps)
        scale = 1.0 + np.abs(expected).max()
        if structure.name == "lin" and near_kink(rho, positions, steps):
            return
        np.testing.assert_allclose(structure.pullback(rho, positions, dC), expected, atol=DIFFERENCES * scale)
    else:
        assert structure.pullback(rho, positions, dC).shape == (0,)


def near_kink(rho, positions, steps):
    """Tell whether a distance is the range, where the linear structure has no derivative."""
    d = np.abs(positions[:, :, None, 0] - positions[:, None, :, 0])
    return bool(np.any(np.abs(d - rho[0]) < 10 * steps[0]))


@given(st.sampled_from(ALL), st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_free_coordinates_round_trip_and_chain(structure, seed):
    rng = np.random.default_rng(seed)
    rho = random_rho(structure, rng)
    free = structure.to_free(rho)
    np.testing.assert_allclose(structure.from_free(free), rho, rtol=1e-6, atol=1e-6)
    assert len(structure.parameter_names()) == structure.n_parameters == len(structure.start())
    if structure.n_parameters:
        target = rng.normal(size=structure.n_parameters)
        expected = jacobian(lambda z: target @ structure.from_free(z), free, np.full(len(free), 1e-5))
        found = structure.free_pullback(free, target)
        np.testing.assert_allclose(found, expected, rtol=DIFFERENCES, atol=DIFFERENCES)


@given(cases)
@settings(max_examples=150, deadline=None)
def test_correlations_are_positive_definite_at_random_coordinates(case):
    structure, seed, K, T = case
    rng = np.random.default_rng(seed)
    C = structure.correlation(random_rho(structure, rng, 1.5), random_positions(structure, rng, K, T))
    assert C.shape == (K, T, T)
    np.testing.assert_allclose(np.diagonal(C, axis1=1, axis2=2), 1.0, atol=ROUNDING)
    np.testing.assert_allclose(C, np.swapaxes(C, 1, 2), atol=ROUNDING)
    # A smooth process over close places has eigenvalues that are zero to rounding.
    assert np.linalg.eigvalsh(C).min() > -1e-13 * T


@given(cases)
@settings(max_examples=60, deadline=None)
def test_order_of_rows_goes_along(case):
    structure, seed, K, T = case
    rng = np.random.default_rng(seed)
    positions, rho = random_positions(structure, rng, K, T), random_rho(structure, rng)
    order = rng.permutation(T)
    C = structure.correlation(rho, positions)
    np.testing.assert_allclose(
        structure.correlation(rho, positions[:, order]), C[:, order][:, :, order], atol=ROUNDING
    )


@pytest.mark.parametrize("structure", BY_DISTANCE, ids=named)
@pytest.mark.parametrize("unit", [1e-4, 7.0, 86400.0])
def test_units_of_time_change_nothing_in_free_coordinates(structure, unit):
    rng = np.random.default_rng(1)
    positions = random_positions(structure, rng, 3, 5)
    scaled = type(structure)(
        **{
            name: getattr(structure, name) * (unit if name in ("typical", "nearest", "unit") else 1)
            for name in structure.__dataclass_fields__
        }
    )
    move = rng.normal(0, 0.5, structure.n_parameters)
    ours, theirs = (s.from_free(s.to_free(s.start()) + move) for s in (structure, scaled))
    C = structure.correlation(ours, positions)
    np.testing.assert_allclose(scaled.correlation(theirs, positions * unit), C, atol=1e-7)


ARMA = [s for s in ALL if s.name == "arma"]


@given(st.sampled_from(ARMA), st.integers(0, 10_000), st.sampled_from([1, 2, 3, 4, 7, 40]))
@settings(max_examples=60, deadline=None)
def test_series_without_gaps_are_whitened_by_banded_factors(structure, seed, T):
    rng = np.random.default_rng(seed)
    positions, rho = np.broadcast_to(np.arange(T), (2, T)) + np.array([[0], [5]]), random_rho(structure, rng)
    rows, dwhite = rng.normal(size=(2, 2, T, 3))
    L = np.linalg.cholesky(structure.correlation(rho, positions))
    white, log_det = structure.whiten(rho, positions, rows)
    np.testing.assert_allclose(white, np.linalg.solve(L, rows), atol=1e-7)
    np.testing.assert_allclose(log_det, 2 * np.log(np.diagonal(L, axis1=1, axis2=2)).sum(), atol=1e-8)
    np.testing.assert_allclose(structure.colour(rho, positions, white), rows, atol=1e-7)
    _, drows = structure.whiten_pullback(rho, positions, rows, dwhite, 1.0)
    np.testing.assert_allclose(drows, np.linalg.solve(np.swapaxes(L, 1, 2), dwhite), atol=1e-6)


MARKOV = [s for s in ALL if isinstance(s, Markov)]


def test_structures_in_which_rows_follow_each_other_are_known():
    assert {s.name for s in MARKOV} == {"ar1", "car1", "exp", "arma"}


@given(st.sampled_from(MARKOV), st.integers(0, 10_000), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_whitening_by_steps_is_the_cholesky_factor(structure, seed, T):
    rng = np.random.default_rng(seed)
    positions, rho = random_positions(structure, rng, 3, T), random_rho(structure, rng)
    rows = rng.normal(size=(3, T, 2))
    white, log_det = structure.whiten(rho, positions, rows)
    C = structure.correlation(rho, positions)
    np.testing.assert_allclose(white, np.linalg.solve(np.linalg.cholesky(C), rows), atol=1e-8)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(C)[1].sum(), atol=1e-8)
    np.testing.assert_allclose(structure.colour(rho, positions, white), rows, atol=1e-7)


@given(st.sampled_from(MARKOV), st.integers(0, 10_000), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_pullback_of_whitening_is_its_derivative(structure, seed, T):
    rng = np.random.default_rng(seed)
    positions, rho = random_positions(structure, rng, 3, T), random_rho(structure, rng)
    rho = structure.from_free(np.clip(structure.to_free(rho), -1.0, 1.0))  # where differences have digits
    rows, dwhite = rng.normal(size=(2, 3, T, 2))

    def value(x, r):
        white, log_det = structure.whiten(x, positions, r)
        return np.sum(dwhite * white) + 0.7 * log_det

    drho, drows = structure.whiten_pullback(rho, positions, rows, dwhite, 0.7)
    expected = jacobian(lambda x: value(x, rows), rho, 1e-6 * np.maximum(np.abs(rho), 0.1))
    np.testing.assert_allclose(drho, expected, rtol=1e-4, atol=1e-4)
    move = rng.normal(size=rows.shape)
    slope = (value(rho, rows + 1e-6 * move) - value(rho, rows - 1e-6 * move)) / 2e-6
    np.testing.assert_allclose(np.sum(drows * move), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("structure", [s for s in ALL if s.n_parameters], ids=named)
def test_ends_of_ranges_are_told(structure):
    names = [name for name, _ in structure.bounds_reached(structure.start())]
    assert names == []
    far = structure.to_free(structure.start()) + 40.0
    assert structure.bounds_reached(structure.from_free(far))


def test_parameters_of_arms_are_stacked():
    structure = BY_DISTANCE[4]
    stacked = ByGroup(structure, ("a", "b"))
    rho = np.concatenate([structure.start(), structure.start() * 2])
    assert stacked.parameter_names() == ("range.a", "nugget.a", "range.b", "nugget.b")
    np.testing.assert_allclose(stacked.from_free(stacked.to_free(rho)), rho)
    np.testing.assert_allclose(rho[stacked.of_arm(1)], structure.start() * 2)
    both = stacked.free_pullback(stacked.to_free(rho), np.ones(4))
    np.testing.assert_allclose(both[2:], structure.free_pullback(structure.to_free(rho[2:]), np.ones(2)))
    assert stacked.bounds_reached(np.array([1.0, 0.0, 1.0, 0.5]))[0][0] == "nugget of a"
