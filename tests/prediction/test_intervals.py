"""Confidence and prediction limits, against formulas, dense algebra and sums over a distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm

ROWS = pd.DataFrame({"Days": [0, 9, 3], "Subject": ["308", "308", "309"]}, index=["a", "b", "c"])
CBPP = pd.DataFrame({"period": ["1", "4"], "herd": ["1", "5"], "size": [14, 40], "incidence": [0, 0]})


def test_limits_of_a_linear_mixed_model(fitted):
    m = fitted("sleepstudy")
    mean = m.predict(ROWS, se_fit=True, interval="confidence", level=0.9)
    assert list(mean) == ["fit", "se_fit", "lower", "upper"]
    assert list(mean.index) == ["a", "b", "c"]
    np.testing.assert_allclose(mean["upper"] - mean["fit"], stats.norm.ppf(0.95) * mean["se_fit"])
    one = m.predict(ROWS, interval="prediction")
    total = np.sqrt(mean["se_fit"] ** 2 + m.sigma() ** 2)
    np.testing.assert_allclose(one["fit"] - one["lower"], stats.norm.ppf(0.975) * total)
    by_t = m.predict(ROWS, re_form="0", se_fit=True, interval="confidence", df=17)
    np.testing.assert_allclose(by_t["upper"] - by_t["fit"], stats.t.ppf(0.975, 17) * by_t["se_fit"])


def test_effects_not_conditioned_on_vary_in_a_response(fitted):
    m = fitted("sleepstudy")
    X = np.column_stack([np.ones(3), ROWS["Days"]])
    Sigma = m.term_covariances()[0].covariance
    fixed = np.einsum("ij,jk,ik->i", X, m.vcov().to_numpy(), X)
    own = np.einsum("ij,jk,ik->i", X, Sigma, X)
    half = stats.norm.ppf(0.975) * np.sqrt(fixed + own + m.sigma() ** 2)
    population = m.predict(ROWS[["Days"]], re_form="0", interval="prediction")
    np.testing.assert_allclose(population["upper"] - population["fit"], half)
    new = m.predict(ROWS.assign(Subject="new"), allow_new_levels=True, interval="prediction")
    np.testing.assert_allclose(new[["lower", "upper"]], population[["lower", "upper"]], rtol=1e-8)
    # The intercepts kept, the slopes drawn afresh.
    kept = m.predict(ROWS, re_form="~(1 | Subject)", se_fit=True, interval="prediction")
    slope = X[:, 1] ** 2 * Sigma[1, 1]
    total = np.sqrt(kept["se_fit"] ** 2 + slope + m.sigma() ** 2)
    np.testing.assert_allclose(kept["upper"] - kept["fit"], stats.norm.ppf(0.975) * total)


def test_limits_of_responses_follow_the_weights(fitted):
    m = fitted("sleepstudy_arguments")
    rows = pd.DataFrame({"Days": [5, 5], "Subject": ["308"] * 2, "shift": [0.0] * 2, "w": [1.0, 4.0]})
    table = m.predict(rows, se_fit=True, interval="prediction")
    noise = ((table["upper"] - table["fit"]) / stats.norm.ppf(0.975)) ** 2 - table["se_fit"] ** 2
    np.testing.assert_allclose(noise, m.sigma() ** 2 / rows["w"])
    given = m.predict(rows.drop(columns="w"), interval="prediction", weights=[1.0, 4.0])
    np.testing.assert_allclose(given["upper"], table["upper"])
    of_fit = m.predict(se_fit=True, interval="prediction")
    noise = ((of_fit["upper"] - of_fit["fit"]) / stats.norm.ppf(0.975)) ** 2 - of_fit["se_fit"] ** 2
    np.testing.assert_allclose(noise, m.sigma() ** 2 / m.weights())


def test_limits_of_a_linear_model_are_those_of_r(data):
    m = mm.lm("Reaction ~ Days", data("sleepstudy"))
    one = m.predict(ROWS, interval="prediction")
    np.testing.assert_allclose(one["lower"], [156.3465339130, 250.5521075094, 188.3153465761], rtol=1e-8)
    mean = m.predict(ROWS, interval="confidence")
    np.testing.assert_allclose(mean["upper"], [264.4494565098, 358.6550301462, 290.7245838874], rtol=1e-8)


def test_confidence_limits_are_carried_through_the_link(fitted):
    m = fitted("cbpp")
    link = m.predict(CBPP, interval="confidence")
    mean = m.predict(CBPP, type="response", interval="confidence")
    expected = 1.0 / (1.0 + np.exp(-link[["lower", "upper"]]))
    np.testing.assert_allclose(mean[["lower", "upper"]], expected)
    # Where the link falls, the limits change places.
    falling = mm.glmer(
        "uptake ~ Treatment + (1 | Plant)", mm.load_dataset("CO2"), mm.Gamma(link="inverse")
    ).predict(type="response", interval="confidence")
    assert (falling["lower"] < falling["fit"]).all()
    assert (falling["fit"] < falling["upper"]).all()


@pytest.mark.parametrize("re_form", [None, "0"])
def test_limits_of_counts_are_quantiles_of_their_distribution(re_form, fitted):
    """The binomial averaged over a normal linear predictor, summed here and simulated there."""
    m = fitted("cbpp")
    at = m.predict(CBPP, re_form, se_fit=True)
    at["sd"] = np.sqrt(at["se_fit"] ** 2 + (0.0 if re_form is None else m.theta_values[0] ** 2))
    limits = m.predict(CBPP, re_form, type="response", interval="prediction")
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    for row, size in enumerate(CBPP["size"]):
        p = 1.0 / (1.0 + np.exp(-(at["fit"].iloc[row] + at["sd"].iloc[row] * nodes)))
        pmf = (weights / weights.sum()) @ stats.binom.pmf(np.arange(size + 1), size, p[:, None])
        cdf = np.cumsum(pmf)
        for column, tail in (("lower", 0.025), ("upper", 0.975)):
            k = round(limits[column].iloc[row] * size)
            # The probability of simulated quantiles is known to 0.3 %, three times over.
            assert cdf[k] >= tail - 0.009
            assert (cdf[k] - pmf[k]) <= tail + 0.009


def test_a_new_group_is_a_population_prediction(fitted):
    m = fitted("cbpp")
    population = m.predict(CBPP.drop(columns="herd"), re_form="0", type="response", interval="prediction")
    new = m.predict(CBPP.assign(herd="new"), allow_new_levels=True, type="response", interval="prediction")
    np.testing.assert_allclose(new["upper"], population["upper"], atol=0.08)


def test_limits_of_averaged_means(fitted):
    m = fitted("cbpp")
    link = m.predict(CBPP, re_form="average", se_fit=True, interval="confidence")
    mean = m.predict(CBPP, re_form="average", type="response", se_fit=True, interval="confidence")
    half = stats.norm.ppf(0.975) * link["se_fit"]
    np.testing.assert_allclose(mean["upper"], 1.0 / (1.0 + np.exp(-(link["fit"] + half))))
    np.testing.assert_allclose(mean["se_fit"], link["se_fit"] * mean["fit"] * (1 - mean["fit"]))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"interval": "credible"}, "'confidence', 'prediction', not 'credible'"),
        ({"interval": True}, "not True"),
        ({"interval": "confidence", "level": 95}, "between 0 and 1"),
        ({"level": 0}, "larger than 0"),
        ({"df": -1}, "df must be"),
        ({"na_action": "drop"}, "'omit', 'fail', not 'drop'"),
        ({"random_only": True, "interval": "prediction"}, "random_only"),
        ({"re_form": "average", "interval": "prediction"}, "re_form='0'"),
        ({"interval": "prediction"}, "type='response'"),
        ({"offset": 1.0}, "newdata="),
        ({"weights": 1.0, "interval": "prediction"}, "newdata="),
    ],
)
def test_what_cannot_be_asked(options, match, fitted):
    with pytest.raises(mm.ControlError, match=match):
        fitted("cbpp").predict(**options)


def test_weights_that_cannot_be(fitted, data):
    with pytest.raises(mm.DataError, match="negative, but that of row 1"):
        fitted("sleepstudy").predict(ROWS, interval="prediction", weights=[1.0, -2.0, 1.0])
    array = mm.lmer("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), weights=np.full(180, 2.0))
    with pytest.raises(mm.DataError, match="as weights="):
        array.predict(ROWS, interval="prediction")
    assert array.predict(ROWS, interval="prediction", weights=2.0)["lower"].notna().all()
    with pytest.raises(mm.DataError, match="size"):
        fitted("cbpp").predict(CBPP[["period", "herd"]], type="response", interval="prediction")
