"""The Hessian of two crossed random intercepts, against differences of the gradient and against NumPy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.generalized import search
from mixedmodels.engines.generalized.crossed_hessian import crossed_hessian, is_crossed
from mixedmodels.engines.generalized.newton_start import newton_start
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.problem import pack
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.engines.generalized.start import starting_values
from mixedmodels.kernels import crossed_pairs, scalar_factors
from mixedmodels.kernels.crossed_pairs import Entries

from .generalized_models import random_term, without_loops

compiled = pytest.mark.skipif(not scalar_factors.COMPILED, reason="nothing is compiled")
FAMILIES = {"bernoulli": mm.binomial(), "trials": mm.binomial(), "poisson": mm.poisson()}


def crossed_problem(family, p, q, seed, n=300):
    """Return a problem with weights and an offset; q levels of the two factors."""
    rng = np.random.default_rng(seed)
    g, h = (rng.integers(size, size=n) for size in q)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    offset, weights = 0.3 * rng.normal(size=n), rng.integers(1, 6, size=n).astype(float)
    eta = X[:, 0] * -0.4 + offset + 0.7 * rng.normal(size=q[0])[g] + 0.5 * rng.normal(size=q[1])[h]
    if family == "poisson":
        y = rng.poisson(np.exp(eta)).astype(float)
    else:
        trials = weights.astype(int) if family == "trials" else 1
        y = rng.binomial(trials, 1.0 / (1.0 + np.exp(-eta))) / trials
    if family == "bernoulli":
        weights[: n // 10] = 0.0
    terms = [random_term("g", g), random_term("h", h)]
    return generalized_problem(y, weights, X, terms, offset, FAMILIES[family])


def by_differences(problem, psi):
    """Return the Hessian by differences of the exact gradient, to sixth order."""
    evaluator, columns = Evaluator(problem, 1), []
    for k in range(len(psi)):
        step = np.where(np.arange(len(psi)) == k, 2e-3 * (1.0 if k < problem.n_theta else 10.0), 0.0)
        slope = [(evaluator(psi + t * step)[1] - evaluator(psi - t * step)[1]) / (2 * t) for t in (1, 2, 3)]
        columns.append((1.5 * slope[0] - 0.6 * slope[1] + 0.1 * slope[2]) / step[k])
    return np.array(columns)


@compiled
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("p", "q"), [(1, (20, 6)), (8, (6, 20)), (3, (120, 60))], ids=["dense", "the other way round", "listed"]
)
@pytest.mark.parametrize("is_singular", [False, True])
def test_second_derivatives_are_those_of_the_gradient(family, p, q, is_singular):
    problem = crossed_problem(family, p, q, seed=p)
    values = starting_values(problem)
    psi = pack(problem, values.thetas, values.gamma, values.phi)
    psi[0] *= not is_singular
    assert is_crossed(problem)
    found = crossed_hessian(problem, Evaluator(problem, 1).mode_at(psi))
    right = by_differences(problem, psi)
    np.testing.assert_allclose(found, found.T, rtol=1e-9, atol=1e-9)
    size = np.sqrt(np.abs(np.multiply.outer(right.diagonal(), right.diagonal())))
    np.testing.assert_allclose(found / size, right / size, atol=2e-7)


@compiled
def test_the_hessian_knows_the_models_it_is_for():
    problem = crossed_problem("poisson", 2, (20, 6), seed=0)
    assert is_crossed(problem)
    assert not is_crossed(without_loops(problem))
    assert not is_crossed(replace(problem, family=mm.binomial("cloglog")))


def a_pattern(rng, is_dense, q=9, n_tail=5, n=80):
    """Return who occurs with whom."""
    first, second = rng.integers(q, size=n), rng.integers(n_tail, size=n)
    cells = np.arange(q * n_tail) if is_dense else np.unique(first * n_tail + second)
    starts = np.searchsorted(cells // n_tail, np.arange(q + 1))
    entry = np.searchsorted(cells, first * n_tail + second)
    order = np.argsort(first, kind="stable")
    row_starts = np.searchsorted(first[order], np.arange(q + 1))
    most = int(np.diff(starts).max())
    return Entries(first, second, entry, order, row_starts, starts, cells % n_tail, n_tail, is_dense, most)


@pytest.mark.skipif(not crossed_pairs.COMPILED, reason="nothing is compiled")
@pytest.mark.parametrize("is_dense", [True, False])
@pytest.mark.parametrize("p", [1, 2, 8])
def test_compiled_passes_are_those_of_numpy(p, is_dense):
    rng = np.random.default_rng(p)
    # One level, a few and many at a time.
    for size in (5, 40, 300):
        e = a_pattern(rng, is_dense, q=size, n=10 * size)
        n, q, m, n_entries = len(e.first), len(e.starts) - 1, p + 2, len(e.tail_rows)
        Q, W, g = rng.normal(size=(n, p)), rng.normal(size=n), rng.normal(size=n)
        u = rng.normal(size=q), rng.normal(size=e.n_tail)
        effects = rng.normal(size=(q, m)), rng.normal(size=(e.n_tail, m))
        G, C, root = rng.normal(size=(e.n_tail, e.n_tail)), rng.normal(size=n_entries), rng.uniform(size=q)
        rows = (*rng.normal(size=(5, n)), rng.normal(size=(2, n)))
        calls = {
            "level_sums_of_columns": (e, Q, u, W, g),
            "movement_products": (
                e,
                Q,
                effects,
                rows,
                u,
                root,
                C,
                (0.7, 1.3),
                (C[::-1].copy(), G + G.T),
            ),
        }
        for name, arguments in calls.items():
            right = getattr(crossed_pairs, f"{name}_numpy")(*arguments)
            for mine, other in zip(getattr(crossed_pairs, name)(*arguments), right, strict=True):
                np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-10 * np.abs(other).max())


@compiled
@pytest.mark.parametrize("seed", [3, 6, 9, 20])
def test_newtons_way_leads_to_the_same_optimum(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"a": rng.integers(40, size=600), "b": rng.integers(12, size=600)})
    d["x"] = rng.normal(size=600)
    eta = 0.3 + 0.7 * d.x + rng.normal(size=40)[d.a] + 0.5 * rng.normal(size=12)[d.b]
    d["y"] = rng.binomial(1, 1.0 / (1.0 + np.exp(-eta))) if seed % 2 else rng.poisson(np.exp(eta))
    family = "binomial" if seed % 2 else "poisson"
    began = []
    monkeypatch.setattr(search, "newton_start", lambda e: began.append(newton_start(e)) or began[-1])
    fit = mm.glmer("y ~ x + (1 | a) + (1 | b)", d, family=family)
    assert began[0] is not None
    monkeypatch.setattr(search, "newton_start", lambda evaluator: None)
    right = mm.glmer("y ~ x + (1 | a) + (1 | b)", d, family=family)
    assert fit.loglik() == pytest.approx(right.loglik(), abs=1e-8)
    assert fit.convergence().verdict == right.convergence().verdict
    np.testing.assert_allclose(fit.standard_errors(), right.standard_errors(), rtol=1e-5)
