"""The compiled search of one grouping factor against the readable one, of which it is the twin."""

import numpy as np
import pandas as pd
import pytest

from mixedmodels import load_dataset
from mixedmodels.engines.linear import compiled_search, reml, search
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.formula import build_design
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.kernels import one_factor_search
from mixedmodels.optimization.polish import is_polished

pytestmark = pytest.mark.skipif(not one_factor_search.COMPILED, reason="nothing is compiled")

FORMULAS = (
    "y ~ x + (1 | g)",
    "y ~ x + (x | g)",
    "y ~ x + (x || g)",
    "y ~ x + z + (x + z | g)",
    "y ~ 0 + x + (x | g)",
)
# Relative to the objective, whose own rounding is a tenth of it; the last digits of theta are half as many.
OBJECTIVE, THETA = 1e-12, 1e-6


def _problem(formula, data):
    design = build_design(formula, data)
    return linear_problem(design.response.values, design.fixed, design.random)


def _data(seed, spread, slope, location=0.0):
    rng = np.random.default_rng(seed)
    q = int(rng.integers(6, 25))
    g = np.r_[np.repeat(np.arange(q), 4), rng.integers(0, q, 2 * q)]
    x, z = rng.normal(location, 2.0, len(g)), rng.normal(size=len(g))
    y = 1.0 + 0.1 * x + spread * rng.normal(size=q)[g] + slope * rng.normal(size=q)[g] * x
    return pd.DataFrame({"y": y + rng.normal(size=len(g)), "x": x, "z": z, "g": pd.Categorical(g)})


def _both(monkeypatch, problem, REML, **options):
    compiled = fit_linear(problem, REML, **options)
    with monkeypatch.context() as patch:
        patch.setattr(one_factor_search, "COMPILED", False)
        return compiled, fit_linear(problem, REML, **options)


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize(
    ("spread", "slope", "location"), [(0.0, 0.0, 0.0), (1.0, 0.3, 0.0), (20.0, 2.0, 50.0)]
)
def test_the_two_searches_come_to_the_same_end_by_the_same_steps(
    monkeypatch, formula, spread, slope, location, REML
):
    problem = _problem(formula, _data(len(formula), spread, slope, location))
    ours, theirs = _both(monkeypatch, problem, REML, looks=False)
    # What effects far larger than the residual explain is subtracted from the whole, as start.py says: the
    # rounding of that decides where within the tolerance either ends, and theta differs where it is flat.
    rounding = search.TOLERANCE if spread > 1.0 else OBJECTIVE * abs(theirs.solution.objective)
    assert abs(ours.solution.objective - theirs.solution.objective) <= rounding
    if spread <= 1.0:
        np.testing.assert_allclose(ours.theta, theirs.theta, rtol=THETA, atol=THETA)
    assert ours.convergence.verdict == theirs.convergence.verdict
    # Further looks pause on their way in the readable search alone, and so may come there by other steps.
    looked, theirs_looked = _both(monkeypatch, problem, REML)
    assert abs(looked.solution.objective - theirs_looked.solution.objective) <= search.TOLERANCE
    assert looked.convergence.verdict == theirs_looked.convergence.verdict
    if spread != 1.0:
        # At zero variances, and beside effects far larger than the residual, rounding decides whether the
        # last digits are looked for once more.
        return
    assert ours.optimization.n_evaluations == theirs.optimization.n_evaluations
    assert ours.optimization.message == theirs.optimization.message
    np.testing.assert_allclose(ours.inverse_hessian, theirs.inverse_hessian, rtol=1e-3, atol=1e-9)
    assert len(ours.optimization.points) == len(theirs.optimization.points)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_search_from_given_parameters_is_compiled_too(monkeypatch, formula):
    problem = _problem(formula, _data(3, 1.0, 0.3))
    start = fit_linear(problem, True).theta * np.linspace(0.3, 3.0, problem.n_theta)
    ours, theirs = _both(monkeypatch, problem, True, start=start, looks=False)
    assert ours.optimization.n_evaluations == theirs.optimization.n_evaluations
    assert ours.solution.objective == pytest.approx(theirs.solution.objective, rel=OBJECTIVE)
    np.testing.assert_allclose(ours.theta, theirs.theta, rtol=THETA, atol=THETA)


