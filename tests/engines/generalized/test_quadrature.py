"""Adaptive quadrature against brute-force integration, differences and its own special cases."""

import numpy as np
import pytest
from scipy.special import logsumexp

from mixedmodels import families
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.problem import unpack
from mixedmodels.engines.generalized.problem_from_data import evaluate_at, generalized_problem
from mixedmodels.engines.generalized.quadrature import quadrature
from mixedmodels.engines.generalized.quadrature_grid import quadrature_grid
from mixedmodels.engines.generalized.stable_quadrature import STILL, fit_until_stable
from mixedmodels.errors import ControlError
from tests.engines.generalized.generalized_models import (
    central_differences,
    dense_spherical_matrix,
    random_term,
    small_model,
    small_parameters,
)

# Central differences of step 1e-5, see test_laplace_gradient.
GRADIENT_TOLERANCE = 1e-6
# A trapezoid over 161 points a dimension from -8 to 8 integrates a smooth integrand to rounding error; the
# adaptive rule with many nodes must agree as far as its own order goes.
BRUTE_FORCE_TOLERANCE = 1e-6


def brute_force(problem, psi):
    """Return -2 log-likelihood by a trapezoid rule over u, level by level."""
    parameters = unpack(problem, psi)
    S, q = problem.system.blocks[0].size, problem.system.blocks[0].n_levels
    points = np.linspace(-8.0, 8.0, 161)
    grid = np.stack(np.meshgrid(*[points] * S, indexing="ij")).reshape(S, -1)
    log_density = -0.5 * (grid**2).sum(axis=0) + S * np.log((points[1] - points[0]) / np.sqrt(2 * np.pi))
    Z = dense_spherical_matrix(problem, psi).reshape(-1, S, q)
    fixed = problem.fixed_basis @ parameters.gamma + problem.offset
    total = 0.0
    for level in range(q):
        rows = np.flatnonzero(problem.system.sums[0].index == level)
        eta = fixed[rows] + grid.T @ Z[rows, :, level].T
        loglik = problem.family.evaluate(
            np.broadcast_to(problem.y[rows], eta.shape), eta,
            np.broadcast_to(problem.weights[rows], eta.shape), parameters.phi,
        ).loglik  # fmt: skip
        total += logsumexp(loglik.sum(axis=1) + log_density)
    return -2.0 * total


@pytest.mark.parametrize("structure", ["scalar", "vector", "two terms"])
@pytest.mark.parametrize(
    "family", [families.binomial(), families.poisson(), families.Gamma(link="log")], ids=lambda f: f.name
)
def test_many_nodes_equal_brute_force(structure, family):
    problem = small_model(structure, family, n=40)
    psi = small_parameters(problem)
    value = Evaluator(problem, 35)(psi)[0]
    assert value == pytest.approx(brute_force(problem, psi), abs=BRUTE_FORCE_TOLERANCE)


def nested_brute_force(problem, psi):
    """Return -2 log-likelihood of intercepts nested in intercepts by trapezoid rules, one in the other."""
    parameters = unpack(problem, psi)
    points = np.linspace(-8.0, 8.0, 161)
    log_density = -0.5 * points**2 + np.log((points[1] - points[0]) / np.sqrt(2 * np.pi))
    inner, outer = (by.index for by in problem.system.sums)
    T_inner, T_outer = (float(T[0, 0]) for T in parameters.factors)
    fixed = problem.fixed_basis @ parameters.gamma + problem.offset
    total = 0.0
    for top in np.unique(outer):
        log_terms = log_density.copy()
        for level in np.unique(inner[outer == top]):
            rows = np.flatnonzero(inner == level)
            eta = fixed[rows] + T_outer * points[:, None, None] + T_inner * points[:, None]
            loglik = problem.family.evaluate(
                np.broadcast_to(problem.y[rows], eta.shape), eta,
                np.broadcast_to(problem.weights[rows], eta.shape), parameters.phi,
            ).loglik  # fmt: skip
            log_terms += logsumexp(loglik.sum(axis=2) + log_density, axis=1)
        total += logsumexp(log_terms)
    return -2.0 * total


@pytest.mark.parametrize("family", [families.binomial(), families.poisson()], ids=lambda f: f.name)
def test_nested_nodes_equal_brute_force(family):
    problem = small_model("one level a row", family, n=24)
    psi = small_parameters(problem)
    value = Evaluator(problem, 25)(psi)[0]
    assert value == pytest.approx(nested_brute_force(problem, psi), abs=BRUTE_FORCE_TOLERANCE)


