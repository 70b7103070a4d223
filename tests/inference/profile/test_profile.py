"""Whole curves: zeta and its slopes, splines both ways, other scales, the REML criterion."""

import numpy as np
import pytest
from scipy import special, stats

import mixedmodels as mm


@pytest.fixture(scope="module")
def sleepstudy():
    return mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))


@pytest.fixture(scope="module")
def curves(sleepstudy):
    return mm.profile(sleepstudy)


def test_limits_from_splines_are_those_found_by_refits(sleepstudy, curves):
    exact = sleepstudy.confint()
    # R's lme4 1.1-31: confint(m), from its own splines.
    np.testing.assert_allclose(
        exact,
        [
            [14.3814182, 37.7159953],
            [-0.4815008, 0.6849863],
            [3.8011641, 8.7533808],
            [22.8982669, 28.8579965],
            [237.6806955, 265.1295147],
            [7.3586533, 13.5759188],
        ],
        rtol=1e-4,
    )
    np.testing.assert_allclose(curves.confint(), exact, rtol=3e-5)


def test_slopes_of_zeta_are_its_derivatives(curves):
    for name in curves:
        curve = curves[name]
        middle = 0.5 * (curve.values[1:] + curve.values[:-1])
        between = curves.zeta(name, middle)
        # Hermite's cubic at the middle: half the sum and an eighth of the width times the change of slope.
        known = np.isfinite(curve.slopes[1:]) & np.isfinite(curve.slopes[:-1])
        width = np.diff(curve.values)
        expected = 0.5 * (curve.zeta[1:] + curve.zeta[:-1]) - width * np.diff(curve.slopes) / 8.0
        np.testing.assert_allclose(between[known], expected[known], rtol=1e-9)
        inside = np.abs(curve.zeta) < 2.5
        smooth = np.gradient(curve.zeta, curve.values, edge_order=2)
        known = inside & np.isfinite(curve.slopes)
        np.testing.assert_allclose(curve.slopes[known], smooth[known], rtol=0.05)


def test_splines_are_inverse_to_each_other(curves):
    zeta = np.linspace(-2.5, 2.5, 11)
    for name in curves:
        np.testing.assert_allclose(curves.zeta(name, curves.value(name, zeta)), zeta, atol=1e-9)


def test_table_has_every_parameter_along_every_curve(sleepstudy, curves):
    frame = curves.to_frame()
    names = [".sig01", ".sig02", ".sig03", ".sigma", "(Intercept)", "Days"]
    assert frame.columns.tolist() == [".zeta", *names, ".par"]
    assert frame[".par"].unique().tolist() == names
    at_optimum = frame[frame[".zeta"] == 0.0]
    assert len(at_optimum) == len(names)
    assert at_optimum[".sigma"].nunique() == 1
    # Along the curve of a deviation the fixed effects of a balanced design do not move.
    own = frame[frame[".par"] == ".sigma"]
    np.testing.assert_allclose(own["Days"], sleepstudy.fixef()["Days"], rtol=1e-6)
    covered = stats.chi2.ppf(0.99, 6)
    assert (frame.groupby(".par")[".zeta"].max()[["(Intercept)", ".sigma"]] ** 2 >= covered).all()


def test_other_fixed_effects_along_the_curve_of_one_are_those_of_a_refit(sleepstudy, curves):
    data = mm.load_dataset("sleepstudy")
    table = curves.to_frame().query("`.par` == '(Intercept)'")
    # lme4 2.0-1, profile(fm, which = "beta_"), between its points: 10.146548 at 261.7013.
    np.testing.assert_allclose(np.interp(261.7013, table["(Intercept)"], table["Days"]), 10.146548, rtol=1e-4)
    row = table.iloc[3]
    held = mm.lmer(
        "Reaction ~ 0 + Days + (Days | Subject)", data, REML=False,
        offset=np.full(len(data), row["(Intercept)"]),
    )  # fmt: skip
    np.testing.assert_allclose(row["Days"], held.fixef()["Days"], rtol=1e-5)
    np.testing.assert_allclose(
        row[".zeta"] ** 2, 2.0 * (sleepstudy.refitML().loglik() - held.loglik()), rtol=1e-6
    )


