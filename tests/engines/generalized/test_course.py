"""The usual course of a fit in one compiled call against the readable way."""

import numpy as np
import pytest

from mixedmodels.engines.generalized import course, fit
from mixedmodels.engines.generalized.exactness import FEWEST_NODES, exactness
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.laplace_gradient import laplace_gradient
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import parameter_layout
from mixedmodels.engines.generalized.pirls import conditional_mode
from mixedmodels.engines.generalized.problem import unpack
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.engines.generalized.search import from_start
from mixedmodels.engines.generalized.start import starting_values
from mixedmodels.errors import ConvergenceError
from mixedmodels.families import get_family
from mixedmodels.formula import build_design
from mixedmodels.kernels import levels_course

pytestmark = pytest.mark.skipif(not levels_course.COMPILED, reason="nothing is compiled")

FAMILIES = ("bernoulli", "binomial", "poisson")
#: Values that do not depend on the path of a search, and those of its path.
SAME, SAME_PATH = 1e-10, 1e-7


def _problem(seed, family):
    """Return a random problem: weights, offsets, slopes, small levels, none or several columns."""
    rng = np.random.default_rng(seed)
    n, q, p = int(rng.integers(20, 150)), int(rng.integers(3, 15)), int(rng.integers(0, 5))
    x = rng.normal(size=(n, 4)) * 10.0 ** rng.integers(-3, 4, size=4)
    data = {"g": rng.integers(0, q, n), **{f"x{k}": x[:, k] for k in range(4)}, "z": rng.normal(size=n)}
    effect = "1" if seed % 3 else "0 + z"
    columns = " + ".join(["0" if p == 0 else "1", *(f"x{k}" for k in range(max(p - 1, 0)))])
    eta = rng.normal() * 0.5 + rng.uniform(0.0, 1.5) * rng.normal(size=q)[data["g"]]
    offset = rng.normal(size=n) * 0.3 if seed % 2 else None
    trials = rng.integers(1, 12, n) if family == "binomial" else np.ones(n)
    weights = trials * (rng.uniform(0.5, 2.0, n) if seed % 4 == 0 else 1.0)
    if family == "poisson":
        y = rng.poisson(np.exp(eta)).astype(float)
    else:
        y = rng.binomial(trials.astype(int), 1.0 / (1.0 + np.exp(-eta))) / trials
    design = build_design(f"y ~ {columns} + ({effect} | g)", {**data, "y": y})
    chosen = get_family("poisson" if family == "poisson" else "binomial")
    return generalized_problem(y, weights, design.fixed, design.random, offset, chosen)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(12))
def test_the_course_is_the_readable_one(monkeypatch, family, seed):
    problem = _problem(seed, family)
    layout, evaluator = parameter_layout(problem), Evaluator(problem, 1)
    found = course.usual_course(problem, layout)
    theirs = from_start(evaluator, layout, None)
    if found is None:  # a search that the compiled one does not go
        return
    ours = found.optimum
    assert ours.objective == pytest.approx(theirs.objective, rel=SAME)
    np.testing.assert_allclose(
        ours.psi, theirs.psi, rtol=SAME_PATH, atol=SAME_PATH * np.abs(theirs.psi).max()
    )
    assert found.n_evaluations == theirs.n_evaluations
    np.testing.assert_allclose(found.fixed_inverse, evaluator.fixed_inverse(ours.psi), rtol=1e-8, atol=1e-12)
    effects, _ = evaluator.effects_at(ours.psi)
    np.testing.assert_allclose(found.u.ravel(), effects.u, rtol=1e-8, atol=SAME)
    np.testing.assert_allclose(found.eta, effects.eta, rtol=1e-8, atol=SAME)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_said_is_what_the_looks_say(monkeypatch, family, seed):
    problem = _problem(100 + seed, family)
    ours = _fitted(problem)
    monkeypatch.setattr(fit, "usual_course", lambda *arguments: None)
    theirs = _fitted(problem)
    if ours is None or theirs is None:
        assert ours is theirs
        return
    assert ours.convergence.verdict == theirs.convergence.verdict
    assert ours.convergence.reasons == theirs.convergence.reasons
    assert ours.optimization.n_evaluations == theirs.optimization.n_evaluations
    assert ours.optimization.message == theirs.optimization.message
    assert ours.objective == pytest.approx(theirs.objective, rel=SAME)
    for name in ("theta", "beta", "eta", "vcov_rx"):
        mine, its = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(mine, its, rtol=1e-6, atol=1e-6 * np.abs(its).max(initial=0.0))
    assert ours.u[0].shape == theirs.u[0].shape


