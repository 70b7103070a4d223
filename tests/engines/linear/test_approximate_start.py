"""The approximate start of expensive models, and the curvature at it."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings

from mixedmodels.engines.linear import approximate_start as approximate
from mixedmodels.engines.linear import bordered_blocks as arrows
from mixedmodels.engines.linear import mean_field
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.average_information import curved_point
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.engines.linear.reml import evaluate
from mixedmodels.factorization.blocks import block_factor
from mixedmodels.factorization.constant import choose
from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix
from tests.factorization.random_models import models, random_term

# Both sides are backward stable; systems here have condition numbers up to about 1e5.
ROUNDING = 1e-8
# The objective's own rounding, 1e-13 of some thousands, and two tolerances of the search.
SAME_OPTIMUM = 1e-8


def _problem(model):
    return linear_problem(model.y, model.X, model.terms, model.weights)


def _factors(problem, theta):
    T = starting.factors_of(problem, starting.free_of(problem, theta))
    return [block_factor(block, T) for block in problem.pattern.blocks]


def _factored(problem, theta):
    arrow = arrows.build_arrow(problem.pattern, problem.equations.A)
    return arrow, mean_field.factor_arrow(arrow, _factors(problem, theta))


def _fit(problem, REML, *, near):
    with patch.object(approximate, "CALL_SECONDS", -np.inf if near else np.inf):
        return fit_linear(problem, REML)


def _dense(problem, theta):
    """Return Z Lambda by block, level by level, on the engine's columns, and the orthonormal X."""
    n, columns = len(problem.fixed_basis.Q), []
    for block, T in zip(problem.pattern.blocks, _factors(problem, theta), strict=True):
        rows = np.stack([np.ones(n) if z is None else z for z in block.columns], axis=1) @ T
        inside = block.codes[:, None] == np.arange(block.n_levels)
        columns.append((inside[:, :, None] * rows[:, None, :]).reshape(n, -1))
    return columns, problem.fixed_basis.Q


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("most_core", [0, 25, 1000])
@settings(max_examples=15)
@given(model=models())
def test_the_equations_left_by_the_leading_block_are_those_of_dense_algebra(model, most_core, sparse):
    always, never = {"LEAST_SPARSE": 0, "FLOP_SECONDS": np.inf}, {"LEAST_SPARSE": np.inf}
    with patch.multiple(choose, **(always if sparse else never)):
        problem = _problem(model)
    if problem.pattern.tail:
        assert isinstance(problem.equations.A.tail, SparseMatrix) == sparse
    with patch.object(arrows, "MOST_CORE", most_core):
        arrow, factor = _factored(problem, model.theta)
    Z, Q = _dense(problem, model.theta)
    others = np.hstack([*(Z[b] for b in (*arrow.middle.blocks, *arrow.core.blocks)), Q])
    lead = Z[arrow.lead]
    system = others.T @ others
    n_random = system.shape[0] - Q.shape[1]
    system[:n_random, :n_random] += np.eye(n_random)
    D = lead.T @ lead + np.eye(lead.shape[1])
    system -= others.T @ lead @ np.linalg.solve(D, lead.T @ others)
    x = np.random.default_rng(0).normal(size=len(system))
    scale = np.abs(system).max()
    np.testing.assert_allclose(factor.times(x) / scale, system @ x / scale, rtol=ROUNDING, atol=ROUNDING)


@settings(max_examples=30)
@given(model=models())
def test_variances_are_exact_where_all_other_blocks_are_small(model):
    problem = _problem(model)
    with patch.object(arrows, "MOST_CORE", 1000):
        _, factor = _factored(problem, model.theta)
    Z, _ = _dense(problem, model.theta)
    ZL = np.hstack(Z)
    inverse = np.linalg.inv(ZL.T @ ZL + np.eye(ZL.shape[1]))
    variances, start = mean_field.conditional_variances(factor), 0
    for b, block in enumerate(problem.pattern.blocks):
        S, q = block.size, block.n_levels
        own = inverse[start : start + S * q, start : start + S * q].reshape(q, S, q, S)
        np.testing.assert_allclose(variances[b], np.einsum("lilj->ijl", own), rtol=1e-6, atol=1e-6)
        start += S * q


