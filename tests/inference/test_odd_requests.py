"""What people ask for by mistake, or of odd data: nothing asked for is ignored, nothing wrong is answered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.inference.bootstrap import Bootstrap
from mixedmodels.inference.pb_modcomp import _tests

# Degrees of freedom.


def test_degrees_of_freedom_asked_for_make_f_tests(fitted):
    model = fitted("sleepstudy")
    table = mm.Anova(model, ddf="satterthwaite")
    expected = mm.anova(model, type=2, ddf="satterthwaite")
    assert table.loc["Days", "F"] == pytest.approx(expected.loc["Days", "F value"])
    assert table.loc["Days", "Df.res"] == pytest.approx(expected.loc["Days", "DenDF"])
    assert list(mm.Anova(model, ddf="z")) == list(mm.Anova(model)) == ["Chisq", "Df", "Pr(>Chisq)"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m, g: mm.Anova(m, test="Chisq", ddf="satterthwaite"), "write test='F'"),
        (lambda m, g: mm.anova(m, test="Chisq", ddf="residual"), "write test='F'"),
        (lambda m, g: mm.drop1(m, ddf="Kenward-Roger"), "write test='F'"),
        (lambda m, g: mm.drop1(m, vcov="CR2"), "write test='F'"),
        (lambda m, g: mm.linear_hypothesis(m, "Days", test="Chisq", ddf="residual"), "write test='F'"),
        (lambda m, g: mm.anova(g, ddf="kenward-roger"), "test='Chisq'"),
        (lambda m, g: mm.Anova(g, ddf="satterthwaite"), "test='Chisq'"),
        (lambda m, g: mm.anova(g, ddf="satterthwait"), "ddf must be one of"),
        (lambda m, g: mm.anova(m, type=1, test="Chisq"), "type=1"),
        (lambda m, g: mm.Anova(m, test_statistic="F"), "write test='F'"),
    ],
)
def test_degrees_of_freedom_are_not_ignored(fitted, ask, message):
    with pytest.raises(mm.MixedModelsError, match=message):
        ask(fitted("sleepstudy"), fitted("cbpp"))


def test_sequential_tables_by_number(fitted, data):
    generalized = fitted("cbpp")
    assert mm.anova(generalized, type=1).equals(mm.anova(generalized))
    linear = mm.lm("Reaction ~ Days", data("sleepstudy"))
    assert mm.anova(linear, type=1).equals(mm.anova(linear))


# Covariances that are given.


@pytest.mark.parametrize(
    ("vcov", "message"),
    [
        (-np.eye(2), "positive variances"),
        ([[1.0, 2.0], [0.0, 1.0]], "symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "negative variance"),
        (np.eye(3), "2 x 2"),
        (pd.DataFrame(np.eye(2), ["Days", "(Intercept)"], ["Days", "(Intercept)"]), "in this order"),
    ],
)
def test_no_covariance(fitted, vcov, message):
    model = fitted("sleepstudy")
    for ask in (model.summary, model.anova):
        with pytest.raises(mm.ControlError, match=message):
            ask(vcov=vcov)


def test_a_matrix_with_or_without_names(fitted):
    model = fitted("sleepstudy")
    V = model.vcov()
    z = model.summary(vcov=V).coefficients["z value"]
    np.testing.assert_allclose(model.summary(vcov=V.to_numpy().tolist()).coefficients["z value"], z)
    np.testing.assert_allclose(z, model.fixef() / np.sqrt(np.diag(V)))
    # Printed and typed in again.
    assert len(model.summary(vcov=V.round(3)).coefficients) == 2


def test_a_summary_shows_the_correlations_of_its_errors(fitted):
    model = fitted("cbpp")
    V = model.vcov("CR0")
    found = model.summary(vcov=V)
    sd = np.sqrt(np.diag(V))
    np.testing.assert_allclose(found.fixed_correlation, V / np.outer(sd, sd))
    assert "period2 -0.737" in repr(found) and "CR0 covariance by" in repr(found)
    own = model.summary(ddf="z")
    np.testing.assert_allclose(own.fixed_correlation, model.summary().fixed_correlation)


def test_summaries_of_least_squares_take_them_too(data):
    d = data("sleepstudy")
    model = mm.lm("Reaction ~ Days", d)
    robust = model.vcov("CR2", "Subject")
    text = repr(model.summary(vcov=robust))
    assert "t-tests use Satterthwaite's method for a CR2 covariance by Subject" in text
    found = model.summary(vcov=robust).coefficients
    # In a balanced design as many as there are clusters, less one.
    np.testing.assert_allclose(found["Std. Error"], np.sqrt(np.diag(robust)))
    np.testing.assert_allclose(found["df"], [17.0, 17.0])
    assert repr(model.summary(ddf="default")) == repr(model.summary())
    assert list(model.summary(ddf="z").coefficients)[2] == "z value"
    with pytest.raises(mm.NotAvailableError, match="lmer"):
        model.summary(ddf="satterthwaite")
    poisson = mm.glm("Days ~ Reaction", d, family="poisson")
    assert "CR1 covariance" in repr(poisson.summary(vcov="CR1"))


# Marginal answers.


@pytest.fixture(scope="module")
def unusual():
    """Return data with a factor of numbers, a level without rows, truth values and a covariate."""
    rng = np.random.default_rng(8)
    n = 120
    d = pd.DataFrame({
        "k": rng.integers(1, 4, n),
        "A": pd.Categorical(rng.choice(list("ab"), n), categories=list("zab")),
        "flag": rng.random(n) < 0.5,
        "x": rng.normal(size=n),
        "g": np.repeat(np.arange(12), 10),
    })  # fmt: skip
    d["y"] = d["k"] ** 2 + 2.0 * (d["A"] == "b") + d["x"] + rng.normal(size=12)[d["g"]] + rng.normal(size=n)
    return d


def test_effects_of_factors_of_numbers_and_unused_levels(unusual):
    model = mm.lmer("y ~ factor(k) + A + flag + x + (1 | g)", unusual)
    table = mm.average_marginal_effects(model)
    assert list(table["contrast"]) == ["2 - 1", "3 - 1", "b - a", "True - False", "dY/dX"]
    np.testing.assert_allclose(table["estimate"], model.fixef().to_numpy()[1:])
    # The slope is a difference of predictions, good to about seven digits.
    np.testing.assert_allclose(table["std.error"], model.standard_errors().to_numpy()[1:], rtol=1e-6)
    # The levels are those of the fit, also where new rows have few of them.
    some = mm.average_marginal_effects(model, newdata=unusual[unusual["k"] == 2])
    np.testing.assert_allclose(some["estimate"], table["estimate"])
    assert "..." not in repr(table) and "p.value" in repr(table) and "<table>" in table._repr_html_()
    assert type(table[["term"]]) is pd.DataFrame


def test_effects_refuse(unusual):
    model = mm.lmer("y ~ A + x + (1 | g)", unusual)
    with pytest.raises(mm.DataError, match="missing values of x in 120 rows"):
        mm.average_marginal_effects(model, newdata=unusual.assign(x=np.nan))
    with pytest.raises(mm.ControlError, match="list of names"):
        mm.average_marginal_effects(model, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, [0.0, np.nan]])
def test_means_at_no_number(unusual, value):
    model = mm.lmer("y ~ A + x + (1 | g)", unusual)
    with pytest.raises(mm.DataError, match="finite"):
        model.emmeans("A", at={"x": value})


def test_an_average_is_not_of_random_effects_alone(fitted):
    with pytest.raises(mm.ControlError, match="random_only"):
        fitted("cbpp").predict(re_form="average", random_only=True)


# Simulated tests and intervals.


@pytest.mark.parametrize("name", ["sleepstudy", "cbpp"])
def test_bootstrap_intervals_by_confint(fitted, name):
    model = fitted(name)
    direct: Bootstrap = mm.bootstrap(model, nsim=30, rng=4)
    found = model.confint(method="boot", nsim=30, rng=4, signames=False, level=0.9)
    expected = direct.confint(level=0.9)
    pd.testing.assert_frame_equal(pd.DataFrame(found), expected.loc[list(found.index)])
    assert set(found.index) == set(expected.index)
    short = model.confint([0], method="boot", nsim=30, rng=4)
    assert list(short.index) == [".sig01"]


def test_bootstrap_intervals_refuse(fitted):
    model = fitted("sleepstudy")
    with pytest.raises(mm.ControlError, match="method='boot'"):
        model.confint(nsim=100)
    with pytest.raises(mm.ControlError, match="'profile', 'Wald' or 'boot'"):
        model.confint(method="bootstrap")
    with pytest.raises(mm.UnknownArgumentError, match="rng=1"):
        model.confint(method="boot", seed=1)


def test_no_response_that_varies(fitted):
    table = mm.refit_many(fitted("sleepstudy"), np.ones((180, 2)))
    assert (table["verdict"] == "failed").all() and table["estimate"].isna().all()


def test_f_approximation_has_the_mean_of_f():
    """Ratios of three parameters that are 3 F(3, 12): the fitted denominator is near 12, not near 3."""
    rng = np.random.default_rng(0)
    ratios = 3.0 * stats.f.rvs(3, 12, size=200_000, random_state=rng)
    _, _, _, _, (F, ndf, ddf, p) = _tests(9.0, 3, ratios)
    assert (F, ndf) == (3.0, 3.0) and ddf == pytest.approx(12.0, rel=0.02)
    assert p == pytest.approx(stats.f.sf(3.0, 3, 12), rel=0.02)
    below = _tests(9.0, 3, stats.chi2.rvs(3, size=1000, random_state=rng) * 0.5)[4]
    assert np.isnan(below[2]) and np.isnan(below[3])


def test_no_p_value_below_what_was_simulated(fitted):
    test = mm.exact_rlrt(fitted("sleepstudy_intercept"), nsim=200, rng=1)
    assert test.p_value == 0.0 and repr(test).endswith("p-value < 0.005")


def test_no_ratio():
    with pytest.raises(mm.ControlError, match="chisq"):
        mm.boundary_p_value("a")


NOT_ANSWERED = {
    "CR2 with Kenward-Roger": (lambda m, g: m.summary(vcov="CR2", ddf="kenward-roger"), "is about the"),
    "matrix with Satterthwaite": (lambda m, g: m.anova(vcov=np.eye(2), ddf="satterthwaite"), "left out"),
    "names as one text": (lambda m, g: mm.anova(m, m, model_names="ab"), "list of names"),
    "refit that is no truth value": (lambda m, g: mm.anova(m, m, refit="yes"), "refit must be"),
    "bounds of one model": (lambda m, g: mm.anova(m, bounds=True), "several models"),
    "reduce_terms": (lambda m, g: mm.ranova(m, reduce_terms=3), "reduce_terms must be"),
    "hypotheses of a name": (lambda m, g: mm.hypotheses("m"), "needs a fitted model"),
    "no parameter": (lambda m, g: m.confint(parm=[]), "names no parameter"),
    "signames": (lambda m, g: m.confint(signames="no"), "signames must be"),
    "signames of a profile": (lambda m, g: mm.profile(m, signames=3), "signames must be"),
    "statistic of nothing": (lambda m, g: mm.bootstrap(m, lambda f: None, nsim=2), "must return a number"),
    "empty statistic": (lambda m, g: mm.bootstrap(m, lambda f: [], nsim=2), "must return a number"),
    "other models pooled": (
        lambda m, g: mm.pool([m, mm.lm("Reaction ~ Days", m.data)]), "fit 2 is of Reaction ~ Days, the first",
    ),
    "negative weights": (
        lambda m, g: mm.emmeans(g, "1", weights=[-1, 1, 1, 1]), "zero or more",
    ),
    "contrast of no number": (lambda m, g: g.emmeans("period").contrast({"a": [1, np.nan, 0, 0]}), "finite"),
    "contrast of zeros": (lambda m, g: g.emmeans("period").contrast({"a": [0] * 4}), "not all zero"),
    "no contrast": (lambda m, g: g.emmeans("period").contrast(None), "method must be one of"),
    "degree": (lambda m, g: g.emmeans("period").contrast("poly", max_degree=-1), "max_degree must be"),
    "coefficients of data": (lambda m, g: mm.marginal_coefs(m.data), "no fitted model"),
    "effects at no table": (lambda m, g: mm.average_marginal_effects(g, newdata=3), "must be a table"),
    "effects at other data": (lambda m, g: mm.average_marginal_effects(g, newdata=m.data), "not in the data"),
    "effects of nothing": (lambda m, g: mm.average_marginal_effects(g, []), "names none"),
    "scores of data": (lambda m, g: mm.estfun(m.data), "not of a DataFrame"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_ANSWERED)
def test_a_request_that_says_nothing_is_one_clear_error(fitted, name):
    ask, message = NOT_ANSWERED[name]
    with pytest.raises(mm.MixedModelsError, match=message):
        ask(fitted("sleepstudy"), fitted("cbpp"))


def test_degrees_of_freedom_beside_a_robust_covariance(fitted, data):
    """They are those asked for, the standard errors being robust."""
    model = fitted("sleepstudy")
    own = model.summary(vcov="CR2").coefficients
    for ddf, df in (("satterthwaite", 17.0), ("residual", 174.0)):
        found = model.summary(vcov="CR2", ddf=ddf).coefficients
        np.testing.assert_allclose(found["Std. Error"], own["Std. Error"])
        np.testing.assert_allclose(found["df"], df)
    assert "z value" in model.summary(vcov="CR2", ddf="z").coefficients
    assert model.emmeans("Days", vcov="CR2", ddf="z").to_frame()["df"].iloc[0] == np.inf
    # car's default, Kenward and Roger's, is of the model's own covariance.
    table = mm.Anova(model, test="F", vcov="CR2")
    np.testing.assert_allclose(table["Df.res"], 17.0)
    linear = mm.lm("Reaction ~ Days", data("sleepstudy"))
    V = linear.vcov("CR2", cluster="Subject")
    expected = mm.linear_hypothesis(linear, "Days", vcov=V)["Pr(>F)"].iloc[1]
    np.testing.assert_allclose(mm.Anova(linear, vcov=V).loc["Days", "Pr(>F)"], expected)
