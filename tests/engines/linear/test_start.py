"""Starting values and starting curvature."""

import numpy as np
import pytest
from hypothesis import given, settings

from mixedmodels.covariance.compound_symmetry import CompoundSymmetry
from mixedmodels.engines.linear import start
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import linear_problem
from tests.factorization.random_models import models, random_term


def _balanced(n_groups=400, per_group=10, seed=0):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_groups), per_group)
    x = np.tile(np.linspace(-1.0, 1.0, per_group), n_groups)
    b = rng.normal(size=(n_groups, 2)) * [0.8, 0.5]
    y = 2.0 + b[g, 0] + b[g, 1] * x + rng.normal(size=len(g))
    return y, np.c_[np.ones(len(g)), x], g


def test_fisher_scoring_reaches_the_optimum_of_a_balanced_layout_in_three_steps():
    y, X, g = _balanced()
    problem = linear_problem(y, X, [random_term(X, g, "g")])
    best = fit_linear(problem, True)
    free = start.free_of(problem, start.first_theta(problem))
    for _ in range(3):
        point = start.point_at(problem, free, True, None)
        free = start.free_of(problem, start.scored_theta(problem, point))
    # A step is exact given sigma; the others correct sigma.
    assert start.point_at(problem, free, True, None).objective - best.solution.objective < 0.2


def test_expected_hessian_is_the_hessian_at_the_optimum_of_a_large_layout():
    y, X, g = _balanced(n_groups=3000)
    problem = linear_problem(y, X, [random_term(X, g, "g")])
    free = start.free_of(problem, fit_linear(problem, True).theta)
    inverse = start.inverse_hessian(problem, start.point_at(problem, free, True, None))
    step = 1e-4
    columns = [
        start.point_at(problem, free + d, True, None).gradient
        - start.point_at(problem, free - d, True, None).gradient
        for d in step * np.eye(3)
    ]
    hessian = np.array(columns) / (2.0 * step)
    # Expected and observed information differ by the sampling error of 3000 levels and by sigma.
    np.testing.assert_allclose(inverse @ hessian, np.eye(3), atol=0.25)


@settings(max_examples=30)
@given(model=models())
def test_free_coordinates_are_undone(model):
    problem = linear_problem(model.y, model.X, model.terms, model.weights)
    free = start.free_of(problem, model.theta)
    np.testing.assert_allclose(start.theta_of(problem, free), model.theta, rtol=1e-9, atol=1e-9)
    point = start.point_at(problem, free, model.REML, None)
    step = 1e-5 * np.eye(len(free))
    differences = [
        start.point_at(problem, free + d, model.REML, None).objective
        - start.point_at(problem, free - d, model.REML, None).objective
        for d in step
    ]
    slopes = np.array(differences) / 2e-5
    scale = 1.0 + np.abs(slopes).max()
    # Central differences of step 1e-5, as for the gradient in theta.
    np.testing.assert_allclose(point.gradient / scale, slopes / scale, atol=1e-6)


def test_other_structures_start_at_their_own_theta_and_are_fitted():
    y, X, g = _balanced(n_groups=60)
    plain = random_term(X, g, "g")
    term = type(plain)(
        plain.label, plain.group, plain.expression, plain.columns, plain.Z, plain.codes, plain.levels,
        CompoundSymmetry(2),
    )  # fmt: skip
    structured = fit_linear(linear_problem(y, X, [term]), True)
    free = fit_linear(linear_problem(y, X, [plain]), True)
    # With two coefficients compound symmetry is no restriction.
    assert structured.solution.objective == pytest.approx(free.solution.objective, rel=1e-9)
