"""The sparse tail against the dense one and against plain dense algebra, on random models."""

import tracemalloc
from contextlib import ExitStack
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array

from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.engines.linear.reml import conditional_covariances, objective_and_gradient, solve
from mixedmodels.factorization.blocks import block_factor
from mixedmodels.factorization.chain_and_tail import build_pattern
from mixedmodels.factorization.constant import choose
from mixedmodels.factorization.constant.blocked import factorize
from mixedmodels.factorization.constant.inverse import invert_on_pattern
from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix, meetings_of
from mixedmodels.factorization.sparse import order as sparse_order
from mixedmodels.factorization.sparse import symbolic as sparse_symbolic
from mixedmodels.factorization.threads import WORTH_THREADS
from mixedmodels.formula.design.theta import term_factors
from tests.factorization.leverages import leverages
from tests.factorization.random_models import marginal_objective, models, random_term

# Both sides are backward stable; systems here have condition numbers up to about 1e4.
ROUNDING = 1e-9
ORDERS = ["SuiteSparse", "SciPy"]


def _sparse(order="SciPy", *, merge=True):
    """Return a context in which every tail is sparse; without `merge`, in as many fronts as there can be."""
    if order == "SuiteSparse" and sparse_order.cholmod() is None:
        pytest.skip("scikit-sparse is not installed")
    stack = ExitStack()
    stack.enter_context(patch.object(choose, "LEAST_SPARSE", 0))
    stack.enter_context(patch.object(choose, "FLOP_SECONDS", np.inf))
    if not merge:
        stack.enter_context(patch.object(sparse_symbolic, "FRONT_SECONDS", 0.0))
        stack.enter_context(patch.object(sparse_symbolic, "HALF_SPEED", 0))
    if order == "SciPy":
        stack.enter_context(patch.object(sparse_order, "cholmod", lambda: None))
    return stack


def _problems(model, order, *, merge):
    """Return the same model with its own tail, with a sparse one, and as one dense matrix."""
    arguments = (model.y, model.X, model.terms, model.weights)
    with _sparse(order, merge=merge):
        sparse = linear_problem(*arguments)
    assert ("sparse tail" in sparse.description()) == bool(sparse.pattern.tail)
    return linear_problem(*arguments), sparse, linear_problem(*arguments, eliminate=False)


@pytest.mark.parametrize("merge", [True, False], ids=["merged", "small"])
@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=25)
@given(model=models())
def test_blocked_dense_and_sparse_agree(order, merge, model):
    blocked, sparse, dense = _problems(model, order, merge=merge)
    value, gradient = objective_and_gradient(sparse, model.theta, model.REML)
    assert value == pytest.approx(marginal_objective(model), rel=ROUNDING)
    solution, covariances = (
        solve(sparse, model.theta, model.REML),
        conditional_covariances(sparse, model.theta),
    )
    for other in (blocked, dense):
        expected, expected_gradient = objective_and_gradient(other, model.theta, model.REML)
        assert value == pytest.approx(expected, rel=ROUNDING)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-7, atol=1e-7)
        there = solve(other, model.theta, model.REML)
        np.testing.assert_allclose(solution.beta, there.beta, rtol=1e-7, atol=ROUNDING)
        np.testing.assert_allclose(solution.unscaled_vcov, there.unscaled_vcov, rtol=1e-7, atol=ROUNDING)
        assert solution.log_det_L2 == pytest.approx(there.log_det_L2, rel=ROUNDING)
        assert solution.log_det_RX2 == pytest.approx(there.log_det_RX2, rel=ROUNDING, abs=ROUNDING)
        for ours, theirs in zip(solution.u, there.u, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-8)
        for ours, theirs in zip(covariances, conditional_covariances(other, model.theta), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=ROUNDING)


@settings(max_examples=40)
@given(model=models(singular=True))
def test_blocked_and_sparse_agree_where_variances_vanish(model):
    blocked, sparse, _ = _problems(model, "SciPy", merge=False)
    value, gradient = objective_and_gradient(sparse, model.theta, model.REML)
    expected, expected_gradient = objective_and_gradient(blocked, model.theta, model.REML)
    assert value == pytest.approx(expected, rel=ROUNDING)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-6, atol=1e-6)


@settings(max_examples=25)
@given(model=models(singular=True))
def test_gradients_equal_central_differences(model):
    _, sparse, _ = _problems(model, "SciPy", merge=True)
    _, gradient = objective_and_gradient(sparse, model.theta, model.REML)
    h = 1e-5
    for k, slope in enumerate(gradient):
        ahead, behind = (model.theta + sign * h * (np.arange(len(gradient)) == k) for sign in (1, -1))
        difference = (
            objective_and_gradient(sparse, ahead, model.REML)[0]
            - objective_and_gradient(sparse, behind, model.REML)[0]
        )
        # Truncation of the difference is about h^2 times a third derivative, rounding about 1e-13 / h.
        assert slope == pytest.approx(difference / (2.0 * h), rel=1e-6, abs=1e-5)


