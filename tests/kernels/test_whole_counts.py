"""Whole counts, their proportions and binomial coefficients: compiled, by NumPy, and by hand."""

import math

import numpy as np
import pytest

from mixedmodels.kernels import whole_counts as kernels

PROPORTIONS = {"chosen": kernels.proportions, "numpy": kernels.proportions_numpy}
ARE_WHOLE = {"chosen": kernels.are_whole, "numpy": kernels.are_whole_numpy}
LOG_CHOOSE = {"chosen": kernels.log_choose, "numpy": kernels.log_choose_numpy}


@pytest.mark.parametrize("version", PROPORTIONS)
def test_proportions_are_those_of_the_trials(version):
    rng = np.random.default_rng(4)
    successes, failures = rng.integers(0, 4, (2, 50)).astype(float)
    y, trials = PROPORTIONS[version](successes, failures)
    np.testing.assert_array_equal(trials, successes + failures)
    np.testing.assert_array_equal(y[trials > 0], (successes / np.maximum(trials, 1.0))[trials > 0])
    assert (y[trials == 0] == 0.0).all() and (trials == 0).any()


@pytest.mark.parametrize("version", PROPORTIONS)
@pytest.mark.parametrize("wrong", [-1.0, 0.5, np.nan, np.inf, -np.inf, 2.0**54])
@pytest.mark.parametrize("place", [0, 1])
def test_other_counts_are_left_to_whoever_says_what_is_wrong(version, wrong, place):
    counts = np.ones((2, 5))
    counts[place, 3] = wrong
    assert PROPORTIONS[version](*counts) is None


@pytest.mark.parametrize("version", ARE_WHOLE)
def test_whole_numbers_end_where_they_are_told_to(version):
    values = np.array([0.0, 1.0, 7.0])
    assert ARE_WHOLE[version](values, 7.0) and not ARE_WHOLE[version](values, 1.0)
    assert ARE_WHOLE[version](values[:0], 1.0)
    assert ARE_WHOLE[version](np.array([1.0, 9.0, 0.0, 9.0])[::2], 1.0)


@pytest.mark.parametrize("version", LOG_CHOOSE)
@pytest.mark.parametrize("most", [3, 300, 100_000])
def test_binomial_coefficients_are_exact(version, most):
    rng = np.random.default_rng(most)
    trials = rng.integers(1, most, 40)
    successes = rng.integers(0, trials + 1)
    found = LOG_CHOOSE[version](successes / trials, trials.astype(float))
    exact = [_log_choose(int(n), int(k)) for n, k in zip(trials, successes, strict=True)]
    # A few roundings of the largest logarithm of a factorial.
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-15 * most * math.log(most))


def _log_choose(n, k):
    if n > 1000:
        return math.lgamma(n + 1.0) - math.lgamma(k + 1.0) - math.lgamma(n - k + 1.0)
    return math.log(math.comb(n, k))


def test_the_two_agree_between_whole_numbers():
    rng = np.random.default_rng(9)
    y, trials = rng.uniform(size=200), rng.uniform(0.0, 300.0, 200)
    y[:5], trials[5:9] = (0.0, 1.0, 0.0, 1.0, 0.5), 0.0
    np.testing.assert_allclose(
        kernels.log_choose(y, trials), kernels.log_choose_numpy(y, trials), rtol=1e-12, atol=1e-11
    )
