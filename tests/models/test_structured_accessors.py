"""What is said about every model is said about models with structured residuals too, and rightly."""

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

MAKERS = {
    "gls": lambda d: mm.gls("y ~ age + arm", d, residual="ar1(age | id)"),
    "gls_by_ml": lambda d: mm.gls("y ~ age + arm", d, dispersion="power(age)", REML=False),
    "mmrm": lambda d: mm.mmrm("y ~ age + arm + us(age | id)", d),
    "lmer_correlated": lambda d: mm.lmer("y ~ age + arm + (1 | id)", d, residual="ar1(age | id)"),
    "lmer_unequal": lambda d: mm.lmer("y ~ age + arm + (1 | id)", d, dispersion="ident(arm)"),
}
MIXED = ("lmer_correlated", "lmer_unequal")
PLAIN = ("gls", "gls_by_ml", "mmrm")


@pytest.fixture(scope="module")
def data():
    """Return 14 children of two arms at four ages, of random intercepts and residuals of growing variance."""
    rng = np.random.default_rng(12)
    d = pd.DataFrame(
        {"id": np.repeat([f"c{k:02d}" for k in range(14)], 4), "age": np.tile([1.0, 2.0, 3.0, 4.0], 14)}
    )
    d["arm"] = np.where(np.arange(56) // 4 % 2 == 0, "a", "b")
    e = rng.normal(size=56) * np.where(d["arm"] == "b", 1.6, 0.8)
    e[1:] -= 0.4 * e[:-1] * (d["id"].to_numpy()[1:] == d["id"].to_numpy()[:-1])
    d["y"] = 10.0 + 1.5 * d["age"] + (d["arm"] == "b") + np.repeat(3.0 * rng.normal(size=14), 4) + e
    return d


@pytest.fixture(scope="module")
def models(data):
    return {name: make(data) for name, make in MAKERS.items()}


@pytest.fixture(params=MAKERS)
def model(request, models):
    return models[request.param]


def covariances(m):
    """Return the covariance of the responses and that of the residuals, dense."""
    n = m.nobs()
    R = m.sigma() ** 2 * m.residual_covariance(np.ones(n), np.arange(n))
    V = R.copy()
    for term, b in zip(m.random, m.term_covariances() if m.random else (), strict=True):
        Z = term.Z * 1.0
        same = np.equal.outer(term.codes, term.codes)
        V += same * (Z @ np.diag(b.stddev**2) @ Z.T)
    return V, R


# Residuals.


def test_leverages_and_standardized_residuals_are_those_of_dense_algebra(model):
    V, R = covariances(model)
    X = model.design.X
    inverse = np.linalg.inv(V)
    C = np.linalg.inv(X.T @ inverse @ X)
    if model.random:  # of the fitted values with the random effects at their modes
        G = V - R
        P = inverse - inverse @ X @ C @ X.T @ inverse
        error = G - G @ P @ G + X @ C @ X.T - X @ C @ X.T @ inverse @ G - G @ inverse @ X @ C @ X.T
        h = np.diag(error) / np.diag(R)
    else:
        h = np.diag(X @ C @ X.T) / np.diag(V)
    np.testing.assert_allclose(model.hatvalues(), h, rtol=1e-5)
    assert model.hatvalues().between(0.0, 1.0).all()
    expected = (model.y - model.mean) / np.sqrt(np.diag(R) * (1.0 - h))
    np.testing.assert_allclose(model.rstandard(), expected, rtol=1e-5)
    np.testing.assert_allclose(model.cooks_distance(), expected**2 * h / (1.0 - h) / X.shape[1], rtol=1e-4)


def test_leverage_of_a_row_with_its_own_coefficient_is_one_by_maximum_likelihood(data):
    own = data.assign(only=(np.arange(56) == 7).astype(float))
    m = mm.gls("y ~ age + only", own, dispersion="ident(arm)", REML=False)
    assert m.hatvalues().iloc[7] == pytest.approx(1.0, abs=1e-9)
    assert np.isnan(m.rstandard().iloc[7])
    assert m.rstandard().drop(7).notna().all()


def test_checks_take_residuals_that_are_independent_where_the_model_is_right(model):
    V = covariances(model)[1]
    normal = mm.check_normality(model).table
    from_dense = np.linalg.solve(np.linalg.cholesky(V), model.y - model.mean)
    shapiro = pytest.importorskip("scipy.stats").shapiro(from_dense)
    assert normal["p_value"].iloc[0] == pytest.approx(shapiro.pvalue, rel=1e-4)
    assert mm.check_heteroscedasticity(model).p_value > 0.01
    assert "normality of residuals" in repr(mm.check_model(model))


def test_scaled_residuals_are_those_of_simulated_responses(model):
    r = np.asarray(mm.scaled_residuals(model, nsim=60, rng=1).residuals)
    assert len(r) == 56
    assert ((r >= 0.0) & (r <= 1.0)).all()
    assert abs(r.mean() - 0.5) < 0.15


def test_simulated_responses_have_the_covariance_of_the_model(model):
    V, _ = covariances(model)
    draws = model.simulate(4000, rng=3).to_numpy()
    found = np.cov(draws)
    np.testing.assert_allclose(np.diag(found), np.diag(V), rtol=0.15)
    assert np.abs(found - V).max() < 0.12 * np.diag(V).max()


@pytest.mark.parametrize("name", MAKERS)
def test_influence_of_a_group_is_a_fit_without_it(name, models, data):
    influence = mm.influence(models[name], "id")
    without = MAKERS[name](data[data["id"] != "c03"])
    found = models[name].fixef() + influence.dfbeta().loc["c03"]
    np.testing.assert_allclose(found, without.fixef(), atol=2e-4)
    assert influence.cooks_distance().notna().all()


# Variance explained.


@pytest.mark.parametrize("name", MIXED)
def test_variance_explained_takes_the_mean_of_the_residual_variances(name, models):
    m = models[name]
    V, R = covariances(m)
    fixed = np.var(m.design.X @ m.beta, ddof=1)
    between, residual = np.diag(V - R).mean(), np.diag(R).mean()
    found, total = mm.r2(m), fixed + between + residual
    assert found.marginal == pytest.approx(fixed / total, rel=1e-6)
    assert found.conditional == pytest.approx((fixed + between) / total, rel=1e-6)
    assert mm.icc(m).adjusted == pytest.approx(between / (between + residual), rel=1e-6)


@pytest.mark.parametrize("name", PLAIN)
def test_what_needs_random_effects_says_so(name, models):
    m = models[name]
    pytest.importorskip("matplotlib")
    for function in (mm.r2, mm.icc, mm.plot_groups, mm.plot_ranef, mm.plot_shrinkage, mm.ranova):
        with pytest.raises(mm.NotAvailableError, match="needs a model with random effects"):
            function(m)


def test_what_there_is_not_is_said_in_a_sentence(model):
    if not model.random:
        with pytest.raises(AttributeError, match=r"write mm\.profile\(m\)"):
            _ = model.profile


# Tables.


def test_tidy_tables_are_those_of_the_summary(model):
    table = mm.tidy(model, conf_int=True)
    fixed = table[table["term"].isin(model.fixef().index)]
    np.testing.assert_allclose(fixed["estimate"], model.fixef())
    np.testing.assert_allclose(fixed["std.error"], model.standard_errors())
    glance = mm.glance(model).iloc[0]
    assert glance["AIC"] == pytest.approx(model.aic())
    assert glance["sigma"] == pytest.approx(model.sigma())
    rows = mm.augment(model)
    np.testing.assert_allclose(rows[".fitted"], model.mean)
    np.testing.assert_allclose(rows[".resid"], model.y - model.mean)
    pytest.importorskip("maketables")
    assert "age" in str(mm.regression_table(model))


def test_report_names_the_structure_and_its_parameters(models):
    assert "AR(1) (~age | id), Phi " in mm.report(models["gls"]).text
    assert "power(age), power.power " in mm.report(models["gls_by_ml"]).text
    assert "General (~age | id), cor(1,2) " in mm.report(models["mmrm"]).text
    text = mm.report(models["lmer_unequal"]).text
    ratio = models["lmer_unequal"].residual_estimates.parameters.delta[0][0]
    assert f"ident(arm), ident.b {ratio:.4g}." in text
    assert "Standard deviations of the random effects: by id" in text


def test_marginal_means_are_the_fit_at_the_mean_age(model):
    means = model.emmeans("arm")
    table = means.to_frame() if hasattr(means, "to_frame") else pd.DataFrame(means)
    beta = model.fixef()
    at = beta["(Intercept)"] + 2.5 * beta["age"]
    np.testing.assert_allclose(table["emmean"], [at, at + beta["armb"]])
    trend = model.emtrends("arm", "age")
    assert np.allclose((trend.to_frame() if hasattr(trend, "to_frame") else trend).iloc[:, 1], beta["age"])


def test_intervals_and_replicates(model):
    wald = model.confint()
    assert (wald.iloc[:, 0] <= wald.iloc[:, 1]).all()
    assert wald.loc["age"].between(0.5, 2.5).all()
    draws = mm.bootstrap(model, nsim=4, rng=2)
    boot = model.confint("age", method="boot", nsim=4, rng=2)
    assert boot.iloc[0, 0] < boot.iloc[0, 1]
    assert "4 converged" in repr(draws)
    both = mm.refit_many(model, np.column_stack([model.y, model.y + 1.0]))
    assert len(both["response"].unique()) == 2


def test_refits_of_shifted_responses_shift_the_intercept(model):
    shifted = model.refit(model.y + 5.0)
    if "power" not in str(model.call.arguments):
        assert shifted.loglik() == pytest.approx(model.loglik(), abs=1e-6)
    np.testing.assert_allclose(shifted.fixef() - model.fixef(), [5.0, 0.0, 0.0], atol=1e-3)


def test_updates_keep_the_structure(model):
    smaller = mm.update(model, ". ~ . - arm")
    assert type(smaller) is type(model)
    assert smaller.has_structured_residuals
    assert list(smaller.fixef().index) == ["(Intercept)", "age"]
    assert (
        smaller.design.residual is None
        or smaller.design.residual.structure == model.design.residual.structure
    )
    assert [t.text for t in smaller.design.dispersion] == [t.text for t in model.design.dispersion]
    assert len(model.drop1()) >= 2


def test_stripped_and_pickled_models_say_the_same(model, data):
    new = data.iloc[[0, 9, 30]].assign(age=[1.0, 2.0, 3.0])
    again, bare = pickle.loads(pickle.dumps(model)), pickle.loads(pickle.dumps(model.strip()))
    assert repr(again.summary()) == repr(model.summary())
    np.testing.assert_allclose(again.residuals("normalized"), model.residuals("normalized"))
    np.testing.assert_allclose(bare.predict(new), model.predict(new))
    assert repr(bare) == repr(model)
    pd.testing.assert_frame_equal(bare.tidy(), model.tidy())


def test_notebooks_show_text(model):
    for shown in (model, model.summary(), mm.report(model), mm.check_model(model)):
        assert shown._repr_html_().lstrip().startswith("<")


# Pictures.


def test_pictures_of_residuals_show_normalized_ones(model):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("Agg")
    expected = model.residuals("normalized")
    for picture in (mm.plot_residuals(model), mm.plot_residuals(model, "age"), mm.plot_qq(model)):
        np.testing.assert_allclose(picture.data["residual"].sort_index(), expected)
        assert "normalized residual" in picture.get_ylabel()
    pearson = mm.plot_residuals(model, type="pearson")
    np.testing.assert_allclose(pearson.data["residual"], model.residuals("pearson"))
    response = mm.plot_residuals(model, type="response")
    np.testing.assert_allclose(response.data["residual"], (model.y - model.mean) / model.sigma())
    assert len(model.plot().panels) == (3 if model.random else 2)
    assert len(mm.plot_diagnostics(model).panels) == 3
    assert mm.plot_acf(model).data["lag"].tolist() == [0, 1, 2, 3] if model.design.residual else True
    assert mm.plot_variogram(model).data["model"].eq(1.0).all()
    assert len(mm.plot_effects(model, "age", residuals="partial").data)
    assert len(mm.plot_coefs(model).data) == 2
    plt.close("all")


@pytest.mark.parametrize("name", MIXED)
def test_lines_by_group(name, models):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("Agg")
    m = models[name]
    data = mm.plot_groups(m, levels=["c03"]).data
    line = data[(data["kind"] == "mixed model")]
    assert len(data[data["kind"] == "observed"]) == 4
    ends = line.iloc[[0, -1]]
    np.testing.assert_allclose(ends["y"], np.asarray(m.fitted())[[12, 15]])
    assert len(mm.plot_ranef(m).data) == 14
    plt.close("all")


def test_the_cluster_bootstrap_draws_residual_groups():
    m = mm.gls("Reaction ~ Days", mm.load_dataset("sleepstudy"), residual="ar1(Days | Subject)")
    drawn = mm.bootstrap(m, nsim=40, kind="cluster", rng=2).summary()["Std. Error"]
    drawn = drawn[["(Intercept)", "Days"]]
    robust = np.sqrt(np.diag(m.vcov("CR0", cluster="Subject")))
    np.testing.assert_allclose(drawn, robust, rtol=0.35)