def _fitted(problem):
    try:
        return fit_generalized(problem)
    except ConvergenceError:
        return None


@pytest.mark.parametrize("family", FAMILIES)
def test_the_look_by_more_nodes_is_the_readable_one(monkeypatch, family):
    seen = []
    asked = levels_course.course
    monkeypatch.setattr(levels_course, "course", lambda *args: seen.append(asked(*args)) or seen[-1])
    compared = 0
    for seed in range(20):
        problem = _problem(seed, family)
        found = course.usual_course(problem, parameter_layout(problem))
        if found is None or not 0.05 < found.end[0][0] < 2.0:
            continue
        nested, (value, slope, move) = seen[-1][2:4]
        values = starting_values(problem)
        assert nested == pytest.approx(values.nested, rel=SAME)
        evaluator = Evaluator(problem, 1)
        look = exactness(evaluator, found.optimum, np.inf)
        if look.nAGQ != FEWEST_NODES or look.n_rules > 1:
            continue
        assert value == pytest.approx(look.objective, rel=SAME)
        assert move == pytest.approx(look.move, rel=1e-5, abs=1e-7)
        gradient = evaluator.with_nodes(FEWEST_NODES)(found.optimum.psi)[1]
        np.testing.assert_allclose(found.by_nodes[1], gradient, rtol=1e-7, atol=1e-8 * np.abs(slope).max())
        compared += 1
    assert compared >= 5


def test_levels_that_never_vary_are_left_to_the_looks():
    g = np.repeat(np.arange(8), 3)
    x = np.random.default_rng(5).normal(size=len(g))
    design = build_design("y ~ x + (1 | g)", {"y": (g % 2).astype(float), "x": x, "g": g})
    weights = np.full(len(g), 2.0)
    args = (weights, design.fixed, design.random, None, get_family("binomial"))
    for y, is_constant in ((g % 2, True), ((np.arange(len(g)) % 3 == 0) * 1.0, False)):
        problem = generalized_problem(np.asarray(y, dtype=float), *args)
        seen = levels_course.course(
            course.level_objective(problem, None), parameter_layout(problem).scale, course.SCORING,
            (0.5, 0.5, 1e-6, 5.0), np.zeros((1, 1)), np.zeros(1), np.ones(1),
        )  # fmt: skip
        if is_constant:
            assert seen is None or seen[4]
            assert _fitted(problem).convergence.verdict == "not converged"
        else:
            assert seen is None or not seen[4]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(8))
def test_second_derivatives_are_those_of_the_gradient(family, seed):
    problem = _problem(200 + seed, family)
    rng, layout = np.random.default_rng(seed), parameter_layout(problem)
    psi = 0.3 * rng.normal(size=len(layout.scale)) * layout.scale
    psi[0] = (0.0, 0.4, 1.5, -0.8)[seed % 4] * layout.scale[0]
    evaluator = Evaluator(problem, 1)

    def difference(h):  # of the readable gradient
        moves = np.diag(h * layout.scale)
        columns = [
            (_readable_gradient(problem, psi + m) - _readable_gradient(problem, psi - m)) for m in moves
        ]
        return np.array(columns) / (2.0 * h * layout.scale[:, None])

    by_steps = (4.0 * difference(1e-4) - difference(2e-4)) / 3.0
    square = np.multiply.outer(layout.scale, layout.scale)
    found = evaluator.exact_hessian(psi)
    np.testing.assert_array_equal(found, found.T)
    size = np.abs(found * square).max()
    np.testing.assert_allclose(found * square, by_steps * square, rtol=1e-7, atol=1e-8 * size)


def _readable_gradient(problem, psi):
    return laplace_gradient(problem, psi, conditional_mode(problem, unpack(problem, psi)))


def test_most_fits_go_the_usual_course():
    problems = [_problem(seed, family) for seed in range(20) for family in FAMILIES]
    found = [course.usual_course(problem, parameter_layout(problem)) for problem in problems]
    assert sum(one is not None and one.is_plain for one in found) >= len(found) // 3
