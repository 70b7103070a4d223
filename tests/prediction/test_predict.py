"""Predictions and simulations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

NEW = pd.DataFrame({"Days": [0, 9, 0], "Subject": ["308", "308", "309"]})
POPULATION = [251.405104848486, 345.61067848485, 251.405104848486]
MODELS = ("sleepstudy", "sleepstudy_arguments", "penicillin", "pastes", "cbpp", "grouseticks", "machines")


@pytest.mark.parametrize("name", MODELS)
def test_predicting_the_training_rows_gives_the_fitted_values(name, fitted):
    m = fitted(name)
    frame = m.model_frame()
    if name == "sleepstudy_arguments":
        frame["shift"] = np.tile([0.0, 10.0], 90)[frame.index]
    np.testing.assert_allclose(m.predict(frame, type="response"), m.fitted(), rtol=1e-10)
    one = m.predict(frame.iloc[[3]], type="response")
    assert one.index.tolist() == [frame.index[3]]
    assert one.iloc[0] == pytest.approx(m.fitted().iloc[3])


@pytest.mark.parametrize(
    ("re_form", "expected"),
    [
        (None, [253.66367034908, 430.659991123473, 211.006527923562]),
        (mm.NA, POPULATION),
        (False, POPULATION),
        ("NA", POPULATION),
        ("~0", POPULATION),
        ("~(0 + Days | Subject)", [251.405104848486, 428.40142562288, 251.405104848486]),
        ("~(1 | Subject)", [253.66367034908, 347.869243985444, 211.006527923562]),
        ("~(Days | Subject)", [253.66367034908, 430.659991123473, 211.006527923562]),
    ],
)
def test_random_effects_to_condition_on(re_form, expected, fitted):
    np.testing.assert_allclose(fitted("sleepstudy").predict(NEW, re_form=re_form), expected, rtol=5e-6)


def test_random_effects_that_are_not_in_the_model(fitted):
    with pytest.raises(mm.FormulaError, match=r"(?s)\(Days \| Subject\)"):
        fitted("sleepstudy").predict(NEW, re_form="~(1 | Item)")
    with pytest.raises(mm.FormulaError, match="Days"):
        fitted("sleepstudy_intercept").predict(NEW, re_form="~(Days | Subject)")
    with pytest.raises(mm.ControlError, match="re_form"):
        fitted("sleepstudy").predict(NEW, re_form=1)
    with pytest.raises(mm.ControlError, match="'link'"):
        fitted("sleepstudy").predict(NEW, type="probability")


def test_new_levels_are_named_or_allowed(fitted):
    new = pd.DataFrame({"Days": [0, 5], "Subject": ["373", "308"]})
    m = fitted("sleepstudy")
    with pytest.raises(mm.DataError, match="new levels detected in newdata: 373 of the grouping factor"):
        m.predict(new)
    allowed = m.predict(new, allow_new_levels=True)
    np.testing.assert_allclose(allowed, [251.405104848486, 351.994959668187], rtol=5e-6)
    missing = new.assign(Subject=[None, "308"])
    with pytest.raises(mm.DataError, match="missing"):
        m.predict(missing)
    np.testing.assert_allclose(m.predict(missing, allow_new_levels=True), allowed)


def test_population_predictions_need_no_grouping_factor(fitted):
    assert fitted("sleepstudy").predict({"Days": [0.0, 9.0]}, re_form=mm.NA).tolist() == pytest.approx(
        POPULATION[:2]
    )
    with pytest.raises(mm.DataError, match="Subject"):
        fitted("sleepstudy").predict({"Days": [0.0, 9.0]})


def test_missing_predictors_give_missing_predictions(fitted):
    new = NEW.assign(Days=[np.nan, 9.0, 0.0])
    table = fitted("sleepstudy").predict(new, se_fit=True)
    assert table.isna().to_numpy().tolist() == [[True, True], [False, False], [False, False]]


def test_only_the_random_part(fitted):
    m = fitted("sleepstudy")
    parts = m.predict(NEW, random_only=True) + m.predict(NEW, re_form=mm.NA)
    np.testing.assert_allclose(parts, m.predict(NEW))


@pytest.mark.parametrize("re_form", [None, mm.NA, "~(1 | Subject)"])
def test_standard_errors_against_dense_algebra(re_form, fitted):
    m = fitted("sleepstudy")
    C = m.vcov(full=True).to_numpy()
    se = m.predict(NEW, re_form=re_form, se_fit=True)["se_fit"]
    for k, (days, subject) in enumerate(zip(NEW["Days"], (0, 0, 1), strict=True)):
        row = np.zeros(38)
        row[36:] = [1.0, days]
        if re_form is None:
            row[2 * subject : 2 * subject + 2] = [1.0, days]
        elif isinstance(re_form, str):
            row[2 * subject] = 1.0
        assert se.iloc[k] == pytest.approx(np.sqrt(row @ C @ row), rel=1e-8)


def test_a_new_level_adds_its_variance(fitted):
    m = fitted("sleepstudy_intercept")
    new = pd.DataFrame({"Days": [3], "Subject": ["new"]})
    se = m.predict(new, allow_new_levels=True, se_fit=True)["se_fit"].iloc[0]
    fixed = m.predict(new, re_form=mm.NA, se_fit=True)["se_fit"].iloc[0]
    assert se**2 == pytest.approx(fixed**2 + m.VarCorr()["Subject"].iloc[0, 0], rel=1e-8)


def test_predictions_of_a_generalized_model(fitted):
    new = pd.DataFrame({"incidence": [2, 1], "size": [14, 4], "period": ["1", "4"], "herd": ["1", "5"]})
    m = fitted("cbpp")
    np.testing.assert_allclose(m.predict(new), [-0.808512109102685, -3.168861368513321], rtol=1e-5)
    probability = m.predict(new, type="response")
    np.testing.assert_allclose(probability, [0.3082076468246947, 0.04035448699800583], rtol=1e-5)
    link, response = (m.predict(new, type=t, se_fit=True)["se_fit"] for t in ("link", "response"))
    np.testing.assert_allclose(response, link * probability * (1 - probability))


def test_offsets_are_honoured_at_new_rows(fitted, data):
    m = fitted("sleepstudy_arguments")
    rows = pd.DataFrame({"Days": [5, 5], "Subject": ["308", "308"], "shift": [0.0, 10.0]})
    low, high = m.predict(rows)
    assert high - low == pytest.approx(10.0)
    fixed = mm.lmer("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), offset=np.ones(180))
    with pytest.raises(mm.DataError, match="offset"):
        fixed.predict(NEW)


def test_plain_models_predict_too(fitted):
    m = fitted("cbpp_glm")
    np.testing.assert_allclose(m.predict(type="response"), m.fitted())
    table = m.predict(pd.DataFrame({"period": ["2"]}), se_fit=True)
    assert table["fit"].iloc[0] == pytest.approx(m.beta[0] + m.beta[1])
    v = m.vcov().to_numpy()
    assert table["se_fit"].iloc[0] == pytest.approx(np.sqrt(v[0, 0] + v[1, 1] + 2 * v[0, 1]))


def test_simulations_are_reproducible_and_centred(fitted):
    m = fitted("sleepstudy_intercept")
    many = m.simulate(2000, seed=101)
    assert many.shape == (180, 2000)
    pd.testing.assert_frame_equal(many, m.simulate(2000, seed=101))
    # 2000 draws of standard deviation 48: the mean is known to about 1.1
    np.testing.assert_allclose(many.mean(axis=1), m.predict(re_form=mm.NA), atol=6.0)
    total = np.sqrt(m.sigma() ** 2 + m.VarCorr()["Subject"].iloc[0, 0])
    np.testing.assert_allclose(many.std(axis=1).mean(), total, rtol=0.02)
    kept = m.simulate(2000, seed=1, use_u=True)
    np.testing.assert_allclose(kept.mean(axis=1), m.fitted(), atol=4.0)
    np.testing.assert_allclose(kept.std(axis=1).mean(), m.sigma(), rtol=0.02)


def test_simulated_noise_follows_the_weights(fitted):
    m = fitted("sleepstudy_arguments")
    sd = m.simulate(3000, seed=5, use_u=True).std(axis=1)
    np.testing.assert_allclose(sd * np.sqrt(m.weights()), m.sigma(), rtol=0.08)


@pytest.mark.parametrize("name", ["cbpp", "cbpp_weights", "grouseticks", "sleepstudy"])
def test_a_simulated_response_can_be_fitted(name, fitted):
    m = fitted(name)
    again = m.refit(m.simulate(1, seed=2)["sim_1"])
    assert again.convergence().is_optimum
    assert np.all(np.abs(again.beta - m.beta) < 5 * m.standard_errors())


def test_simulated_counts_are_successes(fitted):
    draw = fitted("cbpp").simulate(1, seed=3)["sim_1"]
    sizes = fitted("cbpp").weights()
    assert ((draw >= 0) & (draw <= sizes) & (draw == draw.round())).all()


def test_simulation_at_new_rows(fitted):
    new = pd.DataFrame({"Days": [1, 1], "Subject": ["308", "new"]})
    with pytest.raises(mm.DataError, match="new"):
        fitted("sleepstudy").simulate(1, newdata=new)
    draws = fitted("sleepstudy").simulate(4000, seed=4, newdata=new, allow_new_levels=True, re_form=None)
    known, fresh = draws.std(axis=1)
    assert known == pytest.approx(fitted("sleepstudy").sigma(), rel=0.05)
    assert fresh > 1.2 * known


def test_rows_of_one_new_level_share_its_effect(fitted):
    new = pd.DataFrame({"Days": [0, 0, 0], "Subject": ["u", "u", "v"]})
    m = fitted("sleepstudy_intercept")
    draws = m.simulate(4000, seed=6, newdata=new, allow_new_levels=True).to_numpy()
    together, apart = np.corrcoef(draws)[0, 1:]
    variance = m.VarCorr()["Subject"].iloc[0, 0]
    assert together == pytest.approx(variance / (variance + m.sigma() ** 2), abs=0.05)
    assert abs(apart) < 0.05


def test_trials_and_weights_of_new_rows(fitted, data):
    new = pd.DataFrame({"incidence": [0, 0], "size": [40, 4], "period": ["1", "1"], "herd": ["1", "1"]})
    counts = fitted("cbpp").simulate(2000, seed=7, newdata=new, use_u=True).mean(axis=1)
    probability = fitted("cbpp").predict(new, type="response")
    np.testing.assert_allclose(counts, probability * new["size"], rtol=0.05)
    shares = fitted("cbpp_weights").simulate(2000, seed=7, newdata=new, use_u=True).std(axis=1)
    assert shares[1] / shares[0] == pytest.approx(np.sqrt(10), rel=0.1)
    rows = pd.DataFrame({"Days": [5, 5], "Subject": ["308"] * 2, "shift": [0.0] * 2, "w": [1.0, 4.0]})
    noise = fitted("sleepstudy_arguments").simulate(2000, seed=8, newdata=rows, use_u=True).std(axis=1)
    assert noise[0] / noise[1] == pytest.approx(2.0, rel=0.1)
    with pytest.raises(mm.DataError, match="w"):
        fitted("sleepstudy_arguments").simulate(1, newdata=rows.drop(columns="w"))
    array = mm.lmer("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), weights=np.full(180, 2.0))
    with pytest.raises(mm.DataError, match="array"):
        array.simulate(1, newdata=rows)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"use_u": True, "re_form": "NA"}, "should specify only one"),
        ({"nsim": 0}, "nsim"),
        ({"nsim": 2.5}, "nsim"),
        ({"seed": "a"}, "seed"),
    ],
)
def test_simulations_that_cannot_be(options, match, fitted):
    with pytest.raises(mm.ControlError, match=match):
        fitted("sleepstudy").simulate(**options)


def test_means_of_a_family_with_a_zero_part():
    owls = mm.load_dataset("Owls")
    m = mm.glmer("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", owls, "zero_inflated_poisson")
    counts, zero = np.exp(m.linear_predictor), m.family_parameters().iloc[0]
    np.testing.assert_allclose(m.fitted(), (1 - zero) * counts)
    np.testing.assert_allclose(m.residuals("response"), m.y - m.fitted())
    new = owls.head(3)
    table = m.predict(new, type="response", se_fit=True)
    np.testing.assert_allclose(table["fit"], m.fitted()[:3])
    link = m.predict(new, se_fit=True)["se_fit"]
    np.testing.assert_allclose(table["se_fit"], link * m.fitted()[:3], rtol=1e-6)
    draws = m.simulate(400, seed=9, use_u=True)
    np.testing.assert_allclose(draws.mean().mean(), m.fitted().mean(), rtol=0.02)


def test_standard_errors_of_means_are_positive_where_the_link_decreases():
    data = mm.load_dataset("CO2")
    m = mm.glmer("uptake ~ Treatment + (1 | Plant)", data, mm.Gamma(link="inverse"))
    link, response = (m.predict(data.head(3), type=t, se_fit=True) for t in ("link", "response"))
    assert (response["se_fit"] > 0).all()
    np.testing.assert_allclose(response["se_fit"], link["se_fit"] / link["fit"] ** 2, rtol=1e-9)


def test_a_generalized_linear_model_keeps_the_offset_that_was_an_array():
    data = mm.load_dataset("sleepstudy")
    offset = np.full(len(data), 100.0)
    fit = mm.glm("Reaction ~ Days", data, "gaussian", offset=offset)
    assert np.allclose(fit.predict(), fit.fitted())
    with pytest.raises(mm.DataError, match="offset given as an array"):
        fit.predict(data.head(3))


def test_a_generalized_linear_model_simulates_at_new_rows():
    data = mm.load_dataset("cbpp")
    fit = mm.glm("cbind(incidence, size - incidence) ~ period", data, "binomial")
    new = data.head(2).assign(size=1000)
    drawn = fit.simulate(200, seed=1, newdata=new)
    assert list(drawn.index) == list(new.index)
    assert np.allclose(drawn.mean(axis=1) / 1000, fit.predict(new, type="response"), atol=0.01)
