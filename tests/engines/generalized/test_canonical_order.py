"""Rows come in one order whatever theirs in the data, by as few keys as tell them apart."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.generalized.problem_from_data import _canonical_order
from mixedmodels.formula import build_design


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_it_does_not_depend_on_the_order_of_the_data(decimals):
    rng = np.random.default_rng(decimals)
    data = pd.DataFrame(
        {"x": rng.normal(size=300).round(decimals), "z": rng.normal(size=300).round(decimals)}
    )
    data = data.assign(g=pd.Categorical(rng.integers(9, size=300)), y=rng.integers(3, size=300) / 2.0)
    found = []
    for rows in (np.arange(300), rng.permutation(300)):
        own = data.iloc[rows].reset_index(drop=True)
        design = build_design("y ~ z + x + (1 | g)", own)
        order = _canonical_order(own.y.to_numpy(), np.full(300, 2.0), design.X, design.random, None)
        found.append(own.iloc[order].reset_index(drop=True))
    pd.testing.assert_frame_equal(*found)
    assert found[0].g.cat.codes.is_monotonic_increasing


def test_estimates_are_the_same_to_the_last_digit():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=200), "g": pd.Categorical(rng.integers(12, size=200))})
    data = data.assign(m=6, s=rng.binomial(6, rng.beta(2, 3, size=200)))
    fits = [
        mm.glmer("cbind(s, m - s) ~ x + (1 | g)", rows, family="betabinomial")
        for rows in (data, data.sample(frac=1.0, random_state=1))
    ]
    np.testing.assert_allclose(fits[0].fixef(), fits[1].fixef(), rtol=1e-10)
    assert float(fits[0].loglik()) == pytest.approx(float(fits[1].loglik()), rel=1e-13)
