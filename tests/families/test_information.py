"""Expected information against its definition -E(d2), by summation and quadrature."""

import numpy as np
import pytest
from scipy.integrate import quad

from mixedmodels import families as mf

ETAS = (-1.3, -0.2, 0.6)
# The sums run until the tail is below 1e-14 of the whole.
EXACT = 1e-9
QUADRATURE = 1e-6


def _at(family, y, eta, weight, phi):
    y = np.atleast_1d(np.asarray(y, dtype=float))
    return family.evaluate(y, np.full(len(y), eta), np.full(len(y), weight), phi)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "loglog", "cauchit"])
@pytest.mark.parametrize("eta", ETAS)
def test_binomial(link, eta):
    rows = _at(mf.binomial(link), np.arange(8) / 7.0, eta, 7.0, np.empty(0))
    assert np.sum(np.exp(rows.loglik)) == pytest.approx(1.0, rel=EXACT)
    assert np.sum(np.exp(rows.loglik) * -rows.d2) == pytest.approx(rows.information[0], rel=EXACT)


@pytest.mark.parametrize(
    "family", [mf.poisson("log"), mf.negative_binomial(3.0), mf.negative_binomial(0.9, "sqrt")]
)
@pytest.mark.parametrize("eta", (0.2, 0.7, 1.4))
def test_counts(family, eta):
    rows = _at(family, np.arange(400), eta, 1.0, np.empty(0))
    assert np.sum(np.exp(rows.loglik)) == pytest.approx(1.0, rel=EXACT)
    assert np.sum(np.exp(rows.loglik) * -rows.d2) == pytest.approx(rows.information[0], rel=EXACT)


@pytest.mark.parametrize(
    ("family", "phi", "low", "high"),
    [
        (mf.Gamma("log"), 0.3, 0.0, 60.0),
        (mf.Gamma("inverse"), 0.3, 0.0, 60.0),
        (mf.inverse_gaussian("log"), 0.3, 0.0, 200.0),
        (mf.inverse_gaussian(), 0.3, 0.0, 200.0),
        (mf.gaussian("log"), 0.7, -15.0, 20.0),
        (mf.gaussian("cloglog"), 0.7, -15.0, 20.0),
        (mf.beta("logit"), 5.0, 0.0, 1.0),
        (mf.beta("cloglog"), 5.0, 0.0, 1.0),
    ],
)
@pytest.mark.parametrize("eta", (0.3, 0.8))
def test_continuous(family, phi, low, high, eta):
    phi = np.array([phi])

    def density(y):
        return float(np.exp(_at(family, y, eta, 1.0, phi).loglik[0]))

    def term(y):
        rows = _at(family, y, eta, 1.0, phi)
        return float(np.exp(rows.loglik[0]) * -rows.d2[0])

    inside = (low + 1e-12, high - 1e-12)
    assert quad(density, *inside, limit=400)[0] == pytest.approx(1.0, rel=QUADRATURE)
    information = _at(family, 0.5, eta, 1.0, phi).information[0]
    assert quad(term, *inside, limit=400)[0] == pytest.approx(information, rel=QUADRATURE)


@pytest.mark.parametrize(
    ("family", "phi"),
    [
        (mf.nbinom1(), [2.0]),
        (mf.poisson(zi=True), [0.3]),
        (mf.nbinom2(zi=True), [1.4, 0.3]),
        (mf.truncated_nbinom2(zi=True), [1.4, 0.3]),
    ],
)
def test_probabilities_and_scores_of_counts_without_closed_form(family, phi):
    rows = _at(family, np.arange(600), 0.6, 1.0, np.array(phi))
    pmf = np.exp(rows.loglik)
    assert pmf.sum() == pytest.approx(1.0, rel=EXACT)
    assert np.sum(pmf * rows.d1) == pytest.approx(0.0, abs=EXACT)
    assert np.sum(pmf * (rows.d1**2 + rows.d2)) == pytest.approx(0.0, abs=EXACT)
    in_phi = family.phi_derivatives(np.arange(600.0), np.full(600, 0.6), np.ones(600), np.array(phi))
    np.testing.assert_allclose(in_phi.loglik @ pmf, 0.0, atol=EXACT)
    mu = np.exp(np.full(1, 0.6))
    mean = np.sum(pmf * np.arange(600))
    assert family.response_mean(mu, np.array(phi))[0] == pytest.approx(mean, rel=EXACT)
    variance = np.sum(pmf * (np.arange(600) - mean) ** 2)
    assert family.variance(mu, np.array(phi))[0] == pytest.approx(variance, rel=EXACT)
