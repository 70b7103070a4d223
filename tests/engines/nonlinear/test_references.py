"""Fits of R: lme4's objective at its exact optimum, quadrature of 31 nodes, nlme's alternation."""

import numpy as np
import pytest

import mixedmodels as mm
from tests.conformance.shared import WHY_ABSENT, find_shared
from tests.engines.nonlinear.models import DRUG, NLME, NLMER, ORANGE, data_of, reference

needs_shared = pytest.mark.skipif(find_shared() is None, reason=WHY_ABSENT)


@needs_shared
@pytest.mark.parametrize("identity", NLMER)
def test_laplace_is_at_the_exact_optimum(identity):
    name, arguments = NLMER[identity]
    found = reference(identity)
    results = found["results"]
    exact = results.get("exact_laplace") or results["exact_optimum"]
    start = dict(zip(found["model"]["start"]["names"], found["model"]["start"]["values"], strict=True))
    m = mm.nlmer(data=data_of(name), start=start, **arguments)
    assert m.convergence().verdict == "converged"
    assert m.deviance() == pytest.approx(exact["objective"], abs=1e-8)
    np.testing.assert_allclose(m.fixef(), exact["fixef"]["values"], rtol=1e-6)
    np.testing.assert_allclose(m.theta_values, exact["theta"], rtol=1e-6, atol=1e-7)
    assert m.sigma() == pytest.approx(exact["sigma"], rel=1e-7)
    np.testing.assert_allclose(m.standard_errors(), exact["se_fixef"], rtol=1e-4)
    assert m.fitted().sum() == pytest.approx(exact["fitted"]["sum"], rel=1e-7)


@needs_shared
@pytest.mark.parametrize("identity", [k for k in NLMER if "asym_r0" not in k and k.startswith("reference2")])
def test_quadrature_is_the_true_likelihood(identity):
    name, arguments = NLMER[identity]
    found = reference(identity)
    truth = found["results"].get("agq_ml")
    if truth is None:
        pytest.skip("no quadrature in R")
    start = dict(zip(found["model"]["start"]["names"], found["model"]["start"]["values"], strict=True))
    m = mm.nlmer(data=data_of(name), start=start, nAGQ=31, **arguments)
    # The optimum of R is good to 4e-5 standard errors.
    assert m.deviance() == pytest.approx(truth["minus2logLik"], abs=1e-8)
    np.testing.assert_allclose(m.fixef(), truth["fixef"]["values"], rtol=1e-5)
    assert m.sigma() == pytest.approx(truth["sigma"], rel=1e-5)


@needs_shared
@pytest.mark.parametrize("identity", NLME)
def test_lindstrom_bates_is_nlme(identity):
    name, arguments = NLME[identity]
    found = reference(identity)
    truth = found["results"]
    # N1 is nlme's tightest control; others stop where the log-likelihood still moves by up to 1e-3.
    tight = found.get("optimum", {}).get("control_used") == "N1"
    m = mm.nlmer(data=data_of(name), method="lindstrom-bates", **arguments)
    assert m.convergence().is_optimum
    assert m.loglik() == pytest.approx(truth["logLik"], abs=1e-5 if tight else 1e-3)
    se = np.array(truth["se"]["values"])
    assert np.abs((m.fixef() - truth["fixef"]["values"]) / se).max() < (1e-5 if tight else 1e-3)
    np.testing.assert_allclose(m.standard_errors(), se, rtol=1e-6 if tight else 1e-3)
    assert m.sigma() == pytest.approx(truth["sigma"], rel=1e-6 if tight else 1e-4)


def test_orange_by_every_method():
    # The values of lme4 1.1-31 (its objective at the exact optimum) and of nlme 3.1-162.
    trees = mm.load_dataset("Orange")
    laplace = mm.nlmer(f"{ORANGE} ~ xmid | Tree", trees)
    assert laplace.deviance() == pytest.approx(296.092787867986, abs=1e-8)
    np.testing.assert_allclose(laplace.fixef(), [263.0503304, 1083.2750979, 528.2764836], rtol=1e-8)
    truth = mm.nlmer(f"{ORANGE} ~ xmid | Tree", trees, nAGQ=31)
    assert truth.deviance() == pytest.approx(296.0812441404, abs=1e-7)
    linearised = mm.nlmer(f"{ORANGE} ~ Asym | Tree", trees, method="lindstrom-bates", REML=True)
    assert linearised.loglik() == pytest.approx(-119.7574, abs=1e-4)


def test_what_nlme_calls_reml_is_not_maximised():
    # nlme moves theta back to that of maximum likelihood: its criterion is not at its maximum.
    fits = [
        mm.nlmer(f"{ORANGE} ~ Asym | Tree", mm.load_dataset("Orange"), method="lindstrom-bates", REML=REML)
        for REML in (False, True, "maximised")
    ]
    ml, nlme, maximised = fits
    np.testing.assert_allclose(nlme.theta_values, ml.theta_values, rtol=1e-7)
    assert nlme.sigma() == pytest.approx(ml.sigma() * np.sqrt(35 / 32), rel=1e-9)
    assert maximised.loglik() > nlme.loglik() + 0.02


def test_three_random_effects_of_theophylline_are_one_too_many():
    m = mm.nlmer(
        DRUG, mm.load_dataset("Theoph"), random="lKe + lKa + lCl ~ 1 | Subject",
        start={"lKe": -2.4, "lKa": 0.45, "lCl": -3.2},
    )  # fmt: skip
    assert m.convergence().verdict == "boundary"
    assert m.is_singular()
