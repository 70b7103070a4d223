"""fit_glm against R's glm, glm.nb and glmmTMB (glm_reference.R), and against its own invariances."""

import json
from pathlib import Path

import numpy as np
import pytest

from mixedmodels import families as mf
from mixedmodels.likelihood.glm import fit_glm

REFERENCE = json.loads(Path(__file__).with_name("glm_reference.json").read_text())
DATA = {name: np.array(column, dtype=float) for name, column in REFERENCE["data"].items()}
RECORDS = {record["id"]: record for record in REFERENCE["records"]}
N = len(DATA["x"])
ONES = np.ones(N)
FULL = np.column_stack([ONES, DATA["x"], DATA["z"]])
# Both programs iterate to rounding error; log-likelihoods are sums of 60 terms of order 1.
SAME = 1e-7
# R stops when the deviance moves by 1e-14 of itself, with linear convergence away from canonical links:
# its estimates are then within about 1e-6 standard errors.
R_STOPS = 1e-6
# glmmTMB's parameters are polished by Newton steps with difference Hessians.
POLISHED = 2e-6
# Its covariances come from a difference Hessian with steps of 1e-4.
DIFFERENCED = 1e-4

BINOMIAL = (DATA["successes"] / DATA["trials"], DATA["trials"])
OVERDISPERSED = (DATA["overdispersed"] / DATA["trials"], DATA["trials"])
COUNT, POSITIVE, ZEROS, NB = DATA["count"], DATA["positive"], DATA["zeros"], DATA["nb"]
INTERCEPT_Z = FULL[:, [0, 2]]

GLM_CASES = {
    **{
        f"bernoulli_{link}": (DATA["bernoulli"], ONES, FULL, None, mf.binomial(link))
        for link in ("logit", "probit", "cloglog", "cauchit")
    },
    **{
        f"binomial_{link}": (*BINOMIAL, FULL, None, mf.binomial(link))
        for link in ("logit", "probit", "cloglog", "cauchit")
    },
    "binomial_log": (1.0 - DATA["bernoulli"], ONES, INTERCEPT_Z, None, mf.binomial("log")),
    "binomial_quasi": (*BINOMIAL, FULL, None, mf.quasibinomial()),
    "poisson_log": (COUNT, ONES, FULL, None, mf.poisson()),
    "poisson_offset": (COUNT, ONES, FULL, np.log(DATA["exposure"]), mf.poisson()),
    "poisson_weights": (COUNT, DATA["w"], FULL, None, mf.poisson()),
    "poisson_no_intercept": (COUNT, ONES, FULL[:, [1]], None, mf.poisson()),
    "poisson_sqrt": (COUNT, ONES, FULL, None, mf.poisson("sqrt")),
    "poisson_identity": (COUNT, ONES, INTERCEPT_Z, None, mf.poisson("identity")),
    "poisson_quasi": (COUNT, ONES, FULL, None, mf.quasipoisson()),
    "quasi_mu2": (POSITIVE, ONES, FULL, None, mf.quasi("log", "mu^2")),
    "gamma_log": (POSITIVE, ONES, FULL, None, mf.Gamma("log")),
    "gamma_inverse": (POSITIVE, ONES, FULL, None, mf.Gamma("inverse")),
    "gamma_weights": (POSITIVE, DATA["w"], FULL, None, mf.Gamma("log")),
    "inverse_gaussian_log": (POSITIVE, ONES, FULL, None, mf.inverse_gaussian("log")),
    "inverse_gaussian_canonical": (POSITIVE, ONES, FULL, None, mf.inverse_gaussian()),
    "gaussian_identity": (POSITIVE, ONES, FULL, None, mf.gaussian()),
    "gaussian_log": (POSITIVE, ONES, FULL, None, mf.gaussian("log")),
    "gaussian_inverse": (POSITIVE, ONES, FULL, None, mf.gaussian("inverse")),
    "negative_binomial_fixed": (NB, ONES, FULL, None, mf.negative_binomial(1.5)),
}
# glmmTMB's dispersion coefficient is log(shape) for Gamma and log(variance) for gaussian.
TMB_CASES = {
    "tmb_nbinom1": (NB, ONES, mf.nbinom1(), np.exp),
    "tmb_nbinom2": (NB, ONES, mf.nbinom2(), np.exp),
    "tmb_gamma_log": (POSITIVE, ONES, mf.Gamma("log"), lambda d: np.exp(-d)),
    "tmb_gaussian_log": (POSITIVE, ONES, mf.gaussian("log"), np.exp),
    "tmb_beta": (DATA["fraction"], ONES, mf.beta(), np.exp),
    "tmb_beta_probit": (DATA["fraction"], ONES, mf.beta("probit"), np.exp),
    "tmb_betabinomial": (*OVERDISPERSED, mf.betabinomial(), np.exp),
    "tmb_betabinomial_cloglog": (*OVERDISPERSED, mf.betabinomial("cloglog"), np.exp),
    "tmb_zip": (ZEROS, ONES, mf.poisson(zi=True), np.exp),
    "tmb_zinb1": (ZEROS, ONES, mf.nbinom1(zi=True), np.exp),
    "tmb_zinb2": (ZEROS, ONES, mf.nbinom2(zi=True), np.exp),
    "tmb_hurdle_poisson": (ZEROS, ONES, mf.truncated_poisson(zi=True), np.exp),
    "tmb_hurdle_nbinom2": (ZEROS, ONES, mf.truncated_nbinom2(zi=True), np.exp),
    "tmb_hurdle_nbinom1": (ZEROS, ONES, mf.truncated_nbinom1(zi=True), np.exp),
}


