"""What users ask of a nonlinear mixed model: texts, tables, predictions, simulations, refits, refusals."""

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.nonlinear.verdict import decrement_off

CURVE = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"
DRUG = "conc ~ SSfol(Dose, Time, lKe, lKa, lCl)"


@pytest.fixture(scope="module")
def trees():
    return mm.load_dataset("Orange")


@pytest.fixture(scope="module")
def fit(trees):
    return mm.nlmer(CURVE, trees)


@pytest.fixture(scope="module")
def drug():
    data = mm.load_dataset("Theoph")
    return mm.nlmer(DRUG, data, random="lKa + lCl ~ 1 || Subject", method="lindstrom-bates")


def test_text_is_lme4s(fit):
    # print(nlmer(...)) of lme4 1.1-31, with its word for the deviance of later versions.
    assert repr(fit).splitlines() == [
        "Nonlinear mixed model fit by maximum likelihood  ['nlmerMod']",
        "Formula: circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree",
        "   Data: Orange",
        "      AIC       BIC    logLik -2*log(L)  df.resid ",
        " 273.1438  280.9205 -131.5719  263.1438        30 ",
        "Random effects:",
        " Groups   Name Std.Dev.",
        " Tree     Asym 31.646  ",
        " Residual       7.843  ",
        "Number of obs: 35, groups:  Tree, 5",
        "Fixed Effects:",
        " Asym   xmid   scal  ",
        "192.1  727.9  348.1  ",
    ]
    assert "t value" in repr(fit.summary())
    assert "Pr(" not in repr(fit.summary())
    assert "Pr(>|z|)" in repr(fit.summary(ddf="z"))


def test_covariances_are_lme4s(fit):
    # vcov(m, use.hessian = FALSE) of lme4 at its own optimum, good to 1e-4.
    rx = [[242.8564, 205.8833, 148.3740], [205.8833, 1186.0086, 690.5366], [148.3740, 690.5366, 692.1172]]
    np.testing.assert_allclose(fit.vcov(method="rx"), rx, rtol=2e-5)
    np.testing.assert_allclose(fit.vcov(), fit.vcov(method="hessian"))
    assert (np.diag(fit.vcov()) > np.diag(fit.vcov(method="rx"))).all()


def test_random_effects_and_coefficients(fit):
    # ranef() and coef() of lme4.
    assert fit.coef()["Tree"].loc["1"].round(2).tolist() == [162.49, 727.91, 348.07]
    assert fit.ranef()["Tree"].loc["4", "Asym"] == pytest.approx(40.22467, abs=1e-4)
    assert fit.ngrps() == {"Tree": 5}
    assert fit.VarCorr().to_frame().loc[0, "sdcor"] == pytest.approx(31.6463, abs=1e-3)


def test_population_and_groups(fit, trees):
    new = pd.DataFrame({"age": [500.0, 1000.0], "Tree": ["1", "1"]})
    Asym, xmid, scal = fit.fixef()
    population = Asym / (1 + np.exp((xmid - new["age"]) / scal))
    np.testing.assert_allclose(fit.predict(new, re_form=mm.NA), population)
    np.testing.assert_allclose(fit.predict(new[["age"]], re_form=mm.NA), population)
    own = (Asym + fit.ranef()["Tree"].loc["1", "Asym"]) / Asym
    np.testing.assert_allclose(fit.predict(new), own * population)
    np.testing.assert_allclose(fit.predict(trees), fit.fitted())
    np.testing.assert_allclose(fit.predict(), fit.fitted())
    unseen = new.assign(Tree="9")
    with pytest.raises(mm.DataError, match="new levels"):
        fit.predict(unseen)
    np.testing.assert_allclose(fit.predict(unseen, allow_new_levels=True), population)


def test_standard_errors_of_the_population_curve_are_the_delta_method(fit):
    new = {"age": [300.0, 700.0, 1500.0]}
    found = fit.predict(new, re_form=mm.NA, se_fit=True, interval="confidence")
    beta, V = fit.fixef().to_numpy(), fit.vcov().to_numpy()

    def curve(beta):
        return beta[0] / (1 + np.exp((beta[1] - np.array(new["age"])) / beta[2]))

    J = np.array([(curve(beta + h) - curve(beta - h)) / (2 * h.sum()) for h in np.diag(1e-5 * beta)]).T
    se = np.sqrt(np.einsum("ij,jk,ik->i", J, V, J))
    np.testing.assert_allclose(found["se_fit"], se, rtol=1e-6)
    np.testing.assert_allclose(found["upper"] - found["fit"], 1.959964 * se, rtol=1e-6)
    wider = fit.predict(new, re_form=mm.NA, interval="prediction")
    drawn = 1.959964 * np.sqrt(
        se**2 + (J[:, 0] * fit.VarCorr().to_frame().loc[0, "sdcor"]) ** 2 + fit.sigma() ** 2
    )
    np.testing.assert_allclose(wider["upper"] - wider["fit"], drawn, rtol=1e-6)


