"""Responses fitted together: the same objective, gradient and optimum as one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.batch_fit import fit_batch
from mixedmodels.engines.linear.batch_problem import batch_problem, enter_responses
from mixedmodels.engines.linear.batch_reml import evaluate_batch

FORMULAS = (
    "y ~ x + (1 | g)",
    "y ~ x + t + (x | g)",
    "y ~ x + (x || g)",
    "y ~ 0 + (1 | g)",
    "y ~ t + (0 + x | g)",
    "y ~ z + (x + z | g)",
    "y ~ z + diag(x + z | g)",
)


def random_model(formula, seed, weighted, REML, balanced=False):
    """Fit a model of a random design, unbalanced unless asked."""
    rng = np.random.default_rng(seed)
    q = int(rng.integers(8, 20))
    g = np.repeat(np.arange(q), 6 if balanced else rng.integers(3, 10, q))
    n = len(g)
    data = pd.DataFrame(
        {
            "g": pd.Categorical(g),
            "x": np.tile(np.arange(6.0), q) if balanced else rng.normal(2.0, 1.0, n),
            "z": rng.normal(size=n),
            "t": rng.normal(size=q)[g],
            "w": rng.uniform(0.5, 2.0, n),
            "o": rng.normal(size=n),
        }
    )
    b = rng.normal(size=(q, 3))
    data["y"] = b[g, 0] + b[g, 1] * data.x + b[g, 2] * data.z + rng.normal(size=n)
    options = {"weights": "w", "offset": "o"} if weighted else {}
    return mm.lmer(formula, data, REML=REML, **options)


@settings(max_examples=10)
@given(
    st.sampled_from(FORMULAS), st.integers(0, 10**6), st.booleans(), st.booleans(),
    st.sampled_from([0.0, 1e-4, 0.3, 1.0, 10.0]),
)  # fmt: skip
def test_objective_and_gradient_are_those_of_each_response(formula, seed, weighted, REML, size):
    m = random_model(formula, seed, weighted, REML)
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(len(m.y), 5)) * [0.01, 1.0, 1.0, 1.0, 100.0] + 3.0
    batch = batch_problem(m.problem)
    free = size * rng.normal(size=(m.problem.n_theta, 5))
    together = evaluate_batch(batch, enter_responses(batch, Y), free, m.is_reml)
    for r in range(5):
        alone = starting.point_at(m.problem.with_response(Y[:, r]), free[:, r], m.is_reml, None)
        assert together.objective[r] == pytest.approx(alone.objective, abs=1e-8)
        steepest = 1.0 + np.abs(alone.gradient).max()
        np.testing.assert_allclose(together.gradient[:, r], alone.gradient, atol=1e-7 * steepest)
        assert together.sigma2[r] == pytest.approx(alone.sigma2, rel=1e-9)


@settings(max_examples=8)
@given(st.sampled_from(FORMULAS), st.integers(0, 10**6), st.booleans(), st.booleans(), st.booleans())
def test_optima_are_those_of_refit(formula, seed, weighted, REML, balanced):
    m = random_model(formula, seed, weighted, REML, balanced)
    Y = m.simulate(6, seed=seed).to_numpy()
    found = fit_batch(batch_problem(m.problem), Y, m.is_reml, m._warm_start)
    assert found.settled.sum() >= 4
    for r in np.flatnonzero(found.settled):
        alone = m.refit(Y[:, r])
        assert found.objective[r] == pytest.approx(alone.estimates.solution.objective, abs=1e-8)
        se = alone.standard_errors().to_numpy()
        np.testing.assert_allclose(found.beta[r], alone.beta, atol=1e-4 * se.max(initial=1.0))
        np.testing.assert_allclose(found.se[r], se, rtol=1e-4)
        assert found.sigma[r] == pytest.approx(alone.sigma(), rel=1e-5)
        assert found.at_boundary[r] == (alone.convergence().verdict == "boundary")


def test_equal_levels_are_one_kind(fitted):
    m = fitted("sleepstudy")
    batch = batch_problem(m.problem)
    assert batch.kinds.counts.tolist() == [18.0]
    Y = m.simulate(3, seed=1).to_numpy()
    shuffled = np.random.default_rng(1).permutation(180)
    other = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy").iloc[shuffled])
    assert len(batch_problem(other.problem).kinds.counts) > 1
    one = fit_batch(batch, Y, True, m._warm_start)
    many = fit_batch(batch_problem(other.problem), Y[shuffled], True, m._warm_start)
    np.testing.assert_allclose(one.objective, many.objective, atol=1e-8)


def test_responses_without_variation_are_not_settled(fitted):
    m = fitted("sleepstudy")
    Y = np.column_stack([m.y, np.ones(180), m.design.X @ [3.0, 2.0]])
    found = fit_batch(batch_problem(m.problem), Y, True, m._warm_start)
    assert found.settled.tolist() == [True, False, False]
    assert found.objective[0] == pytest.approx(m.REMLcrit(), abs=1e-8)


@pytest.mark.parametrize("name", ["penicillin", "pastes", "machines"])
def test_models_out_of_reach(fitted, name):
    m = fitted(name)
    assert (batch_problem(m.problem) is None) == (name != "machines")
