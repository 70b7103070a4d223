"""The compiled search for modes ends where the readable one does, with the same objective and gradient."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.generalized import pirls, start
from mixedmodels.engines.generalized.laplace import laplace
from mixedmodels.engines.generalized.laplace_gradient import laplace_gradient
from mixedmodels.engines.generalized.pirls import conditional_mode, joint_mode, predicted_mode
from mixedmodels.engines.generalized.problem import pack, unpack
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.engines.generalized.scalar_modes import scalar_search
from mixedmodels.engines.generalized.start import nested_objective, starting_values
from mixedmodels.kernels import scalar_modes

from .generalized_models import random_term, without_loops

pytestmark = pytest.mark.skipif(not scalar_modes.COMPILED, reason="nothing is compiled")

# Relative to the objective, the gradient and the modes.
SAME = 1e-10
FAMILIES = {
    "bernoulli": mm.binomial(),
    "trials": mm.binomial(),
    "probit": mm.binomial("probit"),
    "cloglog": mm.binomial("cloglog"),
    "poisson": mm.poisson(),
}


def factors(structure, rng, n):
    """Return the levels of the factors of a structure."""
    g, h, k = (rng.integers(q, size=n) for q in (12, 6, 4))
    part = 3 * g + rng.integers(3, size=n)
    found = {
        "one": [g],
        "crossed": [g, h],
        "nested": [part, g],
        "one for each row": [np.arange(n), g],
        "nested and crossed": [part, g, h, k],
    }
    return found[structure]


def problem_of(structure, family, seed, n=150):
    """Return a problem with weights and an offset."""
    rng = np.random.default_rng(seed)
    levels = factors(structure, rng, n)
    X, offset = np.column_stack([np.ones(n), rng.normal(size=n)]), rng.normal(size=n)
    eta = X @ [-0.3, 0.5] + offset + rng.normal(size=n)[levels[-1]]
    weights = rng.integers(1, 6, size=n).astype(float)
    if family == "poisson":
        y = rng.poisson(np.exp(eta)).astype(float)
    else:
        trials = weights.astype(int) if family == "trials" else 1
        y = rng.binomial(trials, 1.0 / (1.0 + np.exp(-eta))) / trials
    terms = [random_term(f"f{k}", codes) for k, codes in enumerate(levels)]
    return generalized_problem(y, weights, X, terms, offset, FAMILIES[family])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("structure", ["one", "crossed", "nested", "one for each row", "nested and crossed"])
def test_modes_objectives_and_gradients_are_those_of_the_readable_search(structure, family):
    for seed in range(3):
        problem = problem_of(structure, family, seed)
        twin = without_loops(problem)
        assert (scalar_search(problem) is None) == (family in ("probit", "cloglog"))
        assert scalar_search(twin) is None
        values = starting_values(problem)
        psi = pack(problem, values.thetas, values.gamma, values.phi)
        # Zero once: a factor without variation.
        psi[0] *= seed
        for search in (conditional_mode, joint_mode):
            found, right = (search(p, unpack(p, psi)) for p in (problem, twin))
            size = abs(laplace(right))
            assert abs(laplace(found) - laplace(right)) < SAME * size
            np.testing.assert_allclose(found.u, right.u, rtol=SAME, atol=SAME)
            np.testing.assert_allclose(found.parameters.gamma, right.parameters.gamma, rtol=SAME, atol=SAME)
            pairs = ((problem, found), (twin, right))
            gradients = [laplace_gradient(p, psi, mode) for p, mode in pairs]
            np.testing.assert_allclose(*gradients, rtol=SAME, atol=SAME * size)
            beside = [predicted_mode(p, mode, unpack(p, 1.01 * psi)) for p, mode in pairs]
            np.testing.assert_allclose(*beside, rtol=SAME, atol=SAME)


@pytest.mark.parametrize("distance", [3.0, 30.0])
def test_the_start_is_no_matter(distance):
    problem = problem_of("crossed", "poisson", 0)
    values = starting_values(problem)
    parameters = unpack(problem, pack(problem, values.thetas, values.gamma, values.phi))
    expected = conditional_mode(problem, parameters)
    found = conditional_mode(problem, parameters, np.full(problem.n_effects, distance))
    np.testing.assert_allclose(found.u, expected.u, atol=1e-8)


def test_a_fit_is_that_of_the_readable_search(monkeypatch):
    rng = np.random.default_rng(5)
    d = pd.DataFrame(
        {"g": rng.integers(20, size=300), "h": rng.integers(8, size=300), "x": rng.normal(size=300)}
    )
    eta = 0.5 * d.x - 0.3 + rng.normal(size=20)[d.g] + rng.normal(size=8)[d.h]
    d["y"] = rng.binomial(1, 1.0 / (1.0 + np.exp(-eta)))
    fit = mm.glmer("y ~ x + (1 | g) + (1 | h)", d, family="binomial")
    monkeypatch.setattr(pirls, "scalar_search", lambda problem: None)
    right = mm.glmer("y ~ x + (1 | g) + (1 | h)", d, family="binomial")
    assert abs(mm.logLik(fit) - mm.logLik(right)) < 1e-8
    np.testing.assert_allclose(fit.vcov(), right.vcov(), rtol=1e-5)


@pytest.mark.parametrize("family", ["bernoulli", "trials", "poisson"])
def test_starting_values_are_those_of_the_readable_scoring(family, monkeypatch):
    problem, twin = (problem_of("crossed", family, 4) for _ in range(2))
    found, nested = starting_values(problem), nested_objective(problem, np.inf)
    monkeypatch.setattr(start, "scalar_search", lambda problem: None)
    right = starting_values(twin)
    np.testing.assert_allclose(np.concatenate(found.thetas), np.concatenate(right.thetas), rtol=SAME)
    np.testing.assert_allclose(found.gamma, right.gamma, rtol=1e-8)
    assert nested == pytest.approx(nested_objective(twin, np.inf), abs=1e-3)
