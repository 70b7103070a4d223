"""The matrices of a model in lme4's layout."""

import numpy as np
import pytest

from mixedmodels.formula.design.model_terms import model_terms

# The pieces are the design's own numbers laid out; products of them round.
ROUNDING = 1e-12

FORMULAS = [
    "y ~ x + (x | g)",
    "y ~ f + (f | g) + (1 | h)",
    "y ~ x + (x + z || g) + (0 + f | h)",
    "y ~ x + cs(f | g) + diag(x | h) + ar1(0 + o | h)",
    "y ~ x + diag(f | g, hom = TRUE) + (1 | g:h)",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_z_lambda_theta_and_names_fit_together(mixed, formula):
    pieces = model_terms(formula, mixed)
    q = pieces.Gp[-1]
    assert pieces.Z.shape == (48, q)
    assert pieces.Lambda.shape == (q, q)
    assert len(pieces.random_names) == q
    assert len(pieces.theta) == len(pieces.theta_names)
    assert [group for group, _ in pieces.cnms] == [t.group for t in pieces.design.random]
    assert len(pieces.Lind) == pieces.Lambda.nnz
    np.testing.assert_allclose(pieces.Lambda.toarray(), np.eye(q), atol=1e-11)


@pytest.mark.parametrize("formula", FORMULAS)
def test_covariance_of_the_responses_is_that_of_the_terms(mixed, formula):
    pieces = model_terms(formula, mixed)
    rng = np.random.default_rng(0)
    theta = rng.uniform(0.2, 0.9, len(pieces.theta))
    ZL = (pieces.Z @ pieces.lambda_at(theta)).toarray()
    expected, start = np.zeros((48, 48)), 0
    for term in pieces.design.random:
        T = term.structure.factor(theta[start : start + term.structure.n_theta])
        start += term.structure.n_theta
        same = term.codes[:, None] == term.codes
        expected += same * (term.Z @ T @ T.T @ term.Z.T)
    np.testing.assert_allclose(ZL @ ZL.T, expected, atol=ROUNDING * 100)


@pytest.mark.parametrize("formula", [FORMULAS[0], FORMULAS[1], FORMULAS[2], FORMULAS[4]])
def test_lind_maps_theta_into_lambda(mixed, formula):
    pieces = model_terms(formula, mixed)
    theta = np.random.default_rng(1).uniform(0.5, 2, len(pieces.theta))
    assert pieces.Lind.min() >= 0
    np.testing.assert_array_equal(pieces.lambda_at(theta).data, theta[pieces.Lind])


def test_the_response_of_cbind_and_the_labels(mixed):
    pieces = model_terms("cbind(k, 5 - k) ~ x + (1 | g)", mixed.set_axis(range(100, 148)), subset="x > 0")
    assert pieces.X.index.tolist() == [100 + i for i in np.flatnonzero(mixed["x"] > 0)]
    assert pieces.X.columns.tolist() == ["(Intercept)", "x"]
    assert pieces.flist["g"].categories.tolist() == [f"g{j}" for j in range(8)]
    assert pieces.theta_names == ("g.(Intercept)",)
    assert pieces.random_names[:2] == ("g.g0.(Intercept)", "g.g1.(Intercept)")


def test_a_model_without_bars(mixed):
    pieces = model_terms("y ~ x", mixed)
    assert pieces.Z.shape == (48, 0)
    assert len(pieces.theta) == 0
