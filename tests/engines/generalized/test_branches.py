"""Under the square-root link levels with rows on both sides of zero have several modes; nothing is missed."""

import warnings

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp

import mixedmodels as mm
from mixedmodels.engines.generalized.branches import highest_on_grid
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.problem import pack, unpack
from mixedmodels.engines.generalized.start import starting_values

FORMULA = "TICKS ~ YEAR + HEIGHT + (1 | LOCATION)"
# An integral by ten thousand points, whose modes are wider than ten of them.
POINTS = np.linspace(-9.0, 9.0, 10_001)


@pytest.fixture(scope="module")
def grouseticks():
    return mm.load_dataset("grouseticks")


def _fit(data, nAGQ):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        return mm.glmer(FORMULA, data, mm.poisson(link="sqrt"), nAGQ)


def _levels(fit, data):
    """Yield counts and fixed part of every level."""
    eta = np.asarray(fit.model_matrix(), dtype=float) @ fit.fixef().to_numpy()
    for level in data.LOCATION.unique():
        own = (level == data.LOCATION).to_numpy()
        yield data.TICKS.to_numpy()[own], eta[own]


def _penalized(y, fixed, effect, u):
    """Return log f(y | u) - u^2 / 2 of a level at several u."""
    eta = fixed[:, None] + effect * u
    with np.errstate(divide="ignore"):
        log_mean = np.where(y[:, None] > 0, y[:, None] * np.log(eta**2), 0.0)
    return (log_mean - eta**2 - gammaln(y + 1.0)[:, None]).sum(axis=0) - 0.5 * u * u


def _by_integration(fit, data):
    """Return -2 log-likelihood at the estimates of a fit by a sum over a fine grid."""
    effect, step = float(fit.theta().iloc[0]), POINTS[1] - POINTS[0]
    parts = [_penalized(y, fixed, effect, POINTS) for y, fixed in _levels(fit, data)]
    return -2.0 * sum(logsumexp(part) + np.log(step / np.sqrt(2.0 * np.pi)) for part in parts)


@pytest.mark.parametrize(("nAGQ", "verdict"), [(1, "inexact"), (25, "inexact"), ("auto", "converged")])
def test_a_value_that_misses_modes_is_not_called_converged(grouseticks, nAGQ, verdict):
    fit = _fit(grouseticks, nAGQ)
    assert fit.convergence().verdict == verdict
    error = abs(-2.0 * fit.loglik() - _by_integration(fit, grouseticks))
    assert error < 0.02 if verdict == "converged" else error > 0.5


def test_the_mode_of_every_level_is_the_highest(grouseticks):
    fit = _fit(grouseticks, 1)
    evaluator, problem = Evaluator(fit.problem, 1), fit.problem
    effects = fit.ranef()["LOCATION"].iloc[:, 0] / float(fit.theta().iloc[0])
    u = effects.loc[[str(level) for level in grouseticks.LOCATION.unique()]].to_numpy()
    for own, (y, fixed) in zip(u, _levels(fit, grouseticks), strict=True):
        effect = float(fit.theta().iloc[0])
        best = _penalized(y, fixed, effect, POINTS).max()
        assert _penalized(y, fixed, effect, np.array([own]))[0] >= best - 1e-9
    values = starting_values(problem)
    psi = pack(problem, values.thetas, values.gamma, values.phi)
    first = evaluator(psi)[0]
    evaluator(psi + 0.1)
    assert evaluator(psi)[0] == first


def test_levels_on_one_side_are_not_asked(grouseticks):
    problem = _fit(grouseticks, 0).problem
    values = starting_values(problem)
    psi = pack(problem, values.thetas, values.gamma, values.phi)
    assert highest_on_grid(problem, unpack(problem, psi)) is not None
    above = problem.fixed_basis.T @ np.full(len(problem.y), 5.0)
    one_sided = pack(problem, values.thetas, above, values.phi)
    assert highest_on_grid(problem, unpack(problem, one_sided)) is None
