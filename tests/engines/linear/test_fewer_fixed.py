"""More fixed effects than random ones: the rotated equations give what the whole ones give."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.linear.blocked_system import solve_blocked
from mixedmodels.engines.linear.fewer_fixed import RotatedSolver
from mixedmodels.engines.linear.reml import evaluate, objective_and_gradient, solve
from mixedmodels.formula.design.theta import term_factors

FORMULAS = {
    "intercepts": "(1 | g)",
    "slopes": "(x0 | g)",
    "crossed": "(1 | g) + (1 | h)",
    "nested": "(1 | g) + (1 | g:h)",
    "separate": "(x0 || g)",
}


def table(p, rows, levels, seed):
    """Return rows of p predictors, the first constant within the levels, and two factors."""
    rng = np.random.default_rng(seed)
    g, h = rng.integers(levels, size=rows), rng.integers(3, size=rows)
    X = rng.normal(size=(rows, p)) + rng.normal(size=p)
    X[:, 0] = rng.normal(size=levels)[g]
    y = 100.0 + X @ rng.normal(size=p) + rng.normal(scale=2.0, size=levels)[g] + rng.normal(size=rows)
    data = pd.DataFrame(X, columns=[f"x{k}" for k in range(p)])
    return data.assign(y=y, g=g.astype(str), h=h.astype(str), w=rng.uniform(0.5, 2.0, size=rows))


def formula(p, name):
    """Return a formula of p predictors and random effects."""
    return "y ~ " + " + ".join(f"x{k}" for k in range(p)) + " + " + FORMULAS[name]


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("name", FORMULAS)
def test_rotated_equations_give_what_whole_ones_give(name, weights, REML):
    m = mm.lmer(formula(70, name), table(70, 300, 7, len(name)), REML, weights=weights)
    problem = m.problem
    assert isinstance(problem.solver, RotatedSolver)
    plain = replace(problem, solver=solve_blocked)
    for theta in (m.theta_values, 0.3 + 0.5 * m.theta_values, 10.0 * m.theta_values, 0.0 * m.theta_values):
        for sigma in (None, 1.5):
            ours = objective_and_gradient(problem, theta, REML, sigma)
            whole = objective_and_gradient(plain, theta, REML, sigma)
            assert ours[0] == pytest.approx(whole[0], abs=1e-8)
            np.testing.assert_allclose(ours[1], whole[1], atol=1e-6, rtol=1e-8)
    one, other = solve(problem, m.theta_values, REML), solve(plain, m.theta_values, REML)
    np.testing.assert_allclose(one.beta, other.beta, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(one.unscaled_vcov, other.unscaled_vcov, rtol=1e-9, atol=1e-12)
    for u, v in zip(one.u, other.u, strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-8, atol=1e-9)
    assert one.log_det_RX2 == pytest.approx(other.log_det_RX2, abs=1e-9)


def test_the_objective_is_that_of_the_dense_covariance():
    data = table(60, 150, 5, 3)
    m = mm.lmer(formula(60, "slopes"), data)
    X, y, n, p = m.design.X, m.y, 150, m.design.X.shape[1]
    (term,), (T,) = m.design.random, term_factors(m.design.random, m.theta_values)
    Z = np.zeros((n, 5 * 2))
    for k in range(2):
        Z[np.arange(n), 2 * term.codes + k] = term.Z[:, k]
    b = np.kron(np.eye(5), T @ T.T)
    V = np.eye(n) + Z @ b @ Z.T
    W = np.linalg.solve(V, X)
    beta = np.linalg.solve(X.T @ W, W.T @ y)
    r = y - X @ beta
    sigma2 = r @ np.linalg.solve(V, r) / (n - p)
    value = np.linalg.slogdet(V)[1] + np.linalg.slogdet(X.T @ W)[1]
    value += (n - p) * (1.0 + np.log(2.0 * np.pi * sigma2))
    assert m.REMLcrit() == pytest.approx(value, abs=1e-7)
    np.testing.assert_allclose(m.beta, beta, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(m.vcov().to_numpy(), sigma2 * np.linalg.inv(X.T @ W), rtol=1e-7, atol=1e-10)


def test_what_follows_from_such_a_fit():
    data = table(60, 200, 6, 4)
    m = mm.lmer(formula(60, "intercepts"), data)
    again = m.refit(m.y + data["x1"].to_numpy())
    assert evaluate(again.problem, again.theta_values, True) == pytest.approx(again.REMLcrit(), abs=1e-8)
    assert again.fixef()["x1"] == pytest.approx(m.fixef()["x1"] + 1.0, abs=1e-6)
    root = m.problem.solver(m.problem.equations, [np.eye(1)], 139, 0.0, True).fixed_root
    plain = solve_blocked(m.problem.equations, [np.eye(1)], 139, 0.0, True).fixed_root
    np.testing.assert_allclose(root, plain, atol=1e-10)
    table_of = m.summary().coefficients if hasattr(m.summary(), "coefficients") else None
    assert table_of is None or np.isfinite(np.asarray(table_of, dtype=float)).all()
    assert m.hatvalues().sum() > 60
    assert len(m.confint(method="Wald")) > 60
