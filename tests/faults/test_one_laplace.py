"""One Laplace approximation for every family and link, so that families can be compared."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

HERE = Path(__file__).parent
PIGS = "field_count ~ log(origarea) + habitat + (1 | animal) + (1 | field)"


@pytest.fixture(scope="module")
def pigs():
    frame = pd.read_csv(HERE / "glmer-nb-two-likelihoods" / "data.csv")
    return frame.astype({"animal": "category", "field": "category"})


@pytest.mark.parametrize("link", ["probit", "cloglog", "logit"])
def test_a_binomial_is_a_beta_binomial_without_overdispersion(link):
    frame = pd.read_csv(HERE / "lrt-mixed-laplace" / "probit2.csv").astype({"g": "category"})
    formula = "cbind(k, n - k) ~ x + (1 | g)"
    one = mm.glmer(formula, frame, family=mm.binomial(link=link))
    more = mm.glmer(formula, frame, family=mm.betabinomial(link=link))
    chisq = 2.0 * (more.loglik() - one.loglik())
    assert chisq == pytest.approx(0.0, abs=1e-3)
    assert mm.anova(one, more)["Pr(>Chisq)"].iloc[1] > 0.95


def test_laplace_is_close_to_quadrature_where_expected_information_is_not():
    frame = pd.read_csv(HERE / "lrt-mixed-laplace" / "probit2.csv").astype({"g": "category"})
    formula = "cbind(k, n - k) ~ x + (1 | g)"
    exact, observed, expected = (
        mm.glmer(formula, frame, family=mm.binomial(link="probit"), **options).loglik()
        for options in ({"nAGQ": 25}, {}, {"hessian": "expected"})
    )
    assert abs(observed - exact) < 0.5 * abs(expected - exact)


def test_glmer_nb_is_nbinom2(pigs):
    one, same = mm.glmer_nb(PIGS, pigs), mm.glmer(PIGS, pigs, family=mm.nbinom2())
    # glmmTMB 1.1.5, polished.
    assert -2.0 * one.loglik() == pytest.approx(1633.3396, abs=1e-3)
    assert one.fixef().iloc[0] == pytest.approx(-0.91964, abs=1e-4)
    assert one.family_parameters()["theta"] == pytest.approx(1.0267, abs=1e-4)
    assert one.loglik() == same.loglik()
    assert np.array_equal(one.fixef(), same.fixef())
    assert np.array_equal(one.vcov(), same.vcov())


def test_zero_inflation_is_never_worse(pigs):
    one, more = mm.glmer_nb(PIGS, pigs), mm.glmer(PIGS, pigs, family=mm.nbinom2(zi=True))
    assert more.loglik() >= one.loglik() - 1e-6
    assert mm.anova(one, more)["Pr(>Chisq)"].iloc[1] > 0.99
