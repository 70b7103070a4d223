"""What must hold of a nonlinear mixed model whatever the data: gradients, limits, orders, brute force."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import mixedmodels as mm
from mixedmodels.engines.generalized.quadrature_grid import quadrature_grid
from mixedmodels.engines.nonlinear.laplace import evaluate, gradient
from mixedmodels.engines.nonlinear.quadrature import quadrature, quadrature_gradient
from mixedmodels.fits.nonlinear import problem_of

GROWTH = "y ~ A / (1 + exp((m - x) / s))"


def growth_data(seed=1, groups=8, rows=7, noise=2.0, spread=(15.0, 0.6)):
    """Return logistic growth of groups whose asymptote and midpoint vary, with unequal numbers of rows."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), rows)
    g = g[rng.random(len(g)) > 0.1]
    x = rng.uniform(0, 10, len(g))
    A = 100 + spread[0] * rng.standard_normal(groups)
    m = 5 + spread[1] * rng.standard_normal(groups)
    h = rng.integers(0, 4, len(g))
    y = A[g] / (1 + np.exp((m[g] - x) / 1.2)) + 3 * rng.standard_normal(4)[h]
    y = y + noise * rng.standard_normal(len(g))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{k}" for k in g], "h": [f"h{k}" for k in h]})


START = {"A": 90.0, "m": 4.5, "s": 1.0}


def fitted(random, data=None, **arguments):
    """Return a fit of logistic growth."""
    data = growth_data() if data is None else data
    return mm.nlmer(f"{GROWTH} ~ {random}", data, start=START, **arguments)


def differences(function, x):
    """Return the gradient by central differences."""
    steps = 1e-5 * np.maximum(np.abs(x), 0.1)
    return np.array([(function(x + h) - function(x - h)) / (2 * h.sum()) for h in np.diag(steps)])


RANDOM = ["A | g", "(A + m | g)", "(A | g) + (m | g)", "(A | g) + (m | h)", "(A + m | g) + (A | h)"]


