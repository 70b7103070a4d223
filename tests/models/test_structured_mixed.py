"""lmer(residual=, dispersion=) against nlme's lme, and what random effects do beside structured residuals."""

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.residual.objective import evaluation


@pytest.fixture(scope="module")
def early():
    return mm.lmer("cog ~ age * trt + (1 | id)", mm.load_dataset("Early"), residual="ar1(1 | id)")


def test_an_autoregression_beside_a_random_intercept_is_that_of_nlme(early):
    # lme(cog ~ age * trt, Early, random = ~ 1 | id, correlation = corAR1(form = ~ 1 | id))
    assert early.loglik() == pytest.approx(-1181.6206093296, abs=1e-8)
    assert early.sigma() == pytest.approx(9.375959426, rel=1e-6)
    assert early.residual_estimates.parameters.rho[0] == pytest.approx(0.146731231, abs=1e-6)
    np.testing.assert_allclose(early.fixef(), [129.045308, -21.133333, 1.330696, 5.271264], atol=1e-5)
    np.testing.assert_allclose(early.standard_errors(), [3.345906, 1.955232, 4.458804, 2.605570], atol=1e-5)
    assert early.bic("R") == pytest.approx(2403.2834010954, abs=1e-6)
    modes = early.ranef()["id"]["(Intercept)"]
    np.testing.assert_allclose(modes.loc[["86", "87", "77"]], [-27.391528, -22.302105, -4.495753], atol=1e-4)


def test_fitted_values_and_residuals_have_the_random_effects(early):
    np.testing.assert_allclose(early.fitted().iloc[:3], [113.641345, 105.710311, 97.779276], atol=1e-5)
    e = early.residuals("response").to_numpy()[:3]
    R = early.row_covariances.R[0][0]
    expected = np.linalg.solve(np.linalg.cholesky(R), e) / early.sigma()
    np.testing.assert_allclose(early.residuals("normalized").iloc[:3], expected)


def test_prediction_variances_are_those_of_the_dense_equations(early):
    rows = [0, 5, 100]
    V = mm.getME(early, "X")  # the joint covariance against dense algebra of all rows
    n, sigma2 = early.nobs(), early.sigma() ** 2
    codes, X = early.random[0].codes, early.design.X
    Z = np.eye(early.random[0].n_levels)[codes]
    R = early.residual_covariance(np.ones(n), np.arange(n)) * sigma2
    G = (early.theta_values[0] ** 2 * sigma2) * np.eye(Z.shape[1])
    solved = np.linalg.inv(R)
    both = np.hstack([X, Z])
    C = both.T @ solved @ both
    C[4:, 4:] += np.linalg.inv(G)
    expected = np.einsum("ij,jk,ik->i", both[rows], np.linalg.inv(C), both[rows])
    found = early.predict(se_fit=True)["se_fit"].to_numpy()[rows] ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    assert np.shape(V) == (n, 4)


def test_variance_functions_by_stratum_and_by_age_are_those_of_nlme():
    # weights = varComb(varIdent(form = ~ 1 | Sex), varExp(form = ~ age))
    m = mm.lmer(
        "distance ~ age * Sex + (1 | Subject)",
        mm.load_dataset("Orthodont"),
        dispersion="ident(Sex) * exp(age)",
    )
    at = m.residual_estimates.parameters
    np.testing.assert_allclose([at.delta[0][0], at.delta[1][0]], [0.46378986, -0.05162410], atol=2e-6)
    assert m.sigma() == pytest.approx(2.91004445, rel=1e-5)


def test_a_random_intercept_beside_compound_symmetry_is_reported():
    with pytest.warns(mm.IdentificationWarning, match="Rho"):
        m = mm.lmer(
            "distance ~ age + (1 | Subject)", mm.load_dataset("Orthodont"), residual="cs(1 | Subject)"
        )
    assert m.convergence().verdict == "not identified"
    alone = mm.gls("distance ~ age", mm.load_dataset("Orthodont"), residual="cs(1 | Subject)")
    assert m.loglik() == pytest.approx(alone.loglik(), abs=1e-6)


def test_a_variance_of_zero_is_exactly_zero_and_told():
    # lme(uptake ~ ..., CO2, random = ~ 1 | Plant, weights = varFixed(~ conc))
    m = mm.lmer(
        "uptake ~ log(conc) + Type * Treatment + (1 | Plant)",
        mm.load_dataset("CO2"),
        dispersion="fixed(conc)",
    )
    assert m.theta_values[0] == 0.0
    assert m.convergence().verdict == "boundary"
    assert m.is_singular()


def test_without_correlation_and_variance_functions_of_note_it_is_the_plain_model():
    data = mm.load_dataset("sleepstudy")
    data["c"] = 2.0 + 1e-3 * (data["Days"] % 2)
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", data, dispersion="fixed(c)")
    plain = mm.lmer("Reaction ~ Days + (Days | Subject)", data, weights="1 / c")
    assert m.loglik() == pytest.approx(plain.loglik(), abs=1e-7)
    np.testing.assert_allclose(m.theta(), plain.theta(), rtol=1e-5)
    for ddf in ("satterthwaite", "kenward-roger"):
        one, other = (model.summary(ddf=ddf).coefficients for model in (m, plain))
        np.testing.assert_allclose(one["df"], other["df"], rtol=2e-2 if ddf == "kenward-roger" else 1e-4)
    np.testing.assert_allclose(m.ranef()["Subject"], plain.ranef()["Subject"], rtol=1e-4, atol=1e-4)


def test_kenward_and_roger_with_expected_information_is_pbkrtest():
    data = mm.load_dataset("sleepstudy")
    data["c"] = 2.0 + 1e-9 * (data["Days"] % 2)
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", data, dispersion="fixed(c)", information="expected")
    plain = mm.lmer("Reaction ~ Days + (Days | Subject)", data)
    one, other = (model.summary(ddf="kenward-roger").coefficients for model in (m, plain))
    np.testing.assert_allclose(one["df"], other["df"], rtol=1e-5)
    np.testing.assert_allclose(one["Std. Error"], other["Std. Error"], rtol=1e-5)


def test_residual_groups_across_levels_of_a_random_effect_are_one_cluster():
    data = mm.load_dataset("Orthodont")
    m = mm.lmer("distance ~ Sex + (1 | Subject)", data, residual="ar1(1 | Sex)")
    assert m.residual_problem.crossed is not None
    dense = evaluation(m.tied_problem, m.residual_estimates.free, True)
    assert m.residual_estimates.objective == pytest.approx(dense.objective, abs=1e-8)


def test_related_levels_across_residual_groups_are_refused_by_name():
    data = mm.load_dataset("Orthodont")
    names = list(dict.fromkeys(data["Subject"].astype(str)))
    K = pd.DataFrame(np.eye(len(names)) + 0.1, index=names, columns=names)
    with pytest.raises(mm.NotAvailableError, match="Subject"):
        mm.lmer("distance ~ Sex + (1 | Subject)", data, residual="ar1(1 | Sex)", relmat={"Subject": K})


def test_a_pickled_model_is_the_same(early):
    back = pickle.loads(pickle.dumps(early))
    np.testing.assert_allclose(back.residuals("normalized"), early.residuals("normalized"))
    np.testing.assert_allclose(back.predict(se_fit=True), early.predict(se_fit=True))


def test_the_text_shows_the_structure_as_nlme_does(early):
    text = str(early.summary())
    assert "Correlation Structure: AR(1)\n Formula: ~1 | id" in text
    assert "0.14673" in text
    assert "Satterthwaite" in text
