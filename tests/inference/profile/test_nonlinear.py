"""Profiles of nonlinear models: those of linear ones where the curve is a line, refits where it is not."""

import numpy as np
import pytest

import mixedmodels as mm

LINE = "y ~ a + b * x"


def lines(family, seed=4):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(14), 6)
    x = np.tile(np.linspace(-1.0, 1.0, 6), 14)
    b = rng.standard_normal((14, 2)) @ np.array([[0.8, 0.0], [0.3, 0.6]]).T
    eta = 1.2 + b[g, 0] + (0.7 + b[g, 1]) * x
    y = rng.poisson(np.exp(eta)) if family == "poisson" else eta + 0.5 * rng.standard_normal(len(g))
    return {"y": y.astype(float), "x": x, "g": g}


def same(one, other):
    np.testing.assert_allclose(one.to_numpy(), other.to_numpy(), rtol=1e-4, atol=1e-5)


def test_limits_of_a_line_are_those_of_the_linear_model():
    data = lines("gaussian")
    curve = mm.nlmer(f"{LINE} ~ (a + b | g)", data, start={"a": 1.0, "b": 0.5})
    asked = [0, 1, 3, 5]  # a deviation, the correlation, sigma, a fixed effect
    same(curve.confint(asked), mm.lmer("y ~ x + (x | g)", data).confint(asked))


def test_limits_of_counts_about_a_line_are_those_of_the_generalized_model():
    data = lines("poisson")
    curve = mm.nlmer(f"{LINE} ~ a | g", data, family="poisson", nAGQ=5, start={"a": 1.0, "b": 0.5})
    same(curve.confint(), mm.glmer("y ~ x + (1 | g)", data, "poisson", nAGQ=5).confint())


@pytest.mark.parametrize(("random", "nAGQ"), [("Asym", 1), ("xmid", 5)])
def test_at_its_limits_a_parameter_costs_what_the_level_allows(random, nAGQ):
    trees = mm.load_dataset("Orange")
    m = mm.nlmer(f"circumference ~ SSlogis(age, Asym, xmid, scal) ~ {random} | Tree", trees, nAGQ=nAGQ)
    for limit in m.confint("scal").to_numpy()[0].tolist():
        held = f"circumference ~ Asym / (1 + exp((xmid - age) / {limit!r})) ~ {random} | Tree"
        start = m.fixef()[["Asym", "xmid"]].to_dict()
        assert mm.nlmer(held, trees, start=start, nAGQ=nAGQ).deviance() - m.deviance() == pytest.approx(
            3.841459, abs=1e-4
        )


def test_curves_go_through_the_estimates_and_the_other_parameters_follow():
    m = mm.nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", mm.load_dataset("Orange"))
    curves = mm.profile(m, [".sig01", "Asym"])
    same(curves.confint(), m.confint([".sig01", "Asym"]))
    frame = curves.to_frame()
    at = frame[np.abs(frame[".zeta"]) == 0.0]
    np.testing.assert_allclose(at[["Asym", "xmid", "scal"]].to_numpy(), np.tile(m.fixef(), (2, 1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"method": "lindstrom-bates"}, "no one likelihood"), ({"hessian": "observed"}, "exact gradient")],
)
def test_fits_without_a_likelihood_to_follow_say_so(arguments, message):
    trees = mm.load_dataset("Orange")
    m = mm.nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ xmid | Tree", trees, **arguments)
    assert list(m.confint().index) == ["Asym", "xmid", "scal"]
    with pytest.raises(mm.NotAvailableError, match=message):
        m.confint(method="profile")
    with pytest.raises(mm.NotAvailableError, match=message):
        mm.profile(m)
