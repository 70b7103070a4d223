"""Parameters stated in any of the ways are the same model; what is missing or wrong is named."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.covariance.autoregressive import Autoregressive
from mixedmodels.covariance.compound_symmetry import CompoundSymmetry
from mixedmodels.covariance.deviations import theta_of_deviations
from mixedmodels.covariance.diagonal import Diagonal
from mixedmodels.covariance.unstructured import Unstructured

SLEEP = mm.load_dataset("sleepstudy")
FORMULA = "y ~ Days + (Days | Subject)"
WHOLE = {"beta": [250, 10], "sd": {"Subject": [25, 6]}, "cor": {"Subject": 0.3}, "sigma": 20}


def parameters(formula=FORMULA, data=SLEEP, **given):
    model = mm.specify(formula, data, **given).model
    return np.concatenate([model.beta, model.theta_values, [model.sigma()], model.phi])


@pytest.mark.parametrize(
    "other",
    [
        {"beta": {"Days": 10, "(Intercept)": 250}},
        {"beta": pd.Series({"Days": 10, "(Intercept)": 250})},
        {"sd": [25, 6], "cor": 0.3},
        {"sd": {"Subject": {"Days": 6, "(Intercept)": 25}}, "cor": {"Subject": [[1, 0.3], [0.3, 1]]}},
        {"cor": {"Subject": {"Days.(Intercept)": 0.3}}},
        {"sd": None, "cor": None, "theta": [25 / 20, 6 / 20 * 0.3, 6 / 20 * np.sqrt(1 - 0.09)]},
    ],
)
def test_one_model_stated_in_other_ways(other):
    np.testing.assert_allclose(parameters(**WHOLE | other), parameters(**WHOLE), rtol=1e-12)


def test_a_fit_stated_by_its_own_estimates():
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", SLEEP)
    table = m.VarCorr()
    stated = mm.specify(
        m.formula(), SLEEP, beta=m.fixef(), sd={"Subject": table.stddev("Subject")},
        cor={"Subject": table.correlation("Subject").to_numpy()}, sigma=m.sigma(),
    )  # fmt: skip
    np.testing.assert_allclose(stated.model.theta_values, m.theta_values, rtol=1e-10)
    np.testing.assert_allclose(stated.simulate(2, rng=1), m.simulate(2, rng=1), rtol=1e-10)


def test_what_is_not_named_stays():
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", SLEEP)
    plain = m.simulate(1, rng=1).to_numpy()
    for same in ({}, {"sd": {}}, {"cor": {}}, {"beta": {}}, {"theta": m.theta()}):
        np.testing.assert_allclose(m.simulate(1, rng=1, newparams=same).to_numpy(), plain, rtol=1e-10)
    moved = m.simulate(1, rng=1, newparams={"beta": {"Days": 0.0}}).to_numpy()
    np.testing.assert_allclose(
        plain[:, 0] - moved[:, 0], m.fixef()["Days"] * SLEEP["Days"].to_numpy(), atol=1e-9
    )


def test_a_double_bar_by_the_name_of_its_factor_or_of_its_terms():
    formula = "y ~ Days + (Days || Subject)"
    given = {"beta": [1, 2], "sigma": 2.0}
    whole = parameters(formula, **given, sd={"Subject": {"Days": 6, "(Intercept)": 25}})
    assert whole[2:4].tolist() == [12.5, 3.0]
    for other in ({"Subject": [25, 6]}, {"Subject": 25, "Subject.1": 6}, [25, 6]):
        np.testing.assert_array_equal(parameters(formula, **given, sd=other), whole)


@given(
    st.integers(1, 4),
    st.integers(0, 10_000),
    st.floats(0.2, 5.0),
)
@settings(max_examples=40, deadline=None)
def test_theta_has_the_covariance_that_was_stated(size, seed, sigma):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(size, size + 1))
    sd, R = rng.uniform(0.0, 3.0, size), np.corrcoef(A).reshape(size, size)
    structure = Unstructured(size)
    values = np.array([sd[i] if i == j else R[i, j] for j in range(size) for i in range(j, size)])
    T = structure.factor(theta_of_deviations(structure, values, sigma))
    np.testing.assert_allclose(sigma**2 * T @ T.T, R * np.outer(sd, sd), atol=1e-10)
    assert np.all(np.diag(T) >= 0.0)


def test_structures_and_singular_correlations():
    sd = np.array([1.0, 2.0, 3.0])
    for structure in (CompoundSymmetry(3, False), Autoregressive(3, False)):
        T = structure.factor(theta_of_deviations(structure, np.append(sd, 0.4), 2.0))
        np.testing.assert_allclose(2.0 * np.sqrt(np.diag(T @ T.T)), sd)
    np.testing.assert_array_equal(theta_of_deviations(Diagonal(3), sd, 2.0), sd / 2.0)
    T = Unstructured(2).factor(theta_of_deviations(Unstructured(2), np.array([1.0, -1.0, 2.0]), 1.0))
    np.testing.assert_allclose(T @ T.T, [[1.0, -2.0], [-2.0, 4.0]], atol=1e-12)
    impossible = np.array([1.0, 0.9, 0.9, 1.0, -0.9, 1.0])
    assert theta_of_deviations(Unstructured(3), impossible, 1.0) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"beta": None}, r"beta is missing: the fixed effects are \(Intercept\), Days"),
        ({"beta": {"Days": 1}}, r"beta lacks \(Intercept\); the fixed effects are"),
        ({"beta": {"days": 1}}, "beta has no 'days'.*Did you mean 'Days'"),
        ({"beta": [1, 2, 3]}, "beta has 3 numbers, and there are 2 fixed effects"),
        ({"beta": [1, np.nan]}, "beta of Days must be a finite number"),
        ({"beta": "a"}, "beta must be numbers in the order"),
        ({"sigma": None}, "sigma is missing"),
        ({"sigma": 0}, "sigma must be a number larger than 0"),
        (
            {"sd": None, "cor": None},
            r"sd=\{'Subject': \[1.0, 1.0\]\}.*The terms are Subject: \(Intercept\), Days",
        ),
        ({"sd": {"subject": [1, 2]}}, "sd has no 'subject'; the random-effects terms are Subject"),
        ({"sd": {"Subject": [1]}}, r"sd of Subject has 1 number, and there are 2 standard deviations"),
        ({"sd": {"Subject": {"Days": 1}}}, r"sd of Subject lacks \(Intercept\)"),
        ({"sd": [25, -6]}, "sd of Subject must not be negative"),
        ({"cor": 1.5}, "cor of Subject lies between -1 and 1"),
        ({"cor": {"Subject": [[1, 0.3], [0.2, 1]]}}, "matrix of correlations of Subject is 2 x 2, symmetric"),
        ({"theta": [1, 0, 1]}, "theta states the same as sd and cor"),
        (
            {"sd": None, "cor": None, "theta": [1, 0]},
            r"there are 3 covariance parameters: Subject.\(Intercept\)",
        ),
        ({"sd": None, "cor": None, "theta": [1, 0, -1]}, "Subject.Days cannot be -1"),
        ({"phi": 2}, "a linear model has no phi"),
    ],
)
def test_what_is_missing_or_wrong_is_named(given, message):
    with pytest.raises(mm.ControlError, match=message):
        mm.specify(FORMULA, SLEEP, **WHOLE | given)


def test_correlations_that_contradict_each_other():
    data = SLEEP.assign(z=np.tile([0.0, 1.0], 90))
    with pytest.raises(mm.ControlError, match=r"contradict each other.*z\.Days"):
        mm.specify("y ~ 1 + (Days + z | Subject)", data, beta=1, sd=[1, 1, 1], cor=[0.9, 0.9, -0.9], sigma=1)


def test_parameters_of_families():
    data = pd.DataFrame({"x": [0.0, 1.0] * 10, "g": np.repeat(range(5), 4)})
    given = {"beta": [0, 1], "sd": 1}
    assert parameters("y ~ x + (1 | g)", data, family="Gamma", **given, sigma=0.5)[-1] == 0.25
    assert parameters("y ~ x + (1 | g)", data, family="nbinom2", **given, phi={"theta": 3})[-1] == 3.0
    for family, wrong, message in (
        ("nbinom2", {}, "phi is missing: the parameters of the nbinom2 family are theta"),
        ("nbinom2", {"phi": -1}, "out of range"),
        ("nbinom2", {"sigma": 1}, "has no sigma; its own parameters are phi: theta"),
        ("binomial", {"sigma": 1}, "has no sigma; leave it out"),
        ("Gamma", {"sigma": 1, "phi": 1}, "give one of them"),
        ("zero_inflated_poisson", {"phi": 1.5}, "out of range"),
    ):
        with pytest.raises(mm.ControlError, match=message):
            mm.specify("y ~ x + (1 | g)", data, family, **given, **wrong)


def test_models_without_random_effects():
    m = mm.lm("Reaction ~ Days", SLEEP)
    draws = m.simulate(2000, rng=1, newparams={"beta": {"Days": 0}, "sigma": 1}).to_numpy()
    assert draws.std() == pytest.approx(1.0, abs=0.02)
    with pytest.raises(mm.ControlError, match="no random effects that sd could be about"):
        m.simulate(1, newparams={"sd": 1})
    with pytest.raises(mm.ControlError, match="'betas' is no kind of parameter; they are beta"):
        m.simulate(1, newparams={"betas": 1})
    with pytest.raises(mm.ControlError, match="newparams must be a dict"):
        m.simulate(1, newparams=3)
