"""Scores and information of lm and glm against differences of log-likelihoods that SciPy writes out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm

RNG = np.random.default_rng(11)
N = 60


def data():
    x = RNG.normal(size=N)
    mean = np.exp(0.4 + 0.3 * x)
    return pd.DataFrame({
        "x": x,
        "g": np.repeat(np.arange(12), 5),
        "w": RNG.integers(0, 4, N).astype(float),
        "z": RNG.normal(size=N),
        "normal": 1.0 + 0.5 * x + RNG.normal(size=N),
        "positive": RNG.gamma(2.0, mean / 2.0),
        "count": RNG.negative_binomial(1.5, 1.5 / (1.5 + mean)).astype(float),
        "share": RNG.binomial(5, 0.4, N) / 5.0,
    })  # fmt: skip


DATA = data()


def gaussian(m, eta, phi):
    return np.where(
        m.prior_weights > 0, stats.norm.logpdf(m.y, eta, phi / np.sqrt(DATA["w"].clip(1e-9))), 0.0
    )


def gamma(m, eta, phi):
    shape, mean = 1.0 / phi, np.exp(eta)
    return stats.gamma.logpdf(m.y, shape, scale=mean / shape)


def negative_binomial(m, eta, phi):
    return stats.nbinom.logpmf(m.y, phi, phi / (phi + np.exp(eta)))


def binomial(m, eta, phi):
    return stats.binom.logpmf(np.round(m.y * m.prior_weights), 5, stats.norm.cdf(eta))


def weighted_lm():
    return mm.lm("normal ~ x", DATA, weights="w", offset="z")


CASES = {
    "lm": (weighted_lm, gaussian),
    "gamma": (lambda: mm.glm("positive ~ x", DATA, family=mm.Gamma(link="log")), gamma),
    "negbin": (
        lambda: mm.glm("count ~ x + offset(0.1 * z)", DATA, family="negative_binomial"),
        negative_binomial,
    ),
    "probit": (
        lambda: mm.glm("share ~ x", DATA.assign(five=5.0), weights="five", family=mm.binomial(link="probit")),
        binomial,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_scores_and_information_are_derivatives_of_the_loglikelihood(case):
    make, loglik = CASES[case]
    m = make()
    own = [m.sigma()] if case == "lm" else list(m.phi)
    at = np.concatenate([m.fixef().to_numpy(), own])
    shift = m.linear_predictor - m.design.X @ m.beta
    steps = 1e-4 * np.maximum(np.abs(at), 0.1)

    def by_row(x):
        return loglik(m, m.design.X @ x[:2] + shift, x[2] if len(x) > 2 else None)

    def score(x):
        units = np.diag(steps)
        return np.column_stack([(by_row(x + u) - by_row(x - u)) / (2.0 * u.sum()) for u in units])

    np.testing.assert_allclose(mm.estfun(m), score(at), rtol=2e-6, atol=2e-6)
    units = np.diag(steps)
    H = -np.array([(score(at + u).sum(0) - score(at - u).sum(0)) / (2.0 * u.sum()) for u in units])
    scale = np.sqrt(np.abs(np.diag(H)))
    np.testing.assert_allclose(
        mm.information(m) / np.outer(scale, scale), H / np.outer(scale, scale), atol=1e-5
    )


def test_scores_of_clusters_are_sums_of_those_of_their_rows():
    m = weighted_lm()
    by_row = mm.estfun(m)
    assert list(by_row.columns) == ["(Intercept)", "x", ".sigma"]
    expected = by_row.groupby(DATA["g"].to_numpy()).sum()
    found = mm.estfun(m, cluster="g")
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    # The covariance of the summary is the inverse of the information in the coefficients.
    inverse = np.linalg.inv(mm.information(m).to_numpy())[:2, :2]
    np.testing.assert_allclose(inverse, m.vcov(), rtol=1e-9)


def test_a_quasi_family_has_no_scores():
    m = mm.glm("count ~ x", DATA, family="quasipoisson")
    with pytest.raises(mm.NotAvailableError, match=r"quasipoisson family has no likelihood.*'poisson'"):
        mm.estfun(m)
