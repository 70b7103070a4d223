"""fit_glm against R's glm, glm.nb and glmmTMB (glm_reference.R), and against its own invariances."""

import json
from pathlib import Path

import numpy as np
import pytest

from mixedmodels import families as mf
from mixedmodels.engines.glm.fit import fit_glm
from mixedmodels.engines.glm.newton import GlmPoint, verdict
from mixedmodels.errors import ConvergenceError

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
    # R's summary multiplies even a negative binomial of known theta, a distribution without a dispersion.
    if name == "negative_binomial_fixed":
        r_vcov = r_vcov / expected["dispersion"]
    else:
        assert fit.dispersion == pytest.approx(expected["dispersion"], rel=R_STOPS)
    np.testing.assert_allclose(fit.vcov, r_vcov, rtol=R_STOPS, atol=R_STOPS * np.abs(r_vcov).max())
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


RNG = np.random.default_rng(5)
X_RANDOM = np.column_stack([np.ones(200), RNG.normal(size=200)])
SLOPE = X_RANDOM[:, 1]
RANDOM_CASES = {
    "binomial": (mf.binomial("probit"), (RNG.random(200) < 0.4).astype(float)),
    "poisson": (mf.poisson(), RNG.poisson(np.exp(1.0 + SLOPE)).astype(float)),
    "Gamma": (mf.Gamma("log"), RNG.gamma(2.0, np.exp(SLOPE))),
    "inverse gaussian": (mf.inverse_gaussian("log"), RNG.wald(np.exp(0.3 * SLOPE), 2.0)),
    "gaussian": (mf.gaussian("log"), np.exp(SLOPE) + 0.1 * RNG.normal(size=200)),
    "beta": (mf.beta(), RNG.beta(2.0, 3.0, 200)),
    "nbinom1": (mf.nbinom1(), RNG.negative_binomial(2, 0.4, 200).astype(float)),
    "nbinom2": (mf.nbinom2(), RNG.negative_binomial(2, 0.4, 200).astype(float)),
    "zinb": (mf.nbinom2(zi=True), RNG.negative_binomial(4, 0.4, 200) * (RNG.random(200) < 0.6).astype(float)),
}
# Two routes to the same optimum, each stopped at a Newton decrement of 1e-16: 1e-8 standard errors.
TWO_ROUTES = 1e-7


@pytest.mark.parametrize("name", RANDOM_CASES)
def test_the_gradient_vanishes_and_the_hessian_is_that_of_differences(name):
    family, y = RANDOM_CASES[name]
    fit = fit_glm(y, np.ones(200), X_RANDOM, None, family)
    free = family.phi_to_free(fit.phi) if len(fit.phi) else fit.phi

    def loglik(p):
        phi = family.phi_from_free(p[2:]) if len(free) else fit.phi
        return family.evaluate(y, X_RANDOM @ p[:2], np.ones(200), phi).loglik.sum()

    at = np.concatenate([fit.beta, free])
    natural = np.ones(len(at))
    natural[2:] = family.phi_natural_derivative(fit.phi) if len(free) else natural[2:]
    # Steps of a hundredth of a standard error: third derivatives then add about a millionth.
    size = 0.01 * np.sqrt(np.diagonal(fit.vcov_hessian)) / natural
    steps = np.diag(size)
    for step in steps:
        assert abs(loglik(at + step) - loglik(at - step)) < 1e-6
    H = np.array(
        [
            [loglik(at + a + b) - loglik(at + a - b) - loglik(at - a + b) + loglik(at - a - b) for a in steps]
            for b in steps
        ]
    ) / (4.0 * np.outer(size, size))
    expected = np.linalg.inv(-H) * np.outer(natural, natural)
    np.testing.assert_allclose(fit.vcov_hessian, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("name", RANDOM_CASES)
def test_units_and_rows_of_weight_zero_change_nothing(name):
    family, y = RANDOM_CASES[name]
    plain = fit_glm(y, np.ones(200), X_RANDOM, None, family)
    moved = np.column_stack([np.ones(200), 1e6 * SLOPE + 2e7])
    scaled = fit_glm(y, np.ones(200), moved, None, family)
    assert scaled.loglik == pytest.approx(plain.loglik, abs=1e-8)
    np.testing.assert_allclose(scaled.beta[1] * 1e6, plain.beta[1], rtol=TWO_ROUTES)
    np.testing.assert_allclose(scaled.phi, plain.phi, rtol=TWO_ROUTES)
    padded = fit_glm(
        np.append(y, y[:1]), np.append(np.ones(200), 0.0), np.vstack([X_RANDOM, X_RANDOM[:1]]), None, family
    )
    assert padded.loglik == pytest.approx(plain.loglik, abs=1e-8)
    assert (padded.df_residual, padded.df_null) == (198, 199)
    np.testing.assert_allclose(padded.beta, plain.beta, rtol=TWO_ROUTES, atol=TWO_ROUTES)
    assert padded.null_deviance == pytest.approx(plain.null_deviance, rel=1e-6)


def test_huge_counts():
    y = RNG.poisson(np.exp(25.0 + 2.0 * SLOPE)).astype(float)
    fit = fit_glm(y, np.ones(200), X_RANDOM, None, mf.poisson())
    assert fit.convergence.verdict == "converged"
    np.testing.assert_allclose(fit.beta, [25.0, 2.0], atol=1e-6)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "loglog", "cauchit"])
