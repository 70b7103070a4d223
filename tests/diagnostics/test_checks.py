"""Checks of a model: numbers by independent routes, sentences, and what each refuses."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, nbinom, poisson, shapiro

import mixedmodels as mm
from mixedmodels.diagnostics.checks.collinearity import inflation_factors
from mixedmodels.diagnostics.checks.normality import standardized_residuals


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(11)
    data = pd.DataFrame({"x": rng.normal(size=300), "g": np.repeat(np.arange(30), 10)})
    mu = np.exp(0.5 + 0.3 * data.x + rng.normal(0, 0.5, 30)[data.g])
    data["poisson"] = rng.poisson(mu)
    data["over"] = rng.negative_binomial(0.8, 0.8 / (0.8 + mu))
    data["inflated"] = data.poisson * (rng.random(300) < 0.6)
    return data


def test_overdispersed_counts_are_found_and_others_are_not(counts):
    m = mm.glmer("over ~ x + (1 | g)", counts, "poisson")
    found = mm.check_overdispersion(m)
    mu = m.fitted()
    chisq = float(((counts["over"] - mu) ** 2 / mu).sum())
    assert found.chisq == pytest.approx(chisq)
    assert found.df == 300 - 3
    assert found.p_value == pytest.approx(chi2.sf(chisq, 297))
    assert found.is_fine is False
    assert "Overdispersion" in repr(found)
    right = mm.check_overdispersion(mm.glmer("poisson ~ x + (1 | g)", counts, "poisson"))
    assert right.is_fine
    assert "No overdispersion" in repr(right)


def test_overdispersion_of_models_without_random_effects(counts):
    m = mm.glm("over ~ x", counts, "poisson")
    mu = m.fitted()
    found = mm.check_overdispersion(m)
    assert found.ratio == pytest.approx(float(((counts["over"] - mu) ** 2 / mu).sum()) / 298)


@pytest.mark.parametrize(
    ("formula", "family", "match"),
    [
        ("(over > 0) ~ x + (1 | g)", "binomial", "more than one trial"),
        ("I(over + 1) ~ x + (1 | g)", mm.Gamma(link="log"), "estimated from the data"),
        ("over ~ x", "quasipoisson", "estimates it"),
    ],
)
def test_overdispersion_is_refused_where_it_cannot_be(counts, formula, family, match):
    fit = mm.glmer if "|" in formula else mm.glm
    with pytest.raises(mm.NotAvailableError, match=match):
        mm.check_overdispersion(fit(formula, counts, family))


def test_zeros_expected_by_each_family(counts):
    m = mm.glmer("inflated ~ x + (1 | g)", counts, "poisson")
    found = mm.check_zero_inflation(m)
    assert found.predicted == pytest.approx(poisson.pmf(0, m.fitted()).sum())
    assert found.observed == int((counts["inflated"] == 0).sum())
    assert found.is_fine is False
    assert "zero inflation" in repr(found)
    m = mm.glmer("over ~ x + (1 | g)", counts, "nbinom2")
    theta = m.phi[0]
    expected = nbinom.pmf(0, theta, theta / (theta + m.fitted())).sum()
    assert mm.check_zero_inflation(m).predicted == pytest.approx(expected)
    m = mm.glmer("over ~ x + (1 | g)", counts, "nbinom1")
    size = m.fitted() / m.phi[0]
    expected = nbinom.pmf(0, size, 1 / (1 + m.phi[0])).sum()
    assert mm.check_zero_inflation(m).predicted == pytest.approx(expected)


def test_a_zero_part_explains_its_zeros(counts):
    m = mm.glmer("inflated ~ x + (1 | g)", counts, "zero_inflated_poisson")
    mu, pi = np.exp(m.linear_predictor), m.phi[-1]
    found = mm.check_zero_inflation(m)
    assert found.predicted == pytest.approx((pi + (1 - pi) * np.exp(-mu)).sum())
    assert found.is_fine
    with pytest.raises(mm.NotAvailableError, match="has no zeros"):
        mm.check_zero_inflation(mm.glm("inflated ~ x", counts.query("inflated > 0"), "truncated_poisson"))
    with pytest.raises(mm.ControlError, match="tolerance"):
        mm.check_zero_inflation(m, tolerance=2)


@pytest.mark.parametrize("seed", range(3))
def test_inflation_of_numeric_predictors_is_that_of_their_regressions(seed):
    """VIF = 1 / (1 - R^2) of each predictor on the others, of least squares."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.normal(size=(80, 3)) @ rng.normal(size=(3, 3)), columns=list("abc"))
    data["y"] = data.a + rng.normal(size=80)
    table = mm.check_collinearity(mm.lm("y ~ a + b + c", data)).table
    for name in "abc":
        others = " + ".join(other for other in "abc" if other != name)
        r2 = mm.lm(f"{name} ~ {others}", data).r_squared()
        assert table.loc[name, "VIF"] == pytest.approx(1 / (1 - r2))
        assert table.loc[name, "Tolerance"] == pytest.approx(1 - r2)


def test_generalized_factors_do_not_depend_on_the_coding(data):
    cake = data("cake").iloc[:200]
    formula = "angle ~ recipe + temp + (1 | recipe:replicate)"
    one = mm.check_collinearity(mm.lmer(formula, cake)).table
    other = mm.check_collinearity(mm.lmer(formula, cake, contrasts={"recipe": "contr.helmert"})).table
    np.testing.assert_allclose(one["VIF"], other["VIF"], rtol=1e-6)
    np.testing.assert_allclose(one["VIF^(1/(2*Df))"], one["VIF"] ** (1 / (2 * one["Df"])))
    assert list(one["Df"]) == [2, 1]


