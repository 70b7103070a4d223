"""The blocked factorization against plain dense algebra, on random models."""

import numpy as np
import pytest
from hypothesis import given, settings

from mixedmodels.factorization import banded, choose
from mixedmodels.factorization.blocked import factorize
from mixedmodels.factorization.blocks import amalgamate, block_factor
from mixedmodels.factorization.cross_products import fill, right_hand_side
from mixedmodels.factorization.inverse import invert_on_pattern
from mixedmodels.factorization.pattern import build_pattern
from mixedmodels.likelihood.profiled import (
    conditional_covariances,
    linear_problem,
    objective_and_gradient,
    solve,
    term_factors,
)
from tests.factorization.leverages import leverages
from tests.factorization.random_models import Model, dense_Z, models, random_term

# Both sides are backward stable; systems here have condition numbers up to about 1e4.
ROUNDING = 1e-9


def _factor(model: Model, eliminate: bool):
    pattern = build_pattern(amalgamate(model.terms), eliminate=eliminate)
    A = fill(pattern, model.X, model.weights)
    T = term_factors(model.terms, model.theta)
    return pattern, factorize(pattern, A, [block_factor(block, T) for block in pattern.blocks])


def _dense_system(model: Model):
    w = np.ones(len(model.y)) if model.weights is None else model.weights
    ZL = dense_Z(model)
    omega = ZL.T @ (w[:, None] * ZL) + np.eye(ZL.shape[1])
    return w, ZL, omega


@pytest.mark.parametrize("eliminate", [True, False])
@settings(max_examples=25)
@given(model=models())
def test_log_determinants_equal_dense_ones(model, eliminate):
    _, factor = _factor(model, eliminate)
    w, ZL, omega = _dense_system(model)
    ZWX = ZL.T @ (w[:, None] * model.X)
    schur = model.X.T @ (w[:, None] * model.X) - ZWX.T @ np.linalg.solve(omega, ZWX)
    assert factor.log_det_L2 == pytest.approx(np.linalg.slogdet(omega)[1], rel=ROUNDING, abs=ROUNDING)
    assert factor.log_det_RX2 == pytest.approx(np.linalg.slogdet(schur)[1], rel=ROUNDING, abs=ROUNDING)


@pytest.mark.parametrize("eliminate", [True, False])
@settings(max_examples=25)
@given(model=models(singular=True))
def test_leverages_equal_dense_ones(model, eliminate):
    pattern, factor = _factor(model, eliminate)
    w, ZL, omega = _dense_system(model)
    given_beta = np.einsum("ij,ji->i", ZL, np.linalg.solve(omega, ZL.T))
    ours = leverages(pattern, invert_on_pattern(factor, fixed_effects=False, cross=True))
    np.testing.assert_allclose(ours, given_beta, rtol=ROUNDING, atol=ROUNDING)
    M = np.hstack([ZL, model.X])
    bordered = M.T @ (w[:, None] * M)
    bordered[: ZL.shape[1], : ZL.shape[1]] += np.eye(ZL.shape[1])
    inverse = np.linalg.inv(bordered)[: ZL.shape[1], : ZL.shape[1]]
    ours = leverages(pattern, invert_on_pattern(factor, fixed_effects=True, cross=True))
    np.testing.assert_allclose(ours, np.einsum("ij,jk,ik->i", ZL, inverse, ZL), rtol=ROUNDING, atol=ROUNDING)


@settings(max_examples=25)
@given(model=models())
def test_right_hand_side_sums_rows_by_level(model):
    pattern = build_pattern(amalgamate(model.terms))
    rhs = right_hand_side(pattern, model.X, model.y)
    for block, ours in zip(pattern.blocks, rhs.Z, strict=True):
        Z = np.hstack([model.terms[k].Z for k in block.terms])
        for level in range(block.n_levels):
            rows = block.codes == level
            np.testing.assert_allclose(ours[:, level], Z[rows].T @ model.y[rows], rtol=ROUNDING)


