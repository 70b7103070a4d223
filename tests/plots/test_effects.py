"""Pictures of effects: lines are predictions, ribbons their limits; partial residuals are theirs too."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def oats(data):
    return mm.lmer("yield ~ nitro * Variety + (1 | Block/Variety)", data("Oats"))


@pytest.fixture(scope="module")
def contraception(data):
    return mm.glmer("use ~ age + I(age^2) + urban + (1 | district)", data("Contraception"), "binomial")


def test_a_line_with_nothing_averaged_is_a_prediction(oats):
    table = mm.plot_effects(oats, "nitro", "Variety", ddf="z").data
    assert len(table) == 3 * 50
    predicted = oats.predict(table, re_form=mm.NA, se_fit=True, interval="confidence")
    np.testing.assert_allclose(table["estimate"], predicted["fit"], rtol=1e-10)
    np.testing.assert_allclose(table["std.error"], predicted["se_fit"], rtol=1e-8)
    np.testing.assert_allclose(table[["lower", "upper"]], predicted[["lower", "upper"]], rtol=1e-8)


def test_a_factor_has_the_marginal_means(oats):
    table = mm.plot_effects(oats, "Variety", level=0.9).data
    means = oats.emmeans("Variety", level=0.9).to_frame()
    np.testing.assert_allclose(table["estimate"], means["emmean"])
    np.testing.assert_allclose(table[["df", "lower", "upper"]], means[["df", "lower.CL", "upper.CL"]])


def test_scales_of_a_generalized_model(contraception):
    response = mm.plot_effects(contraception, "age", "urban")
    link = mm.plot_effects(contraception, "age", "urban", type="link")
    np.testing.assert_allclose(response.data["estimate"], 1.0 / (1.0 + np.exp(-link.data["estimate"])))
    assert response.get_ylabel() == "probability of use = Y"
    assert link.get_ylabel() == "logit of the mean"
    predicted = contraception.predict(response.data, re_form=mm.NA, type="response")
    np.testing.assert_allclose(response.data["estimate"], predicted, rtol=1e-10)


def test_partial_residuals_are_effect_and_residual(data):
    frame = data("sleepstudy").assign(z=np.random.default_rng(1).normal(size=180))
    model = mm.lmer("Reaction ~ Days + z + (Days | Subject)", frame)
    table = mm.plot_effects(model, "Days", residuals="partial").data
    points = table[table["kind"] == "partial"]
    b = model.fixef()
    effect = b["(Intercept)"] + b["Days"] * frame["Days"] + b["z"] * frame["z"].mean()
    np.testing.assert_allclose(points["estimate"], effect + model.residuals(), rtol=1e-10)
    np.testing.assert_array_equal(points["Days"], frame["Days"])


@pytest.mark.parametrize("type", ["link", "response"])
def test_partial_residuals_of_a_generalized_model_are_working_ones(type, contraception, data):
    frame = data("Contraception")
    table = mm.plot_effects(contraception, "urban", residuals="partial", type=type).data
    points = table[table["kind"] == "partial"]
    b = contraception.fixef()
    effect = b["(Intercept)"] + b["age"] * frame["age"].mean() + b["I(age^2)"] * frame["age"].mean() ** 2
    eta = effect + b["urbanY"] * (frame["urban"] == "Y") + contraception.residuals("working")
    expected = eta if type == "link" else 1.0 / (1.0 + np.exp(-eta))
    np.testing.assert_allclose(points["estimate"], expected, rtol=1e-8)
    assert points["urban"].tolist() == frame["urban"].tolist()


def test_by_a_covariate_and_panels(data):
    frame = data("sleepstudy").assign(z=np.random.default_rng(1).normal(size=180), sex=["f", "m"] * 90)
    model = mm.lmer("Reaction ~ Days * z + sex + (1 | Subject)", frame)
    picture = mm.plot_effects(model, "Days", by=["z", "sex"], residuals="partial")
    lines = picture.data[picture.data["kind"] == "effect"]
    np.testing.assert_allclose(np.unique(lines["z"]), np.quantile(frame["z"], [0.25, 0.5, 0.75]))
    assert [panel.get_title() for panel in picture.panels] == ["sex = f", "sex = m"]
    assert (picture.data["kind"] == "partial").sum() == 180
    chosen = mm.plot_effects(model, "Days", by="z", at={"z": [-1, 1], "Days": [0, 9]}).data
    assert chosen[["Days", "z"]].to_numpy().tolist() == [[0, -1], [9, -1], [0, 1], [9, 1]]
    only = mm.plot_effects(model, "sex", at={"sex": ["m"]}, residuals="raw").data
    assert set(only["sex"]) == {"m"}
    assert (only["kind"] == "raw").sum() == 90


def test_raw_responses(oats, contraception, data):
    raw = mm.plot_effects(oats, "nitro", "Variety", residuals="raw").data.query("kind == 'raw'")
    np.testing.assert_array_equal(raw["estimate"], data("Oats")["yield"])
    binned = mm.plot_effects(contraception, "age", "urban", residuals="raw").data.query("kind == 'raw'")
    frame = data("Contraception")
    assert binned["n"].sum() == len(frame)
    share = (frame["use"] == "Y").groupby(frame["urban"], observed=True).mean()
    for level, rows in binned.groupby("urban"):
        assert len(rows) == 10
        np.testing.assert_allclose(np.average(rows["estimate"], weights=rows["n"]), share[level])
    cells = mm.plot_effects(contraception, "urban", residuals="raw").data.query("kind == 'raw'")
    np.testing.assert_allclose(cells.set_index("urban")["estimate"][["N", "Y"]], share[["N", "Y"]])


def test_a_transformed_response_goes_back(data):
    frame = data("cake")
    model = mm.lmer("log(angle) ~ recipe + temp + (1 | recipe:replicate)", frame)
    table = mm.plot_effects(model, "temp", residuals="raw").data
    np.testing.assert_allclose(table.query("kind == 'raw'")["estimate"], frame["angle"])
    logs = mm.plot_effects(model, "temp", residuals="raw", type="link").data
    np.testing.assert_allclose(logs.query("kind == 'raw'")["estimate"], np.log(frame["angle"]))
    partial = mm.plot_effects(model, "temp", residuals="partial", type="link").data.query("kind == 'partial'")
    effect = mm.plot_effects(model, "temp", type="link", at={"temp": np.unique(frame["temp"])}).data
    at_rows = frame["temp"].map(dict(zip(effect["temp"], effect["estimate"], strict=True)))
    np.testing.assert_allclose(partial["estimate"], at_rows + model.residuals())


def test_numbers_made_factors_and_two_valued_ones_are_points(data):
    frame = data("sleepstudy")
    picture = mm.plot_effects(
        mm.lmer("Reaction ~ factor(Days) + (1 | Subject)", frame), "Days", residuals="raw"
    )
    assert [t.get_text() for t in picture.get_xticklabels()] == [str(d) for d in range(10)]
    frame["late"] = (frame["Days"] > 4).astype(int)
    model = mm.lmer("Reaction ~ late + (1 | Subject)", frame)
    assert mm.plot_effects(model, "late", residuals="partial").data["late"].value_counts().tolist() == [
        91,
        91,
    ]


def test_what_cannot_be_drawn(oats, contraception):
    with pytest.raises(
        mm.ControlError, match="x='Nitro' is no variable of the fixed effects; they have nitro, Variety"
    ):
        mm.plot_effects(oats, "Nitro")
    with pytest.raises(mm.ControlError, match="must differ"):
        mm.plot_effects(oats, "nitro", "nitro")
    with pytest.raises(mm.ControlError, match="two variables at most"):
        mm.plot_effects(oats, "nitro", ["a", "b", "c"])
    with pytest.raises(mm.ControlError, match="raw responses are on the scale of the response"):
        mm.plot_effects(contraception, "age", residuals="raw", type="link")
    with pytest.raises(mm.ControlError, match="residuals must be"):
        mm.plot_effects(oats, "nitro", residuals="deviance")
    with pytest.raises(mm.DataError, match="Variety does not have"):
        mm.plot_effects(oats, "Variety", at={"Variety": ["Best"]})


def test_rank_deficient_cells_are_left_open(data):
    frame = data("cake")
    frame = frame[(frame["recipe"] != "C") | (frame["temperature"] != "225")]
    model = mm.lmer(
        "angle ~ recipe * temperature + (1 | recipe:replicate)", frame, control={"check_rank": "ignore"}
    )
    picture = mm.plot_effects(model, "temperature", "recipe")
    picture.figure.canvas.draw()
    open_cell = picture.data.query("recipe == 'C' and temperature == '225'")
    assert open_cell["estimate"].isna().all()
    assert picture.data["estimate"].isna().sum() == 1


def test_coefficients_are_those_of_tidy(fitted):
    models = [fitted("cake"), fitted("cake_large")]
    picture = mm.plot_coefs(*models, names=["additive", "all"], level=0.9)
    for model, (_, shown) in zip(models, picture.data.groupby("model", sort=False), strict=True):
        own = mm.tidy(model, "fixed", conf_int=True, conf_level=0.9).query("term != '(Intercept)'")
        assert shown["term"].tolist() == own["term"].tolist()
        columns = ["estimate", "std.error", "conf.low", "conf.high"]
        np.testing.assert_array_equal(shown[columns], own[columns])
    assert picture.data["model"].unique().tolist() == ["additive", "all"]
    assert picture.get_yticklabels()[0].get_text() == "recipeB"
    assert picture.get_ylim()[0] > picture.get_ylim()[1]  # read from the top


def test_coefficients_as_ratios_and_the_intercept(fitted):
    ratios = mm.plot_coefs(fitted("cbpp_agq9"), exponentiate=True)
    assert ratios.get_xscale() == "log"
    np.testing.assert_allclose(ratios.data["estimate"], np.exp(fitted("cbpp_agq9").fixef().iloc[1:]))
    assert mm.plot_coefs(fitted("cbpp_agq9"), intercept=True).data["term"].iloc[0] == "(Intercept)"
    assert mm.plot_coefs(fitted("dyestuff")).data["term"].tolist() == ["(Intercept)"]


def test_coefficients_of_nothing(fitted):
    with pytest.raises(mm.ControlError, match="at least one fitted model"):
        mm.plot_coefs()
    with pytest.raises(mm.ControlError, match="a name of its own for each of 2 models"):
        mm.plot_coefs(fitted("cake"), fitted("cake"), names=["a", "a"])


def test_the_path_of_the_search(fitted):
    model = fitted("sleepstudy")
    data = mm.plot_convergence(model).data
    wide = data.pivot(index="step", columns="quantity", values="value")
    path = model.optimization.path
    np.testing.assert_allclose(wide["objective"], [value for _, value in path])
    np.testing.assert_allclose(wide["Subject.Days"], [theta[2] for theta, _ in path])
    np.testing.assert_allclose(wide["Subject.Days"].iloc[-1], model.theta()["Subject.Days"], rtol=1e-6)
    fixed = mm.plot_convergence(fitted("cbpp_agq9")).data
    assert pd.unique(fixed["quantity"]).tolist()[:3] == ["objective", "herd.(Intercept)", "(Intercept)"]


def test_the_overview_fits_the_family(fitted, contraception):
    def panels(model):
        return model.plot().data["panel"].unique().tolist()

    assert panels(fitted("machines"))[:2] == ["residuals", "quantiles"]
    assert len(panels(fitted("machines"))) == 5
    assert panels(contraception) == ["binned residuals", "(Intercept) | district"]
    assert panels(fitted("grouseticks"))[:2] == ["residuals", "scale-location"]
    assert panels(fitted("cbpp_glm")) == ["residuals", "scale-location"]