@pytest.mark.parametrize("random", RANDOM)
def test_gradient_is_that_of_the_objective(random):
    data = growth_data()
    m = fitted(random, data)
    problem = problem_of(m.nonlinear, m.y)
    rng = np.random.default_rng(2)
    theta = np.abs(m.theta_values) + 0.2 * rng.uniform(0.5, 1.0, len(m.theta_values))
    x = np.concatenate([theta, m.beta * rng.uniform(0.97, 1.03, 3)])
    k, start = len(theta), np.zeros(problem.shape)

    def objective(x):
        return evaluate(problem, x[:k], x[k:], start).objective

    found = np.concatenate(gradient(problem, evaluate(problem, x[:k], x[k:], start)))
    np.testing.assert_allclose(found, differences(objective, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("random", "nodes"), [("A | g", 3), ("(A + m | g)", 4), ("(A | g) + (m | g)", 2)])
def test_gradient_of_quadrature(random, nodes):
    m = fitted(random)
    problem = problem_of(m.nonlinear, m.y)
    grid, k, start = quadrature_grid(nodes, problem.shape[1]), len(m.theta_values), np.zeros(problem.shape)
    x = np.concatenate([np.abs(m.theta_values) * 1.1 + 0.1, m.beta * 1.01, [0.8]])

    def objective(x):
        return quadrature(problem, evaluate(problem, x[:k], x[k:-1], start), x[-1], grid)

    at = evaluate(problem, x[:k], x[k:-1], start)
    value, d_theta, d_beta, d_sigma = quadrature_gradient(problem, at, x[-1], grid)
    assert value == pytest.approx(objective(x), abs=1e-10)
    found = np.concatenate([d_theta, d_beta, [d_sigma]])
    np.testing.assert_allclose(found, differences(objective, x), rtol=1e-5, atol=1e-5)


def test_one_node_is_laplace():
    m = fitted("(A + m | g)")
    problem = problem_of(m.nonlinear, m.y)
    at = evaluate(problem, m.theta_values, m.beta, np.zeros(problem.shape))
    one = quadrature(problem, at, np.log(m.sigma()), quadrature_grid(1, 2))
    assert one == pytest.approx(m.deviance(), abs=1e-9)


@pytest.mark.parametrize("random", ["a | g", "(a + b | g)", "(a | g) + (b | g)", "(a | g) + (a | h)"])
@pytest.mark.parametrize("method", ["laplace", "lindstrom-bates"])
def test_linear_mean_is_lmer(random, method):
    data = growth_data()
    m = mm.nlmer(f"y ~ a + b * x ~ {random}", data, start={"a": 1.0, "b": 1.0}, method=method)
    terms = random.replace("a + b", "x").replace("b | g", "0 + x | g").replace("a |", "1 |")
    terms = terms if terms.startswith("(") else f"({terms})"
    linear = mm.lmer(f"y ~ x + {terms}", data, REML=False)
    assert m.deviance() == pytest.approx(linear.deviance(), abs=1e-8)
    np.testing.assert_allclose(m.fixef(), linear.fixef(), rtol=1e-6)
    np.testing.assert_allclose(m.fitted(), linear.fitted(), rtol=1e-5)
    np.testing.assert_allclose(m.vcov(method="rx"), linear.vcov(), rtol=1e-5, atol=1e-7)


def test_random_effects_that_enter_linearly_need_no_quadrature():
    m = fitted("A | g")
    exact = fitted("A | g", nAGQ=9)
    assert exact.deviance() == pytest.approx(m.deviance(), abs=1e-7)
    observed = fitted("A | g", hessian="observed")
    assert observed.deviance() == pytest.approx(m.deviance(), abs=1e-7)


def test_quadrature_is_the_integral():
    data = growth_data(groups=4, rows=5, spread=(5.0, 1.5))
    m = mm.nlmer(f"{GROWTH} ~ m | g", data, start=START, nAGQ=25)
    A, mid, s = m.fixef()
    sd, sigma, total = m.theta_values[0] * m.sigma(), m.sigma(), 0.0
    for _, rows in data.groupby("g"):

        def likelihood(b, rows=rows):
            mu = A / (1 + np.exp((mid + b - rows["x"].to_numpy()) / s))
            return np.exp(stats.norm.logpdf(rows["y"], mu, sigma).sum()) * stats.norm.pdf(b, 0, sd)

        total += np.log(integrate.quad(likelihood, -8 * sd, 8 * sd, points=[0.0], epsrel=1e-11)[0])
    assert m.loglik() == pytest.approx(total, abs=1e-6)


def test_exact_curvature_is_closer_to_the_integral_or_as_close():
    data = growth_data(groups=6, rows=5, spread=(5.0, 1.5), noise=6.0)
    truth = mm.nlmer(f"{GROWTH} ~ m | g", data, start=START, nAGQ=25).deviance()
    observed = mm.nlmer(f"{GROWTH} ~ m | g", data, start=START, hessian="observed")
    assert observed.convergence().is_optimum
    assert observed.deviance() == pytest.approx(truth, abs=0.5)


@pytest.mark.parametrize("random", RANDOM[1:])
def test_order_of_rows_and_names_of_levels_do_not_matter(random):
    data = growth_data()
    m = fitted(random, data)
    other = data.sample(frac=1.0, random_state=3)
    other["g"] = other["g"].map({level: f"z{-k}" for k, level in enumerate(sorted(set(data["g"])))})
    shuffled = fitted(random, other)
    assert shuffled.deviance() == pytest.approx(m.deviance(), abs=1e-7)
    np.testing.assert_allclose(shuffled.fixef(), m.fixef(), rtol=1e-5)
    np.testing.assert_allclose(shuffled.fitted().sort_index(), m.fitted(), rtol=1e-4)


def test_units_of_the_response_do_not_matter():
    data = growth_data()
    m = fitted("(A + m | g)", data)
    scaled = mm.nlmer(f"{GROWTH} ~ (A + m | g)", data.assign(y=1e-4 * data["y"]), start={**START, "A": 90e-4})
    np.testing.assert_allclose(scaled.fixef(), m.fixef() * [1e-4, 1, 1], rtol=1e-6)
    assert scaled.sigma() == pytest.approx(1e-4 * m.sigma(), rel=1e-7)
    shift = 2 * len(data) * np.log(1e-4)
    assert scaled.deviance() == pytest.approx(m.deviance() + shift, abs=1e-6)


def test_weights_are_repeated_rows_of_one_mean():
    data = growth_data()
    data["w"] = np.random.default_rng(5).integers(1, 4, len(data)).astype(float)
    m = fitted("A | g", data, weights="w")
    doubled = fitted("A | g", data.assign(w=2 * data["w"]), weights="w")
    assert doubled.sigma() == pytest.approx(np.sqrt(2) * m.sigma(), rel=1e-6)
    np.testing.assert_allclose(doubled.fixef(), m.fixef(), rtol=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_other_start_leads_lower(seed):
    data = growth_data(seed=seed)
    m = fitted("(A + m | g)", data)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        start = {name: value * rng.uniform(0.7, 1.4) for name, value in START.items()}
        other = mm.nlmer(f"{GROWTH} ~ (A + m | g)", data, start=start)
        assert other.deviance() > m.deviance() - 1e-6


def test_variance_that_is_zero_is_found_so():
    data = growth_data(spread=(15.0, 0.0), seed=5)
    m = fitted("(A | g) + (s | g)", data)
    assert m.convergence().verdict == "boundary"
    assert (m.theta_values == 0.0).any()
    reduced = fitted("A | g", data)
    assert m.deviance() == pytest.approx(reduced.deviance(), abs=1e-7)


def test_variances_that_cannot_be_told_apart_are_not_identified():
    data = growth_data()
    data["k"] = "c" + data["g"]
    with pytest.warns(mm.IdentificationWarning, match="not identified"):
        m = fitted("(A | g) + (A | k)", data)
    assert m.convergence().verdict == "not identified"


def test_nested_and_crossed_factors_by_dense_algebra():
    data = growth_data()
    m = fitted("(A + m | g) + (A | h)", data)
    Z, X, T = m.getME("Z").toarray(), m.getME("X"), m.getME("Lambda").toarray()
    V = np.eye(len(data)) + Z @ T @ T.T @ Z.T
    u = np.concatenate([u.ravel() for u in m.spherical])
    rss = float(((data["y"] - m.mean) ** 2).sum() + u @ u)
    n = len(data)
    objective = np.linalg.slogdet(V)[1] + n * (1 + np.log(2 * np.pi * rss / n))
    assert m.deviance() == pytest.approx(objective, abs=1e-8)
    # The mode: the slope of the penalized sum of squares is zero.
    np.testing.assert_allclose(T.T @ Z.T @ (data["y"] - m.mean), u, atol=1e-7)
    rx = m.sigma() ** 2 * np.linalg.inv(X.T @ np.linalg.solve(V, X))
    np.testing.assert_allclose(m.vcov(method="rx"), rx, rtol=1e-7)