def test_nested_factors_are_eliminated_and_crossed_ones_form_the_tail():
    rng = np.random.default_rng(1)
    n, one = 200, np.ones((200, 1))
    pupil = rng.integers(0, 40, n)
    groups = {"pupil": pupil, "class": pupil // 5, "item": rng.integers(0, 6, n)}
    terms = [random_term(one, codes, group) for group, codes in groups.items()]
    pattern = build_pattern(amalgamate(terms))
    assert [pattern.blocks[b].group for b in pattern.chain] == ["pupil", "class"]
    assert [pattern.blocks[b].group for b in pattern.tail] == ["item"]


@pytest.mark.parametrize("slopes", [False, True])
@pytest.mark.parametrize("third", [False, True])
@pytest.mark.parametrize("REML", [False, True])
def test_a_block_tridiagonal_tail_equals_a_dense_one(monkeypatch, slopes, third, REML):
    rng = np.random.default_rng(2)
    n, n_pupils, n_teachers = 900, 200, 60
    pupil = rng.integers(0, n_pupils, n)
    teacher = (pupil * n_teachers // n_pupils + rng.integers(0, 3, n)) % n_teachers
    one, x = np.ones(n), rng.normal(size=n)
    terms = [
        random_term(np.c_[one, x] if slopes else one[:, None], pupil, "pupil"),
        random_term(one[:, None], teacher, "teacher"),
    ]
    if third:
        terms.append(random_term(x[:, None], pupil // 25 + rng.integers(0, 2, n), "house"))
    y = rng.normal(size=n) + rng.normal(size=n_pupils)[pupil] + rng.normal(size=n_teachers)[teacher]
    plain = linear_problem(y, np.c_[one, x], terms)
    # The cost model wants larger tails; here every tail that is not full is one.
    monkeypatch.setattr(choose, "LEAST_BANDED", 1)
    monkeypatch.setattr(choose, "MOST_BANDED_DENSITY", np.inf)
    monkeypatch.setattr(choose, "BANDED_GAIN", np.inf)
    monkeypatch.setattr(banded, "LEAST_BLOCK", 5)
    blocks = linear_problem(y, np.c_[one, x], terms)
    assert "block tridiagonal" in blocks.description()
    assert "dense tail" in plain.description()
    theta = rng.normal(size=plain.n_theta)
    for at in (theta, np.where(np.arange(len(theta)) == len(theta) - 1, 0.0, theta)):
        ours, gradient = objective_and_gradient(blocks, at, REML)
        expected, expected_gradient = objective_and_gradient(plain, at, REML)
        assert ours == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(gradient, expected_gradient, atol=1e-8)
    one_way, other = solve(blocks, theta, REML), solve(plain, theta, REML)
    np.testing.assert_allclose(one_way.beta, other.beta, rtol=ROUNDING)
    for ours, expected in zip(one_way.u, other.u, strict=True):
        np.testing.assert_allclose(ours, expected, atol=ROUNDING)
    pairs = zip(conditional_covariances(blocks, theta), conditional_covariances(plain, theta), strict=True)
    for ours, expected in pairs:
        np.testing.assert_allclose(ours, expected, atol=ROUNDING)


def test_heavy_and_light_levels_give_the_same_as_either_alone(monkeypatch):
    rng = np.random.default_rng(4)
    n = 3000
    person = rng.choice(150, n, p=(weights := rng.pareto(1.5, 150) + 0.1) / weights.sum())
    terms = [
        random_term(np.ones((n, 1)), person, "person"),
        random_term(np.ones((n, 1)), rng.integers(0, 70, n), "film"),
    ]
    y, X = rng.normal(size=n), np.ones((n, 1))
    theta, values = np.array([0.7, 0.4]), []
    # Seconds that make every level heavy, some and none.
    for seconds in (1.0, 2e-9, 1e-15):
        monkeypatch.setattr(choose, "PRODUCT_SECONDS", seconds)
        monkeypatch.setattr(choose, "MAX_STORED_DENSE", 0.0)
        values.append(objective_and_gradient(linear_problem(y, X, terms), theta, True))
    for value, gradient in values[1:]:
        assert value == pytest.approx(values[0][0], rel=1e-13)
        np.testing.assert_allclose(gradient, values[0][1], rtol=1e-9)
