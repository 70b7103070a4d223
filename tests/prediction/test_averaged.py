"""Population-averaged means, coefficients and effects against closed forms, adaptive integration and R."""

import numpy as np
import pytest
from scipy import integrate, special, stats

import mixedmodels as mm
from mixedmodels.families import binomial, poisson
from mixedmodels.prediction.averaged import average_rows, averaged_mean, natural_estimates, population_mean

# Rounding of a sum of some hundred nodes.
ROUNDING = 1e-12


@pytest.fixture(scope="module")
def toenail():
    return mm.glmer(
        "outcome ~ treatment * time + (1 | patientID)", mm.load_dataset("toenail"), family="binomial", nAGQ=25
    )


@pytest.fixture(scope="module")
def counts():
    return mm.glmer("y ~ trt + V4 + (V4 | subject)", mm.load_dataset("epil"), family="poisson")


@pytest.mark.parametrize("sd", [0.01, 0.5, 2.0, 8.0, 40.0])
def test_means_are_those_of_closed_forms_and_adaptive_integration(sd):
    eta, sds = np.array([-3.0, 0.2, 4.0]), np.full(3, sd)
    probit = population_mean(binomial(link="probit"), eta, sds, np.empty(0))
    np.testing.assert_allclose(probit, special.ndtr(eta / np.sqrt(1.0 + sd**2)), rtol=1e-9, atol=ROUNDING)
    logit = population_mean(binomial(), eta, sds, np.empty(0))
    for value, at in zip(logit, eta, strict=True):
        points = [0.0, -at / sd]
        exact = integrate.quad(
            lambda z, at=at: special.expit(at + sd * z) * stats.norm.pdf(z),
            -12, 12, points=points, limit=500, epsabs=1e-13,
        )  # fmt: skip
        assert value == pytest.approx(exact[0], abs=1e-10)
    if sd < 10.0:
        log = population_mean(poisson(), eta, sds, np.empty(0))
        np.testing.assert_allclose(log, np.exp(eta + sd**2 / 2.0), rtol=1e-11)


def test_marginal_coefs_of_a_log_link_shift_the_intercept():
    m = mm.glmer("y ~ trt + V4 + (1 | subject)", mm.load_dataset("epil"), family="poisson")
    expected = m.beta + np.array([float(m.theta_values[0]) ** 2 / 2.0, 0.0, 0.0])
    table = mm.marginal_coefs(m)
    np.testing.assert_allclose(table["Estimate"], expected, rtol=1e-10)
    # d(beta_0 + theta^2 / 2) by the delta method.
    C, theta = m.hessian_covariance, float(m.theta_values[0])
    variance = C[1, 1] + 2.0 * theta * C[0, 1] + theta**2 * C[0, 0]
    assert table["Std. Error"].iloc[0] == pytest.approx(np.sqrt(variance), rel=1e-6)
    np.testing.assert_allclose(table["Std. Error"].iloc[1:], m.standard_errors().iloc[1:], rtol=1e-6)


def test_marginal_coefs_of_a_probit_link_shrink_all():
    m = mm.glmer(
        "outcome ~ treatment * time + (1 | patientID)", mm.load_dataset("toenail"),
        family=mm.binomial("probit"), nAGQ=25,
    )  # fmt: skip
    expected = m.beta / np.sqrt(1.0 + float(m.theta_values[0]) ** 2)
    np.testing.assert_allclose(mm.marginal_coefs(m)["Estimate"], expected, rtol=1e-8)


def test_averages_are_those_of_drawn_random_effects(counts):
    rng = np.random.default_rng(3)
    draws = rng.standard_normal((200_000, 2)) @ counts.random[0].structure.factor(counts.theta_values).T
    row = average_rows(counts)
    at, _ = natural_estimates(counts)
    mean = averaged_mean(counts, row, at)
    for i in (0, 3):
        drawn = np.exp(row.X[i] @ counts.beta + draws @ row.Z[0][i])
        assert mean[i] == pytest.approx(drawn.mean(), abs=5.0 * drawn.std() / np.sqrt(len(drawn)))


