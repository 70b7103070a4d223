"""Satterthwaite's degrees of freedom against dense algebra and lmerTest, whatever the design and units."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.inference.contrasts import contrast_tests, hypothesis_test
from mixedmodels.inference.fixed_effects import fixed_effects
from mixedmodels.inference.satterthwaite import combined
from tests.inference.dense import dense, satterthwaite, variance_covariance
from tests.inference.inference_references import inference_references, reference, reference_model

# The dense route differentiates in variances, ours in theta: at estimates 2e-5 standard errors from the
# optimum the two differ by about as much.
DENSE = 1e-4
# What the project promises for degrees of freedom, and for statistics.
DF, STATISTIC = 1e-4, 1e-6
# lmerTest 3.1-3: formula, data, df of the coefficients.
KNOWN = [
    ("Reaction ~ Days + (Days | Subject)", "sleepstudy", [17.0, 17.0]),
    ("Reaction ~ Days + (Days || Subject)", "sleepstudy", [18.156204, 18.156204]),
    ("Yield ~ 1 + (1 | Batch)", "Dyestuff", [5.0]),
    ("Yield ~ 1 + (1 | Batch)", "Dyestuff2", [29.0]),
]


def random_data(seed: int, n: int = 48) -> pd.DataFrame:
    """Return unbalanced data with two crossed factors, a time within the first and two predictors."""
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 8, n), rng.integers(0, 5, n)
    x, z = rng.normal(size=n), rng.normal(size=8)[g]
    t = rng.integers(0, 3, n)
    names = np.array(list("abcdefgh"))
    y = 1 + x + rng.normal(size=8)[g] + rng.normal(size=8)[g] * x + rng.normal(size=5)[h]
    y += rng.normal(size=(8, 3))[g, t] + 0.7 * rng.normal(size=n)
    w = rng.uniform(0.3, 3.0, n)
    columns = {"y": y, "x": x, "z": z, "w": w, "g": names[g], "h": names[h], "t": names[t]}
    return pd.DataFrame(columns)


STRUCTURES = [
    "(x | g)",
    "(1 | g) + (1 | h)",
    "(x || g) + (1 | h)",
    "diag(x | g)",
    "cs(0 + t | g)",
    "ar1(0 + t | g)",
]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(STRUCTURES), st.booleans(), st.booleans())
def test_degrees_of_freedom_are_those_of_dense_algebra(seed, bars, weighted, REML):
    data = random_data(seed)
    model = mm.lmer(f"y ~ x + z + {bars}", data, REML=REML, weights="w" if weighted else None)
    if model.parameter_covariance.left_out.any() or min(at_bounds(model)) < 0.05:
        return
    L = np.vstack([np.eye(3), [1.0, -2.0, 0.5]])
    ours = contrast_tests(fixed_effects(model), L).df
    np.testing.assert_allclose(ours, satterthwaite(dense(model), L, REML), rtol=DENSE)


def at_bounds(model: mm.LinearMixedModel) -> list[float]:
    """Return how far the covariance of each term is from singular."""
    factors = [term.structure.factor(model.theta_values[part]) for term, part in model.problem.parts]
    return [float(np.linalg.svd(T, compute_uv=False)[-1]) for T in factors]


@pytest.mark.parametrize(("formula", "name", "df"), KNOWN)
def test_degrees_of_freedom_are_those_of_lmertest(formula, name, df):
    table = mm.lmer(formula, mm.load_dataset(name)).summary().coefficients
    np.testing.assert_allclose(table["df"], df, rtol=DF)


@pytest.mark.parametrize("name", inference_references())
def test_tests_are_those_of_lmertest(name):
    model, expected = reference_model(name), reference(name)["results"]["satterthwaite"]
    fixed = fixed_effects(model, "satterthwaite")
    ours, table = contrast_tests(fixed, np.eye(len(fixed.beta))), np.array(expected["coef"]["values"])
    np.testing.assert_allclose(ours.df, table[:, 2], rtol=DF)
    np.testing.assert_allclose(ours.statistic, table[:, 3], rtol=STATISTIC)
    for contest in expected.get("contest") or []:
        test, joint = hypothesis_test(fixed, np.array(contest["L"], dtype=float)), contest["joint"]["columns"]
        np.testing.assert_allclose(test.df, joint["DenDF"][0], rtol=DF)
        np.testing.assert_allclose(test.statistic, joint["F value"][0], rtol=STATISTIC)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000))
def test_units_and_the_order_of_rows_do_not_matter(seed):
    data = random_data(seed)
    model = mm.lmer("y ~ x + z + (x | g) + (1 | h)", data)
    if min(at_bounds(model)) < 0.05:
        return
    other = data.sample(frac=1.0, random_state=seed).assign(
        y=lambda d: 1e6 * d.y, x=lambda d: 2000.0 + 1e-2 * d.x
    )
    again = mm.lmer("y ~ x + z + (x | g) + (1 | h)", other)
    first, second = (contrast_tests(fixed_effects(m), np.eye(3)[1:]) for m in (model, again))
    np.testing.assert_allclose(first.df, second.df, rtol=DENSE)
    np.testing.assert_allclose(first.statistic, second.statistic, rtol=DENSE)


def test_without_variance_between_groups_all_rows_count():
    """A variance of zero is left out: the degrees of freedom are those of least squares."""
    model = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff2"))
    np.testing.assert_allclose(fixed_effects(model).degrees.of_rows(np.eye(1)), model.nobs() - 1)
    said = str(model.summary())
    assert "at a boundary, so taken as known in the degrees of freedom: Batch.(Intercept)" in said
    assert "taken as known" not in str(model.summary(ddf=None))


def test_a_singular_factor_leaves_out_the_direction_without_variance():
    """lmerTest keeps it, but criterion and covariance are even in it, so that it counts for nothing."""
    rng = np.random.default_rng(1)
    g, x, u = np.repeat(np.arange(6), 5), np.tile(np.arange(5.0), 6), rng.normal(size=6)
    y = u[g] + 0.5 * u[g] * x + 0.5 * rng.normal(size=30)
    model = mm.lmer("y ~ x + (x | g)", {"y": y, "x": x, "g": np.array(list("abcdef"))[g]})
    assert model.parameter_covariance.left_out.tolist() == [False, False, True]
    df = fixed_effects(model).degrees.of_rows(np.eye(2))
    np.testing.assert_allclose(df, [5.279459283, 5.007279278], rtol=DF)  # lmerTest 3.1-3


def test_degrees_of_freedom_of_a_hypothesis_combine_those_of_its_axes():
    assert combined(np.array([7.0, 7.0])) == 7.0
    assert combined(np.array([1.5, 9.0])) == 2.0
    E = 10 / 8 + 20 / 18 + 30 / 28
    assert combined(np.array([10.0, 20.0, 30.0])) == pytest.approx(2 * E / (E - 3))


def test_methods_are_refused_where_they_do_not_exist():
    cbpp = mm.load_dataset("cbpp")
    model = mm.glmer("incidence / size ~ period + (1 | herd)", cbpp, family="binomial", weights="size")
    with pytest.raises(mm.NotAvailableError, match=r"linear mixed models.*ddf='z'"):
        model.summary(ddf="satterthwaite")
    with pytest.raises(mm.ControlError, match="ddf must be one of 'default', 'satterthwaite'"):
        model.summary(ddf="lme4")
    assert list(model.summary(ddf="z").coefficients) == list(model.summary().coefficients)


def test_other_degrees_of_freedom():
    model = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    assert list(model.summary(ddf=None).coefficients) == ["Estimate", "Std. Error", "t value"]
    assert model.summary(ddf="residual").coefficients["df"].tolist() == [174, 174]
    assert "Pr(>|z|)" in model.summary(ddf="z").coefficients
    assert model.summary(ddf="Satterthwaite").coefficients.equals(model.summary().coefficients)


def test_the_covariance_of_theta_and_sigma_is_that_of_dense_algebra():
    """From the observed information in variances, by the delta method."""
    model = mm.lmer("y ~ x + (1 | g) + (1 | h)", random_data(5))
    theta, sigma = model.theta_values, model.sigma()
    A = model.parameter_covariance.of_theta_and_sigma()
    to_variances = np.zeros((3, 3))
    to_variances[[0, 1], [0, 1]] = 2.0 * sigma**2 * theta
    to_variances[:, 2] = [*(2.0 * sigma * theta**2), 2.0 * sigma]
    expected = variance_covariance(dense(model), REML=True)
    np.testing.assert_allclose(to_variances @ A @ to_variances.T, expected, rtol=DENSE)


@pytest.mark.parametrize("residual", [1e-2, 1e-5, 1e-8])
def test_a_small_residual_takes_no_digits(residual):
    """Balanced groups: a predictor of groups and the intercept have 8 - 2, one of rows 48 - 8 - 1."""
    rng = np.random.default_rng(1)
    g, x, z = np.repeat(np.arange(8), 6), np.tile(np.arange(6.0), 8), rng.normal(size=8)
    y = z[g] + x + rng.normal(size=8)[g] + residual * rng.normal(size=48)
    model = mm.lmer(
        "y ~ x + z + (1 | g)", {"y": y, "x": x - 2.5, "z": z[g], "g": np.array(list("abcdefgh"))[g]}
    )
    np.testing.assert_allclose(fixed_effects(model).degrees.of_rows(np.eye(3)), [6, 39, 6], rtol=DF)