def _crossed(n=12_000, a=900, b=250, small=0, slope=False, seed=3):
    """Simulate two large crossed factors, perhaps a slope by the second and a small factor across both."""
    rng = np.random.default_rng(seed)
    first, second, x = rng.integers(0, a, n), rng.integers(0, b, n), rng.normal(size=n)
    y = 0.8 * rng.normal(size=a)[first] + rng.normal(size=n)
    effects = rng.normal(size=(b, 2)) * [0.6, 0.3]
    y += effects[second, 0] + effects[second, 1] * x * slope
    X = np.c_[np.ones(n), x]
    terms = [random_term(X[:, :1], first, "a"), random_term(X[:, : 1 + slope], second, "b")]
    if small:
        third = (first + second) % small
        y += 0.5 * rng.normal(size=small)[third]
        terms.append(random_term(X[:, :1], third, "c"))
    return linear_problem(y, X, terms)


SHAPES = [{}, {"slope": True}, {"small": 20}, {"small": 20, "slope": True}]


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_approximation_is_close_and_leads_to_the_same_optimum_sooner(shape, REML):
    problem = _crossed(**shape)
    plain = _fit(problem, REML, near=False)
    theta = approximate.approximate_theta(problem, REML, None)
    # A tenth of a unit of the objective is a third of a standard error in one parameter.
    assert evaluate(problem, theta, REML) - plain.solution.objective < 0.1
    fit = _fit(problem, REML, near=True)
    assert fit.solution.objective == pytest.approx(plain.solution.objective, rel=0.0, abs=SAME_OPTIMUM)
    # An optimum with a decrement of 1e-9 is within 3e-5 standard errors.
    np.testing.assert_allclose(fit.theta, plain.theta, rtol=1e-6)
    assert fit.optimization.n_evaluations < plain.optimization.n_evaluations


@pytest.mark.parametrize("sigma", [None, 1.1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_curvature_is_that_of_differences_of_the_gradient(shape, sigma):
    problem = _crossed(**shape)
    free = starting.free_of(problem, fit_linear(problem, False, sigma=sigma).theta)
    point, inverse = curved_point(problem, free, False, sigma)
    assert point.objective == evaluate(problem, starting.theta_of(problem, free), False, sigma)
    hessian = [
        starting.point_at(problem, free + d, False, sigma).gradient
        - starting.point_at(problem, free - d, False, sigma).gradient
        for d in 1e-4 * np.eye(len(free))
    ]
    # Sampling error of 20 levels where there are so few, of what levels say about each other elsewhere.
    ratios = np.linalg.eigvals(inverse @ np.array(hessian) / 2e-4)
    np.testing.assert_allclose(ratios.real, 1.0, atol=0.3 if "small" in shape else 0.05)


def test_a_variance_that_is_zero_is_found_to_be_zero():
    problem = _crossed(slope=False)
    n = len(problem.fixed_basis.Q)
    rng = np.random.default_rng(8)
    terms = [*problem.terms, random_term(np.ones((n, 1)), rng.integers(0, 150, n), "d")]
    none = linear_problem(rng.normal(size=n), np.ones((n, 1)), terms)
    plain, fit = (_fit(none, True, near=near) for near in (False, True))
    assert plain.convergence.verdict == fit.convergence.verdict == "boundary"
    assert fit.solution.objective == pytest.approx(plain.solution.objective, rel=0.0, abs=SAME_OPTIMUM)


@settings(max_examples=20)
@given(model=models())
def test_models_of_any_shape_reach_an_optimum_from_the_approximation(model):
    problem = _problem(model)
    if len(problem.pattern.blocks) == 1:
        return
    assert _fit(problem, model.REML, near=True).convergence.is_optimum


def test_only_models_with_a_large_tail_are_expensive():
    large = _crossed(n=20_000, a=900, b=850)
    assert approximate.is_expensive(large)
    assert not approximate.is_expensive(_crossed(n=2_000, a=90, b=60))
    one = linear_problem(large.fixed_basis.Q[:, 1], large.fixed_basis.Q[:, :1], large.terms[:1])
    assert not approximate.is_expensive(one)
