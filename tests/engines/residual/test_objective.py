"""The objective against dense matrices, its gradient against differences, and what must not matter."""

import numpy as np
import pandas as pd
import pytest

from mixedmodels.engines.residual.fit import fit_residual
from mixedmodels.engines.residual.objective import evaluation, objective_and_gradient
from mixedmodels.engines.residual.problem import residual_problem
from mixedmodels.fits.structured import residual_rows
from mixedmodels.formula import build_design
from tests.engines.residual.dense import covariance, minus2loglik

STRUCTURES = [
    "us(visit | g)",
    "us(visit | arm / g)",
    "cs(visit | g)",
    "csh(visit | g)",
    "ar1(visit | g)",
    "ar1(visit | arm / g)",
    "ar1h(visit | g)",
    "adh(visit | g)",
]


def table(seed, n_groups=14, n_visits=5, rows=0.75):
    """Return rows of groups with missing visits, in random order, one group with a single row."""
    rng = np.random.default_rng(seed)
    g, visit = np.divmod(np.arange(n_groups * n_visits), n_visits)
    data = pd.DataFrame(
        {"g": g, "visit": visit, "arm": np.where(g % 2 == 0, "a", "b"), "x": rng.normal(size=len(g))}
    )
    kept = rng.random(len(g)) < rows
    kept[g == 0] = visit[g == 0] == 2
    kept[(g == 1) | (g == 2)] = True
    data = data[kept].sample(frac=1.0, random_state=seed).reset_index(drop=True)
    data["z"] = rng.uniform(0.5, 2.0, len(data))
    data["w"] = rng.uniform(0.5, 2.0, len(data))
    shared = rng.normal(size=n_groups)[data["g"]]
    data["y"] = 1.0 + data["x"] + shared + rng.normal(size=len(data)) * (1.0 + 0.2 * data["visit"])
    return data


def problem_of(data, residual, dispersion=None, weights=None, formula="y ~ x + visit"):
    """Return rows and problem of a model."""
    design = build_design(formula, data, residual=residual, dispersion=dispersion, weights=weights)
    rows = residual_rows(design)
    y = design.response.values
    return design, rows, residual_problem(y, design.X, rows, design.random, design.weights, design.offset)


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("residual", STRUCTURES)
def test_the_objective_is_that_of_dense_matrices(residual, REML):
    data = table(1)
    design, rows, problem = problem_of(data, residual, "power(z)", "w")
    free = np.random.default_rng(2).normal(scale=0.4, size=problem.model.n_parameters)
    found = evaluation(problem, free, REML)
    V = covariance(rows, np.sqrt(found.sigma2), found.at, data["w"].to_numpy())
    y, X = data["y"].to_numpy(), design.X
    assert found.objective == pytest.approx(minus2loglik(y, X, V, REML), rel=1e-11)
    worse = [minus2loglik(y, X, V * factor, REML) for factor in (0.95, 1.05)]
    assert min(worse) > found.objective


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("residual", [*STRUCTURES, None])
def test_the_gradient_is_that_of_differences(residual, REML):
    data = table(3)
    dispersion = "ident(arm) * exp(z)" if residual is None or "arm" not in residual else "exp(z)"
    _, _, problem = problem_of(data, residual, dispersion, "w")
    free = np.random.default_rng(4).normal(scale=0.4, size=problem.model.n_parameters)
    _, gradient = objective_and_gradient(problem, free, REML)
    for k, unit in enumerate(np.eye(len(free)) * 1e-5):
        above, below = (objective_and_gradient(problem, x, REML)[0] for x in (free + unit, free - unit))
        assert gradient[k] == pytest.approx((above - below) / 2e-5, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("residual", ["us(visit | g)", "ar1(visit | g)", "csh(visit | g)"])
def test_random_effects_beside_have_the_dense_objective_and_the_exact_gradient(residual):
    data = table(5)
    data["h"] = data["g"] // 3
    design, rows, problem = problem_of(data, residual, None, "w", "y ~ x + (1 + x | h) + (1 | g)")
    free = np.random.default_rng(6).normal(scale=0.4, size=problem.model.n_parameters)
    value, gradient = objective_and_gradient(problem, free, True)
    found = evaluation(problem, free, True)
    factors, at = [], 0
    for term in design.random:
        size = term.structure.n_theta
        factors.append(term.structure.factor(found.at.theta[at : at + size]))
        at += size
    V = covariance(rows, np.sqrt(found.sigma2), found.at, data["w"].to_numpy(), design.random, factors)
    assert value == pytest.approx(minus2loglik(data["y"].to_numpy(), design.X, V, True), rel=1e-11)
    for k, unit in enumerate(np.eye(len(free)) * 1e-5):
        above, below = (objective_and_gradient(problem, x, True)[0] for x in (free + unit, free - unit))
        assert gradient[k] == pytest.approx((above - below) / 2e-5, rel=1e-6, abs=1e-6)


def test_equal_patterns_as_one_give_what_clusters_one_by_one_give():
    data = table(7, n_groups=60, rows=0.8)
    one = problem_of(data, "us(visit | g)")[2]
    data["jitter"] = 1.0 + 1e-9 * np.random.default_rng(0).random(len(data))
    other = problem_of(data, "us(visit | g)", "fixed(jitter)")[2]
    assert sum(len(batch.rows) for batch in one.batches) < sum(len(batch.rows) for batch in other.batches)
    free = np.random.default_rng(8).normal(scale=0.3, size=one.model.n_parameters)
    (f, g), (F, G) = (objective_and_gradient(problem, free, True) for problem in (one, other))
    assert f == pytest.approx(F, rel=1e-8)
    np.testing.assert_allclose(g, G, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("residual", STRUCTURES)
def test_the_order_of_the_rows_does_not_matter(residual):
    data = table(9, n_groups=40)
    fits = [
        fit_residual(problem_of(own, residual)[2], True)
        for own in (data, data.iloc[::-1], data.sort_values(["visit", "x"]))
    ]
    assert np.ptp([fit.objective for fit in fits]) < 1e-8
    assert fits[0].convergence.verdict in ("converged", "boundary")


def test_the_unit_and_the_origin_of_predictor_and_response_do_not_matter():
    data = table(11, n_groups=40)
    fit = fit_residual(problem_of(data, "ar1h(visit | g)")[2], False)
    moved = data.assign(y=1e6 + 1e3 * data["y"], x=1e3 + 0.1 * data["x"])
    other = fit_residual(problem_of(moved, "ar1h(visit | g)")[2], False)
    np.testing.assert_allclose(other.free, fit.free, atol=1e-6)
    assert other.sigma == pytest.approx(1e3 * fit.sigma, rel=1e-7)
