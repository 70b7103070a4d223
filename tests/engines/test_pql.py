"""fit_pql against the algorithm of MASS::glmmPQL over nlme::lme (pql_reference.R)."""

import json
from pathlib import Path

import numpy as np
import pytest

from mixedmodels.datasets import load_dataset
from mixedmodels.engines.pql import fit_pql, predictor, working_data
from mixedmodels.errors import ConvergenceError, FamilyError
from mixedmodels.families import Gamma, binomial, get_family, initialize, nbinom2
from mixedmodels.formula import build_design
from mixedmodels.formula.design.theta import term_factors

REFERENCE = {
    case["id"]: case for case in json.loads(Path(__file__).with_name("pql_reference.json").read_text())
}
# lme's optimiser leaves theta, and with it everything else, this inexact in standard errors.
LME_STOPS = 1e-5


def _toenail():
    raw = load_dataset("toenail")
    return raw.assign(
        Response=(raw.outcome == "moderate or severe").astype(int),
        Treatment=(raw.treatment == "terbinafine").astype(int),
        Month=raw.time,
    )


CASES = {
    "bacteria": ("y ~ trt + I(week > 2) + (1 | ID)", load_dataset("bacteria"), "binomial"),
    "contraception": (
        "use ~ age + I(age^2) + urban + livch + (urban | district)",
        load_dataset("Contraception"),
        "binomial",
    ),
    "seeds": ("cbind(r, n - r) ~ seed * extract + (1 | plate)", load_dataset("seeds"), "binomial"),
    "seeds_reml": ("cbind(r, n - r) ~ seed * extract + (1 | plate)", load_dataset("seeds"), "binomial"),
    "seizures": (
        "count ~ offset(log(weeks)) + followup * group + (1 | id)",
        load_dataset("seizures").assign(followup=lambda d: d.visit > 0),
        "poisson",
    ),
    "toxoplasmosis": (
        "cbind(r, m - r) ~ x + I(x^2) + I(x^3) + (1 | city)",
        load_dataset("toxoplasmosis").assign(x=lambda d: (d.rain - 1900) / 100),
        "binomial",
    ),
    "toxoplasmosis_probit": (
        "cbind(r, m - r) ~ x + (1 | city)",
        load_dataset("toxoplasmosis").assign(x=lambda d: (d.rain - 1900) / 100),
        binomial("probit"),
    ),
    "orthodont_gamma": ("distance ~ age + Sex + (1 | Subject)", load_dataset("Orthodont"), Gamma("log")),
    "toenail": ("Response ~ Month * Treatment + (1 | patientID)", _toenail(), "binomial"),
}


def _inputs(name):
    formula, data, given = CASES[name]
    design = build_design(formula, data)
    family = get_family(given)
    y, weights = initialize(design.response, design.weights, family)
    return y, weights, design.X, design.random, design.offset, family


@pytest.mark.parametrize("name", CASES)
def test_glmmpql(name):
    expected = REFERENCE[name]
    inputs = _inputs(name)
    fit = fit_pql(*inputs, REML=expected["method"] == "REML")
    assert fit.convergence.verdict == "converged"
    se = np.array(expected["se"])
    assert np.max(np.abs(fit.linear.solution.beta - expected["beta"]) / se) < LME_STOPS
    np.testing.assert_allclose(
        fit.linear.solution.sigma * np.sqrt(np.diagonal(fit.linear.solution.unscaled_vcov)),
        se,
        rtol=LME_STOPS,
    )
    assert fit.linear.solution.sigma == pytest.approx(expected["sigma"], rel=LME_STOPS)
    (T,) = term_factors(inputs[3], fit.linear.theta)
    np.testing.assert_allclose(
        fit.linear.solution.sigma**2 * T @ T.T, expected["covariance"], rtol=2 * LME_STOPS
    )


def test_the_end_is_a_fixed_point():
    y, weights, X, terms, offset, family = _inputs("seizures")
    fit = fit_pql(y, weights, X, terms, offset, family)
    np.testing.assert_allclose(fit.eta, predictor(X, terms, fit.linear) + offset, rtol=1e-12)
    z, w = working_data(y, weights, fit.eta, family, np.empty(0))
    np.testing.assert_allclose(z - offset, fit.working_response, rtol=1e-7)
    np.testing.assert_allclose(w, fit.working_weights, rtol=1e-7)


def test_fixed_scale_of_breslow_and_clayton():
    fit = fit_pql(*_inputs("seeds"), sigma=1.0)
    assert fit.linear.solution.sigma == 1.0
    assert fit.convergence.is_optimum


def test_a_shape_parameter_is_refused():
    y, weights, X, terms, offset, _ = _inputs("seizures")
    with pytest.raises(FamilyError, match="theta of the nbinom2 family"):
        fit_pql(y, weights, X, terms, offset, nbinom2())


def test_separation_is_refused_in_plain_words():
    y, weights, X, terms, offset, family = _inputs("bacteria")
    with pytest.raises(ConvergenceError, match=r"rows are fitted perfectly.*no success"):
        fit_pql(np.where(X[:, 1] == 1.0, 0.0, y), weights, X, terms, offset, family)
