"""Tests of fixed effects of mmrm() models against SAS's methods, computed by an independent program.

The numbers are those of a Newton fit with complex-step derivatives in SAS's covariance parameters.
"""

import numpy as np
import pytest

import mixedmodels as mm
from tests.engines.residual.fev import fev

#: Structure; model SE, Satterthwaite's df; SE of Kenward and Roger with observed and with expected
#: information, df with expected information: those of the coefficient of the arm in "fev ~ arm".
ARM = {
    "us": (0.6389062652, 160.6906204, 0.6613004589, 0.6536226818, 170.9168319),
    "toeph": (0.7113255695, 180.0620083, 0.7254384804, 0.7216819733, 191.4094448),
    "ar1": (0.9598672547, 188.4695188, 0.9586536564, 0.9589260549, 220.5128907),
}
#: SE of the linear form with observed and expected information.
LINEAR = {
    "csh": (0.6741176582, 0.6691147989),
    "adh": (0.6616581056, 0.656561848),
}


@pytest.fixture(scope="module", params=ARM)
def arm(request):
    structure = request.param
    formula = f"fev ~ arm + {structure}(visit | subject)"
    fits = [mm.mmrm(formula, fev(), information=kind) for kind in ("observed", "expected")]
    return *fits, ARM[structure]


def row(model, ddf, vcov=None):
    """Return standard error and degrees of freedom of the arm."""
    return model.summary(ddf=ddf, vcov=vcov).coefficients.loc["armTRT", ["Std. Error", "df"]].to_numpy()


def test_satterthwaite(arm):
    m, _, (se, df, *_) = arm
    np.testing.assert_allclose(row(m, "satterthwaite"), [se, df], rtol=1e-6)
    np.testing.assert_allclose(m.summary().coefficients.loc["armTRT", "df"], df, rtol=1e-6)  # the default


def test_kenward_and_roger_with_either_information(arm):
    observed, expected, (_, df, kr_observed, kr_expected, df_expected) = arm
    np.testing.assert_allclose(row(observed, "kenward-roger"), [kr_observed, df], rtol=1e-6)
    np.testing.assert_allclose(row(expected, "kenward-roger"), [kr_expected, df_expected], rtol=1e-6)


@pytest.mark.parametrize("structure", LINEAR)
def test_the_linear_form_of_kenward_and_roger(structure):
    for kind, se in zip(("observed", "expected"), LINEAR[structure], strict=True):
        m = mm.mmrm(f"fev ~ arm + {structure}(visit | subject)", fev(), information=kind)
        assert row(m, "kenward-roger-linear")[0] == pytest.approx(se, rel=1e-6)


def test_empirical_covariance_with_degrees_of_freedom_between_subjects():
    m = mm.mmrm("fev ~ arm + adh(visit | subject)", fev())
    np.testing.assert_allclose(row(m, "between-within", "CR0"), [0.644602173, 195.0], rtol=1e-6)
    m = mm.mmrm("fev ~ arm + ar1(visit | subject)", fev(), weights="weight")
    np.testing.assert_allclose(row(m, "between-within", "CR0"), [0.9766082297, 195.0], rtol=1e-6)


def test_weights_are_in_the_derivatives_of_the_covariance():
    # SAS leaves them out there, and has 407 degrees of freedom and more in this run.
    m = mm.mmrm("fev ~ race + sex + arm + visit + arm:visit + us(visit | subject)", fev(), weights="weight")
    last = m.summary().coefficients.iloc[-1][["Std. Error", "df"]].astype(float)
    np.testing.assert_allclose(last, [1.891645716, 134.8144409], rtol=1e-6)


def test_type_three_tests_and_least_squares_means_are_those_of_sas():
    m = mm.mmrm("fev ~ race + sex + arm + visit + arm:visit + us(visit | subject)", fev())
    table = m.anova()
    expected = {"arm": (31.67, 169), "visit": (142.11, 148), "arm:visit": (0.26, 148), "race": (36.92, 166)}
    for term, (F, df) in expected.items():
        # SAS stops before the optimum.
        assert table.loc[term, "F value"] == pytest.approx(F, abs=0.005 + 5e-4 * F)
        assert round(table.loc[term, "DenDF"]) == df
    means = m.emmeans("~ arm | visit").summary()
    own = means[(means["arm"] == "TRT") & (means["visit"] == "VIS4")].iloc[0]
    assert (round(own["emmean"], 2), round(own["SE"], 3), round(own["df"])) == (52.78, 1.188, 133)


def test_within_subject_effects_have_their_own_degrees_of_freedom_but_with_us():
    formula = "fev ~ race + sex + arm:visit + "
    with pytest.warns(mm.DataWarning, match="rank deficient"):  # an intercept beside all cells
        us = mm.mmrm(f"{formula}us(visit | subject)", fev())
    assert set(us.summary(ddf="between-within").coefficients["df"]) == {193.0}
    ar1 = mm.mmrm("fev ~ arm + visit + ar1(visit | subject)", fev())
    df = ar1.summary(ddf="between-within").coefficients["df"]
    assert (df["armTRT"], df["visitVIS2"]) == (195.0, 537.0 - 197 - 3)


def test_other_models_say_whose_these_methods_are():
    plain = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"))
    with pytest.raises(mm.NotAvailableError, match="mmrm"):
        plain.summary(ddf="between-within")
    ml = mm.mmrm("fev ~ arm + ar1(visit | subject)", fev(), REML=False)
    with pytest.raises(mm.NotAvailableError, match="REML"):
        ml.summary(ddf="kenward-roger")


def test_bias_reduced_covariance_is_by_subject_and_close_to_the_model_based_one():
    m = mm.mmrm("fev ~ arm + us(visit | subject)", fev())
    model_based = m.vcov()
    for kind in ("CR0", "CR2", "CR3"):
        np.testing.assert_allclose(m.vcov(kind), model_based, rtol=0.2)
    trace = [np.trace(m.vcov(kind)) for kind in ("CR0", "CR2", "CR3")]
    assert trace == sorted(trace)
    with pytest.raises(mm.NotAvailableError, match="subject"):
        m.vcov("CR2", cluster="visit")


@pytest.mark.parametrize("parm", ["Phi", ".sigma"])
def test_intervals_of_covariance_parameters_are_close_to_those_of_the_profile(parm):
    m = mm.mmrm("fev ~ arm + ar1(visit | subject)", fev(), REML=False)
    lower, upper = m.confint(parm).iloc[0]
    reference = {"Phi": (0.316, 0.522), ".sigma": (8.6, 9.8)}[parm]
    assert (lower, upper) == pytest.approx(reference, abs=0.06)
