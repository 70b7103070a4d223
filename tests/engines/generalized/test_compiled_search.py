"""The compiled search of a Laplace approximation with one grouping factor against the readable one."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels import glm
from mixedmodels.differences import hessian_by_standard_errors
from mixedmodels.engines.generalized import objective
from mixedmodels.engines.generalized.laplace import laplace
from mixedmodels.engines.generalized.laplace_gradient import laplace_gradient
from mixedmodels.engines.generalized.pirls import conditional_mode, mode_border
from mixedmodels.engines.generalized.problem import pack, unpack
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.engines.generalized.start import starting_values, without_random_effects
from mixedmodels.families import get_family
from mixedmodels.families.response import initialize
from mixedmodels.formula import build_design
from mixedmodels.kernels import levels_course, levels_search

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
    monkeypatch.setattr(levels_course, "COMPILED", False)
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    m = mm.glmer(formula, mm.load_dataset("cbpp"), "binomial")
    assert len(found) == 2 and all(end.converged for end in found)
    assert -2.0 * m.loglik() == pytest.approx(184.0526, abs=1e-4)  # lme4


@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_what_is_said_of_the_optimum_is_the_same(monkeypatch, formula, family):
    data = _data(7 + len(formula), 1.0)[family]
    ours = mm.glmer(formula, data, family)
    found = (ours.estimates, ours.vcov().to_numpy())
    monkeypatch.setattr(levels_search, "COMPILED", False)
    theirs = mm.glmer(formula, data, family)
    estimates, other = found[0], theirs.estimates
    np.testing.assert_allclose(found[1], theirs.vcov().to_numpy(), rtol=1e-5)
    np.testing.assert_allclose(estimates.vcov_rx, other.vcov_rx, rtol=1e-6)
    np.testing.assert_allclose(estimates.eta, other.eta, rtol=1e-6, atol=1e-6)
    for mine, its in zip(estimates.u, other.u, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_start_and_border_are_those_of_the_readable_way(seed, family):
    data = _data(seed, 0.7)[family]
    design = build_design("y ~ x + (x | g)", data)
    chosen = get_family(family)
    y, weights = initialize(design.response, None, chosen)
    problem = generalized_problem(y, weights, design.X, design.random, None, chosen)
    start = starting_values(problem)
    point = without_random_effects(problem)
    np.testing.assert_allclose(start.gamma, point.beta, rtol=1e-9, atol=1e-9)
    model = glm("y ~ x", data, family)
    assert start.nested == pytest.approx(-2.0 * float(model.loglik()), abs=2e-3)
    psi = pack(problem, start.thetas, start.gamma, start.phi)
    evaluator = objective.Evaluator(problem, 1)
    mode = conditional_mode(problem, unpack(problem, psi))
    np.testing.assert_allclose(evaluator.fixed_inverse(psi), mode_border(problem, mode).inverse, rtol=1e-8)
    value, gradient = evaluator(psi)
    assert value == pytest.approx(laplace(mode), rel=1e-12)
    np.testing.assert_allclose(
        gradient, laplace_gradient(problem, psi, mode), rtol=1e-6, atol=1e-7 * np.abs(gradient).max()
    )
    np.testing.assert_allclose(evaluator.mode_at(psi).u, mode.u, rtol=1e-7, atol=1e-9)
    effects, _ = evaluator.effects_at(psi)
    np.testing.assert_allclose(effects.u, mode.u, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(effects.eta, mode.eta, rtol=1e-7, atol=1e-9)
    variances, typical = np.full(len(psi), np.inf), np.ones(len(psi))
    steps = hessian_by_standard_errors(evaluator.gradient_function(), psi, variances, typical)
    np.testing.assert_allclose(
        evaluator.hessian_by_steps(psi, variances, typical), steps, rtol=1e-6, atol=1e-6
    )


def test_a_mode_that_was_kept_does_not_move_with_the_next_point():
    data = _data(3, 1.0)["poisson"]
    design = build_design("y ~ x + (1 | g)", data)
    chosen = get_family("poisson")
    y, weights = initialize(design.response, None, chosen)
    problem = generalized_problem(y, weights, design.X, design.random, None, chosen)
    start = starting_values(problem)
    psi = pack(problem, start.thetas, start.gamma, start.phi)
    evaluator = objective.Evaluator(problem, 1)
    mode = evaluator.mode_at(psi)
    kept = mode.u.copy()
    evaluator(2.0 * psi)
    np.testing.assert_array_equal(mode.u, kept)
