"""Curves of groups, their average and the marginal model: against predictions and quadrature."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.special import expit

import mixedmodels as mm


@pytest.fixture(scope="module")
def ohio():
    return mm.load_dataset("ohio")


@pytest.fixture(scope="module")
def mixed(ohio):
    return mm.glmer("resp ~ age + smoke + (1 | id)", ohio, "binomial", nAGQ=0)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_curves_are_those_of_the_models(mixed, ohio):
    marginal = mm.gee("resp ~ age + smoke", ohio, "id", "binomial", corr="exchangeable")
    shown = mm.plot_attenuation(mixed, "age", marginal, at={"smoke": 1}, curves=5).data
    assert shown["curve"].unique().tolist() == [
        *(f"group {k + 1}" for k in range(5)), "typical group", "average", "marginal model",
    ]  # fmt: skip
    new = shown.query("curve == 'average'")[["age"]].assign(smoke=1)
    for curve, means in (
        ("typical group", mixed.predict(new, type="response", re_form=mm.NA)),
        ("average", mixed.predict(new, type="response", re_form="average")),
        ("marginal model", marginal.predict(new, type="response")),
    ):
        np.testing.assert_allclose(shown[shown["curve"] == curve]["mean"], means, rtol=1e-10)
    # The average of many groups, by quadrature of its own.
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    eta = mixed.predict(new, re_form=mm.NA).to_numpy()
    sd = float(mixed.VarCorr()["id"].iloc[0, 0]) ** 0.5
    average = expit(eta[:, None] + sd * nodes) @ weights / weights.sum()
    np.testing.assert_allclose(shown.query("curve == 'average'")["mean"], average, rtol=1e-5)
    middle = shown.query("curve == 'group 3'")["mean"]
    np.testing.assert_allclose(middle, shown.query("curve == 'typical group'")["mean"], rtol=1e-10)


def test_random_slopes_and_factors(ohio):
    data = ohio.assign(home=np.where(ohio["smoke"] == 1, "smoke", "none"))
    m = mm.glmer("resp ~ age * home + (age | id)", data, "binomial", nAGQ=0)
    _, ax = plt.subplots()
    picture = mm.plot_attenuation(m, "age", at={"home": "smoke"}, curves=7, ax=ax)
    assert picture is ax and picture.data["curve"].nunique() == 9
    picture.figure.draw_without_rendering()


def test_what_cannot_be_drawn_is_said(mixed, ohio):
    with pytest.raises(mm.ControlError, match="'wheeze' is no variable"):
        mm.plot_attenuation(mixed, "wheeze")
    with pytest.raises(mm.ControlError, match="'height' is no variable"):
        mm.plot_attenuation(mixed, "age", at={"height": 1})
    factors = mm.glmer("resp ~ age + factor(smoke) + (1 | id)", ohio, "binomial", nAGQ=0)
    with pytest.raises((mm.ControlError, mm.DataError)):
        mm.plot_attenuation(factors, "factor(smoke)")
    with pytest.raises(mm.NotAvailableError, match="generalized mixed model"):
        mm.plot_attenuation(mm.glm("resp ~ age", ohio, "binomial"), "age")
    with pytest.raises(mm.NotAvailableError, match=r"marginal= is a model from gee\(\)"):
        mm.plot_attenuation(mixed, "age", mixed)
