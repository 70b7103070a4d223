"""Pulls of a fit prove that coefficients are finite, without a linear program, never where they are not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.engines.glm import recession as programs
from mixedmodels.engines.glm.recession import is_held, recession


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(6, 40), p=st.integers(1, 5), strength=st.sampled_from([0.0, 1.0, 5.0, 50.0]),
    idle=st.sampled_from([0.0, 0.3]), seed=st.integers(0, 10_000),
)  # fmt: skip
def test_it_is_never_said_where_the_linear_program_finds_a_direction(n, p, strength, idle, seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 3, size=(n, p)) - 1.0 if seed % 2 else rng.normal(size=(n, p))
    X[:, 0] = 1.0
    if np.linalg.matrix_rank(X) < p:
        return
    Q = np.linalg.qr(X)[0]
    eta = X @ rng.normal(size=p) * strength
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-np.clip(eta, -500, 500)))).astype(float)
    sign, silent = np.where(y > 0.0, 1, -1), rng.random(n) < idle
    sign[rng.random(n) < idle] = 0
    if silent.all():
        return
    exact = recession(Q, sign, silent) is None
    for pull in (y - 0.5, rng.normal(size=n), y - 1.0 / (1.0 + np.exp(-np.clip(eta, -30, 30)))):
        balanced = pull - Q @ (Q.T @ pull)
        assert exact or not is_held(Q, sign, silent, pull)
        assert exact or not is_held(Q, sign, silent, balanced)
        assert exact or not is_held(X, sign, silent, balanced, np.linalg.qr(X)[1])


def test_it_is_said_of_nearly_all_data_that_have_finite_estimates():
    rng, held, finite = np.random.default_rng(1), 0, 0
    for _ in range(60):
        X = np.column_stack([np.ones(80), rng.normal(size=(80, 3))])
        y = (rng.random(80) < 1.0 / (1.0 + np.exp(-X @ rng.normal(0, 2, 4)))).astype(float)
        Q, sign, silent = np.linalg.qr(X)[0], np.where(y > 0.0, 1, -1), np.zeros(80, dtype=bool)
        if recession(Q, sign, silent) is None:
            finite += 1
            held += is_held(Q, sign, silent, y - y.mean())
    assert finite > 30
    assert held >= 0.9 * finite


def test_pulls_that_balance_are_a_proof_as_they_are(monkeypatch):
    def forbidden(X, W):
        raise AssertionError("a product was formed")

    rng = np.random.default_rng(8)
    X = np.column_stack([np.ones(400), rng.normal(3.0, 2.0, size=(400, 4))])
    y = (rng.random(400) < 0.4).astype(float)
    pull = (y - y.mean()) * (1.0 + 0.2 * rng.random(400))
    pull -= X @ np.linalg.lstsq(X, pull)[0]
    sign, silent, R = np.where(y > 0.0, 1, -1), np.zeros(400, dtype=bool), np.linalg.qr(X)[1]
    assert (pull * sign > 0.0).all()
    monkeypatch.setattr(programs, "weighted_gram", forbidden)
    assert is_held(X, sign, silent, pull, R)
    silent[3] = True
    with pytest.raises(AssertionError, match="product"):  # a silent row pulls at nothing
        is_held(X, sign, silent, pull, R)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_extreme_means_of_many_columns_need_no_linear_program(family, monkeypatch):
    def forbidden(moves):
        raise AssertionError("a linear program was solved")

    monkeypatch.setattr(programs, "_largest_gain", forbidden)
    rng = np.random.default_rng(5)
    data = pd.DataFrame(rng.normal(size=(3000, 15)), columns=[f"x{k}" for k in range(15)])
    data["g"] = pd.Categorical(rng.integers(40, size=3000))
    eta = data.to_numpy()[:, :15].astype(float) @ np.full(15, 0.9) + rng.normal(0, 0.5, 40)[data.g.cat.codes]
    data["y"] = rng.poisson(np.exp(0.4 * eta - 3.0))
    if family == "binomial":
        data["y"] = (rng.random(3000) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    fixed = " + ".join(f"x{k}" for k in range(15))
    model = mm.glmer(f"y ~ {fixed} + (1 | g)", data, family=family)
    assert model.estimates.convergence.verdict == "converged"