@pytest.mark.parametrize("name", GLM_CASES)
def test_glm_of_r(name):
    expected = RECORDS[name]
    y, weights, X, offset, family = GLM_CASES[name]
    fit = fit_glm(y, weights, X, offset, family)
    assert fit.convergence.verdict == "converged"
    r_vcov = np.atleast_2d(expected["vcov"])
    se = np.sqrt(np.diagonal(r_vcov))
    np.testing.assert_allclose(fit.beta, np.atleast_1d(expected["beta"]), rtol=0, atol=R_STOPS * se.max())
    assert fit.deviance == pytest.approx(expected["deviance"], rel=SAME)
    assert fit.null_deviance == pytest.approx(expected["null_deviance"], rel=SAME)
    assert fit.pearson_X2 == pytest.approx(expected["pearson_X2"], rel=R_STOPS)
    assert (fit.df_residual, fit.df_null) == (expected["df_residual"], expected["df_null"])
    # R's dispersion is Pearson's for every family but binomial and Poisson; ours is maximum likelihood.
    if expected["dispersion"] != 1:
        assert fit.pearson_X2 / fit.df_residual == pytest.approx(expected["dispersion"], rel=R_STOPS)
    unscaled = r_vcov / expected["dispersion"]
    np.testing.assert_allclose(
        fit.vcov / fit.dispersion, unscaled, rtol=R_STOPS, atol=R_STOPS * unscaled.max()
    )
    if not family.is_quasi and not family.has_dispersion:
        assert fit.loglik == pytest.approx(expected["loglik"], abs=SAME)
    residuals = np.sign(y - fit.mu) * np.sqrt(family.deviance(y, fit.mu, weights, fit.phi))
    np.testing.assert_allclose(residuals[:6], expected["deviance_residuals"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", TMB_CASES)
def test_glmmtmb_without_random_effects(name):
    expected = RECORDS[name]
    y, weights, family, to_phi = TMB_CASES[name]
    fit = fit_glm(y, weights, FULL, None, family)
    assert fit.convergence.verdict == "converged"
    assert fit.loglik == pytest.approx(expected["loglik"], abs=SAME)
    np.testing.assert_allclose(fit.beta, expected["beta"], rtol=0, atol=POLISHED)
    phi = [to_phi(np.atleast_1d(expected["betad"])), 1 / (1 + np.exp(-np.atleast_1d(expected["betazi"])))]
    np.testing.assert_allclose(fit.phi, np.concatenate(phi), rtol=10 * POLISHED)
    ours = fit.vcov_hessian[:3, :3]
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(ours)), np.sqrt(np.diagonal(expected["vcov"])), rtol=DIFFERENCED
    )


def test_negative_binomial_with_theta_of_mass():
    expected = RECORDS["glm_nb"]
    fit = fit_glm(NB, ONES, FULL, None, mf.negative_binomial())
    np.testing.assert_allclose(fit.beta, expected["beta"], atol=1e-6)
    assert fit.phi[0] == pytest.approx(expected["theta"], rel=1e-5)
    assert fit.loglik == pytest.approx(expected["loglik"], abs=SAME)
    # glm.nb gives the covariance for theta known, from the expected information: ours too.
    np.testing.assert_allclose(fit.vcov, expected["vcov"], rtol=1e-5)
    assert fit.deviance == pytest.approx(expected["deviance"], rel=1e-5)
