"""Explained variance, its parts derived again: by simulation, dense algebra, the formulas of the papers."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import polygamma
from scipy.stats import norm

import mixedmodels as mm
from mixedmodels.diagnostics.distribution_variance import distribution_variance, variance_methods
from mixedmodels.diagnostics.variance_components import variance_components

PHI = np.array([2.5])
NONE = np.empty(0)


@pytest.mark.parametrize(
    ("family", "mu", "phi", "method", "expected"),
    [
        (mm.poisson(), 3.0, NONE, "lognormal", np.log1p(1 / 3)),
        (mm.poisson(), 3.0, NONE, "trigamma", polygamma(1, 3.0)),
        (mm.poisson(), 3.0, NONE, "delta", 1 / 3),
        (mm.poisson(link="sqrt"), 3.0, NONE, "delta", 0.25),
        (mm.nbinom2(), 3.0, PHI, "lognormal", np.log1p(1 / 3 + 1 / 2.5)),
        (mm.nbinom2(), 3.0, PHI, "trigamma", polygamma(1, 1 / (1 / 3 + 1 / 2.5))),
        (mm.nbinom1(), 3.0, PHI, "delta", 3.5 / 3),
        (mm.Gamma(link="log"), 3.0, PHI, "delta", 2.5),
        (mm.Gamma(link="log"), 3.0, PHI, "trigamma", polygamma(1, 1 / 2.5)),
        (mm.Gamma(link="inverse"), 3.0, PHI, "delta", 2.5 / 9),
        (mm.inverse_gaussian(link="log"), 3.0, PHI, "lognormal", np.log1p(2.5 * 3)),
        (mm.gaussian(link="log"), 3.0, PHI, "lognormal", np.log1p(2.5 / 9)),
        (mm.binomial(), 0.3, NONE, "theoretical", np.pi**2 / 3),
        (mm.binomial(), 0.3, NONE, "delta", 1 / 0.21),
        (mm.binomial(link="probit"), 0.3, NONE, "theoretical", 1.0),
        (mm.binomial(link="probit"), 0.3, NONE, "delta", 0.21 / norm.pdf(norm.ppf(0.3)) ** 2),
        (mm.binomial(link="cloglog"), 0.3, NONE, "theoretical", np.pi**2 / 6),
        (mm.binomial(link="cloglog"), 0.3, NONE, "delta", 0.3 / 0.7 / np.log(0.7) ** 2),
        (mm.beta(), 0.3, PHI, "delta", 1 / (3.5 * 0.21)),
        (mm.beta(), 0.3, PHI, "trigamma", polygamma(1, 0.75) + polygamma(1, 1.75)),
    ],
)
def test_variances_of_distributions(family, mu, phi, method, expected):
    assert method in variance_methods(family)
    assert distribution_variance(family, mu, phi, method) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("family", "mu", "phi", "scale"),
    [
        (mm.Gamma(link="log"), 3.0, np.array([0.4]), np.log),
        (mm.beta(), 0.3, np.array([6.0]), lambda y: np.log(y / (1 - y))),
    ],
)
def test_trigamma_is_the_variance_on_the_scale_of_the_link(family, mu, phi, scale):
    rng = np.random.default_rng(1)
    y = family.simulate(rng, np.full(400_000, mu), np.ones(400_000), phi)
    assert distribution_variance(family, mu, phi, "trigamma") == pytest.approx(np.var(scale(y)), rel=0.01)


@pytest.mark.parametrize(
    ("family", "phi"),
    [
        (mm.poisson(zi=True), np.array([0.25])),
        (mm.nbinom2(zi=True), np.array([2.0, 0.25])),
        (mm.truncated_poisson(), NONE),
        (mm.truncated_poisson(zi=True), np.array([0.3])),
    ],
)
def test_zero_parts_enter_mean_and_variance(family, phi):
    y = family.simulate(np.random.default_rng(2), np.full(400_000, 3.0), np.ones(400_000), phi)
    expected = np.log1p(np.var(y) / np.mean(y) ** 2)
    assert distribution_variance(family, 3.0, phi, "lognormal") == pytest.approx(expected, rel=0.01)


def dense_parts(m):
    """Return fixed, random and residual variance of a linear mixed model from its dense matrices."""
    V = np.asarray((m.getME("Z") @ m.getME("Lambda") @ m.getME("Lambda").T @ m.getME("Z").T).todense())
    return np.var(m.getME("X") @ m.beta, ddof=1), m.sigma() ** 2 * np.diag(V).mean(), m.sigma() ** 2


@pytest.mark.parametrize(
    "name", ["sleepstudy", "sleepstudy_double_bar", "machines", "pastes", "penicillin", "cake", "dyestuff"]
)
def test_linear_models_by_dense_algebra(name, fitted):
    m = fitted(name)
    fixed, random, residual = dense_parts(m)
    total = fixed + random + residual
    found, icc = mm.r2(m), mm.icc(m)
    assert [found.marginal, found.conditional] == pytest.approx([fixed / total, (fixed + random) / total])
    assert [icc.adjusted, icc.unadjusted] == pytest.approx([random / (random + residual), random / total])
    assert mm.icc(m, by_group=True)["ICC"].sum() == pytest.approx(icc.adjusted)


@pytest.mark.parametrize("seed", range(4))
def test_random_designs_with_a_slope_that_has_no_fixed_effect(seed):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"x": rng.normal(1, 2, 120), "g": rng.integers(0, 12, 120), "h": np.arange(120) % 7})
    lines = rng.normal(0, 1.5, 12)[data.g] + rng.normal(0, 0.8, 12)[data.g] * data.x
    data["y"] = lines + rng.normal(0, 1.2, 7)[data.h] + rng.normal(size=120)
    m = mm.lmer("y ~ 1 + (x | g) + (1 | h)", data)
    fixed, random, residual = dense_parts(m)
    parts = variance_components(m)
    assert [parts.fixed, parts.between, parts.residual] == pytest.approx([fixed, random, residual], abs=1e-10)


def test_a_known_covariance_of_levels():
    rng = np.random.default_rng(5)
    A = rng.normal(size=(20, 20))
    K = pd.DataFrame(A @ A.T / 10 + np.eye(20), *2 * [[f"g{i:02}" for i in range(20)]])
    data = pd.DataFrame({"g": np.repeat(K.index, 4)})
    data["y"] = np.repeat(2 * np.linalg.cholesky(K.to_numpy()) @ rng.normal(size=20), 4) + rng.normal(size=80)
    m = mm.lmer("y ~ 1 + (1 | g)", data, relmat={"g": K})
    variance = m.term_covariances()[0].covariance[0, 0] * np.diag(K).mean()
    assert variance_components(m).between == pytest.approx(variance)


def test_effects_of_rows_are_residual_variance(fitted):
    m = fitted("cbpp_obs")
    by_term = {record.label: record.covariance[0, 0] for record in m.term_covariances()}
    parts = variance_components(m)
    assert parts.dispersion == pytest.approx(by_term["obs"])
    assert parts.random == pytest.approx({"herd": by_term["herd"]})
    total = parts.fixed + by_term["herd"] + by_term["obs"] + np.pi**2 / 3
    assert mm.r2(m).conditional == pytest.approx((parts.fixed + by_term["herd"]) / total)


def test_beta_binomial_trials_are_correlated_as_by_an_effect_of_the_row(data):
    """The delta variance of logit of a beta probability: rho / (mu (1 - mu))."""
    m = mm.glmer("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", data("cbpp"), "betabinomial")
    mu = 1 / (1 + np.exp(-m.beta[0]))
    assert variance_components(m).dispersion == pytest.approx(1 / (1 + m.phi[0]) / (mu * (1 - mu)))


def test_the_mean_is_that_of_the_model_without_predictors_or_the_one_given(data):
    ticks = data("grouseticks")
    m = mm.glmer("TICKS ~ YEAR + (1 | BROOD)", ticks, "poisson")
    null = mm.glmer("TICKS ~ 1 + (1 | BROOD)", ticks, "poisson")
    chance = np.log1p(np.exp(-null.beta[0]))
    assert mm.r2(m).variances.distribution == pytest.approx(chance, rel=1e-6)
    assert mm.r2(m, mean=4.0).variances.distribution == pytest.approx(np.log1p(0.25))
    for wrong in (0.0, -1, np.nan, "4", True):
        with pytest.raises(mm.ControlError, match="mean must be"):
            mm.r2(m, mean=wrong)


def test_pql_multiplies_by_its_dispersion(fitted):
    m = fitted("cbpp_pql")
    assert mm.r2(m).variances.distribution == pytest.approx(m.sigma() ** 2 * np.pi**2 / 3)


def test_a_singular_fit_has_none(fitted):
    m = fitted("dyestuff2")
    found, icc = mm.r2(m), mm.icc(m)
    assert np.isnan([found.marginal, found.conditional, icc.adjusted, icc.unadjusted]).all()
    assert "singular" in repr(found)
    assert "NA" in repr(icc)
    assert np.isnan(mm.icc(m, by_group=True)["ICC"]).all()
    assert mm.r2(m, tol=0).conditional == pytest.approx(0.0, abs=1e-12)


def rights_sterba_by_hand(m, data, group, x):
    """Return the authors' five variances of y ~ within + between + (within | group)."""
    within = data[x] - data.groupby(group, observed=True)[x].transform("mean")
    T = m.term_covariances()[0].covariance
    b = m.fixef()
    f1 = b["within"] ** 2 * within.var()
    f2 = b["between"] ** 2 * (data[x] - within).var()
    return f1, f2, T[1, 1] * within.var(), T[0, 0], m.sigma() ** 2


