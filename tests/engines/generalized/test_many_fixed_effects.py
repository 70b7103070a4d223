"""Models of many fixed effects share products between steps, and end where those of few do."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.generalized import hessian as hessians
from mixedmodels.engines.generalized import start as starts
from mixedmodels.engines.generalized.fixed_hessian import fixed_hessian
from mixedmodels.engines.generalized.pirls import conditional_mode
from mixedmodels.engines.generalized.problem import pack, unpack
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.engines.generalized.wide_hessian import wide_hessian
from mixedmodels.engines.glm import recession
from mixedmodels.errors import DataWarning
from mixedmodels.families import get_family
from mixedmodels.families.response import initialize
from mixedmodels.formula import build_design


def wide_data(p: int, seed: int, strength: float = 0.7, n: int = 1500) -> pd.DataFrame:
    """Return rows of p predictors, a factor of 40 levels in no order and three responses."""
    rng = np.random.default_rng(seed)
    X, g = rng.normal(size=(n, p)), rng.integers(40, size=n)
    eta = X @ rng.normal(size=p) * strength / np.sqrt(p) + rng.normal(size=40)[g] - 0.3
    data = pd.DataFrame(X, columns=[f"x{k}" for k in range(p)])
    chance = 1.0 / (1.0 + np.exp(-eta))
    return data.assign(
        y=rng.binomial(1, chance), m=rng.integers(1, 9, size=n), count=rng.poisson(np.exp(0.5 * eta)),
        g=pd.Categorical(g), w=rng.normal(size=40)[g],
    )  # fmt: skip


def formula(p: int, response: str, random: str = "(1 | g)") -> str:
    return f"{response} ~ " + " + ".join(f"x{k}" for k in range(p)) + f" + w + {random}"


@pytest.mark.parametrize(
    ("family", "response", "random"),
    [("binomial", "y", "(1 | g)"), ("poisson", "count", "(1 + x0 | g)")],
)
@pytest.mark.parametrize("strength", [0.3, 3.0])
def test_estimates_are_those_of_steps_that_share_nothing(monkeypatch, family, response, random, strength):
    data, p = wide_data(25, 1, strength), 25
    plain = mm.glmer(formula(p, response, random), data, family=family)
    expected = plain.vcov()
    monkeypatch.setattr(starts, "WIDE", 5)
    monkeypatch.setattr(hessians, "WIDE", 5)
    wide = mm.glmer(formula(p, response, random), data, family=family)
    assert wide.convergence().verdict == plain.convergence().verdict
    assert wide.convergence().is_optimum
    assert abs(mm.logLik(wide) - mm.logLik(plain)) < 1e-7
    np.testing.assert_allclose(wide.fixef(), plain.fixef(), atol=2e-6)
    np.testing.assert_allclose(wide.vcov(), expected, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("random", ["(1 | g)", "(1 + x0 + x1 | g)"])
@pytest.mark.parametrize(("family", "response"), [("binomial", "y"), ("poisson", "count")])
def test_the_hessian_by_cross_products_is_that_by_rows(family, response, random):
    data = wide_data(6, 2)
    design, chosen = build_design(formula(6, response, random), data), get_family(family)
    y, weights = initialize(design.response, None, chosen)
    problem = generalized_problem(y, weights, design.fixed, design.random, None, chosen)
    rng = np.random.default_rng(4)
    thetas = [term.structure.start() * 0.8 for term in design.random]
    psi = pack(problem, thetas, rng.normal(size=problem.n_fixed), np.zeros(0))
    mode = conditional_mode(problem, unpack(problem, psi))
    expected = fixed_hessian(problem, mode)
    np.testing.assert_allclose(wide_hessian(problem, mode), expected, rtol=1e-9, atol=1e-9 * expected.max())


def test_more_than_one_block_is_left_to_the_other():
    data = wide_data(3, 3).assign(h=lambda d: pd.Categorical(np.arange(len(d)) % 7))
    design, chosen = build_design("y ~ x0 + (1 | g) + (1 | h)", data), get_family("binomial")
    y, weights = initialize(design.response, None, chosen)
    problem = generalized_problem(y, weights, design.fixed, design.random, None, chosen)
    mode = conditional_mode(problem, unpack(problem, np.array([1.0, 0.5, 0.0, 0.0])))
    assert wide_hessian(problem, mode) is None


@pytest.mark.parametrize("kind", ["level", "combination", "cut"])
def test_separation_among_many_columns_is_found(kind):
    p, n = 101, 420
    data, rng = wide_data(p, 5, n=n), np.random.default_rng(6)
    if kind == "level":
        data["x7"] = (rng.random(n) < 0.02).astype(float)
        data.loc[data.x7 > 0, "y"] = 1
    elif kind == "combination":
        rare = rng.random(n) < 0.03
        data["x3"], data["x4"] = np.where(rare, 3.0, data.x5), np.where(rare, 2.0, data.x5)
        data.loc[rare, "y"] = 0
    else:
        data["x9"] = np.where(data.y > 0, 1.0, -1.0) * rng.random(n) + 5.0
    with pytest.warns(DataWarning, match="no finite estimate"):
        model = mm.glmer(formula(p, "y"), data, family="binomial")
    assert model.convergence().verdict == "not converged"


def test_extreme_means_of_many_columns_are_not_separation(monkeypatch):
    def forbidden(X, W):
        raise AssertionError("the steps without random effects have left the proof")

    monkeypatch.setattr(recession, "weighted_gram", forbidden)
    data = wide_data(105, 7, strength=3.0, n=4000)
    model = mm.glmer(formula(105, "y"), data, family="binomial")
    assert model.convergence().verdict == "converged"
    assert np.abs(data.filter(like="x").to_numpy() @ model.fixef()[1:106]).max() > 9.3
    assert np.isfinite(model.vcov().to_numpy()).all()
