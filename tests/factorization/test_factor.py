"""The blocked factorization against plain dense algebra, on random models."""

import numpy as np
import pytest
from hypothesis import given, settings

from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.engines.linear.reml import objective_and_gradient
from mixedmodels.factorization.blocks import amalgamate, block_factor
from mixedmodels.factorization.chain_and_tail import build_pattern
from mixedmodels.factorization.constant import choose
from mixedmodels.factorization.constant.assembly import fill, right_hand_side
from mixedmodels.factorization.constant.blocked import factorize
from mixedmodels.factorization.constant.inverse import invert_on_pattern
from mixedmodels.formula.design.theta import term_factors
from tests.factorization.leverages import leverages
from tests.factorization.random_models import Model, dense_Z, models, random_term

# Both sides are backward stable; systems here have condition numbers up to about 1e4.
ROUNDING = 1e-9


def _factor(model: Model, eliminate: bool):
    pattern = build_pattern(amalgamate(model.terms), eliminate=eliminate)
    A = fill(pattern, model.X, weights=model.weights)
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
    rhs = right_hand_side(pattern, model.y, model.X.T @ model.y)
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
