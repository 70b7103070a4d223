"""Random effects that a residual structure can stand for: found before the search, and named."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.residual.crossed_changes import changes_of_crossed
from mixedmodels.engines.residual.model import ResidualRows
from mixedmodels.engines.residual.objective import evaluation
from mixedmodels.errors import IdentificationWarning
from mixedmodels.formula.design.theta import term_factors
from tests.engines.residual.dense import covariance
from tests.engines.residual.test_crossed import crossed, problem_of


def visits(groups, times, seed=0, dropped=0.2, within=0.0):
    """Return rows of groups over times, some missing, of negatively correlated residuals if asked."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"g": np.repeat(np.arange(groups), times), "t": np.tile(np.arange(times), groups)})
    data["i"] = rng.permuted(np.tile(np.arange(times), (groups, 1)), axis=1).ravel()
    noise = rng.normal(size=(groups, times))
    noise -= within * noise.mean(axis=1, keepdims=True)
    data["y"] = rng.normal(size=groups)[data["g"]] * (within == 0.0) + noise.ravel()
    return data[rng.random(len(data)) >= dropped].reset_index(drop=True)


@pytest.mark.parametrize("residual", ["cs(1 | g)", "us(t | g)", "toep(t | g)"])
@pytest.mark.parametrize("random", ["(1 | g)", "(1 | g) + (1 | i)"])
@pytest.mark.parametrize("size", [(15, 4), (120, 4)])
def test_a_random_intercept_that_the_residuals_have_is_named(residual, random, size):
    data = visits(*size)
    with pytest.warns(IdentificationWarning, match=r"g\.\(Intercept\), "):
        m = mm.lmer(f"y ~ 1 + {random}", data, residual=residual)
    verdict = m.convergence()
    assert verdict.verdict == "not identified"
    assert f"of {residual.split('(')[0]}" in verdict.reasons[0]
    assert "g.(Intercept) is held at 0" in verdict.reasons[0]
    assert m.optimization.n_evaluations < 60
    if random == "(1 | g)":
        alone = mm.gls("y ~ 1", data, residual=residual)
        assert m.loglik() == pytest.approx(alone.loglik(), abs=1e-7)


def test_negative_correlation_is_found_where_the_intercept_is_held():
    data = visits(60, 4, dropped=0.0, within=0.6)
    with pytest.warns(IdentificationWarning):
        m = mm.lmer("y ~ 1 + (1 | g)", data, residual="cs(t | g)")
    alone = mm.gls("y ~ 1", data, residual="cs(t | g)")
    assert m.residual_parameters[1][0] == pytest.approx(alone.residual_parameters[1][0], abs=1e-6)
    assert m.residual_parameters[1][0] < -0.15


def test_groups_of_two_rows_have_one_correlation_whatever_the_structure():
    data = visits(80, 2, dropped=0.0)
    for residual in ("ar1(t | g)", "exp(t | g)", "ad(t | g)"):
        with pytest.warns(IdentificationWarning, match=r"g\.\(Intercept\), "):
            mm.lmer("y ~ 1 + (1 | g)", data, residual=residual)


@pytest.mark.parametrize("residual", ["ar1(t | g)", "csh(t | g)", "ar1h(t | g)", "arma(t | g, p = 1, q = 1)"])
def test_what_differs_from_an_intercept_is_told_apart(residual):
    m = mm.lmer("y ~ 1 + (1 | g)", visits(150, 6, seed=3), residual=residual)
    assert m.convergence().verdict in ("converged", "boundary")


def test_intercepts_of_groups_that_span_several_residual_groups_are_told_apart():
    # The first rows of residual groups that lie apart see each subject once: the sample alone says nothing.
    rng = np.random.default_rng(4)
    subject, day = np.repeat(np.arange(400), 12), np.tile(np.repeat(np.arange(4), 3), 400)
    data = pd.DataFrame({"s": subject, "d": subject * 4 + day, "t": np.tile(np.arange(3), 1600)})
    data["i"] = rng.integers(0, 8, len(data))
    data["y"] = rng.normal(size=400)[subject] + 0.7 * rng.normal(size=1600)[data["d"]] + rng.normal(size=4800)
    m = mm.lmer("y ~ 1 + (1 | s)", data, residual="cs(t | d)")
    assert m.convergence().verdict == "converged"
    assert m.residual_parameters[1][0] == pytest.approx(0.49 / 1.49, abs=0.06)


@pytest.mark.parametrize("residual", ["cs(t | s)", "ar1(t | s)", "toeph(t | s)"])
def test_changes_of_crossed_covariances_are_those_of_one_matrix(residual):
    data = crossed(3)
    design, problem = problem_of(data, "y ~ x + (1 + x | s) + (1 | i)", residual, True, None, "w")
    rng = np.random.default_rng(4)
    free = rng.normal(scale=0.4, size=problem.model.n_parameters)
    directions = np.linalg.qr(rng.normal(size=(len(free), 2)))[0]
    found = evaluation(problem, free, True)
    change, _ = changes_of_crossed(problem, found, directions)
    moved = [_dense(design, problem, free + h * d) for d in directions.T for h in (1e-5, -1e-5)]
    dV = [(moved[k] - moved[k + 1]) / 2e-5 for k in (0, 2)]
    V = _dense(design, problem, free)
    for own in dV:
        own -= V * np.sum(own * V) / np.sum(V * V)
    assert change == pytest.approx(np.array([[np.sum(a * b) for b in dV] for a in dV]), rel=1e-5)


def _dense(design, problem, free):
    """Return V over sigma^2 of weighted rows."""
    at = problem.model.natural(free)
    rows: ResidualRows = problem.rows
    root = problem.root_weights
    V = covariance(rows, 1.0, at, root**2, design.random, term_factors(design.random, at.theta))
    return V * np.multiply.outer(root, root)
