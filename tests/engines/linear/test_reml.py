"""The profiled objective of linear models: against the marginal density, and its invariances."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.engines.linear.reml import conditional_covariances, evaluate, objective_and_gradient, solve
from mixedmodels.errors import DataError
from tests.factorization.random_models import dense_Z, marginal_objective, models, random_term

# n x n Cholesky with condition up to 1e4 against small blocks: ten digits of an objective of size 1e2.
OBJECTIVE = 1e-10
# Central differences of step 1e-5 lose about half the digits; issue of the fits themselves is 1e-6.
GRADIENT = 1e-6
STEP = 1e-5


def _problem(model, eliminate=True):
    return linear_problem(model.y, model.X, model.terms, model.weights, eliminate=eliminate)


@settings(max_examples=60)
@given(model=models(), eliminate=st.booleans(), sigma=st.sampled_from([None, 0.7]))
def test_objective_equals_marginal_density(model, eliminate, sigma):
    ours = evaluate(_problem(model, eliminate), model.theta, model.REML, sigma)
    assert ours == pytest.approx(marginal_objective(model, sigma), rel=OBJECTIVE)


@settings(max_examples=100, deadline=None)
@given(model=models(), eliminate=st.booleans(), sigma=st.sampled_from([None, 0.7]))
def test_gradient_equals_central_differences(model, eliminate, sigma):
    _check_gradient(model, eliminate, sigma)


@settings(max_examples=100, deadline=None)
@given(model=models(singular=True), eliminate=st.booleans(), sigma=st.sampled_from([None, 0.7]))
def test_gradient_is_exact_near_and_at_singular_factors(model, eliminate, sigma):
    _check_gradient(model, eliminate, sigma)


def _check_gradient(model, eliminate, sigma):
    problem = _problem(model, eliminate)
    _, gradient = objective_and_gradient(problem, model.theta, model.REML, sigma)
    differences = np.array(
        [
            (
                evaluate(problem, model.theta + step, model.REML, sigma)
                - evaluate(problem, model.theta - step, model.REML, sigma)
            )
            / (2.0 * STEP)
            for step in STEP * np.eye(len(model.theta))
        ]
    )
    scale = 1.0 + np.abs(differences).max()
    np.testing.assert_allclose(gradient / scale, differences / scale, rtol=0.0, atol=GRADIENT)


@settings(max_examples=30)
@given(model=models(), eliminate=st.booleans())
def test_solution_satisfies_the_penalized_normal_equations(model, eliminate):
    at = solve(_problem(model, eliminate), model.theta, model.REML)
    w = np.ones(len(model.y)) if model.weights is None else model.weights
    ZL = dense_Z(model)
    u = np.concatenate([values.ravel() for values in at.u])
    residual = model.y - model.X @ at.beta - ZL @ u
    np.testing.assert_allclose(model.X.T @ (w * residual), 0.0, atol=1e-7)
    np.testing.assert_allclose(ZL.T @ (w * residual), u, atol=1e-7)
    assert at.pwrss == pytest.approx(residual @ (w * residual) + u @ u, rel=1e-9)
    V = np.diag(1.0 / w) + ZL @ ZL.T
    vcov = np.linalg.inv(model.X.T @ np.linalg.solve(V, model.X))
    np.testing.assert_allclose(at.unscaled_vcov, vcov, rtol=1e-7)


@settings(max_examples=20)
@given(model=models(), eliminate=st.booleans())
def test_conditional_covariances_equal_dense_ones(model, eliminate):
    w = np.ones(len(model.y)) if model.weights is None else model.weights
    ZL = dense_Z(model)
    inverse = np.linalg.inv(ZL.T @ (w[:, None] * ZL) + np.eye(ZL.shape[1]))
    ours = conditional_covariances(_problem(model, eliminate), model.theta)
    start, theta_start = 0, 0
    for term, faces in zip(model.terms, ours, strict=True):
        k = term.structure.n_theta
        T = term.structure.factor(model.theta[theta_start : theta_start + k])
        theta_start += k
        for level in range(term.n_levels):
            rows = slice(start + level * term.size, start + (level + 1) * term.size)
            np.testing.assert_allclose(faces[level], T @ inverse[rows, rows] @ T.T, atol=1e-9)
        start += term.n_levels * term.size


@settings(max_examples=20)
@given(model=models(), seed=st.integers(0, 1000))
def test_order_of_rows_terms_and_levels_is_irrelevant(model, seed):
    rng = np.random.default_rng(seed)
    expected = evaluate(_problem(model), model.theta, model.REML)
    rows = rng.permutation(len(model.y))
    terms = tuple(
        random_term(term.Z[rows], rng.permutation(term.n_levels)[term.codes[rows]], term.group)
        for term in model.terms
    )
    weights = None if model.weights is None else model.weights[rows]
    parts = np.split(model.theta, np.cumsum([term.structure.n_theta for term in terms])[:-1])
    # Terms of one grouping factor must share their codes; they are relabelled independently above.
    if len({term.group for term in terms}) == len(terms):
        problem = linear_problem(model.y[rows], model.X[rows], terms[::-1], weights)
        value = evaluate(problem, np.concatenate(parts[::-1]), model.REML)
        assert value == pytest.approx(expected, rel=1e-11)


def _sleep_like(n_groups=12, per_group=8, seed=3):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_groups), per_group)
    x = np.tile(np.arange(per_group, dtype=float), n_groups)
    y = 250.0 + 10.0 * x + rng.normal(0, 25, n_groups)[g] + rng.normal(0, 20, len(g))
    return y, x, g


@pytest.mark.parametrize("factor", [1e-6, 1e6])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_scale_and_location_of_predictors_and_response_do_not_matter(factor, shift):
    y, x, g = _sleep_like()
    one = np.ones((len(y), 1))
    theta = np.array([0.8])
    plain = solve(linear_problem(y, np.c_[one, x], [random_term(one, g, "g")]), theta, True)
    z = (x + shift) * factor
    moved = solve(linear_problem(y + shift, np.c_[one, z], [random_term(one, g, "g")]), theta, True)
    # REML depends on the scale of X through log|X'X| alone; a mean of 1e6 leaves 1e-16 * 1e6 of y.
    assert moved.objective - 2.0 * math.log(factor) == pytest.approx(plain.objective, rel=1e-9)
    assert moved.beta[1] * factor == pytest.approx(plain.beta[1], rel=1e-8)
    assert moved.sigma == pytest.approx(plain.sigma, rel=1e-9)
    np.testing.assert_allclose(moved.u[0], plain.u[0], atol=1e-7)
    slope_se = math.sqrt(moved.unscaled_vcov[1, 1]) * factor
    assert slope_se == pytest.approx(math.sqrt(plain.unscaled_vcov[1, 1]), rel=1e-8)


def test_rows_of_weight_zero_contribute_nothing():
    y, x, g = _sleep_like()
    one = np.ones((len(y), 1))
    X, w = np.c_[one, x], np.where(np.arange(len(y)) % 5 == 0, 0.0, 1.5)
    keep = w > 0.0
    theta = np.array([0.6])
    whole = solve(linear_problem(y, X, [random_term(one, g, "g")], w), theta, True)
    part = solve(
        linear_problem(y[keep], X[keep], [random_term(one[keep], g[keep], "g")], w[keep]), theta, True
    )
    assert whole.objective == pytest.approx(part.objective, rel=1e-12)
    np.testing.assert_allclose(whole.beta, part.beta, rtol=1e-11)


def test_equal_weights_change_sigma_only():
    y, x, g = _sleep_like()
    one = np.ones((len(y), 1))
    X, term = np.c_[one, x], random_term(one, g, "g")
    plain = solve(linear_problem(y, X, [term]), np.array([0.6]), True)
    weighted = solve(linear_problem(y, X, [term], np.full(len(y), 4.0)), np.array([0.3]), True)
    assert weighted.objective == pytest.approx(plain.objective, rel=1e-12)
    assert weighted.sigma == pytest.approx(2.0 * plain.sigma, rel=1e-12)


def test_offset_is_taken_from_the_response():
    y, x, g = _sleep_like()
    one = np.ones((len(y), 1))
    X, terms = np.c_[one, x], [random_term(one, g, "g")]
    shifted = evaluate(linear_problem(y, X, terms, None, 3.0 * x), np.array([0.6]), False)
    assert shifted == pytest.approx(evaluate(linear_problem(y - 3.0 * x, X, terms), np.array([0.6]), False))


@settings(max_examples=10)
@given(model=models())
def test_another_response_gives_the_problem_built_with_it(model):
    y = model.y[::-1].copy()
    refitted = _problem(model).with_response(y)
    built = linear_problem(y, model.X, model.terms, model.weights)
    assert evaluate(refitted, model.theta, model.REML) == evaluate(built, model.theta, model.REML)


@pytest.mark.parametrize("REML", [True, False])
def test_relationship_between_levels_enters_the_covariance(REML):
    rng = np.random.default_rng(5)
    n, q = 60, 9
    codes = np.concatenate([np.arange(q), rng.integers(0, q, n - q)])
    Z, X = np.c_[np.ones(n), rng.normal(size=n)], np.c_[np.ones(n), rng.normal(size=n)]
    y = rng.normal(size=n)
    root = rng.normal(size=(q, q))
    K = root @ root.T / q + np.eye(q)
    term = random_term(Z, codes, "g", relationship=np.linalg.cholesky(K))
    theta = np.array([0.9, -0.4, 0.6])
    problem = linear_problem(y, X, [term])
    T = term.structure.factor(theta)
    indicator = (term.codes[:, None] == np.arange(q)).astype(float)
    full = (indicator[:, :, None] * Z[:, None, :]).reshape(n, -1)
    V = np.eye(n) + full @ np.kron(K, T @ T.T) @ full.T
    L = np.linalg.cholesky(V)
    yy, XX = np.linalg.solve(L, y), np.linalg.solve(L, X)
    rss = float(np.sum((yy - XX @ np.linalg.lstsq(XX, yy, rcond=None)[0]) ** 2))
    df = n - 2 if REML else n
    expected = 2.0 * np.log(np.diag(L)).sum() + df * (1.0 + math.log(2.0 * math.pi * rss / df))
    if REML:
        expected += np.linalg.slogdet(XX.T @ XX)[1]
    assert evaluate(problem, theta, REML) == pytest.approx(expected, rel=1e-11)
    conditional = np.linalg.inv(np.linalg.inv(np.kron(K, T @ T.T)) + full.T @ full)
    ours = conditional_covariances(problem, theta)[0]
    for level in range(q):
        np.testing.assert_allclose(
            ours[level], conditional[2 * level : 2 * level + 2, 2 * level : 2 * level + 2], atol=1e-10
        )


def test_dependent_columns_of_X_are_an_error():
    y, x, g = _sleep_like()
    one = np.ones((len(y), 1))
    with pytest.raises(DataError, match="depends linearly"):
        linear_problem(y, np.c_[one, x, 2.0 * x + 1.0], [random_term(one, g, "g")])


def test_more_fixed_effects_than_rows_is_an_error():
    with pytest.raises(DataError, match="cannot estimate"):
        linear_problem(np.ones(2), np.eye(2), [random_term(np.ones((2, 1)), np.arange(2), "g")])


def test_description_names_every_block():
    y, x, g = _sleep_like()
    one = np.ones((len(y), 1))
    text = linear_problem(
        y, np.c_[one, x], [random_term(one, g, "g"), random_term(one, x, "x")]
    ).description()
    assert text.splitlines()[1].split()[:4] == ["g", "12", "12", "1"]
    assert "dense tail" in text


@pytest.mark.parametrize("y", [np.zeros(24), np.full(24, 7.0), 1.0 + 2.0 * np.arange(24)])
def test_a_response_fitted_exactly_is_an_error(y):
    X = np.c_[np.ones(24), np.arange(24.0)]
    with pytest.raises(DataError, match="fit the response exactly"):
        linear_problem(y, X, [random_term(np.ones((24, 1)), np.arange(24) % 4, "g")])