def test_separated_data_do_not_overflow(link):
    fit = fit_glm((SLOPE > 0).astype(float), np.ones(200), X_RANDOM, None, mf.binomial(link))
    assert fit.loglik == pytest.approx(0.0, abs=1e-6)
    assert np.all(np.isfinite(fit.beta))


@pytest.mark.parametrize("family", [mf.poisson(), mf.nbinom2(), mf.nbinom1(), mf.binomial()])
def test_all_zero_responses_do_not_overflow(family):
    fit = fit_glm(np.zeros(200), np.ones(200), X_RANDOM, None, family)
    assert fit.loglik == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("family", "mean"), [(mf.poisson("identity"), 3.0), (mf.poisson("inverse"), 3.0), (mf.Gamma(), 2.0)]
)
def test_links_with_a_limited_range_start_inside_it(family, mean):
    y = RNG.poisson(mean, 200) + 0.0 if family.name == "poisson" else RNG.gamma(0.3, mean, 200) + 1e-9
    fit = fit_glm(y, np.ones(200), X_RANDOM, None, family)
    assert fit.convergence.verdict == "converged"


def test_a_negative_mean_under_the_inverse_link():
    fit = fit_glm(-3.0 + 0.1 * RNG.normal(size=200), np.ones(200), X_RANDOM, None, mf.gaussian("inverse"))
    assert fit.beta[0] == pytest.approx(-1 / 3, abs=0.01)


def test_parameters_at_the_end_of_their_range_are_named():
    y = RNG.binomial(10, 0.5, 200).astype(float)
    for family, words in (
        (mf.nbinom2(), "not overdispersed"),
        (mf.nbinom1(), "not overdispersed"),
        (mf.poisson(zi=True), "no more zeros"),
    ):
        padded = np.append(y, 0.0)
        fit = fit_glm(padded, np.ones(201), np.ones((201, 1)), None, family)
        poisson = fit_glm(padded, np.ones(201), np.ones((201, 1)), None, mf.poisson())
        assert fit.convergence.verdict == "boundary"
        assert words in fit.convergence.reasons[0]
        assert fit.loglik == pytest.approx(poisson.loglik, abs=1e-5)


@pytest.mark.parametrize("family", [mf.gaussian(), mf.Gamma("log")])
def test_an_exact_fit_is_not_called_converged(family):
    fit = fit_glm(np.full(200, 2.0), np.ones(200), X_RANDOM, None, family)
    assert fit.convergence.verdict == "not converged"
    assert "fits the response exactly" in fit.convergence.reasons[0]


@pytest.mark.parametrize("phi", [1e-4, 1e-12, 1e-30])
def test_an_exact_fit_is_known_by_its_residuals_wherever_the_dispersion_was_left(phi):
    y, weights, eta = np.full(200, 2.0), np.ones(200), np.full(200, 2.0 + 4e-15)
    family = mf.gaussian()
    rows = family.evaluate(y, eta, weights, np.array([phi]))
    point = GlmPoint(np.array([2.0]), np.array([phi]), eta, rows, float(rows.loglik.sum()))
    assert "fits the response exactly" in verdict(y, weights, family, point, 1e160, 4).reasons[0]


def test_no_fixed_effects():
    fit = fit_glm(COUNT, ONES, np.empty((N, 0)), np.log(DATA["exposure"]), mf.nbinom2())
    assert fit.beta.shape == (0,)
    assert fit.vcov.shape == (0, 0)
    assert fit.convergence.verdict == "converged"


def test_no_start_is_an_error_with_a_way_out():
    with pytest.raises(ConvergenceError, match=r"link 'identity'.*'log'"):
        fit_glm(COUNT, ONES, np.ones((N, 1)), np.full(N, -1e6) * DATA["x"], mf.poisson("identity"))