@pytest.mark.parametrize("structure", ["scalar", "vector", "two terms", "nested", "one level a row"])
def test_one_node_is_the_laplace_approximation(structure):
    problem = small_model(structure, families.binomial(link="probit"))
    psi = small_parameters(problem)
    mode = Evaluator(problem, 1).mode_at(psi)
    value, gradient = quadrature(problem, psi, mode, 1)
    expected, expected_gradient = Evaluator(problem, 1)(psi)
    assert value == pytest.approx(expected, abs=1e-10)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-9)


@pytest.mark.parametrize("structure", ["scalar", "vector", "two terms", "nested", "one level a row"])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize(
    "family",
    [
        families.binomial(link="cloglog"),
        families.poisson(link="sqrt"),
        families.nbinom2(),
        families.Gamma(link="log"),
        families.betabinomial(),
    ],
    ids=lambda f: f"{f.name} {f.link.name}",
)
def test_gradient(structure, family, zero):
    problem = small_model(structure, family)
    psi = small_parameters(problem, zero=zero)
    gradient = Evaluator(problem, 4)(psi)[1]
    expected = central_differences(lambda at: Evaluator(problem, 4)(at)[0], psi)
    assert np.abs(gradient - expected).max() < GRADIENT_TOLERANCE * (1.0 + np.abs(expected).max())


def test_sparse_grid_in_five_dimensions():
    rng = np.random.default_rng(1)
    Z = np.column_stack([np.ones(80), rng.normal(size=(80, 4))])
    y = rng.binomial(1, 0.5, 80).astype(float)
    term = random_term("g", rng.integers(0, 8, 80), Z)
    problem = generalized_problem(y, None, Z[:, :2], [term], None, families.binomial())
    psi = 0.2 * rng.normal(size=problem.n_theta + 2)
    gradient = Evaluator(problem, 3)(psi)[1]
    expected = central_differences(lambda at: Evaluator(problem, 3)(at)[0], psi)
    assert np.abs(gradient - expected).max() < GRADIENT_TOLERANCE * (1.0 + np.abs(expected).max())
    values = [Evaluator(problem, k)(psi)[0] for k in (1, 3, 5, 6)]
    assert abs(values[3] - values[2]) < abs(values[1] - values[0])


@pytest.mark.parametrize("n_nodes", [1, 2, 5, 9])
@pytest.mark.parametrize("dimension", [1, 2, 4, 6])
def test_grids_integrate_polynomials_exactly(n_nodes, dimension):
    grid = quadrature_grid(n_nodes, dimension)
    weights = grid.signs * np.exp(grid.log_weights)
    assert weights.sum() == pytest.approx(1.0, abs=1e-10)
    if n_nodes > 1:
        np.testing.assert_allclose(weights @ grid.nodes**2, 1.0, atol=1e-9)
    if n_nodes > 2:
        np.testing.assert_allclose(weights @ grid.nodes**4, 3.0, atol=1e-8)


@pytest.mark.parametrize("structure", ["crossed", "crossed and nested", "related levels"])
def test_refused_without_independent_groups(structure):
    problem = small_model(structure, families.binomial())
    with pytest.raises(ControlError, match="nAGQ=1"):
        fit_generalized(problem, 5)


def test_forty_thousand_small_groups():
    rng = np.random.default_rng(1)
    q = 40_000
    groups = np.repeat(np.arange(q), 3)
    y = (rng.random(3 * q) < 1.0 / (1.0 + np.exp(-0.3 - 1.5 * rng.normal(size=q)[groups]))).astype(float)
    problem = generalized_problem(
        y, None, np.ones((3 * q, 1)), [random_term("g", groups)], None, families.binomial()
    )
    # Three exchangeable rows a group leave four patterns: the likelihood is a multinomial in them.
    successes = np.bincount(groups, y).astype(int)
    x, w = np.polynomial.hermite_e.hermegauss(80)
    p = 1.0 / (1.0 + np.exp(-0.3 - 1.5 * x))
    pattern = [np.log(w / w.sum() @ (p**s * (1.0 - p) ** (3 - s))) for s in range(4)]
    exact = -2.0 * float(np.bincount(successes, minlength=4) @ pattern)
    assert evaluate_at(problem, np.array([1.5, 0.3]), 25) == pytest.approx(exact, rel=1e-8)
    # Nine nodes centred at the modes: in error by 1e-5 of a unit a group.
    assert evaluate_at(problem, np.array([1.5, 0.3]), 9) == pytest.approx(exact, abs=1e-5 * q)


def test_auto_raises_the_nodes_until_nothing_moves():
    problem = small_model("scalar", families.binomial(), seed=3)
    estimates = fit_until_stable(problem)
    moves = [step.largest_move for step in estimates.quadrature_sequence[1:]]
    assert moves[-1] <= STILL
    assert moves[-2] <= STILL
    assert estimates.nAGQ == estimates.quadrature_sequence[-1].nAGQ
    assert fit_until_stable(small_model("crossed", families.binomial())).nAGQ == 1
