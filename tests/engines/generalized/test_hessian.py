"""The covariance of generalized estimates where the data do not tell all parameters apart."""

import warnings

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.differences import hessian_by_standard_errors
from mixedmodels.engines.generalized import pirls
from mixedmodels.engines.generalized.hessian import (
    MANY_FIXED,
    determined_inverse,
    natural_parameters,
    objective_hessian,
)
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import parameter_layout
from mixedmodels.engines.generalized.problem import natural_to_psi

# Two fits of one model reach the same optimum to about 1e-5 of a standard error.
SAME = 1e-4


def test_a_flat_direction_leaves_the_other_parameters_alone():
    full = np.array([[4.0, 1.0], [1.0, 3.0]])
    hessian = np.zeros((4, 4))
    hessian[2:, 2:] = full
    hessian[:2, :2] = 1.0  # only the sum of the first two is determined
    inverse = determined_inverse(hessian, slice(2, 4))
    np.testing.assert_allclose(inverse[2:, 2:], np.linalg.inv(full), rtol=1e-12)
    assert np.isnan(inverse[:2]).all()


def test_a_positive_definite_hessian_is_simply_inverted():
    hessian = np.array([[4.0, 1.0, 0.5], [1.0, 300.0, 2.0], [0.5, 2.0, 1.0]])
    np.testing.assert_allclose(determined_inverse(hessian, slice(0, 1)), np.linalg.inv(hessian), atol=1e-14)


@pytest.mark.parametrize(
    "hessian",
    [np.diag([1.0, -1.0]), np.array([[1.0, 1.0], [1.0, 1.0]]), np.diag([1.0, np.nan])],
    ids=["negative", "flat in a fixed effect", "not finite"],
)
def test_fixed_effects_that_are_not_determined_have_no_covariance(hessian):
    assert determined_inverse(hessian, slice(0, 1)) is None


def test_a_variance_written_twice_does_not_change_the_standard_errors():
    cbpp = mm.load_dataset("cbpp").assign(flock=lambda d: d.herd)
    response = "cbind(incidence, size - incidence) ~ period"
    once = mm.glmer(f"{response} + (1 | herd)", cbpp, family="binomial")
    with pytest.warns(mm.IdentificationWarning, match="not identified"):
        twice = mm.glmer(f"{response} + (1 | herd) + (1 | flock)", cbpp, family="binomial")
    assert twice.loglik() == pytest.approx(once.loglik(), abs=1e-8)
    np.testing.assert_allclose(twice.standard_errors(), once.standard_errors(), rtol=SAME)
    assert np.isnan(twice.hessian_covariance[:2, :2]).all()


# The Hessian of the objective, against differences of its gradient at modes that are searched for.

# Step of those differences in standard errors, and their error relative to the curvature along each axis.
SHARE, DIFFERENCES = 1e-4, 3e-6


def by_differences(model):
    problem, estimates = model.problem, model.estimates
    psi = natural_to_psi(problem, natural_parameters(estimates))
    evaluator = Evaluator(problem, estimates.nAGQ)
    scale = parameter_layout(problem).scale
    variances = 2.0 * np.diagonal(estimates.inverse_hessian)
    return hessian_by_standard_errors(lambda at: evaluator(at)[1], psi, variances, scale, SHARE)


def assert_same_hessian(model):
    expected = by_differences(model)
    size = np.sqrt(np.diagonal(expected))
    found = objective_hessian(model.problem, model.estimates)
    np.testing.assert_allclose(
        found / np.multiply.outer(size, size), expected / np.multiply.outer(size, size), atol=DIFFERENCES
    )


FAMILIES = {
    "poisson": (mm.poisson(), {}),
    "binomial": (mm.binomial(), {}),
    "probit": (mm.binomial(link="probit"), {}),
    "expected": (mm.binomial(link="cloglog"), {"hessian": "expected"}),
    "nodes": (mm.binomial(link="probit"), {"nAGQ": 5}),
    "gamma": (mm.Gamma(link="log"), {}),
    "nbinom": (mm.nbinom2(), {}),
    "betabinomial": (mm.betabinomial(), {}),
}
RANDOM = {
    "scalar": "(1 | g)",
    "slope": "(1 + x | g)",
    "crossed": "(1 | g) + (1 | h)",
    "nested": "(1 | g) + (1 | g:k)",
    "crossed slope": "(1 + x | g) + (1 | h)",
}


def drawn(family, seed):
    rng = np.random.default_rng(seed)
    n = 240
    data = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "size": 6})
    for name, levels in (("g", 20), ("h", 9), ("k", 3)):
        data[name] = pd.Categorical(rng.integers(levels, size=n))
    eta = (
        0.3
        + 0.4 * data.x
        + rng.normal(0, 0.8, 20)[data.g.cat.codes]
        + rng.normal(0, 0.6, 9)[data.h.cat.codes]
    )
    eta += (
        rng.normal(0, 0.5, 20)[data.g.cat.codes] * data.x
        + rng.normal(0, 0.5, (20, 3))[data.g.cat.codes, data.k.cat.codes]
    )
    if "bin" in family and family != "nbinom":
        data["y"] = rng.binomial(6, rng.beta(*(6.0 / (1.0 + np.exp(side * eta)) for side in (-1.0, 1.0))))
        return data, "cbind(y, size - y)"
    data["y"] = rng.gamma(3.0, np.exp(eta) / 3.0)
    if family in ("poisson", "nbinom"):
        data["y"] = rng.poisson(data.y)
    return data, "y" if family not in ("probit", "expected", "nodes") else "I(y > 1)"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("random", RANDOM)
def test_the_hessian_is_that_of_differences_at_modes_searched_for(family, random):
    chosen, arguments = FAMILIES[family]
    if family == "nodes" and "h)" in RANDOM[random]:
        pytest.skip("crossed factors have no quadrature")
    data, response = drawn(family, 7)
    with warnings.catch_warnings():
        # What is tested is the Hessian where the fit ends, be that what it may.
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        model = mm.glmer(f"{response} ~ x + z + {RANDOM[random]}", data, family=chosen, **arguments)
    assert_same_hessian(model)


def test_many_fixed_effects_share_one_factorization(monkeypatch):
    rng = np.random.default_rng(3)
    data = pd.DataFrame(rng.normal(size=(900, 12)), columns=[f"x{k}" for k in range(12)])
    data["g"] = pd.Categorical(rng.integers(30, size=900))
    eta = data.x0 - 0.5 * data.x1 + rng.normal(size=30)[data.g.cat.codes]
    data["y"] = rng.poisson(np.exp(0.5 * eta))
    fixed = " + ".join(f"x{k}" for k in range(12))
    model = mm.glmer(f"y ~ {fixed} + (1 + x0 | g)", data, family="poisson")
    assert model.problem.n_fixed > MANY_FIXED
    assert_same_hessian(model)
    calls = []
    monkeypatch.setattr(pirls, "factorize", counted(pirls.factorize, calls))
    objective_hessian(model.problem, model.estimates)
    # One or two for the mode, one for either side of each of three covariance parameters.
    assert len(calls) <= 2 + 2 * 3


def counted(function, calls):
    def call(*arguments):
        calls.append(1)
        return function(*arguments)

    return call
