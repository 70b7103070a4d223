"""Accessors: labels, shapes, identities between them, and R's numbers."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

REFERENCE = Path(__file__).parent.parent / "reference"
SE_UNITS = 5e-5  # a fit stops where a step could gain a few 1e-5 of a standard error
MODELS = ("sleepstudy", "penicillin", "pastes", "cbpp", "grouseticks", "machines", "cbpp_weights")


def reference(name):
    return json.loads((REFERENCE / f"{name}.json").read_text())["results"]


def named(block):
    """Return a named vector of a reference file as a Series."""
    return pd.Series(dict(zip(block["names"], block["values"], strict=True)))


@pytest.mark.parametrize(
    ("name", "file"),
    [("sleepstudy", "sleepstudy_corr_reml"), ("penicillin", "penicillin_reml"), ("cbpp", "cbpp_laplace")],
)
def test_estimates_are_those_of_r(name, file, fitted):
    model, expected = fitted(name), reference(file)
    beta = named(expected["fixef"])
    se = model.standard_errors()
    assert list(model.fixef().index) == list(beta.index)
    assert np.all(np.abs(model.fixef() - beta) <= SE_UNITS * se)
    if name != "cbpp":
        np.testing.assert_allclose(se, named(expected["se"]), rtol=1e-5)
    np.testing.assert_allclose(model.sigma(), expected["sigma"], rtol=1e-5)
    assert -2 * model.loglik() == pytest.approx(expected["objective"], abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_criteria_follow_from_the_likelihood(name, fitted):
    m = fitted(name)
    assert m.aic() == pytest.approx(-2 * m.loglik() + 2 * m.npar)
    assert m.bic() == pytest.approx(-2 * m.loglik() + np.log(m.nobs()) * m.npar)
    assert m.df_residual() == m.nobs() - m.npar
    assert (mm.AIC(m), mm.BIC(m), mm.logLik(m)) == (m.aic(), m.bic(), m.loglik())


def test_criteria_of_several_models_make_a_table(fitted):
    with pytest.warns(mm.DataWarning, match="30, 180 observations"):
        table = mm.AIC(fitted("dyestuff_ml"), fitted("sleepstudy_ml"))
    assert list(table.columns) == ["df", "AIC"]
    assert table["df"].tolist() == [3, 6]


@pytest.mark.parametrize("name", MODELS)
def test_fitted_values_are_their_parts(name, fitted):
    m = fitted(name)
    eta = m.getME("X") @ m.beta + m.getME("Z") @ m.getME("b") + m.getME("offset")
    np.testing.assert_allclose(m.predict(), eta, rtol=1e-8)
    np.testing.assert_allclose(m.getME("b"), m.getME("Lambda") @ m.getME("u"), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(m.fitted(), m.predict(type="response"), rtol=1e-12)
    np.testing.assert_allclose(m.residuals("response"), m.y - m.fitted(), rtol=1e-12)


def test_residuals_of_a_linear_model(fitted):
    m = fitted("sleepstudy_arguments")
    raw = m.residuals()
    np.testing.assert_allclose(m.residuals("pearson"), np.sqrt(m.weights()) * raw)
    np.testing.assert_allclose(m.residuals("deviance"), m.residuals("pearson"))
    np.testing.assert_allclose(m.residuals("working"), raw)
    np.testing.assert_allclose(m.residuals("pearson", scaled=True), m.residuals("pearson") / m.sigma())
    with pytest.raises(mm.ControlError, match="'pearson'"):
        m.residuals("partial")


def test_residuals_of_a_generalized_model(fitted):
    m = fitted("cbpp")
    expected = {  # first three and sum of squares, from R
        "pearson": ([-1.339861651847943, 1.0751259081219302, 2.8796155918209414], 63.078286271994706),
        "deviance": ([-1.4380318960307832, 0.9887431818354635, 2.3569978259285707], 73.47172336676141),
        "working": ([-0.7755081318673002, 0.8898206864909983, 2.8929100359658326], 85.35818623448688),
    }
    for kind, (first, squares) in expected.items():
        np.testing.assert_allclose(m.residuals(kind)[:3], first, rtol=1e-5)
        np.testing.assert_allclose((m.residuals(kind) ** 2).sum(), squares, rtol=1e-5)
    assert (m.residuals() ** 2).sum() == pytest.approx(m.deviance())


def test_random_effects(fitted):
    effects = fitted("sleepstudy").ranef()
    table, long = effects["Subject"], effects.to_frame()
    assert list(table.columns) == ["(Intercept)", "Days"]
    assert list(long.columns) == ["grpvar", "term", "grp", "condval", "condsd"]
    first = long.iloc[0]
    assert (first["grpvar"], first["term"], first["grp"]) == ("Subject", "(Intercept)", "308")
    np.testing.assert_allclose(table.loc["308"], [2.258551, 9.198976], rtol=1e-4)
    np.testing.assert_allclose(effects.condsd["Subject"].loc["308", "(Intercept)"], 12.07086, rtol=1e-5)
    assert effects.condvar["Subject"].shape == (18, 2, 2)
    with pytest.raises(KeyError, match="Subject"):
        effects["Item"]


def test_terms_on_one_factor_share_a_table(fitted):
    model = fitted("sleepstudy_double_bar")
    effects = model.ranef()
    assert list(effects) == ["Subject"]
    assert list(effects["Subject"].columns) == ["(Intercept)", "Days"]
    assert list(effects.condvar) == ["Subject", "Subject.1"]
    assert model.ngrps() == {"Subject": 18}


def test_coefficients_of_levels_add_fixed_and_random(fitted):
    m = fitted("sleepstudy")
    np.testing.assert_allclose(m.coef()["Subject"], m.ranef()["Subject"] + m.fixef())
    double = fitted("sleepstudy_double_bar")
    np.testing.assert_allclose(double.coef()["Subject"], double.ranef()["Subject"] + double.fixef())


def test_variance_components_as_a_frame(fitted):
    frame = fitted("sleepstudy").VarCorr().to_frame()
    assert list(frame.columns) == ["grp", "var1", "var2", "vcov", "sdcor"]
    assert frame["grp"].tolist() == ["Subject"] * 3 + ["Residual"]
    np.testing.assert_allclose(frame["sdcor"], [24.7404, 5.92213, 0.0655508, 25.5918], rtol=2e-5)
    triangle = fitted("sleepstudy").VarCorr().to_frame(order="lower.tri")
    assert triangle["var2"].tolist()[1] == "Days"
    with pytest.raises(mm.ControlError, match=r"cov\.last"):
        fitted("sleepstudy").VarCorr().to_frame(order="upper")
    with pytest.raises(mm.ControlError, match="Variance"):
        fitted("sleepstudy").VarCorr().to_string(comp="variance")


def test_variance_components_by_term(fitted):
    components = fitted("machines").VarCorr()
    assert list(components) == ["Worker"]
    sd, correlation = components.stddev("Worker"), components.correlation("Worker")
    np.testing.assert_allclose(components["Worker"], np.outer(sd, sd) * correlation)
    with pytest.raises(KeyError, match="Worker"):
        components["Machine"]


def test_covariance_of_a_generalized_model(fitted):
    m, expected = fitted("cbpp"), reference("cbpp_laplace")
    np.testing.assert_allclose(m.standard_errors(), named(expected["se_numeric_hessian"]), rtol=1e-4)
    rx = np.sqrt(np.diag(m.vcov(method="rx")))
    np.testing.assert_allclose(rx, named(expected["se_from_RX"]), rtol=1e-4)
    np.testing.assert_array_equal(m.vcov(), m.vcov(method="hessian"))
    with pytest.raises(mm.ControlError, match="'rx'"):
        m.vcov(method="sandwich")


@pytest.mark.parametrize("name", ["sleepstudy", "penicillin", "cbpp"])
def test_joint_covariance_is_the_inverse_of_the_mixed_model_equations(name, fitted):
    m = fitted(name)
    Z, X, w = m.getME("Z").toarray(), m.getME("X"), m.row_information
    Lambda, scale = m.getME("Lambda").toarray(), m.random_scale
    rows = np.hstack([Z, X])
    precision = rows.T @ (w[:, None] * rows)
    q = Z.shape[1]
    precision[:q, :q] += np.linalg.inv(Lambda @ Lambda.T)
    np.testing.assert_allclose(m.vcov(full=True), scale**2 * np.linalg.inv(precision), rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("name", ["sleepstudy", "penicillin", "cbpp"])
def test_conditional_covariances_agree_with_the_joint_system(name, fitted):
    m = fitted(name)
    Z, w = m.getME("Z").toarray(), m.row_information
    Lambda = m.getME("Lambda").toarray()
    C = Lambda @ np.linalg.inv(Lambda.T @ Z.T @ (w[:, None] * Z) @ Lambda + np.eye(Z.shape[1])) @ Lambda.T
    sds = np.concatenate([table.to_numpy().ravel() for table in m.ranef().condsd.values()])
    np.testing.assert_allclose(sds, m.random_scale * np.sqrt(np.diag(C)), rtol=1e-6)


def test_leverages(fitted):
    assert fitted("dyestuff_ml").hatvalues().sum() == pytest.approx(4.69516020347529, rel=1e-5)
    np.testing.assert_allclose(
        fitted("sleepstudy_intercept").hatvalues()[:3],
        [0.107483309706324, 0.102096104319119, 0.0980557002787148],
        rtol=1e-5,
    )


def test_wald_intervals(fitted):
    table = fitted("sleepstudy_intercept").confint(method="Wald")
    assert list(table.index) == [".sig01", ".sigma", "(Intercept)", "Days"]
    assert list(table.columns) == ["2.5 %", "97.5 %"]
    assert table.notna().all(axis=None)
    beta = fitted("sleepstudy_intercept").confint("beta_", method="wald")
    expected = [[232.301891854611, 270.508317842359], [8.89104092469356, 12.0435309944983]]
    np.testing.assert_allclose(beta, expected, rtol=1e-5)
    narrow = fitted("sleepstudy_intercept").confint(["Days"], level=0.5, method="wald")
    assert list(narrow.columns) == ["25 %", "75 %"]
    for options, match in (
        ({"method": "magic"}, "Wald"),
        ({"parm": "Dayz"}, "Days"),
        ({"parm": 0.95}, "0.95"),
        ({"parm": ["Days", 9]}, "has 4"),
        ({"level": 95}, "0.95"),
        ({"level": "95"}, "0.95"),
    ):
        with pytest.raises(mm.ControlError, match=match):
            fitted("sleepstudy_intercept").confint(**options)


def test_deviances_and_reml_criterion(fitted):
    reml, ml = fitted("dyestuff"), fitted("dyestuff_ml")
    assert reml.REMLcrit() == pytest.approx(319.6543, abs=1e-4)
    assert reml.deviance() == pytest.approx(327.404, abs=1e-3)
    assert ml.deviance() == pytest.approx(-2 * ml.loglik())
    assert fitted("cbpp").deviance() == pytest.approx(73.47, abs=0.02)
    for other in (ml, fitted("cbpp")):
        with pytest.raises(mm.NotAvailableError, match="REML"):
            other.REMLcrit()


def test_singular_fits_are_recognised(fitted):
    assert fitted("dyestuff2").is_singular()
    assert mm.isSingular(fitted("dyestuff2"))
    assert not fitted("sleepstudy").is_singular()
    assert fitted("dyestuff2").convergence().is_optimum


def test_names_formula_terms_and_frame(fitted, data):
    m = fitted("cake_large")
    assert m.formula() == "angle ~ recipe * temperature + (1 | recipe:replicate)"
    assert m.terms() == ["recipe", "temperature", "recipe:temperature"]
    assert list(fitted("sleepstudy").theta().index) == [
        "Subject.(Intercept)", "Subject.Days.(Intercept)", "Subject.Days",
    ]  # fmt: skip
    frame = fitted("sleepstudy_arguments").model_frame()
    assert list(frame.columns) == ["Reaction", "Days", "Subject"]
    assert len(frame) == 144
    assert fitted("cbpp").family().name == "binomial"
    assert fitted("sleepstudy").family() is None


def test_model_matrices(fitted):
    m = fitted("sleepstudy")
    assert list(m.model_matrix().columns) == ["(Intercept)", "Days"]
    assert m.model_matrix("random").shape == (180, 36)
    with pytest.raises(mm.ControlError, match="'random'"):
        m.model_matrix("both")


def test_get_me_knows_lme4s_names(fitted):
    m = fitted("sleepstudy")
    some = m.getME(["theta", "n", "q", "Gp", "cnms", "flist", "Tlist"])
    assert (some["n"], some["q"], some["Gp"]) == (180, 36, [0, 36])
    np.testing.assert_allclose(m.getME("A").toarray(), m.getME("Lambdat").toarray() @ m.getME("Zt").toarray())
    RX = m.getME("RX")
    np.testing.assert_allclose(np.linalg.inv(RX.T @ RX) * m.sigma() ** 2, m.vcov())
    assert some["cnms"] == {"Subject": ["(Intercept)", "Days"]}
    with pytest.raises(mm.ControlError, match="Lambda"):
        m.getME("devfun")


def test_optimization_and_factorization_read_well(fitted):
    m = fitted("sleepstudy")
    assert "evaluations in" in repr(m.optimization)
    assert "Subject" in repr(m.factorization)
    assert repr(m.convergence()).startswith("converged")
    assert "herd" in repr(fitted("cbpp").factorization)


@pytest.mark.parametrize("name", ["sleepstudy", "cbpp", "cbpp_pql", "cbpp_glm", "sleepstudy_arguments"])
def test_models_are_pickled_whole(name, fitted):
    m = fitted(name)
    again = pickle.loads(pickle.dumps(m))
    assert str(again.summary()) == str(m.summary())
    pd.testing.assert_series_equal(again.residuals(), m.residuals())
    if name != "cbpp_glm":
        pd.testing.assert_frame_equal(again.ranef().to_frame(), m.ranef().to_frame())


def test_notebooks_show_the_text(fitted):
    for shown in (fitted("cbpp"), fitted("cbpp").summary(), fitted("cbpp").VarCorr(), fitted("cbpp").ranef()):
        assert "<table>" in shown._repr_html_()


def test_many_coefficients_hide_their_correlations(fitted):
    assert "Correlation matrix not shown by default, as p = 18 > 12." in str(fitted("cake_large").summary())
    shown = str(fitted("cake_large").summary(correlation=True)).split("Correlation of Fixed Effects:")[1]
    assert "rcpC:tmpr^5" in shown
    assert max(map(len, shown.split("\n"))) <= 80
    assert "Correlation of Fixed" not in str(fitted("cbpp").summary(correlation=False))


def test_quasi_likelihood_fits_have_no_likelihood(fitted):
    for ask in ("loglik", "aic", "bic"):
        with pytest.raises(mm.NotAvailableError, match="no likelihood"):
            getattr(fitted("cbpp_pql"), ask)()
        with pytest.raises(mm.NotAvailableError, match="no likelihood"):
            getattr(fitted("cbpp_glm_quasi"), ask)()
    assert "penalized quasi-likelihood" in str(fitted("cbpp_pql"))
    assert fitted("cbpp_pql").VarCorr().to_frame()["grp"].tolist() == ["herd", "Residual"]


def test_quasi_likelihood_is_tested_by_t(fitted):
    table = fitted("cbpp_glm_quasi").summary().coefficients
    assert list(table.columns) == ["Estimate", "Std. Error", "t value", "Pr(>|t|)"]
    # R: summary(glm(..., quasibinomial))
    np.testing.assert_allclose(
        table.loc["period2", ["t value", "Pr(>|t|)"]], [-2.714195270, 8.992026876e-03], rtol=1e-5
    )
    assert fitted("cbpp_glm_quasi").dispersion() == pytest.approx(2.190, abs=1e-3)


def test_functions_say_what_a_model_lacks(fitted):
    with pytest.raises(mm.NotAvailableError, match="ranef"):
        mm.ranef(fitted("cbpp_glm"))
    with pytest.raises(mm.NotAvailableError, match="3 is none"):
        mm.fixef(3)


@pytest.mark.parametrize("structure", ["cs", "ar1"])
def test_structured_correlations_are_marked(structure, data):
    frame = data("sleepstudy")
    frame["third"] = pd.Categorical((frame["Days"] // 4).astype(int).astype(str))
    model = mm.lmer(f"Reaction ~ 1 + {structure}(0 + third | Subject)", frame)
    rho = model.theta().iloc[-1]
    assert f"{rho:.3f} ({structure})" in str(model.VarCorr())
    assert model.VarCorr().correlation("Subject").iloc[1, 0] == pytest.approx(rho)


def test_equal_rows_are_said_to_be_fitted_once():
    data = pd.concat([mm.load_dataset("cbpp")] * 60)
    data["sick"] = (data["incidence"] > 0).astype(int)
    model = mm.glmer("sick ~ 1 + (1 | herd)", data, "binomial")
    assert "3360 rows of 15 kinds, equal rows fitted once" in repr(model.factorization)
    assert "kinds" not in repr(mm.glmer("sick ~ 1 + (1 | herd)", data[:56], "binomial").factorization)