def test_logarithms_and_variances(curves):
    plain = curves.confint([".sig01", ".sigma"])
    logs, squares = curves.to_scale("log"), curves.to_scale("var")
    assert list(logs)[:2] == [".lsig01", ".sig02"]
    assert list(squares)[3] == ".sigmasq"
    np.testing.assert_allclose(np.exp(logs.confint([".sig01", ".sigma"])), plain, rtol=1e-4)
    np.testing.assert_allclose(np.sqrt(squares.confint([".sig01", ".sigma"])), plain, rtol=1e-4)
    np.testing.assert_allclose(logs[".sigma"].zeta, curves[".sigma"].zeta)
    with pytest.raises(mm.NotAvailableError, match="already"):
        logs.to_scale("var")
    with pytest.raises(mm.ControlError, match="sd"):
        curves.to_scale("cube")


def test_reml_criterion(sleepstudy):
    curves = sleepstudy.profile(REML=True)
    assert list(curves) == [".sig01", ".sig02", ".sig03", ".sigma"]
    low, high = curves.confint(".sigma").iloc[0]
    for end in (low, high):
        assert _reml_at(sleepstudy, end) - sleepstudy.REMLcrit() == pytest.approx(
            special.chdtri(1, 0.05), abs=2e-3
        )
    with pytest.raises(mm.NotAvailableError, match="REML"):
        mm.profile(sleepstudy, "Days", REML=True)
    with pytest.raises(mm.NotAvailableError, match="not fitted by REML"):
        mm.profile(sleepstudy.refitML(), REML=True)


def _reml_at(model, sigma):
    from mixedmodels.engines.linear.fit import fit_linear

    return fit_linear(model.problem, True, model.theta_values, sigma=sigma).solution.objective


def test_one_parameter_by_number_or_name(sleepstudy):
    first = mm.profile(sleepstudy, 3, signames=False)
    assert list(first) == ["sigma"]
    assert "Profile of the deviance" in repr(first)
    assert len(mm.profile(sleepstudy, [".sigma", "Days"])) == 2
    for which, words in (("sigma2", "sigma2"), (9, "has 6")):
        with pytest.raises(mm.ControlError, match=words):
            mm.profile(sleepstudy, which)
    with pytest.raises(mm.ControlError, match="alphamax"):
        mm.profile(sleepstudy, alphamax=2)


def test_a_curve_ends_at_a_deviation_of_zero():
    model = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff2"))
    curves = mm.profile(model, ".sig01")
    assert curves[".sig01"].values[0] == 0.0
    assert curves[".sig01"].zeta[0] == 0.0
    assert curves.value(".sig01", -1.96) == 0.0
    assert np.isfinite(curves.to_scale("log")[".sig01"].values).all()
    # R's lme4, by refits.
    np.testing.assert_allclose(model.confint(".sig01"), [[0.0, 2.0840478717771713]], rtol=1e-6)


def test_generalized_model():
    data = mm.load_dataset("cbpp")
    model = mm.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", data, family="binomial", nAGQ=9
    )
    # By refits of a plain implementation in R.
    expected = [
        [0.3488017552627195, 1.1112942092697027],
        [-1.9046827839920755, -0.9462137214459447],
        [-1.6160831990257236, -0.40661096586660195],
        [-1.8004073673975332, -0.510450187961023],
        [-2.500190709819502, -0.7995921084001679],
    ]
    np.testing.assert_allclose(model.confint(), expected, rtol=1e-6)
    np.testing.assert_allclose(mm.profile(model).confint(), expected, rtol=1e-4)
