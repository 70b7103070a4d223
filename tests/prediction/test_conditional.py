"""Predictions of missing visits from those observed, against the conditional normal distribution and SAS."""

import numpy as np
import pytest

import mixedmodels as mm
from tests.engines.residual.fev import fev


@pytest.fixture(scope="module")
def model():
    return mm.mmrm("fev ~ arm + us(visit | subject)", fev())


def test_a_missing_visit_is_predicted_from_the_others_by_the_normal_distribution(model):
    data = fev()
    missing = data[(data["subject"] == "PT1") & data["fev"].isna()]
    found = model.predict(missing, conditional=True, se_fit=True)
    kept = data[data["fev"].notna()].reset_index(drop=True)
    full = mm.mmrm("fev ~ arm + us(visit | subject)", kept)
    S = full.sigma() ** 2 * _covariance_of_visits(full)
    own = kept[kept["subject"] == "PT1"]
    o, m = own["visit"].cat.codes.to_numpy(), missing["visit"].cat.codes.to_numpy()
    A = S[np.ix_(m, o)] @ np.linalg.inv(S[np.ix_(o, o)])
    mean = full.predict(missing).to_numpy()
    e = own["fev"].to_numpy() - full.predict(own).to_numpy()
    np.testing.assert_allclose(found["fit"], mean + A @ e, rtol=1e-6)
    X, Xo = (full.model_matrix("fixed", rows).to_numpy() for rows in (missing, own))
    G = X - A @ Xo
    expected = np.diag(G @ full.vcov().to_numpy() @ G.T + S[np.ix_(m, m)] - A @ S[np.ix_(o, m)])
    np.testing.assert_allclose(found["se_fit"] ** 2, expected, rtol=1e-6)


def _covariance_of_visits(fit):
    """Return the covariance of the four visits over sigma^2."""
    at = fit.estimates.parameters
    sd = np.concatenate([[1.0], at.delta[0]])
    return fit.design.residual.structure.matrix(at.rho) * np.outer(sd, sd)


def test_the_prediction_of_a_missing_visit_is_that_of_sas(model):
    # OUTPRED= of PROC MIXED, which stops a little above the optimum.
    missing = fev().iloc[[0, 2]]
    found = model.predict(missing, conditional=True, se_fit=True)
    np.testing.assert_allclose(found["fit"], [44.9753553724, 41.4074753230], atol=3e-3)
    np.testing.assert_allclose(found["se_fit"], [7.0753788203, 4.7219912224], rtol=5e-4)


def test_an_observed_row_is_itself_and_a_new_subject_has_the_mean(model):
    observed = fev()[fev()["fev"].notna()].head(3)
    found = model.predict(observed, conditional=True)
    np.testing.assert_allclose(found, observed["fev"], rtol=1e-9)
    new = observed.assign(subject="nobody")
    np.testing.assert_allclose(model.predict(new, conditional=True), model.predict(new))
    with pytest.raises(mm.ControlError, match="newdata"):
        model.predict(conditional=True)


def test_prediction_limits_have_the_standard_deviation_of_the_visit(model):
    rows = fev().iloc[[0, 3]]
    limits = model.predict(rows, interval="prediction", df=np.inf)
    mean_se = model.predict(rows, se_fit=True)["se_fit"]
    sd = model.sigma() * np.array([1.0, model.estimates.parameters.delta[0][2]])
    half = 1.959963984540054 * np.sqrt(mean_se**2 + sd**2)
    np.testing.assert_allclose(limits["upper"] - limits["fit"], half)


def test_simulated_responses_have_the_covariance_of_the_fit(model):
    draws = model.simulate(4000, seed=1).to_numpy()
    rows = model.design.residual.codes == model.design.residual.codes[2]
    own = np.cov(draws[rows])
    expected = model.sigma() ** 2 * model.residual_covariance(model.prior_weights, np.flatnonzero(rows))
    np.testing.assert_allclose(own, expected, atol=0.1 * expected.max())
