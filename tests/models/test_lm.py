"""Linear models, and the t tests of generalized ones: R (lm_reference.R) and identities."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm

REFERENCE = json.loads(Path(__file__).with_name("lm_reference.json").read_text())
RECORDS = {record["id"]: record for record in REFERENCE["records"]}
GLMS = {record["id"]: record for record in REFERENCE["glms"]}
# Both solve the same least-squares problem by orthogonal factorizations.
SAME = 1e-10
# R's glm stops when the deviance moves by 1e-14 of itself.
R_STOPS = 1e-6

CALLS = {
    "simple": ("y ~ x", {}),
    "factor": ("y ~ x * f + z", {}),
    "weights": ("y ~ x + f", {"weights": "w"}),
    "zero_weights": ("y ~ x + z", {"weights": "v"}),
    "no_intercept": ("y ~ 0 + x + z", {}),
    "offset": ("y ~ x + offset(o)", {}),
    "offset_weights": ("y ~ x", {"weights": "w", "offset": "o"}),
    "mean": ("y ~ 1", {}),
    "missing": ("y ~ holes + f", {}),
    "dropped": ("y ~ x + twice + f", {}),
    "poly": ("y ~ poly(z, 3)", {}),
    "small": ("y ~ x + z", {}),
}


def frame(name="d"):
    data = pd.DataFrame(REFERENCE["data"])
    data["f"] = pd.Categorical(data["f"])
    data["holes"] = data["holes"].astype(float)
    data.index = pd.Index(range(1, 41))
    if name == "small":
        data = data.iloc[:6]
    data.attrs["name"] = name
    return data


def fit(name):
    formula, options = CALLS[name]
    if name == "dropped":
        with pytest.warns(mm.DataWarning, match="rank deficient"):
            return mm.lm(formula, frame(), **options)
    return mm.lm(formula, frame("small" if name == "small" else "d"), **options)


def array(values):
    return np.array(values, dtype=float)


@pytest.mark.parametrize("name", CALLS)
def test_estimates_and_criteria_are_those_of_r(name):
    model, expected = fit(name), RECORDS[name]
    coef = {k: np.nan if v in (None, "NA") else v for k, v in expected["coef"].items()}
    ours = model.fixef(add_dropped=True)[list(coef)]
    np.testing.assert_allclose(ours, array(list(coef.values())), rtol=SAME, atol=SAME)
    np.testing.assert_allclose(model.vcov(), np.atleast_2d(array(expected["vcov"])), rtol=1e-9, atol=1e-13)
    for value, key in (
        (model.sigma(), "sigma"),
        (model.loglik(), "loglik"),
        (model.aic(), "aic"),
        (model.bic(), "bic"),
        (model.deviance(), "deviance"),
        (model.df_residual(), "df"),
    ):
        assert value == pytest.approx(expected[key], rel=SAME), key


@pytest.mark.parametrize("name", [name for name in CALLS if "offset" not in name])
def test_explained_variance_is_that_of_r(name):
    model, expected = fit(name), RECORDS[name]
    assert model.r_squared() == pytest.approx(expected["rsq"], rel=SAME, abs=1e-13)
    assert model.r_squared(adjusted=True) == pytest.approx(expected["adj"], rel=SAME, abs=1e-13)
    if expected["f"]:
        np.testing.assert_allclose(model.f_statistic(), expected["f"], rtol=1e-9)
    else:
        assert model.f_statistic() is None


@pytest.mark.parametrize("name", ["offset", "offset_weights"])
def test_an_offset_is_not_explained_variance(name):
    # R before 4.3 counts the offset as explained, so that its F statistic is not that of its own anova().
    model = fit(name)
    assert model.f_statistic()[0] == pytest.approx(model.anova()["F value"].iloc[0], rel=1e-9)
    null = mm.lm("y ~ offset(o)", frame(), weights=CALLS[name][1].get("weights"))
    assert model.r_squared() == pytest.approx(1 - model.deviance() / null.deviance(), rel=1e-9)


@pytest.mark.parametrize("name", CALLS)
def test_tests_intervals_and_rows_are_those_of_r(name):
    model, expected = fit(name), RECORDS[name]
    table = model.summary().coefficients
    assert list(table.columns) == ["Estimate", "Std. Error", "t value", "Pr(>|t|)"]
    np.testing.assert_allclose(table, np.atleast_2d(array(expected["table"])), rtol=1e-8)
    np.testing.assert_allclose(model.confint(), np.atleast_2d(array(expected["confint"])), rtol=1e-9)
    np.testing.assert_allclose(model.fitted(), expected["fitted"], rtol=SAME)
    np.testing.assert_allclose(model.residuals(), expected["residuals"], rtol=1e-8, atol=SAME)
    np.testing.assert_allclose(model.residuals("pearson"), expected["pearson"], rtol=1e-8, atol=SAME)
    leverages = model.hatvalues()[model.weights() > 0]
    np.testing.assert_allclose(leverages, np.resize(expected["hat"], len(leverages)), rtol=1e-9)
    assert len(expected["hat"]) in (len(leverages), len(model.y))


@pytest.mark.parametrize("name", CALLS)
def test_the_text_is_r_s_to_the_character(name):
    model, expected = fit(name), RECORDS[name]
    shown = len(expected["summary"]) - 3 * ("offset" in name)  # R-squared and F, see above
    ours = str(model.summary()).split("\n")[:shown]
    theirs = expected["summary"][:shown]
    if name == "zero_weights":  # R counts a zero for each row of weight zero among the residuals
        ours, theirs = ours[:5] + ours[7:], theirs[:5] + theirs[7:]
    assert ours == theirs
    assert [line.rstrip() for line in str(model).split("\n")] == [line.rstrip() for line in expected["print"]]
    assert str(model.anova()).split("\n") == expected["anova_text"]


def test_f_tests_of_several_models():
    data = frame()
    models = [mm.lm(formula, data) for formula in ("y ~ 1", "y ~ x + z", "y ~ x * f + z")]
    table = mm.anova(models[0], models[2], models[1], model_names=["a", "c", "b"])
    assert list(table.columns) == ["Res.Df", "RSS", "Df", "Sum of Sq", "F", "Pr(>F)"]
    np.testing.assert_allclose(table, array(REFERENCE["several"]), rtol=1e-9)
    np.testing.assert_allclose(models[0].anova(models[1]), array(REFERENCE["pair"]), rtol=1e-9)
    assert mm.anova(models[1], models[1])["F"].isna().all()


def test_prediction():
    model = mm.lm("y ~ x * f + z", frame(), weights="w")
    new = pd.DataFrame(REFERENCE["new"], index=["p", "q"])
    table = model.predict(new, se_fit=True)
    np.testing.assert_allclose(table["fit"], REFERENCE["prediction"]["fit"], rtol=SAME)
    np.testing.assert_allclose(table["se_fit"], REFERENCE["prediction"]["se"], rtol=1e-9)
    assert list(table.index) == ["p", "q"]
    np.testing.assert_allclose(model.predict(), model.fitted())
    np.testing.assert_allclose(model.predict(frame()), model.fitted())


def test_against_a_mixed_model():
    data = mm.load_dataset("sleepstudy")
    linear, mixed = mm.lm("Reaction ~ Days", data), mm.lmer("Reaction ~ Days + (1 | Subject)", data)
    table = mm.anova(mixed, linear, model_names=["mixed", "linear"])
    assert list(table.index) == ["linear", "mixed"]
    # R: anova(lmer(Reaction ~ Days + (1 | Subject)), lm(Reaction ~ Days))
    assert table.loc["mixed", "Chisq"] == pytest.approx(106.2142, abs=1e-3)
    glm = mm.glm("Reaction ~ Days", data, "gaussian")
    assert linear.loglik() == pytest.approx(glm.loglik(), rel=1e-12)
    np.testing.assert_allclose(glm.summary().coefficients, linear.summary().coefficients, rtol=1e-8)
    np.testing.assert_allclose(glm.confint(), linear.confint(), rtol=1e-8)
    assert mm.coef(linear).equals(linear.fixef())


@pytest.mark.parametrize("seed", range(8))
def test_random_designs_by_normal_equations(seed):
    rng = np.random.default_rng(seed)
    n, scale = int(rng.integers(8, 40)), 10.0 ** rng.integers(-6, 7)
    data = pd.DataFrame(
        {"x": scale * rng.normal(size=n), "z": rng.normal(size=n) + 50, "w": rng.uniform(0.2, 3, n)}
    )
    data["y"] = rng.normal(size=n) + data["z"]
    model = mm.lm("y ~ x + z", data, weights="w")
    X = np.column_stack([np.ones(n), data["x"] / scale, data["z"] - 50])
    W = np.diag(data["w"])
    inverse = np.linalg.inv(X.T @ W @ X)
    beta = inverse @ X.T @ W @ data["y"]
    s2 = float(data["w"] @ (data["y"] - X @ beta) ** 2) / (n - 3)
    np.testing.assert_allclose(model.fixef()[["x", "z"]] * [scale, 1.0], beta[1:], rtol=1e-9)
    se = np.sqrt(s2 * np.diag(inverse))[1:]
    np.testing.assert_allclose(model.standard_errors()[["x", "z"]] * [scale, 1.0], se, rtol=1e-9)
    p = 2 * stats.t.sf(np.abs(beta[1:] / se), n - 3)
    np.testing.assert_allclose(model.summary().coefficients["Pr(>|t|)"].iloc[1:], p, rtol=1e-7)


def test_simulated_responses_have_the_residual_variance_and_can_be_refitted():
    model = fit("weights")
    draws = model.simulate(400, seed=1)
    spread = ((draws.sub(model.fitted(), axis=0)) ** 2).mul(model.weights(), axis=0).to_numpy().mean()
    assert spread == pytest.approx(model.sigma() ** 2, rel=0.05)  # 16,000 draws: 1.1 percent
    again = model.refit(draws["sim_1"])
    assert again.fixef().index.equals(model.fixef().index)
    assert again.loglik() != model.loglik()
    assert model.refitML() is model


def test_saturated_and_perfect_fits_give_no_numpy_warning():
    saturated = mm.lm("y ~ x", frame().iloc[:2])
    assert "no residual degrees of freedom" in str(saturated.summary())
    assert np.isnan(saturated.sigma())
    data = frame()
    data["line"] = 3.0 + 2.0 * data["x"]
    with pytest.warns(mm.DataWarning, match="perfect fit"):
        assert mm.lm("line ~ x", data).fixef()["x"] == pytest.approx(2.0)


def test_models_that_are_none():
    data = frame()
    with pytest.raises(mm.FormulaError, match="use lmer"):
        mm.lm("y ~ x + (1 | f)", data)
    with pytest.raises(mm.DataError, match=r"use glm\(\)"):
        mm.lm("f ~ x", data)
    with pytest.raises(mm.DataError, match="constant"):
        mm.lm("I(x * 0 + 1) ~ z", data)
    data["w"] = np.where(data["f"] == "b", 0.0, 1.0)
    with pytest.raises(mm.DataError, match="fb"):
        mm.lm("y ~ f", data, weights="w")


@pytest.mark.parametrize("name", GLMS)
def test_generalized_linear_models_with_a_dispersion_have_the_t_tests_of_r(name):
    expected = GLMS[name]
    formula, family = {
        "gaussian": ("y ~ x + f", "gaussian"),
        "gaussian_log": ("positive ~ x", mm.gaussian("log")),
        "Gamma_log": ("positive ~ x + z", mm.Gamma("log")),
        "Gamma": ("positive ~ x", "Gamma"),
        "inverse": ("positive ~ x", mm.inverse_gaussian("log")),
        "quasi": ("positive ~ x", mm.quasi("log", "mu^2")),
    }[name]
    model = mm.glm(formula, frame(), family)
    table = model.summary().coefficients
    assert list(table.columns) == expected["columns"]
    np.testing.assert_allclose(table, array(expected["table"]), rtol=20 * R_STOPS, atol=1e-12)
    assert model.dispersion() == pytest.approx(expected["dispersion"], rel=R_STOPS)
    assert model.sigma() == pytest.approx(np.sqrt(expected["dispersion"]), rel=R_STOPS)
    assert model.df_residual() == expected["df"]
    np.testing.assert_allclose(model.hatvalues(), expected["hat"], rtol=R_STOPS)
    assert "dispersion" in str(model)
    # An interval leaves zero out where its test rejects.
    inside = (model.confint().iloc[:, 0] < 0) & (model.confint().iloc[:, 1] > 0)
    assert (inside == (table["Pr(>|t|)"] > 0.05)).all()


def test_simulated_gaussian_responses_have_the_dispersion_of_the_summary():
    model = mm.glm("y ~ x * f + z", frame(), "gaussian")  # nine coefficients in forty rows: ML is 0.775 of it
    draws = model.simulate(400, seed=2).sub(model.fitted(), axis=0).to_numpy()
    assert np.mean(draws**2) == pytest.approx(model.dispersion(), rel=0.05)
