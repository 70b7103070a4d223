"""Responses of models with one scalar effect, fitted together: gradients and optima."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.engines.generalized.batch_fit import _rows, laplace_batch, reaches
from mixedmodels.inference.refits import Refitter
from mixedmodels.kernels import levels

pytestmark = pytest.mark.skipif(not levels.COMPILED, reason="batches follow the loops over levels")


def random_model(kind, seed):
    """Fit a binomial or Poisson model of a random design in random row order."""
    rng = np.random.default_rng(seed)
    q = 15
    g = rng.permutation(np.repeat(np.arange(q), rng.integers(3, 8, q)))
    n = len(g)
    x, z = rng.normal(size=n), rng.normal(1.0, 0.5, n)
    eta = 0.3 + 0.5 * x + 0.9 * rng.normal(size=q)[g]
    trials = rng.integers(3, 12, n)
    data = pd.DataFrame({"g": pd.Categorical(g), "x": x, "z": z, "n": trials, "o": 0.2 * rng.normal(size=n)})
    data["k"] = rng.binomial(trials, 1.0 / (1.0 + np.exp(-eta)))
    data["c"] = rng.poisson(np.exp(eta))
    if kind == "binomial":
        return mm.glmer("cbind(k, n - k) ~ x + (1 | g)", data, family="binomial")
    if kind == "slope":
        return mm.glmer("c ~ x + (0 + z | g)", data, family="poisson", offset="o")
    return mm.glmer("c ~ x + (1 | g)", data, family="poisson", offset="o")


@settings(max_examples=6)
@given(st.sampled_from(["binomial", "poisson", "slope"]), st.integers(0, 10**6))
def test_optima_are_those_of_refit(kind, seed):
    m = random_model(kind, seed)
    if not reaches(m.problem, m.estimates):
        return
    Y = m.simulate(5, seed=seed).to_numpy()
    found = Refitter(m).batch.fit(Y)
    assert found.settled.sum() >= 3
    for r in np.flatnonzero(found.settled):
        alone = m.refit(Y[:, r])
        assert found.objective[r] == pytest.approx(-2.0 * alone.loglik(), abs=1e-8)
        se = alone.standard_errors().to_numpy()
        np.testing.assert_allclose(found.beta[r], alone.beta, atol=1e-4 * se.min())
        np.testing.assert_allclose(found.se[r], se, rtol=1e-4)
        assert found.at_boundary[r] == (alone.convergence().verdict == "boundary")


@pytest.mark.parametrize("kind", ["binomial", "poisson", "slope"])
def test_gradient_against_differences(kind):
    m = random_model(kind, 3)
    rows = _rows(m.problem)
    rng = np.random.default_rng(2)
    order = m.problem.row_origin.order
    Y = Refitter(m).batch._entered(m.simulate(1, seed=4).to_numpy()[:, 0])[0]
    Y = (Y if order is None else Y[order])[:, None]
    psi = np.array([[0.7], *rng.normal(size=(m.problem.n_fixed, 1))])
    U = np.zeros((15, 1))
    _, gradient, _ = laplace_batch(rows, Y, psi, U)
    for k in range(len(psi)):
        step = np.zeros(psi.shape)
        step[k] = 1e-5
        up, down = (laplace_batch(rows, Y, psi + s * step, U)[0][0] for s in (1.0, -1.0))
        assert gradient[k, 0] == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-6)


def test_unusable_responses_are_left(fitted):
    m = fitted("cbpp")
    size = m.design.response.values + m.design.response.failures
    Y = np.column_stack([m.design.response.values, np.zeros(56), size + 1.0, size])
    found = Refitter(m).batch.fit(Y)
    assert found.settled.tolist() == [True, False, False, False]
    assert found.objective[0] == pytest.approx(-2.0 * m.loglik(), abs=1e-8)


@pytest.mark.parametrize("name", ["cbpp_agq9", "cbpp_obs", "cbpp_weights", "grouseticks"])
def test_models_out_of_reach(fitted, name):
    assert Refitter(fitted(name)).batch is None
