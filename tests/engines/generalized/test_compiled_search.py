"""The compiled search of a Laplace approximation with one grouping factor against the readable one."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.generalized import objective
from mixedmodels.kernels import levels_search

pytestmark = pytest.mark.skipif(not levels_search.COMPILED, reason="nothing is compiled")

FORMULAS = ("y ~ x + (1 | g)", "y ~ x + (x | g)", "y ~ x + (x || g)", "y ~ 0 + x + (1 | g)")
# The objective to a hundred roundings; theta to half as many digits.
OBJECTIVE, THETA = 1e-13, 1e-7


def _data(seed, spread):
    rng = np.random.default_rng(seed)
    g = np.r_[np.repeat(np.arange(20), 4), rng.integers(0, 20, 40)]
    x = rng.normal(size=len(g))
    eta = -0.3 + 0.4 * x + spread * (rng.normal(size=20)[g] + 0.5 * rng.normal(size=20)[g] * x)
    y = {
        "binomial": rng.uniform(size=len(g)) < 1.0 / (1.0 + np.exp(-eta)),
        "poisson": rng.poisson(np.exp(eta)),
    }
    return {
        name: pd.DataFrame({"y": v.astype(float), "x": x, "g": pd.Categorical(g)}) for name, v in y.items()
    }


@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_two_searches_take_the_same_steps(monkeypatch, formula, family, spread):
    data = _data(len(formula), spread)[family]
    ours = mm.glmer(formula, data, family)
    monkeypatch.setattr(levels_search, "COMPILED", False)
    theirs = mm.glmer(formula, data, family)
    assert abs(ours.estimates.objective - theirs.estimates.objective) <= OBJECTIVE * abs(
        theirs.estimates.objective
    )
    np.testing.assert_allclose(ours.estimates.theta, theirs.estimates.theta, rtol=THETA, atol=THETA)
    np.testing.assert_allclose(ours.estimates.beta, theirs.estimates.beta, rtol=THETA, atol=THETA)
    assert ours.convergence().verdict == theirs.convergence().verdict
    if spread > 0.0:  # at a variance of zero rounding decides how often a search looks again
        assert ours.optimization.n_evaluations == theirs.optimization.n_evaluations
    np.testing.assert_allclose(
        ours.estimates.inverse_hessian, theirs.estimates.inverse_hessian, rtol=1e-4, atol=1e-9
    )


def test_the_compiled_search_is_the_one_that_is_taken(monkeypatch):
    found, asked = [], objective.compiled_search

    def noted(*arguments):
        found.append(asked(*arguments))
        return found[-1]

    monkeypatch.setattr(objective, "compiled_search", noted)
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    m = mm.glmer(formula, mm.load_dataset("cbpp"), "binomial")
    assert len(found) == 2 and all(end.converged for end in found)
    assert -2.0 * m.loglik() == pytest.approx(184.0526, abs=1e-4)  # lme4
