"""Log-likelihoods with their full constants against scipy.stats and against sums written out by hand."""

import numpy as np
import pytest
from scipy import stats

from mixedmodels import families as mf
from tests.families.cases import COUNTS, FRACTIONS, NONE, POSITIVE, PROPORTIONS, REAL, TRIALS, WEIGHTS

ETA = np.array([-0.7, 0.4, 0.1, 1.2, -0.2])
MU = np.exp(ETA)
# scipy's log-densities are themselves accurate to about 1e-13.
SAME = {"rtol": 1e-11, "atol": 1e-12}


def _loglik(family, y, weights, phi=NONE, eta=ETA):
    return family.evaluate(y, eta, weights, np.asarray(phi, dtype=float)).loglik


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "loglog", "cauchit"])
def test_binomial(link):
    family = mf.binomial(link)
    expected = stats.binom.logpmf(PROPORTIONS * TRIALS, TRIALS, family.link.inverse(ETA))
    np.testing.assert_allclose(_loglik(family, PROPORTIONS, TRIALS), expected, **SAME)


def test_poisson():
    expected = WEIGHTS * stats.poisson.logpmf(COUNTS, MU)
    np.testing.assert_allclose(_loglik(mf.poisson(), COUNTS, WEIGHTS), expected, **SAME)


def test_gamma_and_inverse_gaussian_have_precision_weights():
    shape = WEIGHTS / 0.4
    expected = stats.gamma.logpdf(POSITIVE, shape, scale=MU / shape)
    np.testing.assert_allclose(_loglik(mf.Gamma("log"), POSITIVE, WEIGHTS, [0.4]), expected, **SAME)
    expected = stats.invgauss.logpdf(POSITIVE, MU / shape, scale=shape)
    np.testing.assert_allclose(
        _loglik(mf.inverse_gaussian("log"), POSITIVE, WEIGHTS, [0.4]), expected, **SAME
    )


def test_gamma_with_a_huge_shape():
    y = MU * (1.0 + 1e-5 * REAL)
    found = _loglik(mf.Gamma("log"), y, np.ones(5), [1e-9])
    # A Gamma of shape k is normal on the log scale up to terms of order 1 / sqrt(k).
    expected = stats.norm.logpdf(np.log(y), ETA, np.sqrt(1e-9)) - np.log(y)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


def test_gaussian_has_precision_weights():
    expected = stats.norm.logpdf(REAL, MU, np.sqrt(0.7 / WEIGHTS))
    np.testing.assert_allclose(_loglik(mf.gaussian("log"), REAL, WEIGHTS, [0.7]), expected, **SAME)


@pytest.mark.parametrize("theta", [0.3, 20.0, 1e4])
def test_negative_binomial(theta):
    expected = WEIGHTS * stats.nbinom.logpmf(COUNTS, theta, theta / (theta + MU))
    np.testing.assert_allclose(_loglik(mf.negative_binomial(theta), COUNTS, WEIGHTS), expected, rtol=1e-9)
    np.testing.assert_array_equal(
        _loglik(mf.nbinom2(), COUNTS, WEIGHTS, [theta]), _loglik(mf.negative_binomial(theta), COUNTS, WEIGHTS)
    )


@pytest.mark.parametrize("alpha", [0.05, 3.0])
def test_nbinom1(alpha):
    expected = WEIGHTS * stats.nbinom.logpmf(COUNTS, MU / alpha, 1.0 / (1.0 + alpha))
    np.testing.assert_allclose(_loglik(mf.nbinom1(), COUNTS, WEIGHTS, [alpha]), expected, rtol=1e-10)


def test_negative_binomials_tend_to_the_poisson():
    poisson = _loglik(mf.poisson(), COUNTS, WEIGHTS)
    np.testing.assert_allclose(_loglik(mf.nbinom2(), COUNTS, WEIGHTS, [1e13]), poisson, rtol=1e-9)
    np.testing.assert_allclose(_loglik(mf.nbinom1(), COUNTS, WEIGHTS, [1e-13]), poisson, rtol=1e-9)


