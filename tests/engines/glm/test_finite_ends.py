"""Links whose range ends at a finite predictor: verdicts and maxima are those of linear programs."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

import mixedmodels as mm

#: Log-likelihood that a linear program may still promise at a maximum.
GAIN = 1e-4
#: A fitted mean that is at its end, and the least distance from it that is divided by.
AT_END, INSIDE = 1e-6, 1e-12


def quietly(function, *given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        return function(*given)


def cells(seed):
    """Return rows in four cells with a covariate of three values, and a chance for each row."""
    rng = np.random.default_rng(seed)
    a, x = rng.integers(0, 4, 40), rng.choice([-1.0, 0.0, 1.0], 40)
    chance = np.array([0.5, rng.choice([0.0, 0.4]), rng.choice([1.0, 0.6]), 0.3])[a]
    return rng, pd.DataFrame({"a": pd.Categorical(a.astype(str)), "x": x}), chance


def runs_away(gaining, fixed):
    """Tell whether a direction lowers some of the rows that gain, raises none, and leaves the fixed ones."""
    same = {"A_eq": fixed, "b_eq": np.zeros(len(fixed))} if len(fixed) else {}
    bounds = [(-1.0, 1.0)] * gaining.shape[1]
    found = linprog(gaining.sum(axis=0), A_ub=gaining, b_ub=np.zeros(len(gaining)), bounds=bounds, **same)
    return bool(found.fun < -1e-7)


def promised(gradient, X, eta, lower, upper):
    """Return what a step of length 1 at most in each coefficient may add to a concave log-likelihood.

    No more than its tangent plane, and no predictor leaves its range.
    """
    bounds = [(-1.0, 1.0)] * X.shape[1]
    ends = [(X, upper - eta), (-X, eta - lower)]
    kept = [(A[np.isfinite(b)], np.maximum(b[np.isfinite(b)], 0.0)) for A, b in ends]
    A_ub, b_ub = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return -linprog(-(X.T @ gradient), A_ub=A_ub, b_ub=b_ub, bounds=bounds).fun


@pytest.mark.parametrize("seed", range(12))
def test_probabilities_by_the_log_link_run_away_as_a_linear_program_says(seed):
    rng, data, chance = cells(seed)
    y = (rng.uniform(size=40) < chance).astype(float)
    fit = quietly(mm.glm, "y ~ a + x", data.assign(y=y), mm.binomial(link="log"))
    X = np.asarray(fit.model_matrix())
    # A failure gains as its probability goes to zero without end; a success has an optimum, at one at most.
    assert (not fit.convergence().is_optimum) is runs_away(X[y == 0.0], X[y == 1.0])
    if not fit.convergence().is_optimum:
        assert "no finite" in " ".join(fit.convergence().reasons)
        return

    mu, eta = fit.fitted().to_numpy(), X @ fit.fixef().to_numpy()
    gradient = np.where(y == 1.0, 1.0, -mu / np.maximum(1.0 - mu, INSIDE))
    assert promised(gradient, X, eta, np.full(40, -np.inf), np.zeros(40)) < GAIN
    at_end = bool((fit.fitted() > 1.0 - AT_END).any())
    assert fit.convergence().verdict == ("boundary" if at_end else "converged")


@pytest.mark.parametrize("seed", range(12))
def test_counts_by_the_identity_link_end_where_means_are_zero(seed):
    rng, data, chance = cells(seed)
    y = rng.poisson(4.0 * np.where(chance == 1.0, 0.05, chance)).astype(float)
    fit = quietly(mm.glm, "y ~ a + x", data.assign(y=y), mm.poisson(link="identity"))
    X = np.asarray(fit.model_matrix())
    # No direction is free: a mean that grows loses without end, and none falls below zero.
    assert fit.convergence().is_optimum

    mu = fit.fitted().to_numpy()
    gradient = np.where(y > 0.0, y / np.maximum(mu, INSIDE), 0.0) - 1.0
    assert promised(gradient, X, mu, np.zeros(40), np.full(40, np.inf)) < GAIN
    at_end = bool((fit.fitted() < AT_END).any())
    assert fit.convergence().verdict == ("boundary" if at_end else "converged")


@pytest.mark.parametrize("empty", [True, False])
def test_a_cell_of_failures_by_the_log_link_is_named_in_a_mixed_model(empty):
    rng = np.random.default_rng(3)
    g, a = np.repeat(np.arange(15), 12), np.tile(np.arange(3), 60)
    chance = np.exp(-1.6 + 0.3 * rng.normal(size=15)[g]) * np.array([1.0, 1.3, 0.0 if empty else 0.8])[a]
    y = (rng.uniform(size=180) < chance).astype(float)
    data = pd.DataFrame({"y": y, "a": pd.Categorical(a.astype(str)), "g": g.astype(str)})
    report = quietly(mm.glmer, "y ~ a + (1 | g)", data, mm.binomial(link="log")).convergence()
    assert report.is_optimum is not empty
    assert ("a2" in " ".join(report.reasons)) is empty
