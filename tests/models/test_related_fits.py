"""Fits made from fits: refit, refitML, comparisons, single-term deletions."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm

SE_UNITS = 1e-4  # warm and cold starts stop at slightly different points
CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def test_refit_to_another_response(fitted, data):
    again = fitted("dyestuff").refit(data("Dyestuff2")["Yield"])
    assert again.fixef()["(Intercept)"] == pytest.approx(5.6656, rel=1e-8)
    assert again.is_singular()
    back = again.refit(data("Dyestuff")["Yield"])
    assert back.REMLcrit() == pytest.approx(fitted("dyestuff").REMLcrit(), rel=1e-10)


def test_a_new_response_with_labels_is_matched_by_them(fitted, data):
    m, y = fitted("sleepstudy"), data("sleepstudy").Reaction
    assert m.refit(y.sample(frac=1.0, random_state=1)).REMLcrit() == pytest.approx(m.REMLcrit(), rel=1e-12)
    with pytest.raises(mm.DataError, match=r"newresp is a pandas Series .*newresp.to_numpy\(\)"):
        m.refit(y.set_axis(range(7, 187)))


@pytest.mark.parametrize("name", ["sleepstudy", "cbpp"])
def test_refit_takes_the_table_that_simulate_returns(name, fitted):
    model = fitted(name)
    table = model.simulate(1, seed=5)
    expected = model.refit(table["sim_1"]).loglik()
    assert model.refit(table).loglik() == model.refit(table.to_numpy()).loglik() == expected


@pytest.mark.parametrize("name", ["sleepstudy", "cbpp", "cbpp_weights", "grouseticks"])
def test_refit_to_the_same_response_changes_nothing(name, fitted):
    m = fitted(name)
    response = m.design.response.values
    again = m.refit(response)
    assert again.loglik() == pytest.approx(m.loglik(), rel=1e-9)
    assert np.all(np.abs(again.beta - m.beta) <= SE_UNITS * m.standard_errors())


def test_three_ways_to_give_counts(fitted, data):
    m, frame = fitted("cbpp"), data("cbpp")
    both = np.column_stack([frame["incidence"], frame["size"] - frame["incidence"]])
    for response in (frame["incidence"], both, frame["incidence"] / frame["size"]):
        assert m.refit(response).loglik() == pytest.approx(m.loglik(), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "response", "match"),
    [
        ("sleepstudy", np.ones(10), "length 10"),
        ("sleepstudy", np.full(180, np.inf), "finite"),
        ("sleepstudy", ["a"] * 180, "numbers"),
        ("sleepstudy", "Reaction", "numbers"),
        ("sleepstudy", np.ones(180), "constant"),
        ("sleepstudy", np.ones((180, 2)), "shape"),
        ("cbpp", np.full(56, 0.123), "successes"),
        ("cbpp", np.ones((56, 3)), "shape"),
        ("cbpp", np.zeros(56), "constant"),
        ("grouseticks", np.ones((403, 2)), "shape"),
    ],
)
def test_responses_that_cannot_be(name, response, match, fitted):
    with pytest.raises(mm.DataError, match=match):
        fitted(name).refit(response)


def test_refit_by_maximum_likelihood(fitted):
    ml = fitted("sleepstudy").refitML()
    assert not ml.is_reml
    assert ml.loglik() == pytest.approx(fitted("sleepstudy_ml").loglik(), rel=1e-10)
    assert fitted("sleepstudy_ml").refitML() is fitted("sleepstudy_ml")
    assert fitted("cbpp").refitML() is fitted("cbpp")


def test_likelihood_ratio_of_nested_models(fitted, capsys):
    table = mm.anova(fitted("sleepstudy"), fitted("sleepstudy_intercept"))
    assert list(table.index) == ["MODEL2", "MODEL1"]  # ordered by their number of parameters
    columns = ["npar", "AIC", "BIC", "logLik", "-2*log(L)", "Chisq", "Df", "Pr(>Chisq)"]
    assert list(table.columns) == [*columns, "Pr(>Chibar)"]
    assert table.loc["MODEL1", "Chisq"] == pytest.approx(42.1393, abs=1e-3)
    assert "refitting" in capsys.readouterr().err
    assert type(table[["AIC"]]).__name__ == "DataFrame"


def test_a_random_effect_against_none(fitted, data):
    linear = mm.glm("Reaction ~ Days", data("sleepstudy"), "gaussian")
    table = mm.anova(linear, fitted("sleepstudy_ml"))
    assert table["Chisq"].iloc[1] == pytest.approx(148.353711893166, rel=1e-6)
    assert table["Df"].iloc[1] == 3
    herd = mm.anova(fitted("cbpp_glm"), fitted("cbpp"))
    assert herd["Chisq"].iloc[1] == pytest.approx(2 * (fitted("cbpp").loglik() - fitted("cbpp_glm").loglik()))


def test_quasi_likelihood_is_compared_by_f(data):
    t = mm.load_dataset("toxoplasmosis")
    one, cubic = (mm.glm(f"cbind(r, m - r) ~ {x}", t, "quasibinomial") for x in ("1", "poly(rain, 3)"))
    table = mm.anova(cubic, one)
    assert table["Resid. Dev"].round(2).tolist() == [74.21, 62.63]
    assert table["F"].iloc[1] == pytest.approx(1.99, abs=0.005)
    assert "Analysis of Deviance Table" in str(table)


def test_comparisons_that_cannot_be(fitted, data):
    fewer = mm.lmer("Reaction ~ Days + (1 | Subject)", data("sleepstudy").iloc[:90], REML=False)
    with pytest.raises(mm.DataError, match="models were not all fitted to the same size of dataset"):
        mm.anova(fewer, fitted("sleepstudy_ml"))
    with pytest.raises(mm.DataError, match="same response"):
        mm.anova(fitted("dyestuff_ml"), fitted("dyestuff2").refitML())
    with pytest.raises(mm.NotAvailableError, match="quasi-likelihood"):
        mm.anova(fitted("cbpp_pql"), fitted("cbpp"))
    with pytest.raises(mm.ControlError, match="argument 2"):
        mm.anova(fitted("cbpp"), 3)
    with pytest.raises(mm.ControlError, match="at least one"):
        mm.anova()
    with pytest.raises(mm.ControlError, match="1 names for 2"):
        mm.anova(fitted("cbpp_null"), fitted("cbpp"), model_names=["a"])
    with pytest.raises(mm.NotAvailableError, match="without a type"):
        mm.anova(fitted("cbpp_glm"))


def test_reml_criteria_are_not_compared_in_silence(fitted, data):
    with pytest.warns(mm.MixedModelsWarning, match=r"REML.*refitted by maximum likelihood"):
        mm.anova(fitted("sleepstudy"), fitted("sleepstudy_ml"), refit=False)
    other = mm.lmer("Reaction ~ 1 + (Days | Subject)", data("sleepstudy"))
    with pytest.warns(mm.MixedModelsWarning, match="different fixed effects"):
        mm.anova(fitted("sleepstudy"), other, refit=False)
    with pytest.warns(mm.DataWarning, match="different fixed effects"):
        mm.AIC(fitted("sleepstudy"), other)
    same = mm.anova(fitted("sleepstudy"), fitted("sleepstudy_intercept"), refit=False)
    assert same["Chisq"].iloc[1] == pytest.approx(42.8372, abs=1e-3)


def test_single_term_deletions_respect_marginality(fitted, data):
    table = mm.drop1(fitted("cake_large"))
    assert list(table.index) == ["<none>", "recipe:temperature"]
    without = mm.lmer("angle ~ recipe + temperature + (1 | recipe:replicate)", data("cake"), REML=False)
    assert table["AIC"].iloc[1] == pytest.approx(without.aic(), rel=1e-9)
    herd = mm.drop1(fitted("cbpp"))
    assert herd.loc["period", "LRT"] == pytest.approx(
        2 * (fitted("cbpp").loglik() - fitted("cbpp_null").loglik())
    )


def test_separated_data_are_named(data):
    frame = data("cbpp")
    frame["z"] = (frame["period"] == "1").astype(int)
    with pytest.warns(mm.DataWarning, match="period"):
        model = mm.glmer("z ~ period + (1 | herd)", frame, "binomial")
    assert model.convergence().verdict == "not converged"
    assert "period" in str(model.summary())
    with pytest.warns(mm.DataWarning, match="period"):
        mm.glm("z ~ period", frame, "binomial")


def test_plain_models_are_refitted_simulated_and_reduced_too(fitted):
    m = fitted("cbpp_glm")
    again = m.refit(m.simulate(1, seed=11)["sim_1"])
    assert np.all(np.abs(again.beta - m.beta) < 5 * m.standard_errors())
    assert m.refit(m.design.response.values).loglik() == pytest.approx(m.loglik())
    table = mm.drop1(m)
    null = mm.glm("cbind(incidence, size - incidence) ~ 1", mm.load_dataset("cbpp"), "binomial")
    assert table.loc["period", "LRT"] == pytest.approx(2 * (m.loglik() - null.loglik()))
    with pytest.raises(mm.NotAvailableError, match="quasibinomial"):
        fitted("cbpp_glm_quasi").simulate()
    with pytest.raises(mm.NotAvailableError, match="likelihood"):
        mm.drop1(fitted("cbpp_glm_quasi"))


def test_quasi_likelihood_mixed_models_are_refitted_and_simulated(fitted):
    m = fitted("cbpp_pql")
    again = m.refit(m.design.response.values)
    np.testing.assert_allclose(again.beta, m.beta, rtol=1e-6)
    assert np.isfinite(m.refit(m.simulate(1, seed=12)["sim_1"]).beta).all()


def test_comparisons_as_methods(fitted):
    small, large = fitted("cbpp_null"), fitted("cbpp")
    assert small.anova(large).equals(mm.anova(small, large))
    assert large.drop1().equals(mm.drop1(large))