def test_simulated_responses_have_the_moments_of_the_model(fit, trees):
    drawn = fit.simulate(4000, seed=1)
    population = fit.predict(re_form=mm.NA)
    np.testing.assert_allclose(drawn.mean(axis=1), population, atol=4 * 33 / np.sqrt(4000))
    slope = population / fit.fixef()["Asym"]
    sd = np.sqrt((slope * fit.VarCorr().to_frame().loc[0, "sdcor"]) ** 2 + fit.sigma() ** 2)
    np.testing.assert_allclose(drawn.std(axis=1), sd, rtol=0.06)
    kept = fit.simulate(4000, seed=1, use_u=True)
    np.testing.assert_allclose(kept.std(axis=1), fit.sigma(), rtol=0.06)
    np.testing.assert_allclose(kept.mean(axis=1), fit.fitted(), atol=0.6)
    other = fit.simulate(2, seed=1, newdata=trees.assign(Tree="7"), allow_new_levels=True)
    assert np.isfinite(other).all(axis=None)


def test_refits_recover_what_was_drawn(fit):
    again = fit.refit(fit.y)
    np.testing.assert_allclose(again.fixef(), fit.fixef(), rtol=1e-7)
    replicates = mm.bootstrap(fit, nsim=25, rng=2)
    limits = replicates.confint().loc["Asym"]
    assert limits.iloc[0] < fit.fixef()["Asym"] < limits.iloc[1]
    changed = mm.update(fit, nAGQ=5)
    assert changed.deviance() == pytest.approx(fit.deviance(), abs=1e-6)


def test_nested_fits_compare(fit, trees):
    larger = mm.nlmer(CURVE.replace("Asym | Tree", "(Asym + xmid | Tree)"), trees)
    table = mm.anova(fit, larger)
    assert table["Df"].iloc[1] == 2
    assert table["Chisq"].iloc[1] == pytest.approx(fit.deviance() - larger.deviance(), abs=1e-8)
    linearised = mm.nlmer(CURVE, trees, method="lindstrom-bates")
    with pytest.raises(mm.ControlError, match="method"):
        mm.anova(linearised, larger)


def test_tables_and_pickles(fit):
    assert fit.tidy().shape[0] == 5
    assert fit.glance()["nobs"].iloc[0] == 35
    np.testing.assert_allclose(fit.augment()[".fixed"], fit.predict(re_form=mm.NA))
    assert "nonlinear mixed model" in str(fit.report())
    other = pickle.loads(pickle.dumps(fit))
    np.testing.assert_allclose(other.predict(), fit.predict())
    assert other.confint(method="Wald").equals(fit.confint(method="Wald"))


def test_curves_are_drawn(fit):
    pytest.importorskip("matplotlib")
    drawn = mm.plot_fit(fit)
    assert len(drawn.panels) == 5
    own = drawn.data[(drawn.data["grp"] == "1") & (drawn.data["kind"] == "mixed model")]
    np.testing.assert_allclose(own["y"], fit.predict(own.assign(Tree="1")))
    with pytest.raises(mm.ControlError, match="no number 'height'"):
        mm.plot_fit(fit, "height")
    linear = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    with pytest.raises(mm.NotAvailableError, match="plot_groups"):
        mm.plot_fit(linear)


def test_linearised_fits_have_the_same_accessors(drug):
    assert "(Lindstrom-Bates)" in repr(drug)
    assert drug.convergence().verdict == "converged"
    np.testing.assert_allclose(drug.vcov(), drug.vcov(method="rx"))
    with pytest.raises(mm.NotAvailableError, match="Hessian"):
        drug.vcov(method="hessian")
    assert drug.predict(se_fit=True).notna().all(axis=None)


@pytest.mark.parametrize(
    "ask",
    [
        lambda m: m.emmeans("age"),
        lambda m: m.drop1(),
        lambda m: m.ranova(),
        lambda m: m.anova(),
        mm.r2,
        mm.icc,
        lambda m: mm.influence(m, "Tree"),
        lambda m: mm.bootstrap(m, nsim=2, kind="semiparametric"),
        lambda m: m.model_matrix(newdata={"age": [1.0]}),
        lambda m: m.REMLcrit(),
    ],
)
def test_what_needs_a_linear_predictor_says_so(fit, ask):
    with pytest.raises(mm.NotAvailableError):
        ask(fit)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"REML": True}, "lindstrom-bates"),
        ({"nAGQ": 0}, "nAGQ"),
        ({"method": "foce"}, "method"),
        ({"method": "lindstrom-bates", "nAGQ": 3}, "linearises"),
        ({"dispersion": "power(fitted)"}, "lindstrom-bates"),
        ({"hessian": "observed", "nAGQ": 3}, "hessian"),
    ],
)
def test_options_that_do_not_go_together(trees, arguments, message):
    with pytest.raises(mm.ControlError, match=message):
        mm.nlmer(CURVE, trees, **arguments)


def test_wrong_starts_name_what_to_do(trees):
    with pytest.raises(mm.ControlError, match="start"):
        mm.nlmer("circumference ~ A / (1 + exp((m - age) / s)) ~ A | Tree", trees)
    with pytest.raises(mm.MixedModelsError, match="start"):
        mm.nlmer(CURVE, trees, start={"Asym": 200, "xmid": 725, "scal": 0.0})


def test_slopes_beyond_squares_are_no_optimum_and_no_overflow():
    assert decrement_off(np.array([0.5, 1.0]), np.eye(2), np.array([1e200, 1.0])) == np.inf
    assert decrement_off(np.array([-1.0, 0.5]), np.eye(2), np.array([9.0, 2.0])) == pytest.approx(4.0)
