"""The default start of a linear model leads to the lowest optimum that any start finds."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from benchmarks.random_models import draw
from mixedmodels.datasets import load_dataset
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.formula import build_design
from mixedmodels.formula.design.theta import term_factors

FAULTS = Path(__file__).parents[2] / "faults" / "basin-uncentred"
CASES = json.loads((FAULTS / "cases.json").read_text())
# What counts as the same optimum, in units of the objective.
WITHIN = 1e-4
# Seeds of models of one term, whose evaluations are quick.
ONE_TERM = (6, 8, 14, 16, 18, 19, 25, 31, 32, 37, 38, 40)
pytestmark = pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")


def _problem(formula, data, **arguments):
    design = build_design(formula, data, **arguments)
    return linear_problem(design.response.values, design.X, design.random, design.weights, design.offset)


def _drawn(kind, seed):
    model = draw(kind, seed)
    arguments = {name: value for name, value in model.arguments.items() if name != "REML"}
    return _problem(model.formula, model.data, **arguments), model.REML


def _dense_reml(design, theta):
    """Return the REML criterion from the n x n covariance, sigma profiled out."""
    y, X = design.response.values, design.X
    V = np.eye(len(y))
    for term, T in zip(design.random, term_factors(design.random, theta), strict=True):
        for level in range(term.n_levels):
            rows = np.flatnonzero(term.codes == level)
            V[np.ix_(rows, rows)] += term.Z[rows] @ T @ T.T @ term.Z[rows].T
    W = np.linalg.solve(np.linalg.cholesky(V), np.column_stack([X, y]))
    Q, R = np.linalg.qr(W[:, :-1])
    e = W[:, -1] - Q @ (Q.T @ W[:, -1])
    df = len(y) - X.shape[1]
    log_det = np.linalg.slogdet(V)[1] + 2.0 * np.log(np.abs(np.diag(R))).sum()
    return log_det + df * (1.0 + np.log(2.0 * np.pi * (e @ e) / df))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_missed_optima_are_found(case):
    data = pd.read_csv(FAULTS / f"{case['id']}.csv")
    offset = "off" if case["offset"] else None
    fit = fit_linear(_problem(case["formula"], data, offset=offset), case["reml"])
    assert fit.solution.objective < case["lowest"] + WITHIN


@pytest.mark.parametrize(
    ("kind", "seed", "lowest"),
    [
        # From the first start alone these end higher by 7.75, at correlation 1; by 1.61, at correlation 1;
        # by 551, by 514, by 145 and by 1.36.
        ("plain", 178, 192.70606),
        ("plain", 14, 67.16406),
        ("uncentred", 10, 634.87488),
        ("uncentred", 198, 4992.55816),
        ("uncentred", 215, 575.52531),
        ("uncentred", 129, -50.70257),
    ],
)
def test_optima_at_large_deviations_are_found(kind, seed, lowest):
    problem, REML = _drawn(kind, seed)
    fit = fit_linear(problem, REML)
    assert fit.solution.objective == pytest.approx(lowest, abs=WITHIN)
    assert fit.convergence.is_optimum


@pytest.mark.parametrize("seed", range(12))
def test_no_point_of_a_grid_is_lower(seed):
    rng = np.random.default_rng(seed)
    n, q = 24, int(rng.integers(3, 7))
    x = 10.0 ** rng.uniform(0.0, 1.7) + rng.standard_normal(n)
    g = rng.integers(0, q, n)
    effects = rng.standard_normal((q, 2)) * 10.0 ** rng.uniform(-1.0, 2.0, 2)
    y = effects[g, 0] + effects[g, 1] * x + rng.standard_normal(n)
    data = pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})
    design = build_design("y ~ x + (x || g)", data)
    fit = fit_linear(linear_problem(y, design.X, design.random), REML=True)
    sizes = np.concatenate([[0.0], 10.0 ** np.arange(-3.0, 4.0, 0.5)])
    scales = np.sqrt(np.mean(np.square(np.column_stack([np.ones(n), x])), axis=0))
    grid = [_dense_reml(design, np.array([a, b]) / scales) for a in sizes for b in sizes]
    assert fit.solution.objective == pytest.approx(_dense_reml(design, fit.theta), abs=1e-6)
    assert fit.solution.objective <= min(grid) + WITHIN


@pytest.mark.parametrize("seed", ONE_TERM)
def test_no_other_start_comes_lower(seed):
    problem, REML = _drawn("uncentred", seed)
    fit = fit_linear(problem, REML)
    for size in (0.1, 3.0, 30.0):
        other = fit_linear(problem, REML, np.full(problem.n_theta, size))
        assert fit.solution.objective < other.solution.objective + WITHIN


def test_a_likelihood_without_maximum_is_not_converged():
    # Nine and six random coefficients and three fixed ones for 11 rows.
    problem, REML = _drawn("plain", 163)
    fit = fit_linear(problem, REML)
    assert not fit.convergence.is_optimum
    assert "residual variance" in " ".join(fit.convergence.reasons)


def test_a_start_that_runs_where_no_residual_is_left_comes_back():
    # From 10 the objective falls without end; the optimum with a residual is that of the default.
    problem, REML = _drawn("plain", 206)
    default, other = fit_linear(problem, REML), fit_linear(problem, REML, np.full(3, 10.0))
    assert default.convergence.is_optimum
    assert other.solution.objective == pytest.approx(default.solution.objective, abs=WITHIN)


def test_a_healthy_model_takes_no_further_look():
    fit = mm.lmer("Reaction ~ Days + (Days | Subject)", load_dataset("sleepstudy"))
    assert fit.estimates.optimization.n_evaluations < 12
