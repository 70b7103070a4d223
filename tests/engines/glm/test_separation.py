"""Separation: found exactly where the likelihood has no maximum, and named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.engines.glm.fit import fit_glm
from mixedmodels.engines.glm.separation import FittedRows, find_separation, judged
from mixedmodels.families import Gamma, binomial, gaussian, nbinom2, poisson, quasibinomial


def _dummies(codes, n_levels):
    X = np.zeros((len(codes), n_levels))
    X[:, 0] = 1.0
    for level in range(1, n_levels):
        X[np.asarray(codes) == level, level] = 1.0
    return X


PERIOD = np.repeat([0, 1, 2, 3], 6)
X_PERIOD = _dummies(PERIOD, 4)
NAMES = ("(Intercept)", "period2", "period3", "period4")
LEVELS = {"period": [str(code + 1) for code in PERIOD]}
MIXED = np.array([0, 1, 0, 1, 1, 0], dtype=float)


def _rows_of(fit):
    return FittedRows(fit.beta, fit.mu, fit.eta, fit.eta)


def _response(empty, value):
    return np.concatenate([np.full(6, value) if level == empty else MIXED for level in range(4)])


def test_no_success_in_a_level_is_named():
    (found,) = find_separation(_response(3, 0.0), np.ones(24), X_PERIOD, NAMES, binomial(), factors=LEVELS)
    assert found.kind == "quasi-complete"
    assert found.columns == ("period4",)
    assert found.message == "period4 has no finite estimate: there is no success in period = 4."


def test_no_failure_in_the_reference_level_is_named():
    (found,) = find_separation(
        _response(0, 1.0), np.ones(24), X_PERIOD, NAMES, binomial("probit"), factors=LEVELS
    )
    assert found.columns == NAMES
    assert "there is no failure in period = 1" in found.message


def test_without_factors_the_column_is_named():
    (found,) = find_separation(_response(2, 0.0), np.ones(24), X_PERIOD, NAMES, binomial())
    assert found.message == "period3 has no finite estimate: there is no success where period3 = 1."


def test_empty_cell_of_two_factors_is_named():
    a, b = np.tile([0, 1], 12), np.repeat([0, 1], 12)
    X = np.column_stack([np.ones(24), a, b, a * b]).astype(float)
    y = np.where((a == 1) & (b == 1), 0.0, np.resize([3.0, 0.0, 2.0, 1.0], 24))
    (found,) = find_separation(
        y, np.ones(24), X, ("(Intercept)", "a", "b", "a:b"), poisson(), factors={"a": a, "b": b}
    )
    assert found.kind == "empty"
    assert found.columns == ("a:b",)
    assert "all counts are zero in a = 1, b = 1" in found.message


def test_complete_separation_on_a_numeric_variable():
    x = np.linspace(-1e6, 3e6, 20)
    X = np.column_stack([np.ones(20), x])
    (found,) = find_separation((x > 0.7e6).astype(float), np.ones(20), X, ("(Intercept)", "x"), binomial())
    assert found.kind == "complete"
    assert "x" in found.columns
    assert "all successes have x >=" in found.message


def test_separation_by_a_combination_only():
    grid = np.array([(i, j) for i in range(5) for j in range(5)], dtype=float)
    X = np.column_stack([np.ones(25), grid])
    y = (grid.sum(axis=1) > 4.5).astype(float)
    (found,) = find_separation(y, np.ones(25), X, ("(Intercept)", "u", "v"), binomial())
    assert found.kind == "complete"
    assert found.columns == ("(Intercept)", "u", "v")
    assert "a combination of them separates successes from failures" in found.message


@pytest.mark.parametrize(
    ("y", "family", "words"),
    [
        (np.zeros(24), binomial(), "no success"),
        (np.ones(24), binomial("cloglog"), "no failure"),
        (np.zeros(24), poisson(), "all counts are zero"),
        (np.zeros(24), nbinom2(), "all counts are zero"),
    ],
)
def test_constant_response(y, family, words):
    (found,) = find_separation(y, np.ones(24), X_PERIOD, NAMES, family)
    assert found.kind == "constant"
    assert words in found.message


def test_families_that_cannot_be_separated():
    assert find_separation(np.ones(24), np.ones(24), X_PERIOD, NAMES, Gamma("log")) == ()
    assert find_separation(np.zeros(24), np.ones(24), X_PERIOD, NAMES, gaussian()) == ()


def test_proportions_strictly_inside_hold_their_rows():
    X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    y = np.array([0.0, 0.5, 0.5, 1.0])
    assert find_separation(y, np.full(4, 4.0), X, ("(Intercept)", "x"), quasibinomial()) == ()


def test_rows_of_weight_zero_do_not_count():
    y = _response(3, 0.0)
    y[18] = 1.0
    weights = np.ones(24)
    assert find_separation(y, weights, X_PERIOD, NAMES, binomial()) == ()
    weights[18] = 0.0
    assert len(find_separation(y, weights, X_PERIOD, NAMES, binomial())) == 1


def test_an_ordinary_fit_is_not_examined_and_a_separated_one_is():
    for empty in (None, 3):
        y = _response(empty, 0.0)
        fit = fit_glm(y, np.ones(24), X_PERIOD, None, binomial())
        found = find_separation(y, np.ones(24), X_PERIOD, NAMES, binomial(), _rows_of(fit))
        assert len(found) == (empty is not None)
        verdict = judged(fit.convergence, found)
        assert verdict.is_optimum == (empty is None)
        assert verdict.reasons == tuple(finding.message for finding in found)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(6, 30), p=st.integers(1, 3))
def test_separation_is_found_exactly_when_the_likelihood_has_no_maximum(seed, n, p):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.integers(-2, 3, (n, p))]).astype(float)
    y = rng.integers(0, 2, n).astype(float)
    if np.linalg.matrix_rank(X) < p + 1 or y.min() == y.max():
        return
    found = find_separation(y, np.ones(n), X, [f"x{j}" for j in range(p + 1)], binomial())
    fit = fit_glm(y, np.ones(n), X, None, binomial())
    # Along an infinite direction the information vanishes, so that a standard error runs away; a finite
    # maximum on at most 30 rows of small integers has none above a few hundred.
    runs_away = bool(np.sqrt(np.diagonal(fit.vcov)).max() > 1000.0)
    assert bool(found) == runs_away
