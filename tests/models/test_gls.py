"""gls() against nlme's numbers, and what a model with structured residuals says of itself."""

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def orthodont():
    data = mm.load_dataset("Orthodont")
    return mm.gls("distance ~ Sex * I(age - 11)", data, residual="us(age | Subject)", REML=False)


def test_general_correlation_of_orthodont_by_ml_is_that_of_nlme(orthodont):
    # correlation = corSymm(form = ~ 1 | Subject), weights = varIdent(form = ~ 1 | age), method = "ML"
    assert orthodont.loglik() == pytest.approx(-209.738524054, abs=1e-8)
    assert (orthodont.aic(), orthodont.bic()) == pytest.approx((447.477048110, 485.026885290), abs=1e-7)
    assert orthodont.sigma() == pytest.approx(2.2625629748, rel=1e-5)
    np.testing.assert_allclose(orthodont.fixef(), [24.937126, -2.271746, 0.826803, -0.350439], atol=1e-5)
    np.testing.assert_allclose(
        orthodont.standard_errors(), [0.463682, 0.726450, 0.080621, 0.126309], atol=1e-5
    )
    at = orthodont.estimates.parameters
    np.testing.assert_allclose(
        at.rho, [0.544335, 0.652565, 0.518752, 0.560719, 0.719028, 0.727591], atol=1e-5
    )
    np.testing.assert_allclose(at.delta[0], [0.875956, 1.080793, 0.949786], atol=1e-5)


def test_the_summary_has_the_t_tests_of_nlme(orthodont):
    table = orthodont.summary().coefficients
    np.testing.assert_allclose(table["t value"], [53.780644, -3.127187, 10.255409, -2.774452], rtol=1e-5)
    assert table["Pr(>|t|)"].iloc[1] == pytest.approx(0.0022890904555, rel=1e-4)
    text = str(orthodont.summary())
    assert "Generalized least squares fit by maximum likelihood" in text
    assert "Degrees of freedom: 108 total; 104 residual" in text


def test_compound_symmetry_and_variances_by_treatment_of_the_rat_pups_are_those_of_nlme():
    data = mm.load_dataset("RatPupWeight")
    m = mm.gls(
        "weight ~ Treatment + sex + Lsize", data, residual="cs(1 | Litter)", dispersion="ident(Treatment)"
    )
    assert m.loglik() == pytest.approx(-179.2846011041, abs=1e-8)
    assert (m.aic(), m.bic()) == pytest.approx((376.5692022, 410.3993182), abs=1e-6)
    assert m.estimates.parameters.rho[0] == pytest.approx(0.441242451, abs=1e-6)
    ratio = dict(
        zip(m.design.dispersion[0].function.parameter_names(), m.estimates.parameters.delta[0], strict=True)
    )
    assert ratio == pytest.approx({"High": 0.6589445, "Low": 0.5802924}, abs=1e-5)


@pytest.mark.parametrize("REML", [True, False])
def test_without_structures_it_is_the_linear_model(REML):
    data = mm.load_dataset("sleepstudy")
    m, plain = mm.gls("Reaction ~ Days", data, REML=REML), mm.lm("Reaction ~ Days", data)
    np.testing.assert_allclose(m.fixef(), plain.fixef())
    np.testing.assert_allclose(m.standard_errors(), plain.standard_errors())
    if not REML:
        assert m.loglik() == pytest.approx(plain.loglik(), abs=1e-9)
    assert m.convergence().verdict == "converged"


def test_normalized_residuals_are_those_of_nlme_and_uncorrelated_by_construction(orthodont):
    e = orthodont.residuals("response").to_numpy()
    V = orthodont.row_covariances.V[0][0] * orthodont.sigma() ** 2
    expected = np.linalg.solve(np.linalg.cholesky(V), e[:4])
    np.testing.assert_allclose(orthodont.residuals("normalized").to_numpy()[:4], expected)
    np.testing.assert_allclose(orthodont.residuals("pearson").to_numpy()[:4], e[:4] / np.sqrt(np.diag(V)))
    assert mm.lm("distance ~ age", mm.load_dataset("Orthodont")).residuals(
        "normalized"
    ).std() == pytest.approx(1, abs=0.01)


def test_models_with_the_same_fixed_effects_are_compared_by_likelihoods():
    data = mm.load_dataset("Orthodont")
    independent = mm.gls("distance ~ age", data)
    correlated = mm.gls("distance ~ age", data, residual="ar1(1 | Subject)")
    table = mm.anova(independent, correlated, refit=False)
    assert table["Chisq"].iloc[1] == pytest.approx(52.04267, abs=1e-5)
    assert table["Df"].iloc[1] == 1
    np.testing.assert_allclose(table["AIC"], [515.1695, 465.1268], atol=1e-4)


def test_a_pickled_model_is_the_same(orthodont):
    back = pickle.loads(pickle.dumps(orthodont))
    np.testing.assert_allclose(back.residuals("normalized"), orthodont.residuals("normalized"))


def test_refits_are_fits_of_the_same_model(orthodont):
    again = orthodont.refit(orthodont.y + 1.0)
    np.testing.assert_allclose(again.fixef() - orthodont.fixef(), [1.0, 0.0, 0.0, 0.0], atol=1e-7)
    assert orthodont.refitML() is orthodont
    reml = mm.gls("distance ~ age", mm.load_dataset("Orthodont"), residual="ar1(1 | Subject)")
    assert reml.refitML().loglik() == pytest.approx(-227.1113, abs=1e-4)
    assert reml.REMLcrit() == pytest.approx(-2 * reml.loglik())


def test_rows_of_weight_zero_do_not_count():
    data = mm.load_dataset("Orthodont")
    data["w"] = np.where(data["age"] == 12, 0.0, 1.5)
    m = mm.gls("distance ~ age", data, residual="ar1(age | Subject)", weights="w")
    other = mm.gls("distance ~ age", data[data["age"] != 12], residual="ar1(age | Subject)")
    np.testing.assert_allclose(m.fixef(), other.fixef(), rtol=1e-7)
    assert m.nobs() == 81


def test_random_effects_are_refused_with_the_way_out():
    with pytest.raises(mm.FormulaError, match="lmer"):
        mm.gls("distance ~ age + (1 | Subject)", mm.load_dataset("Orthodont"))


def test_two_rows_of_one_visit_are_named():
    data = mm.load_dataset("Orthodont")
    data = pd.concat([data, data.iloc[[5]]], ignore_index=True)
    with pytest.raises(mm.DataError, match="M02"):
        mm.gls("distance ~ age", data, residual="ar1(age | Subject)")
