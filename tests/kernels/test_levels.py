"""The kernels of one-factor binomial and Poisson models against dense algebra and the general route."""

from dataclasses import replace

import numpy as np
import pytest

from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.quadrature_grid import quadrature_grid
from mixedmodels.families import binomial, poisson
from mixedmodels.kernels import levels
from tests.engines.generalized.generalized_models import small_model
from tests.kernels import level_oracle

# Twins add the same numbers in another order; a mode is exact to 1e-11.
TWINS = 1e-11
# The same between two searches for the modes, for objectives of about a hundred.
ROUTES = 1e-9

compiled = pytest.mark.skipif(not levels.COMPILED, reason="no compiled kernels")


def _model(kind, S, seed):
    """Return arguments of the kernels: ten levels, one without rows, and rows of weight one and others."""
    rng = np.random.default_rng(seed)
    sizes = np.r_[0, rng.integers(1, 9, 9)]
    n = int(sizes.sum())
    Z = np.column_stack([np.ones(n), rng.normal(size=(n, S - 1))])
    T = np.tril(rng.normal(size=(S, S)))
    weights = np.where(rng.random(n) < 0.5, 1.0, rng.integers(1, 9, n))
    y = rng.integers(0, 2, n) if kind == 0 else rng.poisson(3.0, n)
    starts = np.r_[0, np.cumsum(sizes)].astype(np.intp)
    return kind, y.astype(float), weights, 3.0 * rng.normal(size=n), Z, np.ascontiguousarray(T), starts


def _run(functions, model, nodes, start):
    """Return everything the three kernels compute."""
    modes, gradient, integrate = functions
    kind, y, weights, fixed, Z, T, starts = model
    n, S = Z.shape
    q = len(starts) - 1
    u, found, half = np.full((q, S), start), np.empty((4, n)), np.empty((q, S, S))
    values = modes(kind, y, weights, fixed, Z, T, starts, u, found, half)
    shift, omega, residual, dT = np.empty((0, S)), np.empty((0, S, S)), -2.0 * found[1], np.zeros((S, S))
    if nodes > 1:
        grid = quadrature_grid(nodes, S)
        shift, omega = np.empty((q, S)), np.empty((q, S, S))
        total = integrate(
            kind, y, weights, Z, T, starts, u, found, half,
            grid.nodes, grid.log_weights, grid.signs, shift, omega, residual, dT,
        )  # fmt: skip
        values = (*values, total)
    gradient(Z, T, starts, u, found, half, shift, omega, residual, dT)
    return [np.array(values), u, found, half, shift, omega, residual, np.tril(dT)]


@compiled
@pytest.mark.parametrize("start", [0.0, 4.0])
@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("S", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", [0, 1])
def test_compiled_loops_equal_dense_algebra(kind, S, nodes, start):
    model = _model(kind, S, seed=S)
    ours = _run((levels.level_modes, levels.level_gradient, levels.level_nodes), model, nodes, start)
    twins = (level_oracle.level_modes, level_oracle.level_gradient, level_oracle.level_nodes)
    for mine, other in zip(ours, _run(twins, model, nodes, start), strict=True):
        np.testing.assert_allclose(mine, other, rtol=TWINS, atol=TWINS * np.abs(other).max(initial=1.0))


@compiled
def test_a_likelihood_that_is_not_finite_is_told():
    kind, y, weights, fixed, Z, T, starts = _model(1, 1, seed=1)
    u, found, half = np.zeros((10, 1)), np.empty((4, len(y))), np.empty((10, 1, 1))
    fixed[3] = np.nan
    assert not levels.level_modes(kind, y, weights, fixed, Z, T, starts, u, found, half)[0]


@compiled
@pytest.mark.parametrize("nAGQ", [1, 4])
@pytest.mark.parametrize("structure", ["scalar", "vector", "two terms"])
@pytest.mark.parametrize("family", [binomial(), poisson()], ids=["binomial", "poisson"])
def test_objective_and_gradient_are_those_of_the_general_route(family, structure, nAGQ):
    problem = small_model(structure, family)
    assert problem.by_level is not None
    general = Evaluator(replace(problem, by_level=None), nAGQ)
    by_level = Evaluator(problem, nAGQ)
    rng = np.random.default_rng(0)
    for _ in range(3):
        psi = rng.normal(size=problem.n_theta + problem.n_fixed)
        value, gradient = by_level(psi)
        expected, expected_gradient = general(psi)
        assert value == pytest.approx(expected, abs=ROUTES)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=ROUTES, atol=100.0 * ROUTES)


@pytest.mark.parametrize("family", [binomial("probit"), poisson("sqrt")], ids=["probit", "sqrt"])
def test_other_links_go_the_general_route(family):
    assert small_model("scalar", family).by_level is None


@pytest.mark.parametrize("structure", ["nested", "crossed", "related levels"])
def test_other_structures_go_the_general_route(structure):
    assert small_model(structure, binomial()).by_level is None