def test_factors_of_a_known_matrix_and_of_one_term():
    R = np.array([[1.0, 0.8], [0.8, 1.0]])
    np.testing.assert_allclose(inflation_factors(R, [np.array([0]), np.array([1])]), 1 / (1 - 0.64))
    np.testing.assert_allclose(inflation_factors(R, [np.array([0, 1])]), 1.0)


def test_dropped_columns_and_missing_predictors(fitted):
    table = mm.check_collinearity(fitted("sleepstudy_rank")).table
    assert list(table.index) == ["Days"]
    with pytest.raises(mm.NotAvailableError, match="needs predictors"):
        mm.check_collinearity(fitted("dyestuff"))


def test_interactions_and_lacking_intercepts_are_said(fitted, data):
    found = mm.check_collinearity(fitted("cake_large"))
    sleep = data("sleepstudy").assign(far=lambda d: d["Days"] + 1000.0, f=lambda d: d["Days"] % 2 > 0)
    found = mm.check_collinearity(mm.lm("Reaction ~ far * f", sleep))
    assert found.is_fine is False
    assert "Interactions" in repr(found)
    assert "high" in repr(found)
    assert "no intercept" in repr(mm.check_collinearity(mm.lm("Reaction ~ 0 + Days + w", sleep)))


def test_singularity(fitted):
    found = mm.check_singularity(fitted("dyestuff2"))
    assert found.singular
    assert found.smallest == {"1 | Batch": 0.0}
    good = mm.check_singularity(fitted("sleepstudy"))
    assert good.is_fine
    assert good.smallest["Days | Subject"] == pytest.approx(0.23088, abs=1e-4)


def test_standardized_residuals_of_a_mixed_model_by_dense_algebra(fitted):
    m = fitted("sleepstudy_arguments")
    w = m.prior_weights
    Z, L, X = (
        np.asarray(getattr(m.getME(n), "todense", lambda n=n: m.getME(n))()) for n in ("Z", "Lambda", "X")
    )
    A = np.hstack([np.sqrt(w)[:, None] * Z @ L, np.sqrt(w)[:, None] * X])
    penalty = np.diag([1.0] * L.shape[1] + [0.0] * X.shape[1])
    h = np.diag(A @ np.linalg.solve(A.T @ A + penalty, A.T))
    expected = np.sqrt(w) * (m.y - m.fitted()) / (m.sigma() * np.sqrt(1 - h))
    np.testing.assert_allclose(standardized_residuals(m), expected, rtol=1e-6)
    assert mm.check_normality(m).table.loc["residuals", "p_value"] == pytest.approx(
        shapiro(expected).pvalue, rel=1e-5
    )


def test_normality_of_few_equal_and_many_values(fitted):
    assert mm.check_normality(fitted("dyestuff2"), effects="random").is_fine is None
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"x": rng.normal(size=6000)})
    data["y"] = data.x + rng.normal(size=6000)
    assert mm.check_normality(mm.lm("y ~ x", data)).is_fine
    data["y"] = data.x + rng.exponential(size=6000)
    found = mm.check_normality(mm.lm("y ~ x", data))
    assert found.is_fine is False
    assert "differ from a normal distribution" in repr(found)
    with pytest.raises(mm.NotAvailableError, match="not normal"):
        mm.check_normality(fitted("cbpp"))


def test_heteroscedasticity_is_found_and_a_constant_variance_is_not():
    rng = np.random.default_rng(9)
    data = pd.DataFrame({"x": rng.uniform(1, 5, 300), "g": np.arange(300) % 20})
    data["y"] = data.x + rng.normal(0, 1, 20)[data.g] + rng.normal(size=300)
    assert mm.check_heteroscedasticity(mm.lmer("y ~ x + (1 | g)", data)).is_fine
    data["y"] += data.x**2 * rng.normal(size=300)
    assert mm.check_heteroscedasticity(mm.lmer("y ~ x + (1 | g)", data)).is_fine is False
    assert mm.check_heteroscedasticity(mm.lm("y ~ 1", data)).is_fine is None


def test_convergence(fitted):
    assert mm.check_convergence(fitted("sleepstudy")).is_fine
    assert "boundary" in repr(mm.check_convergence(fitted("dyestuff2")))


def test_the_panel_holds_what_applies(fitted, counts):
    found = mm.check_model(fitted("cake"))
    assert list(found.checks) == [
        "convergence", "singularity", "collinearity", "heteroscedasticity", "normality of residuals",
        "normality of random effects",
    ]  # fmt: skip
    text = repr(found)
    assert all(name in text for name in found.checks)
    assert max(map(len, text.splitlines())) <= 100
    found = mm.check_model(mm.glmer("inflated ~ x + (1 | g)", counts, "poisson"))
    assert {"overdispersion", "zero inflation"} <= set(found.checks)
    assert not found.is_fine
    assert "look" in repr(found)
    assert list(mm.check_model(fitted("cbpp_glm")).checks) == ["collinearity", "overdispersion"]
    assert mm.check_model(fitted("cbpp_pql"))["convergence"].is_fine
