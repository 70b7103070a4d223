"""Looks from other starts cost little, are led by no pole of the approximation, and miss no smaller model."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

import mixedmodels as mm
from benchmarks.random_generalized import FAMILIES, drawn

FAULTS = Path(__file__).parents[2] / "faults"
AGAIN = 1e-4


def quietly(function, *given, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        return function(*given, **options)


@pytest.mark.parametrize("order", [None, 0, 1])
def test_a_pole_of_the_laplace_approximation_is_left_in_any_order_of_the_rows(order):
    data = pd.read_csv(FAULTS / "zip-row-order" / "data.csv")
    shuffled = data if order is None else data.sample(frac=1, random_state=order)
    fit = quietly(mm.glmer, "y ~ f1 + (x1 + x2 | g1) + (x1 + x2 | g2)", shuffled, "zero_inflated_poisson")
    # By importance sampling of the integral -2 log-likelihood is 326.76 (0.05) here, and 328.51 (0.09) where
    # the approximation falls to 313.68 on its way to the pole.
    assert -2.0 * fit.loglik() == pytest.approx(327.07242, abs=AGAIN)
    assert fit.convergence().verdict == "boundary"
    assert fit.optimization.n_evaluations < 150


# Models whose looks once took 715 evaluations and more.
@pytest.mark.parametrize(("number", "right", "most"), [(87, 89.17344, 500), (36, 207.01577, 250)])
def test_looks_cost_a_few_times_the_search(number, right, most):
    model = drawn(number)
    fit = quietly(mm.glmer, model.formula, model.data, FAMILIES[model.family])
    assert -2.0 * fit.loglik() == pytest.approx(right, abs=AGAIN)
    assert fit.optimization.n_evaluations < most


@pytest.mark.parametrize("seed", range(3))
def test_a_model_without_zero_inflation_is_never_better(seed):
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(12), 8), rng.normal(size=96)
    mu = np.exp(0.5 + 0.3 * x + 0.7 * rng.normal(size=12)[g])
    y = rng.negative_binomial(0.5, 0.5 / (0.5 + mu))
    data = pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})
    nested = quietly(mm.glmer, "y ~ x + (1 | g)", data, "nbinom2")
    inflated = quietly(mm.glmer, "y ~ x + (1 | g)", data, "zero_inflated_nbinom2")
    assert inflated.loglik() >= nested.loglik() - AGAIN


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (1 | g) + (1 | h)"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("nAGQ", [0, 1])
def test_no_fit_is_below_the_model_without_random_effects(formula, seed, nAGQ):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {"x": rng.normal(size=60), "g": rng.integers(0, 10, 60), "h": rng.integers(0, 6, 60)}
    ).astype({"g": str, "h": str})
    data["y"] = rng.binomial(1, 1.0 / (1.0 + np.exp(-data["x"])))
    fit = quietly(mm.glmer, formula, data, "binomial", nAGQ=nAGQ)
    assert fit.loglik() >= mm.glm("y ~ x", data, "binomial").loglik() - AGAIN


@pytest.mark.parametrize("noise", [1e-3, 1e-6])
@pytest.mark.parametrize("seed", range(2))
def test_nearly_collinear_slopes_are_fitted_as_in_rotated_coordinates(noise, seed):
    rng = np.random.default_rng(seed)
    g, x, d = np.repeat(np.arange(30), 12), rng.normal(size=360), rng.normal(size=360)
    b = rng.normal(size=(30, 2)) * 0.6
    eta = 0.2 + 0.5 * x + (b[g] * np.column_stack([x, d])).sum(axis=1)
    data = pd.DataFrame({"y": rng.poisson(np.exp(eta)), "x": x, "d": d, "z": x + noise * d, "g": g})
    # x and z span what x and d do: the same model, and effects of z are those of d over the noise.
    near = quietly(mm.glmer, "y ~ x + z + (0 + x + z | g)", data, "poisson")
    rotated = quietly(mm.glmer, "y ~ x + d + (0 + x + d | g)", data, "poisson")
    assert near.loglik() == pytest.approx(rotated.loglik(), abs=AGAIN)
    assert near.fixef()["z"] * noise == pytest.approx(rotated.fixef()["d"], rel=1e-3, abs=1e-5)
    assert near.convergence().verdict == rotated.convergence().verdict


def never_loses_somewhere_gains(signed, free):
    """Tell whether a direction loses in no row, gains in some, and leaves the silent rows as they are."""
    bounds = [(-1.0, 1.0)] * signed.shape[1]
    silent = {"A_eq": free, "b_eq": np.zeros(len(free))} if len(free) else {}
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=bounds, **silent)
    return bool(-found.fun > 1e-7)


def cells(seed):
    rng = np.random.default_rng(seed)
    a, x = rng.integers(0, 4, 60), rng.choice([-1.0, 0.0, 1.0], 60)
    return rng, a, pd.DataFrame({"a": pd.Categorical(a.astype(str)), "x": x})


def is_told(data, family, left="y"):
    fit = quietly(mm.glm, f"{left} ~ a + x", data, family)
    return not fit.convergence().is_optimum, np.asarray(fit.model_matrix())


@pytest.mark.parametrize("seed", range(6))
def test_truncated_counts_of_ones_alone_run_away_as_a_linear_program_says(seed):
    rng, a, data = cells(seed)
    mean = np.where((a == 3) & (seed % 2 == 0), 1e-9, 2.0)
    y = 1 + rng.poisson(mean)
    told, X = is_told(data.assign(y=y), mm.truncated_poisson())
    # A count of one gains as its mean goes to zero; a larger one has a mean of its own: it must stay.
    assert told is never_loses_somewhere_gains(-X[y == 1], X[y > 1])


@pytest.mark.parametrize("seed", range(6))
def test_counts_of_zero_alone_run_away_in_the_inflated_model_as_a_linear_program_says(seed):
    rng, a, data = cells(seed)
    y = rng.poisson(np.where((a == 3) & (seed % 2 == 0), 0.0, 3.0)) * (rng.random(60) > 0.2)
    told, X = is_told(data.assign(y=y), "zero_inflated_poisson")
    runs = never_loses_somewhere_gains(-X[y == 0], X[y > 0])
    assert told or not runs


@pytest.mark.parametrize("seed", range(6))
def test_beta_binomial_cells_run_away_as_a_linear_program_says(seed):
    rng, a, data = cells(seed)
    chance = np.where(a == 3, 0.0, rng.beta(2.0, 2.0, 60)) if seed % 2 == 0 else rng.beta(2.0, 2.0, 60)
    y = rng.binomial(5, chance)
    told, X = is_told(data.assign(y=y, n=5), "betabinomial", "cbind(y, n - y)")
    inside = (y > 0) & (y < 5)
    assert told is never_loses_somewhere_gains(
        np.where(y == 5, 1.0, -1.0)[~inside, None] * X[~inside], X[inside]
    )