def test_rights_and_sterba_with_predictors_centred_within_clusters():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(30), rng.integers(4, 9, 30))})
    data["x"] = rng.normal(0, 1, 30)[data.g] + rng.normal(size=len(data))
    data["within"] = data.x - data.groupby("g").x.transform("mean")
    data["between"] = data.x - data["within"]
    slopes = 1 + rng.normal(0, 0.7, 30)[data.g]
    data["y"] = slopes * data["within"] - data["between"] + rng.normal(0, 1, 30)[data.g]
    data["y"] += rng.normal(size=len(data))
    m = mm.lmer("y ~ within + between + (within | g)", data)
    expected = np.array(rights_sterba_by_hand(m, data, "g", "x"))
    found = mm.r2(m, method="rights-sterba")
    np.testing.assert_allclose(found.variances, expected, rtol=1e-9)
    np.testing.assert_allclose(found.decomposition["total"], expected / expected.sum(), rtol=1e-9)
    f1, f2, v, mean, s2 = expected
    assert found.r2.loc["f1v", "within"] == pytest.approx((f1 + v) / (f1 + v + s2))
    assert found.r2.loc["m", "between"] == pytest.approx(mean / (f2 + mean))
    assert found.r2.loc["fvm", "total"] == pytest.approx(1 - s2 / expected.sum())
    assert np.isnan(found.decomposition.loc["mean variation", "within"])