def test_beta():
    family = mf.beta("probit")
    mu = family.link.inverse(ETA)
    expected = WEIGHTS * stats.beta.logpdf(FRACTIONS, mu * 3.7, (1 - mu) * 3.7)
    np.testing.assert_allclose(_loglik(family, FRACTIONS, WEIGHTS, [3.7]), expected, **SAME)


@pytest.mark.parametrize("precision", [0.2, 2.3, 40.0])
def test_betabinomial(precision):
    family = mf.betabinomial()
    mu = family.link.inverse(ETA)
    expected = stats.betabinom.logpmf(
        np.round(PROPORTIONS * TRIALS), TRIALS, mu * precision, (1 - mu) * precision
    )
    np.testing.assert_allclose(
        _loglik(family, PROPORTIONS, TRIALS, [precision]), expected, rtol=1e-9, atol=1e-12
    )


BASES = {
    "poisson": (mf.poisson, mf.truncated_poisson, [], lambda y: stats.poisson.pmf(y, MU)),
    "nbinom2": (
        mf.nbinom2,
        mf.truncated_nbinom2,
        [2.0],
        lambda y: stats.nbinom.pmf(y, 2.0, 2.0 / (2.0 + MU)),
    ),
    "nbinom1": (mf.nbinom1, mf.truncated_nbinom1, [2.0], lambda y: stats.nbinom.pmf(y, MU / 2.0, 1.0 / 3.0)),
}


@pytest.mark.parametrize("base", BASES)
def test_zero_parts(base):
    make, make_truncated, phi, pmf = BASES[base]
    f, f0, pi = pmf(COUNTS), pmf(np.zeros(5)), 0.2
    inflated = np.where(COUNTS == 0, pi + (1 - pi) * f0, (1 - pi) * f)
    hurdle = np.where(COUNTS == 0, pi, (1 - pi) * f / (1 - f0))
    np.testing.assert_allclose(
        _loglik(make(zi=True), COUNTS, WEIGHTS, [*phi, pi]), WEIGHTS * np.log(inflated), rtol=1e-9
    )
    np.testing.assert_allclose(
        _loglik(make_truncated(zi=True), COUNTS, WEIGHTS, [*phi, pi]), WEIGHTS * np.log(hurdle), rtol=1e-9
    )
    positive = COUNTS > 0
    np.testing.assert_allclose(
        _loglik(make_truncated(), COUNTS, WEIGHTS, phi)[positive],
        (WEIGHTS * np.log(f / (1 - f0)))[positive],
        rtol=1e-9,
    )


def test_a_truncated_mean_close_to_zero():
    # As mu falls, a truncated count is 1 with certainty and 2 with probability mu / 2.
    y, eta = np.array([1.0, 2.0]), np.full(2, -600.0)
    found = _loglik(mf.truncated_poisson(), y, np.ones(2), eta=eta)
    np.testing.assert_allclose(found, [0.0, -600.0 - np.log(2.0)], rtol=1e-12, atol=1e-12)


def test_means_outside_the_range_have_no_likelihood():
    for family, y, eta in (
        (mf.Gamma("inverse"), POSITIVE, -0.1),
        (mf.poisson("identity"), COUNTS, -0.1),
        (mf.inverse_gaussian(), POSITIVE, 0.0),
        (mf.binomial("log"), PROPORTIONS, 0.1),
        (mf.binomial("identity"), PROPORTIONS, 1.5),
    ):
        phi = np.full(len(family.phi_names), 0.5)
        found = family.evaluate(y, np.full(5, eta), np.ones(5), phi, 3)
        np.testing.assert_array_equal(found.loglik, -np.inf)
        np.testing.assert_array_equal(found.d1, 0.0)


def test_huge_counts():
    y = np.array([1e9, 1e12])
    eta = np.log(y)
    found = _loglik(mf.poisson(), y, np.ones(2), eta=eta)
    # Stirling: the largest probability of a Poisson with mean y is 1 / sqrt(2 pi y).
    np.testing.assert_allclose(found, -0.5 * np.log(2 * np.pi * y), atol=1e-2)
