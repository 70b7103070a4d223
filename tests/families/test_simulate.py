"""Simulated responses have the mean and variance of the family, prior weights included."""

import numpy as np
import pytest

from mixedmodels import families as mf
from mixedmodels.errors import FamilyError, NotAvailableError

DRAWS = 40_000
# Five standard errors of a mean of 40,000 draws, and of a variance of a distribution with kurtosis below 40.
MEAN_ERRORS, VARIANCE_ERROR = 5.0, 0.16

CASES = [
    (mf.binomial(), 0.3, 5.0, [], 0.21 / 5),
    (mf.poisson(), 2.5, 1.0, [], 2.5),
    (mf.Gamma(), 2.5, 2.0, [0.6], 0.6 * 2.5**2 / 2),
    (mf.inverse_gaussian(), 1.5, 3.0, [0.4], 0.4 * 1.5**3 / 3),
    (mf.gaussian(), -1.0, 4.0, [0.9], 0.9 / 4),
    (mf.negative_binomial(1.7), 2.5, 1.0, [], 2.5 + 2.5**2 / 1.7),
    (mf.nbinom2(), 2.5, 1.0, [1.7], 2.5 + 2.5**2 / 1.7),
    (mf.nbinom1(), 2.5, 1.0, [1.2], 2.5 * 2.2),
    (mf.beta(), 0.3, 1.0, [4.0], 0.21 / 5),
    (mf.betabinomial(), 0.3, 5.0, [4.0], 0.21 / 5 * (1 + 4 / 5)),
    (mf.poisson(zi=True), 2.5, 1.0, [0.3], None),
    (mf.nbinom2(zi=True), 2.5, 1.0, [1.7, 0.3], None),
    (mf.truncated_poisson(zi=True), 2.5, 1.0, [0.3], None),
    (mf.truncated_nbinom1(), 2.5, 1.0, [0.8], None),
]


@pytest.mark.parametrize(
    ("family", "mean", "weight", "phi", "variance"), CASES, ids=lambda v: getattr(v, "name", "")
)
def test_moments(family, mean, weight, phi, variance):
    phi, mu = np.array(phi, dtype=float), np.full(DRAWS, mean)
    weights = np.full(DRAWS, weight)
    y = family.simulate(np.random.default_rng(7), mu, weights, phi)
    family.check(y, weights)
    of_rows = family.variance(mu, phi) * family.variance_inflation(weights, phi) / weights
    if variance is None:
        variance = of_rows[0]
    assert of_rows[0] == pytest.approx(variance, rel=1e-12)
    expected = family.response_mean(mu[:1], phi)[0]
    assert abs(y.mean() - expected) < MEAN_ERRORS * np.sqrt(variance / DRAWS)
    assert y.var() == pytest.approx(variance, rel=VARIANCE_ERROR)


@pytest.mark.parametrize("family", [mf.binomial(), mf.Gamma(), mf.inverse_gaussian(), mf.gaussian()])
def test_a_row_of_weight_zero_is_drawn_without_complaint(family):
    weights = np.array([0.0, 2.0])
    y = family.simulate(np.random.default_rng(1), np.full(2, 0.4), weights, np.ones(len(family.phi_names)))
    assert np.all(np.isfinite(y))


def test_trials_must_be_whole():
    with pytest.raises(FamilyError, match="whole numbers of trials"):
        mf.binomial().simulate(np.random.default_rng(1), np.full(2, 0.4), np.array([1.0, 2.5]), np.empty(0))


def test_a_quasi_family_has_nothing_to_simulate():
    with pytest.raises(NotAvailableError, match="quasipoisson"):
        mf.quasipoisson().simulate(np.random.default_rng(1), np.ones(2), np.ones(2), np.empty(0))


def test_the_same_seed_gives_the_same_responses():
    family, mu = mf.nbinom2(zi=True), np.linspace(0.5, 3.0, 50)
    phi = np.array([1.2, 0.3])
    first, second = (family.simulate(np.random.default_rng(3), mu, np.ones(50), phi) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_extreme_means_and_shapes_give_legal_responses():
    rng, ones = np.random.default_rng(2), np.ones(200)
    for family, mean, phi in (
        (mf.poisson(), 1e18, []),
        (mf.nbinom2(), 1e18, [0.5]),
        (mf.nbinom1(), 1e18, [3.0]),
        (mf.Gamma(), 1.0, [2000.0]),
        (mf.inverse_gaussian(), 1e-3, [1e6]),
        (mf.beta(), 1e-3, [0.01]),
    ):
        y = family.simulate(rng, np.full(200, mean), ones, np.array(phi, dtype=float))
        family.check(y, ones)
        assert np.all(np.isfinite(y))