def test_the_compiled_search_is_the_one_that_is_taken(monkeypatch):
    problem, ends = _problem("Reaction ~ Days + (Days | Subject)", load_dataset("sleepstudy")), []
    asked = compiled_search.compiled_search

    def noted(*arguments):
        ends.append(asked(*arguments))
        return ends[-1]

    monkeypatch.setattr(search, "compiled_search", noted)
    found = fit_linear(problem, True)
    assert len(ends) == 1 and ends[0].found.converged
    assert found.solution.objective == pytest.approx(1743.62827195896, abs=1e-9)  # lme4: 1743.6282719599


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("location", [0.0, 50.0])
def test_what_it_finds_where_the_last_step_leads_is_what_is_there(formula, location, REML):
    problem = _problem(formula, _data(len(formula), 1.0, 0.3, location))
    end = compiled_search.compiled_search(problem, REML, (5, 3.0), 5e-9)
    found, last = end.found, end.last
    assert end.smallest == pytest.approx(starting.smallest_deviation(problem, found.x), rel=1e-12)
    free = found.x - found.inverse_hessian @ found.gradient
    if last is None:
        assert free[boundaries(problem.terms)].min() <= 0.0
        return
    np.testing.assert_allclose(last.theta, starting.theta_of(problem, free), rtol=1e-12, atol=1e-14)
    assert last.smallest == pytest.approx(starting.smallest_deviation(problem, free), rel=1e-12)
    there = reml.solution_of(problem, reml.evaluation_at(problem, last.theta, REML))
    for name in ("beta", "sigma", "objective", "pwrss", "unscaled_vcov", "log_det_L2", "log_det_RX2"):
        np.testing.assert_allclose(getattr(last.solution, name), getattr(there, name), rtol=1e-11, atol=1e-11)
    for ours, theirs in zip(last.solution.u, there.u, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)
    # The estimates of the fit are these, where no variance is near zero and no more digits are looked for.
    if end.smallest > 0.2 and is_polished(found):
        np.testing.assert_array_equal(fit_linear(problem, REML).theta, last.theta)


def test_a_last_step_to_negative_diagonals_is_solved_by_the_readable_way():
    problem = _problem("y ~ x + (x | g)", _data(1, 1.0, 0.3))
    start = compiled_search.compiled_search(problem, True, (0, 3.0), 5e-9).found.x
    mirrored = compiled_search.compiled_search(problem, True, (0, 3.0), 5e-9, start=start * [-1, -1, 1])
    assert mirrored.last is None or (mirrored.last.theta[[0, 2]] > 0.0).all()
    assert mirrored.found.objective == pytest.approx(
        compiled_search.compiled_search(problem, True, (0, 3.0), 5e-9).found.objective, rel=1e-12
    )


def test_what_is_out_of_the_ordinary_is_left_to_the_readable_search():
    data = _data(1, 1.0, 0.3)
    problem = _problem("y ~ x + (x | g)", data)
    # A residual variance that vanishes: the rows are asked.
    tiny = problem.with_response(1e-8 * data["y"].to_numpy() + data["g"].cat.codes.to_numpy(float))
    assert compiled_search.compiled_search(tiny, True, (5, 3.0), 5e-9) is None
    # Known covariances between levels, structures and crossed factors are not for it.
    crossed = data.assign(h=pd.Categorical(np.arange(len(data)) % 7))
    for formula in ("y ~ x + (1 | g) + (1 | h)", "y ~ x + cs(x | g)", "y ~ x + diag(x | g)"):
        assert not compiled_search.is_usual(_problem(formula, crossed))
    assert compiled_search.is_usual(problem)
