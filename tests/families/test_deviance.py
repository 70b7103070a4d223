"""Squared deviance residuals: twice the log-likelihood ratio against the best mean of each row."""

import numpy as np
import pytest

from mixedmodels import families as mf
from tests.families.cases import COUNTS, FRACTIONS, NONE, POSITIVE, PROPORTIONS, TRIALS, WEIGHTS

GRID = np.linspace(-12.0, 12.0, 24_001)
# The best eta on a grid of step 0.001 misses the maximum by (0.0005)^2 times half the information.
ON_GRID = 1e-3
CASES = [
    (mf.binomial(), PROPORTIONS, TRIALS, NONE, 1.0),
    (mf.poisson(), COUNTS, WEIGHTS, NONE, 1.0),
    (mf.negative_binomial(1.7), COUNTS, WEIGHTS, NONE, 1.0),
    (mf.nbinom2(), COUNTS, WEIGHTS, np.array([1.7]), 1.0),
    (mf.nbinom1(), COUNTS, WEIGHTS, np.array([3.0]), 1.0),
    (mf.Gamma("log"), POSITIVE, WEIGHTS, np.array([0.4]), 0.4),
    (mf.inverse_gaussian("log"), POSITIVE, WEIGHTS, np.array([0.4]), 0.4),
    (mf.gaussian("log"), POSITIVE, WEIGHTS, np.array([0.4]), 0.4),
    (mf.beta(), FRACTIONS, WEIGHTS, np.array([3.0]), 1.0),
    (mf.betabinomial(), PROPORTIONS, TRIALS, np.array([3.0]), 1.0),
    (mf.poisson(zi=True), COUNTS, WEIGHTS, np.array([0.3]), 1.0),
    (mf.poisson("sqrt", zi=True), COUNTS, WEIGHTS, np.array([0.3]), 1.0),
    (mf.truncated_nbinom2(zi=True), COUNTS, WEIGHTS, np.array([1.7, 0.3]), 1.0),
    (mf.truncated_nbinom1(), COUNTS[1:], WEIGHTS[1:], np.array([1.7]), 1.0),
]


@pytest.mark.parametrize(("family", "y", "weights", "phi", "dispersion"), CASES)
def test_against_a_grid(family, y, weights, phi, dispersion):
    eta = np.linspace(0.2, 1.5, len(y))
    found = family.deviance(y, family.link.inverse(eta), weights, phi)
    best = np.array(
        [
            family.evaluate(np.full(GRID.size, value), GRID, np.full(GRID.size, weight), phi).loglik.max()
            for value, weight in zip(y, weights, strict=True)
        ]
    )
    expected = 2.0 * (best - family.evaluate(y, eta, weights, phi).loglik) * dispersion
    np.testing.assert_allclose(found, expected, rtol=ON_GRID, atol=ON_GRID)
    assert np.all(found >= 0.0)


def test_means_at_the_end_of_their_range():
    y, weights = np.array([0.0, 1.0, 0.0]), np.ones(3)
    for family in (mf.binomial(), mf.poisson()):
        np.testing.assert_allclose(family.deviance(y, y, weights, NONE), 0.0, atol=1e-15)
    worst = mf.binomial().deviance(np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.ones(2), NONE)
    assert np.all(np.isfinite(worst) & (worst > 70.0))