def test_predictions_need_no_groups_and_agree_with_their_errors(toenail):
    new = mm.load_dataset("toenail").drop(columns="patientID").head(7)
    found = toenail.predict(new, re_form="average", type="response", se_fit=True)
    np.testing.assert_allclose(
        found["fit"], toenail.predict(re_form="average", type="response")[:7], rtol=1e-12
    )
    link = toenail.predict(new, re_form="average", se_fit=True)
    np.testing.assert_allclose(link["fit"], special.logit(found["fit"]), rtol=1e-10)
    slope = found["fit"] * (1.0 - found["fit"])
    np.testing.assert_allclose(found["se_fit"], slope * link["se_fit"], rtol=1e-5)
    assert (found["fit"] > toenail.predict(new, re_form=mm.NA, type="response")).all()


def test_a_linear_model_is_its_own_average():
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    found = m.predict(re_form="average", se_fit=True)
    np.testing.assert_allclose(found["fit"], m.predict(re_form=mm.NA), rtol=1e-12)
    X = m.design.X
    np.testing.assert_allclose(found["se_fit"], np.sqrt(np.einsum("ij,jk,ik->i", X, m.vcov(), X)), rtol=1e-8)
    with pytest.raises(mm.NotAvailableError, match="as they are"):
        mm.marginal_coefs(m)


def test_effects_of_factors_and_numbers(toenail):
    table = mm.average_marginal_effects(toenail).set_index("term")
    data = mm.load_dataset("toenail")
    levels = list(data["treatment"].cat.categories)
    means = [
        toenail.predict(data.assign(treatment=level), re_form="average", type="response").mean()
        for level in levels
    ]
    assert table.loc["treatment", "estimate"] == pytest.approx(means[1] - means[0], rel=1e-10)
    assert table.loc["treatment", "contrast"] == f"{levels[1]} - {levels[0]}"
    up, down = (
        toenail.predict(data.assign(time=data["time"] + s), re_form="average", type="response").mean()
        for s in (1e-4, -1e-4)
    )
    assert table.loc["time", "estimate"] == pytest.approx((up - down) / 2e-4, rel=1e-6)


def test_effects_of_a_plain_glm_are_those_of_r():
    # cbpp: margins by hand in R, mean(dlogis(eta)) * beta and its delta-method standard error.
    data = mm.load_dataset("sleepstudy")
    data["slow"] = (data["Reaction"] > 300).astype(int)
    m = mm.glm("slow ~ Days", data, family="binomial")
    row = mm.average_marginal_effects(m).iloc[0]
    p = m.fitted()
    density = p * (1.0 - p)
    assert row["estimate"] == pytest.approx(float(density.mean() * m.beta[1]), rel=1e-7)
    g = density * (1.0 - 2.0 * p) * m.beta[1]
    gradient = np.array([g.mean(), (g * data["Days"]).mean() + density.mean()])
    assert row["std.error"] == pytest.approx(float(np.sqrt(gradient @ m.vcov() @ gradient)), rel=1e-6)


def test_what_has_no_average_is_said(toenail):
    with pytest.raises(mm.ControlError, match=r"'tretment' is not in the fixed effects.*treatment, time"):
        mm.average_marginal_effects(toenail, "tretment")
    with pytest.raises(mm.DataError, match="time"):
        toenail.predict(mm.load_dataset("toenail").drop(columns="time"), re_form="average")
    data = mm.load_dataset("sleepstudy")
    gamma = mm.glmer("Reaction ~ Days + (1 | Subject)", data, family=mm.Gamma("inverse"))
    with pytest.raises(mm.NotAvailableError, match="inverse link"):
        mm.marginal_coefs(gamma)
