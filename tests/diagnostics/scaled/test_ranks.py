"""Randomized ranks: uniform by enumeration, and the residuals of Dunn and Smyth in the limit."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mixedmodels.diagnostics.scaled.ranks import randomized_ranks, ranks_of_all, uniforms
from mixedmodels.diagnostics.scaled.record import simulated_p_value


@pytest.mark.parametrize("probability", [[0.3, 0.5, 0.2], [0.01, 0.99], stats.poisson.pmf(range(7), 0.8)])
@pytest.mark.parametrize("nsim", [1, 2, 3])
def test_the_residual_of_any_discrete_response_is_exactly_uniform(probability, nsim):
    """Summed over all responses and simulations, each part of (0, 1) has the probability of its length."""
    probability = np.asarray(probability) / np.sum(probability)
    ends, distribution = np.linspace(0.0, 1.0, 41), np.zeros(41)
    for y, *simulated in itertools.product(range(len(probability)), repeat=nsim + 1):
        below, equal = (np.full(2, sum(compare(s, y) for s in simulated)) for compare in (np.less, np.equal))
        low, high = randomized_ranks(below, equal, nsim, np.array([0.0, 1.0]))
        weight = probability[y] * np.prod(probability[simulated])
        distribution += weight * np.clip((ends - low) / (high - low), 0.0, 1.0)
    np.testing.assert_allclose(distribution, ends, atol=1e-12)


def test_many_simulations_give_the_randomized_quantile_residual():
    rng, mu, V = np.random.default_rng(1), np.array([0.4, 2.0, 7.5]), np.array([0.2, 0.5, 0.9])
    y, Y = np.array([0.0, 3.0, 6.0]), rng.poisson(mu[:, None], (3, 400_000))
    below, equal = (y[:, None] > Y).sum(axis=1), (y[:, None] == Y).sum(axis=1)
    limit = stats.poisson.cdf(y - 1, mu) + V * stats.poisson.pmf(y, mu)
    np.testing.assert_allclose(randomized_ranks(below, equal, Y.shape[1], V), limit, atol=0.004)


def test_residuals_stay_inside_the_unit_interval():
    ends = randomized_ranks(np.array([0.0, 10.0]), np.zeros(2), 10, np.array([2.0**-54, 1.0]))
    assert 0.0 < ends[0] < ends[1] < 1.0
    assert ((u := uniforms(np.random.default_rng(2), 1000)) > 0.0).all()
    assert (u < 1.0).all()


@pytest.mark.parametrize("values", [np.arange(24.0), np.arange(24) // 5 * 1.0, np.zeros(24)])
def test_ranks_of_all_are_those_of_each_among_the_others(values):
    rng = np.random.default_rng(3)
    Y = rng.permutation(values).reshape(4, 6)
    found = ranks_of_all(Y, np.random.default_rng(4))
    for row, ranks in zip(Y, found, strict=True):
        for y, u in zip(row, ranks, strict=True):
            low, high = (row < y).sum() / 6, (row <= y).sum() / 6
            assert low < u < high
    assert len(np.unique(found)) == found.size


def test_columns_are_ranked_in_pieces_alike(monkeypatch):
    Y = np.random.default_rng(5).poisson(2.0, (50, 9)).astype(float)
    whole = ranks_of_all(Y, np.random.default_rng(6))
    monkeypatch.setattr("mixedmodels.diagnostics.scaled.ranks.RANKED_AT_ONCE", 27)
    np.testing.assert_array_equal(ranks_of_all(Y, np.random.default_rng(6)), whole)


def test_p_values_of_simulations_by_counting():
    simulated = np.array([1.0, 2.0, 2.0, 5.0, np.nan])
    assert simulated_p_value(2.0, simulated, "greater") == (1 + 3) / 5
    assert simulated_p_value(2.0, simulated, "less") == (1 + 3) / 5
    assert simulated_p_value(6.0, simulated, "two.sided") == 2 / 5
    assert np.isnan(simulated_p_value(np.nan, simulated, "less"))
