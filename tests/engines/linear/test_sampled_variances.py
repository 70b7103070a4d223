"""What sampling tells of conditional variances, and the search that ends one step from it."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings

from mixedmodels.engines.linear import approximate_start as approximate
from mixedmodels.engines.linear import last_step, mean_field, sampled_variances
from mixedmodels.engines.linear.reml import evaluate
from tests.engines.linear.test_approximate_start import SHAPES, _crossed, _dense, _factored, _fit, _problem
from tests.factorization.random_models import models


def _every_level(sizes, rng):
    """Yield every level alone, less its share of the mean: the sum over these is the expectation itself."""
    for b, (S, q) in enumerate(sizes):
        for s, level in np.ndindex(S, q):
            z = [np.zeros(shape) for shape in sizes]
            z[b][s] = (np.arange(q) == level) - 1.0 / q
            yield [np.sqrt(sampled_variances.PROBES) * part for part in z]


@pytest.mark.parametrize("REML", [True, False])
@settings(max_examples=15)
@given(model=models())
def test_over_all_levels_what_is_sampled_is_what_dense_algebra_says(REML, model):
    problem = _problem(model)
    if not problem.pattern.chain or not problem.pattern.tail:
        return
    _, factor = _factored(problem, model.theta)
    with (
        patch.object(sampled_variances, "_probes", _every_level),
        patch.object(sampled_variances, "SOLVED", 1e-24),
    ):
        excess = sampled_variances.sampled_excess(factor, REML)
    Z, Q = _dense(problem, model.theta)
    columns = np.hstack([*Z, Q] if REML else Z)
    system = columns.T @ columns
    n_random = sum(part.shape[1] for part in Z)
    system[:n_random, :n_random] += np.eye(n_random)
    inverse, variances, at = np.linalg.inv(system), mean_field.conditional_variances(factor), 0
    for b, block in enumerate(problem.pattern.blocks):
        S, q = block.size, block.n_levels
        own = inverse[at : at + S * q, at : at + S * q].reshape(q, S, q, S)
        exact = np.einsum("lilj->ij", own)
        np.testing.assert_allclose(variances[b].sum(axis=2) + excess[b], exact, rtol=1e-6, atol=1e-6 * q)
        at += S * q


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_theta_is_next_to_the_optimum_and_one_step_reaches_it(shape, REML):
    problem = _crossed(**shape)
    plain = _fit(problem, REML, near=False)
    with patch.object(approximate, "SAMPLED_SECONDS", 0.0):
        theta = approximate.approximate_theta(problem, REML, None)
        assert evaluate(problem, theta, REML) - plain.solution.objective < 2e-3
        fit = _fit(problem, REML, near=True)
    assert fit.solution.objective == pytest.approx(plain.solution.objective, rel=0.0, abs=1e-8)
    np.testing.assert_allclose(fit.theta, plain.theta, rtol=1e-5)
    assert fit.convergence.is_optimum
    if not shape:
        assert fit.optimization.n_evaluations == 2
        assert fit.optimization.message == "one step leaves the objective no decrease"


def test_a_step_of_a_wrong_curvature_is_not_the_last():
    problem = _crossed()
    plain = _fit(problem, True, near=False)
    wrong = last_step.step_ahead

    def shorter(search, at, H):
        return wrong(search, at, 0.7 * H)

    with (
        patch.object(approximate, "SAMPLED_SECONDS", 0.0),
        patch.object(last_step, "LEFT", 1e-12),
        patch("mixedmodels.engines.linear.last_step.step_ahead", shorter),
    ):
        fit = _fit(problem, True, near=True)
    assert fit.optimization.n_evaluations > 2
    np.testing.assert_allclose(fit.theta, plain.theta, rtol=1e-6)


def test_the_same_data_give_the_same_bits():
    problem = _crossed(n=6_000, a=500, b=200)
    with patch.object(approximate, "SAMPLED_SECONDS", 0.0):
        first, second = (_fit(problem, True, near=True) for _ in range(2))
    assert np.array_equal(first.theta, second.theta)
