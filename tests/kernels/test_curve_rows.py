"""What rows of curves give to their clusters: compiled loops against NumPy, and both against differences."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.nonlinear import row_sums as sums
from mixedmodels.engines.nonlinear.laplace import evaluate, gradient, predicted_mode
from mixedmodels.fits.nonlinear import problem_of
from mixedmodels.kernels import curve_rows
from mixedmodels.nonlinear_request import read_nonlinear

pytestmark = pytest.mark.skipif(not curve_rows.COMPILED, reason="nothing is compiled")

#: Random effects of one factor, uncorrelated and correlated, nested and crossed, beside a covariate.
RANDOM = (
    "a ~ 1 || g",
    "a + b ~ 1 | g",
    ["a ~ 1 | g", "b ~ 1 | h"],
    ["a ~ w | g", "c ~ 1 | h", "b ~ 1 | g:h"],
)


def _problem(random, seed):
    rng = np.random.default_rng(seed)
    n = 90
    data = pd.DataFrame({"x": rng.uniform(0.0, 5.0, n), "w": rng.normal(size=n), "k": rng.uniform(0.5, 2, n)})
    data["g"], data["h"] = rng.integers(0, 7, n).astype(str), rng.integers(0, 4, n).astype(str)
    data["y"] = 3.0 / (1.0 + np.exp(2.0 - data["x"])) + 0.3 * rng.normal(size=n)
    asked = read_nonlinear(
        "y ~ a * plogis((x - b) / c)", data, random=random, fixed={"a": "~ w"}, weights="k",
        start={"a": 3.0, "b": 2.0, "c": 1.0},
    )  # fmt: skip
    problem = problem_of(asked.nonlinear, data["y"].to_numpy())
    theta = np.concatenate([term.structure.start() for term in problem.terms])
    return problem, theta + rng.uniform(0.05, 0.3, len(theta)), asked.nonlinear.start, rng


def _everything(problem, theta, beta, u):
    """Return all that the loops compute, at u and at the mode."""
    T, fixed = problem.factor(theta), problem.fixed_part(beta)
    phi = sums.parameters_at(problem, T, fixed, u)
    mu, G, H = problem.mean.hessian(phi)
    rows = sums.row_sums(problem, T, u, problem.y - mu, G, H)
    at = evaluate(problem, theta, beta, np.zeros(problem.shape))
    moved = predicted_mode(problem, at, theta * 1.001, beta + 1e-3)
    inverse = sums.inverted(rows.Omega)
    x = sums.solved(rows.Omega, u)
    return (
        phi, rows.Zeta, rows.zeta, rows.rss, rows.slope, rows.Omega, rows.K, at.objective, at.mode.u, moved,
        *gradient(problem, at), *inverse, x,
    )  # fmt: skip


@pytest.mark.parametrize("random", RANDOM, ids=str)
def test_compiled_loops_agree_with_numpy(monkeypatch, random):
    problem, theta, beta, rng = _problem(random, 3)
    u = 0.3 * rng.normal(size=problem.shape)
    compiled = _everything(problem, theta, beta, u)
    monkeypatch.setattr(curve_rows, "COMPILED", False)
    for ours, theirs in zip(compiled, _everything(problem, theta, beta, u), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("compiled", [True, False])
def test_the_gradient_is_that_of_the_objective(monkeypatch, compiled):
    monkeypatch.setattr(curve_rows, "COMPILED", compiled)
    problem, theta, beta, _ = _problem(RANDOM[3], 4)
    start = np.zeros(problem.shape)
    found = np.concatenate(gradient(problem, evaluate(problem, theta, beta, start)))
    x, k = np.concatenate([theta, beta]), len(theta)

    def objective(at):
        return evaluate(problem, at[:k], at[k:], start).objective

    for j, step in enumerate(1e-5 * np.eye(len(x))):
        slope = (objective(x + step) - objective(x - step)) / 2e-5
        assert found[j] == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_matrices_that_are_not_positive_definite_have_no_inverse(monkeypatch):
    for compiled in (True, False):
        monkeypatch.setattr(curve_rows, "COMPILED", compiled)
        A = np.array([np.eye(2), [[1.0, 2.0], [2.0, 1.0]]])
        assert sums.solved(A, np.ones((2, 2))) is None and sums.inverted(A) is None
        assert sums.solved(np.full((1, 2, 2), np.nan), np.ones((1, 2))) is None


def test_fits_are_the_same_without_compiled_loops(monkeypatch):
    curve = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym + xmid | Tree"
    trees = mm.load_dataset("Orange")
    ours = mm.nlmer(curve, trees)
    monkeypatch.setattr(curve_rows, "COMPILED", False)
    theirs = mm.nlmer(curve, trees)
    assert ours.loglik() == pytest.approx(theirs.loglik(), abs=1e-9)
    np.testing.assert_allclose(ours.fixef(), theirs.fixef(), rtol=1e-7)
