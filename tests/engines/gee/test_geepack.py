"""Marginal models against geepack 1.3.9 (geepack.R; the shared folder's gee_*.json)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from tests.conformance.fitting import reference_data
from tests.conformance.shared import find_shared

HERE = Path(__file__).parent
SHARED = find_shared()
FOLDER = None if SHARED is None else SHARED / "reference2"
# Both programs solve the equations to 1e-10; covariances of ill-conditioned columns lose some digits.
CLOSE = 1e-6
DATA = pd.read_csv(HERE / "waves.csv")
REFERENCES = json.loads((HERE / "geepack.json").read_text(encoding="utf-8"))
STEPS = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
MODELS = {
    "binomial_ar1_waves": ("yb ~ x + z", {"family": "binomial", "corr": "ar1", "time": "t"}),
    "poisson_un_waves": ("yc ~ x + z", {"family": "poisson", "corr": "unstructured", "time": "t"}),
    "gaussian_ex_weights": ("yg ~ x + z", {"corr": "exchangeable", "weights": "w"}),
    "gaussian_ar1_weights": ("yg ~ x + z", {"corr": "ar1", "weights": "w", "time": "t"}),
    "gamma_inverse_ex": ("yp ~ x + z", {"family": mm.Gamma("inverse"), "corr": "exchangeable"}),
    "binomial_probit_ind": ("yb ~ x + z", {"family": mm.binomial("probit")}),
    "binomial_cloglog_ex": ("yb ~ x + z", {"family": mm.binomial("cloglog"), "corr": "exchangeable"}),
    # geepack's scale.fix holds the scale at that of the fit by glm, not at scale.value.
    "poisson_ex_fixscale": (
        "yc ~ x + z",
        {"family": "poisson", "corr": "exchangeable", "scale": REFERENCES["poisson_ex_fixscale"]["phi"]},
    ),
    "cbind_ex": ("cbind(s, n - s) ~ x + z", {"family": "binomial", "corr": "exchangeable"}),
    "gaussian_fixed_waves": ("yg ~ x + z", {"corr": 0.5 ** (STEPS**0.7), "time": "t"}),
    "poisson_mdep2_waves": ("yc ~ x + z", {"family": "poisson", "corr": "m-dependent(2)", "time": "t"}),
}


def assert_close(ours, theirs):
    theirs = np.asarray(theirs, dtype=float)
    scale = np.abs(theirs).max(initial=0.0)
    np.testing.assert_allclose(ours, theirs, rtol=CLOSE, atol=CLOSE * scale)


@pytest.mark.parametrize("name", MODELS)
def test_structures_weights_and_gaps_are_those_of_geepack(name):
    formula, arguments = MODELS[name]
    reference = REFERENCES[name]
    m = mm.gee(formula, DATA, "id", **{"family": "gaussian"} | arguments)
    assert m.convergence().verdict == "converged"
    assert_close(m.fixef(), reference["coef"])
    assert_close(m.vcov(), reference["robust"])
    assert_close(m.vcov("naive"), reference["naive"])
    assert_close(m.dispersion(), reference["phi"])
    if name != "gaussian_fixed_waves":  # whose matrix counts as one parameter there
        assert_close(m.vcov("one-step jackknife"), reference["ajs"])
        assert_close(m.vcov("one-step jackknife"), reference["j1s"])
        assert_close(m.association()["Estimate"].iloc[:-1], np.atleast_1d(reference["alpha"]))
    if m.correlation.labels:
        errors = m.association("geepack")["Std.err"]
        assert_close(errors.iloc[:-1], np.atleast_1d(reference["alpha_se"]))
    if "scale" not in arguments:
        assert_close(m.association("geepack")["Std.err"].iloc[-1], reference["phi_se"])


@pytest.mark.parametrize("name", ["binomial_ar1_waves", "gamma_inverse_ex", "poisson_un_waves"])
def test_the_jackknife_is_that_of_geepack(name):
    formula, arguments = MODELS[name]
    m = mm.gee(formula, DATA, "id", cov_type="jackknife", **arguments)
    assert_close(m.vcov(), REFERENCES[name]["fij"])
    assert_close(m.standard_errors() ** 2, np.diag(REFERENCES[name]["fij"]))


@pytest.mark.parametrize("name", ["binomial_ar1_waves", "binomial_probit_ind", "poisson_un_waves"])
def test_criteria_are_those_of_geepack(name):
    formula, arguments = MODELS[name]
    assert_close(mm.gee(formula, DATA, "id", **arguments).qic(), REFERENCES[name]["qic"])


def test_the_quasi_likelihood_of_gamma_is_the_integral_that_defines_it():
    # geepack 1.3.9 sums -y / (mu - log(mu)), which is no antiderivative of (y - mu) / mu^2.
    formula, arguments = MODELS["gamma_inverse_ex"]
    m = mm.gee(formula, DATA, "id", **arguments)
    y, mu = DATA["yp"].to_numpy(), m.fitted().to_numpy()
    nodes, weights = np.polynomial.legendre.leggauss(40)
    t = 1.0 + np.outer(mu - 1.0, 0.5 * (nodes + 1.0))
    from_one = (0.5 * (mu - 1.0)[:, None] * weights * (y[:, None] - t) / t**2).sum()
    assert m.qic()["Quasi Lik"] == pytest.approx(from_one - y.sum(), rel=1e-10)


def test_two_models_are_compared_as_in_geepack():
    arguments = {"family": "poisson", "corr": "exchangeable"}
    large = mm.gee("yc ~ x * z + t", DATA, "id", **arguments)
    small = mm.gee("yc ~ x", DATA, "id", **arguments)
    df, chisq = REFERENCES["anova2"]
    for table in (mm.anova(large, small), small.anova(large)):
        assert table["Df"].item() == df
        assert table["X2"].item() == pytest.approx(chisq, rel=CLOSE)


def test_a_published_fit_without_the_shared_folder():
    # geepack 1.3.9: geeglm(resp ~ age + smoke + I(age^2), id, data = ohio, binomial, corstr = "exch")
    m = mm.gee(
        "resp ~ age + smoke + I(age^2)", mm.load_dataset("ohio"), "id", "binomial", corr="exchangeable"
    )
    assert_close(m.fixef(), [-1.79126042127, -0.219832157779, 0.271839413262, -0.0996273303345])
    assert_close(m.standard_errors(), [0.122730579835, 0.0705230832311, 0.178096307076, 0.0506194594253])
    assert_close(m.association()["Estimate"], [0.354351908481, 0.999783560509])


# The twelve fits of the shared folder.


def _names():
    return [] if FOLDER is None else sorted(path.stem for path in FOLDER.glob("gee_*.json"))


def _data(reference):
    given = reference["data"]
    if "csv" not in given:
        return mm.load_dataset(given["dataset"])
    data = pd.read_csv(FOLDER / given["csv"])
    for column, kind in given["types"].items():
        if kind["type"] == "factor" and column in data:
            levels = [str(level) for level in kind["levels"]]
            data[column] = pd.Categorical(data[column].astype(str), levels)
    return data


@pytest.mark.parametrize("name", _names())
def test_references(name):
    reference = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    asked, results = reference["model"], reference["results"]
    family = mm.Gamma("log") if asked["family"] == "Gamma" else asked["family"]
    m = mm.gee(asked["formula"], _data(reference), asked["id"], family, corr=asked["corstr"])
    assert m.nobs() == results["nobs"]
    assert m.n_groups == results["n_clusters"]
    assert list(m.fixef().index) == results["coef"]["names"]
    assert_close(m.fixef(), results["coef"]["values"])
    assert_close(m.vcov(), results["robust_vcov"]["values"])
    assert_close(m.vcov("naive"), results["naive_vcov"]["values"])
    assert_close(m.dispersion(), results["phi"])
    table = results["table"]["columns"]
    assert_close(m.summary().coefficients["Wald"], table["Wald"])
    assert_close(m.summary().coefficients["Pr(>|W|)"], table["Pr(>|W|)"])
    errors = m.association("geepack")["Std.err"].to_numpy()
    assert_close(errors[-1], results["phi_se"])
    if "alpha" in results:
        assert_close(m.solution.alpha, results["alpha"]["values"])
        assert_close(errors[:-1], results["alpha_se"])
    assert_close(m.fitted().iloc[:10], results["fitted"]["first10"])
    assert_close(m.residuals("pearson").iloc[:10], results["residuals_pearson"]["first10"])
    overall = results["wald_all_but_intercept"]
    tested = m.linear_hypothesis([f"{x} = 0" for x in m.fixef().index[1:]], test="Chisq")
    assert_close(tested["Chisq"].dropna().item(), overall["chisq"])
    assert_close(m.anova()["X2"], results["anova"]["columns"]["X2"])
    if asked["family"] != "Gamma":  # see the test of its quasi-likelihood
        assert_close(m.qic(), results["QIC"]["values"])
    else:
        assert_close(m.qic()["CIC"], results["QIC"]["values"][3])


# The fits of the first set. That of ohio has scale.fix = TRUE: the scale is that of the fit by glm.


def _first_names():
    if SHARED is None:
        return []
    return sorted(path.stem for path in (SHARED / "reference").glob("gee_*.json"))


def _first_data(reference):
    if reference["data"]["dataset"] != "respiratory":
        return reference_data(reference)
    prepared = json.loads((FOLDER / "gee_respiratory_exch.json").read_text(encoding="utf-8"))
    return _data(prepared)


@pytest.mark.parametrize("name", _first_names())
def test_references_of_the_first_set(name):
    reference = json.loads((SHARED / "reference" / f"{name}.json").read_text(encoding="utf-8"))
    asked, results = reference["model"], reference["results"]
    family = getattr(mm, asked["family"])(asked["link"])
    held = {"scale": results["scale"]} if "scale_fix" in reference["tags"] else {}
    m = mm.gee(asked["formula"], _first_data(reference), asked["id"], family, corr=asked["corstr"], **held)
    assert m.n_groups == results["n_clusters"]
    assert_close(m.fixef(), results["coef"]["values"])
    assert_close(m.vcov(), results["robust_vcov"]["values"])
    assert_close(m.vcov("naive"), results["naive_vcov"]["values"])
    assert_close(m.dispersion(), results["scale"])
    errors = m.association("geepack")["Std.err"]
    if not held:
        assert_close(errors.iloc[-1], results["scale_se"])
    if "alpha" in results:
        assert_close(m.solution.alpha, results["alpha"]["values"])
        # After a group of one row geepack counts the equation of alpha of the group before it once more.
        if m.problem.sizes.min() > 1:
            assert_close(errors.iloc[:-1], results["alpha_se"])
    assert_close(m.qic(), results["QIC"]["values"])
    assert_close(m.residuals("pearson").iloc[:10], results["residuals_pearson"]["first10"])