def test_rights_and_sterba_of_any_predictors_by_simulation(fitted):
    """Days starts at zero: the variance between subjects is that of their lines at the mean day."""
    m = fitted("sleepstudy")
    T, days = m.term_covariances()[0].covariance, m.design.X[:, 1]
    draws = np.random.default_rng(4).multivariate_normal(np.zeros(2), T, 200_000)
    lines = draws[:, :1] + draws[:, 1:] * np.unique(days)
    found = mm.r2(m, method="rights-sterba").variances
    assert found["mean variation"] == pytest.approx(lines.mean(axis=1).var(), rel=0.02)
    assert found["slope variation"] == pytest.approx(draws[:, 1].var() * days.var(ddof=1), rel=0.02)
    assert found["fixed, between"] == pytest.approx(0.0, abs=1e-9)


def test_refusals(fitted, data):
    lm = mm.lm("Reaction ~ Days", data("sleepstudy"))
    with pytest.raises(mm.NotAvailableError, match="r_squared"):
        mm.r2(lm)
    with pytest.raises(mm.NotAvailableError, match="one grouping factor"):
        mm.r2(fitted("penicillin"), method="rights-sterba")
    with pytest.raises(mm.NotAvailableError, match="linear"):
        mm.r2(fitted("cbpp"), method="rights-sterba")
    with pytest.raises(mm.ControlError, match="'theoretical', 'delta'"):
        mm.r2(fitted("cbpp"), variance="lognormal")
    with pytest.raises(mm.ControlError, match="generalized"):
        mm.icc(fitted("sleepstudy"), variance="delta")
    with pytest.raises(mm.ControlError, match="method must be"):
        mm.r2(fitted("sleepstudy"), method="xu")