@settings(max_examples=25)
@given(model=models(singular=True))
def test_entries_between_blocks_give_the_same_leverages(model):
    values = []
    for problem in _problems(model, "SciPy", merge=False)[:2]:
        T = [
            b.C @ T
            for b, T in zip(problem.column_bases, term_factors(problem.terms, model.theta), strict=True)
        ]
        factor = factorize(
            problem.pattern, problem.equations.A, [block_factor(b, T) for b in problem.pattern.blocks]
        )
        for fixed_effects in (True, False):
            inverse = invert_on_pattern(factor, fixed_effects=fixed_effects, cross=True)
            # The pattern with the pairs of the data rows, which a problem no longer holds.
            values.append(leverages(build_pattern(problem.pattern.blocks), inverse))
    np.testing.assert_allclose(values[2:], values[:2], rtol=ROUNDING, atol=ROUNDING)


def _districts(rng, n_districts, teachers, pupils, *, moves=20, slopes=False, classes=False):
    """Return pupils who meet three teachers of their district each, a few of them one from afar."""
    pupil = np.repeat(np.arange(pupils), 3)
    home = np.sort(rng.integers(0, n_districts, pupils))[pupil]
    teacher = home * teachers + rng.integers(0, teachers, len(pupil))
    far = rng.integers(0, len(pupil), moves)
    teacher[far] = rng.integers(0, n_districts * teachers, moves)
    n = len(pupil)
    x = rng.normal(size=n)
    X = np.column_stack([np.ones(n), x])
    terms = [random_term(X[:, :1], pupil, "pupil")]
    if classes:
        terms.append(random_term(X[:, :1], pupil // 20, "class"))
    terms.append(random_term(X if slopes else X[:, :1], teacher, "teacher"))
    y = x + rng.normal(size=pupils)[pupil] + rng.normal(size=n_districts * teachers)[teacher]
    return y + rng.normal(size=n), X, terms


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("slopes", "classes"), [(False, False), (True, False), (False, True), (True, True)])
def test_separate_districts_choose_a_sparse_tail(order, slopes, classes):
    y, X, terms = _districts(np.random.default_rng(1), 40, 15, 4000, slopes=slopes, classes=classes)
    suitesparse = sparse_order.cholmod if order == "SuiteSparse" else lambda: None
    with patch.object(sparse_order, "cholmod", suitesparse):
        sparse = linear_problem(y, X, terms)
    assert "sparse tail" in sparse.description()
    with patch.object(choose, "LEAST_SPARSE", np.inf):
        dense = linear_problem(y, X, terms)
    assert "dense tail" in dense.description()
    theta = np.random.default_rng(2).normal(size=sparse.n_theta)
    for REML in (True, False):
        value, gradient = objective_and_gradient(sparse, theta, REML)
        expected, expected_gradient = objective_and_gradient(dense, theta, REML)
        assert value == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-8)


def test_tails_whose_levels_mix_stay_dense():
    rng = np.random.default_rng(3)
    n, one = 9000, np.ones((9000, 1))
    terms = [random_term(one, rng.integers(0, q, n), group) for q, group in ((600, "pupil"), (400, "item"))]
    assert "dense tail" in linear_problem(rng.normal(size=n), one, terms).description()


def test_levels_meet_however_often_they_do_and_always_themselves():
    often = np.zeros((4, 256), dtype=bool)
    often[:2] = True
    often[2, 0] = True
    meets = np.zeros((4, 4), dtype=bool)
    meets[:3, :3] = True
    meets[3, 3] = True
    np.testing.assert_array_equal(meetings_of(csc_array(often)).toarray(), meets)


def test_symbolic_analysis_is_done_once():
    y, X, terms = _districts(np.random.default_rng(1), 40, 15, 3000)
    with (
        patch.object(sparse_symbolic, "build_fronts", wraps=sparse_symbolic.build_fronts) as build,
        patch.object(sparse_order, "fill_reducing_order", wraps=sparse_order.fill_reducing_order) as order,
    ):
        estimates = fit_linear(linear_problem(y, X, terms), REML=True)
    assert estimates.optimization.n_evaluations > 3
    assert build.call_count == order.call_count == 1


def test_memory_stays_far_below_a_dense_tail():
    y, X, terms = _districts(np.random.default_rng(1), 300, 40, 30_000)
    n_tail = terms[1].n_levels
    tracemalloc.start()
    problem = linear_problem(y, X, terms)
    objective_and_gradient(problem, np.array([0.8, 0.6]), REML=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_tail > 11_000
    assert isinstance(problem.equations.A.tail, SparseMatrix)
    # Its fronts are small: threads would cost more than they bring, however long the tail.
    assert problem.equations.A.dense_order < WORTH_THREADS < n_tail
    # One dense tail would be 1.1 GB; the factor, its inverse and the data take less than a tenth of it.
    assert peak < 0.1 * 8.0 * n_tail**2


@settings(max_examples=30)
@given(model=models(), seed=st.integers(0, 1000))
def test_order_of_levels_is_irrelevant(model, seed):
    rng = np.random.default_rng(seed)
    shuffled = []
    for term in model.terms:
        shuffled.append(random_term(term.Z, rng.permutation(term.n_levels)[term.codes], term.group))
    with _sparse():
        here = objective_and_gradient(
            linear_problem(model.y, model.X, model.terms, model.weights), model.theta, model.REML
        )
        there = objective_and_gradient(
            linear_problem(model.y, model.X, shuffled, model.weights), model.theta, model.REML
        )
    assert here[0] == pytest.approx(there[0], rel=1e-11)
    np.testing.assert_allclose(here[1], there[1], rtol=1e-8, atol=1e-8)
