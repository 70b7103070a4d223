"""The paragraph of a methods section: its numbers are the model's, and it claims what the verdict does."""

import copy
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.optimization.report import ConvergenceReport
from mixedmodels.tidy.words import in_series, number, software

NUMBERS = r"(\S+), 95% CI \[(\S+), (\S+)\], ([tz])(?:\((\S+)\))? = (\S+), p ([<=]) (\S+?)[;.]? "
EFFECT = re.compile(r"(\S+)(?: \(([\w ]+)\))? " + NUMBERS)


@cache
def model(name):
    data = mm.load_dataset
    trials = {"family": "binomial", "weights": "size"}
    herds, ticks = "incidence / size ~ period + (1 | herd)", "TICKS ~ YEAR + (1 | BROOD) + (1 | LOCATION)"
    return {
        "sleep": lambda: mm.lmer("Reaction ~ Days + (Days | Subject)", data("sleepstudy")),
        "machines": lambda: mm.lmer("score ~ Machine + (Machine | Worker)", data("Machines")),
        "cbpp": lambda: mm.glmer(herds, data("cbpp"), **trials),
        "nodes": lambda: mm.glmer(herds, data("cbpp"), nAGQ=9, **trials),
        "pql": lambda: mm.glmer(herds, data("cbpp"), method="pql", **trials),
        "ticks": lambda: mm.glmer(ticks, data("grouseticks"), "poisson"),
        "lm": lambda: mm.lm("angle ~ recipe * temp", data("cake")),
        "glm": lambda: mm.glm("TICKS ~ YEAR", data("grouseticks"), "quasipoisson"),
        "dyestuff2": lambda: mm.lmer("Yield ~ 1 + (1 | Batch)", data("Dyestuff2")),
        "carrots": lambda: mm.lmer("Preference ~ sens2 + Homesize + (1 + sens2 | Consumer)", data("carrots")),
        "crossed": lambda: mm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", data("Penicillin")),
    }[name]()  # fmt: skip


def with_verdict(m, verdict, *reasons):
    """Return a model whose search has ended in another way."""
    other = copy.copy(m)
    other.estimates = replace(m.estimates, convergence=ConvergenceReport(verdict, 1.0, reasons))
    return other


def test_the_paragraph_of_sleepstudy():
    expected = f"""
        A linear mixed model was fitted by restricted maximum likelihood (REML) to 180 observations of
        18 levels of Subject, with {software()} (formula: Reaction ~ Days + (Days | Subject)). Reaction
        was predicted from Days, with correlated random intercepts and slopes of Days by Subject. Tests
        and intervals of the fixed effects use the t distribution, degrees of freedom by Satterthwaite's
        method. Fixed effects: intercept 251.41, 95% CI [237.01, 265.80], t(17) = 36.84, p < 0.001; Days
        10.47, 95% CI [7.21, 13.73], t(17) = 6.77, p < 0.001. Standard deviations of the random effects:
        by Subject 24.74 (intercepts) and 5.922 (slopes of Days), correlation 0.07 (intercepts, Days).
        The residual standard deviation was 25.59. Fixed effects explained 27.9% of the variance
        (marginal R-squared), fixed and random effects together 79.9% (conditional R-squared; Nakagawa,
        Johnson & Schielzeth 2017).
    """
    assert mm.report(model("sleep")).text == " ".join(expected.split())


def test_the_paragraph_of_cbpp():
    text = mm.report(model("cbpp")).text
    assert "generalized linear mixed model (binomial family, logit link)" in text
    assert "maximum likelihood (Laplace approximation) to 56 observations of 15 levels of herd" in text
    assert "period was coded by treatment contrasts with reference 1. Prior weights were used (size)." in text
    # exp of lme4's estimates and of their Wald limits
    assert "period2 (odds ratio) 0.371, 95% CI [0.203, 0.676], z = -3.24, p = 0.001" in text
    assert (
        "intercept (odds) 0.2470" in text
        and "The residual" not in text
        and "on the scale of the link" in text
    )


@pytest.mark.parametrize(
    "name", ["sleep", "machines", "cbpp", "nodes", "ticks", "lm", "glm", "carrots", "crossed"]
)
@pytest.mark.parametrize("exponentiate", [None, False])
def test_numbers_are_those_of_the_tests(name, exponentiate):
    m = model(name)
    ratio = exponentiate is None and name in ("cbpp", "nodes", "ticks", "glm")
    table = m.tidy("fixed", conf_int=True, exponentiate=ratio)
    found = EFFECT.findall(mm.report(m, exponentiate=exponentiate).text.split("Fixed effects: ")[1] + " ")
    assert [f[0].replace("intercept", "(Intercept)") for f in found] == table["term"].tolist()
    for texts, row in zip(found, table.to_dict("records"), strict=True):
        for text, key in zip(texts[2:5], ("estimate", "conf.low", "conf.high"), strict=True):
            assert float(text) == pytest.approx(row[key], abs=0.006 * row["std.error"])
        assert float(texts[7]) == pytest.approx(row["statistic"], abs=0.00501)
        assert (texts[8] == "<") == (row["p.value"] < 0.001)
        assert float(texts[9]) == pytest.approx(max(row["p.value"], 0.001), abs=0.000501)
        assert (texts[5] == "z") == (name in ("cbpp", "nodes", "ticks"))
        assert bool(texts[1]) == ratio


def test_methods_are_named():
    assert "adaptive Gauss-Hermite quadrature, 9 nodes" in mm.report(model("nodes")).text
    assert "penalized quasi-likelihood" in mm.report(model("pql")).text
    assert "by least squares to 270 observations, with" in mm.report(model("lm")).text
    assert "maximum quasi-likelihood" in mm.report(model("glm")).text
    assert "The estimated dispersion was 19.62." in mm.report(model("glm")).text
    assert (
        "degrees of freedom by Kenward-Roger's method" in mm.report(model("sleep"), ddf="kenward-roger").text
    )
    assert "t distribution with residual degrees" in mm.report(model("sleep"), ddf="residual").text
    assert "for a CR2 covariance by Consumer" in mm.report(model("carrots"), vcov="CR2").text
    given = np.diag([4.0, 1.0])
    assert "from a covariance matrix that was given" in mm.report(model("sleep"), vcov=given).text
    assert "90% CI" in mm.report(model("sleep"), conf_level=0.9).text
    shared = mm.report(model("crossed")).text
    assert "random intercepts by plate and random intercepts by sample" in shared
    assert "3 observations were left out because of missing values" in mm.report(model("carrots")).text
    assert "correlations 0.48 (intercepts, MachineB), -0.37 (intercepts, MachineC) and 0.30" in (
        mm.report(model("machines")).text
    )
    assert "11.6% of the variance (9.9% adjusted)" in mm.report(model("lm")).text


def test_codings_offsets_and_columns_without_estimates():
    data = mm.load_dataset("cbpp").assign(
        twice=lambda d: 2.0 * d["size"],
        log_size=lambda d: np.log(d["size"]),
        herd=lambda d: d["herd"].astype(str),
    )
    with pytest.warns(mm.DataWarning):
        m = mm.glmer(
            "incidence ~ size + twice + period + (1 | herd)", data, "poisson", offset="log_size",
            contrasts={"period": "sum"}, subset="size > 3",
        )  # fmt: skip
    text = mm.report(m).text
    assert "period was coded by contrasts that sum to zero." in text
    assert "An offset was used (log_size)." in text and "A subset was used (size > 3)." in text
    assert "No effect was estimated of twice, which other columns of the model determine." in text


def test_a_singular_fit_says_so():
    text = mm.report(model("dyestuff2")).text
    assert "The optimum lies on the boundary of the parameters (a singular fit)." in text
    assert "The variance of (Intercept) in (1 | Batch) is zero." in text
    assert "R-squared is not given" in text and "% of the variance" not in text


@pytest.mark.parametrize("name", ["sleep", "cbpp"])
@pytest.mark.parametrize("verdict", ["not converged", "inexact"])
def test_without_an_optimum_nothing_is_tested(name, verdict):
    text = mm.report(with_verdict(model(name), verdict, "theta still moves")).text
    assert "Theta still moves." in text and (
        "not to be interpreted" in text or "not maximum likelihood" in text
    )
    for claim in ("CI", "p <", "p =", "R-squared", "Tests and intervals", "ratio"):
        assert claim not in text
    assert f"(Intercept) {model(name).beta[0]:.4g}" in text


def test_every_family_has_its_words():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=200), "g": np.repeat(np.arange(20), 10).astype(str)})
    mean = np.exp(0.5 + 0.4 * data["x"] + rng.normal(size=20)[data["g"].astype(int)] / 2)
    data["y"] = rng.poisson(mean) * (rng.random(200) > 0.3)
    data["size"] = rng.gamma(2.0, mean / 2.0)
    zero = mm.report(mm.glmer("y ~ x + (1 | g)", data, "zero_inflated_poisson")).text
    assert (
        "(zero-inflated Poisson family, log link)" in zero
        and "Estimated parameter of the family: zi = " in zero
    )
    assert "ratio)" not in zero  # of the counts before the zeros
    linear = mm.report(mm.glmer("y ~ x + (1 | g)", data, "nbinom1")).text
    assert (
        "(negative binomial with linear variance family, log link)" in linear and "x (rate ratio)" in linear
    )
    for m in (
        mm.glm("size ~ x", data, mm.Gamma("log")),
        mm.glmer("size ~ x + (1 | g)", data, mm.Gamma("log")),
        mm.glmer("size ~ x + (1 | g)", data, mm.Gamma("log"), method="pql"),
    ):
        text = mm.report(m).text
        assert text.count("dispersion") == 1 and f"dispersion = {m.sigma() ** 2:.4g}." in text
        assert "x (ratio of means)" in text
    assert "predicted from no fixed effects" in mm.report(mm.lmer("size ~ 0 + (1 | g)", data)).text


def test_what_is_not_identified_explains_no_variance():
    text = mm.report(with_verdict(model("sleep"), "not identified", "The variances of a and b trade.")).text
    assert "one optimum of many. The variances of a and b trade." in text and "R-squared" not in text
    assert "R-squared" in mm.report(model("sleep")).text and "optimum" not in mm.report(model("sleep")).text


def test_how_it_prints():
    found = mm.report(model("sleep"))
    lines = repr(found).split("\n")
    assert " ".join(lines) == found.text and max(map(len, lines)) <= 80
    assert (
        found._repr_html_().endswith("</div>") and "Nakagawa, Johnson &amp; Schielzeth" in found._repr_html_()
    )
    markdown = found._repr_markdown_()
    assert "(formula: `Reaction ~ Days + (Days | Subject)`)" in markdown and r"CI \[7.21, 13.73\]" in markdown
    assert model("sleep").report() == found


def test_wrong_requests():
    with pytest.raises(mm.ControlError, match="report\\(\\) needs a fitted model"):
        mm.report("m")
    with pytest.raises(mm.ControlError, match="level must lie between 0 and 1"):
        mm.report(model("sleep"), conf_level=95)
    with pytest.raises(mm.ControlError, match="ddf"):
        mm.report(model("sleep"), ddf="kr")
    probit = mm.glm("incidence / size ~ 1", mm.load_dataset("cbpp"), mm.binomial("probit"), weights="size")
    with pytest.raises(mm.ControlError, match="probit link has no exponentiated"):
        mm.report(probit, exponentiate=True)
    assert "(odds" not in mm.report(probit).text


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from(["1", "x", "x + f", "x * f", "0 + f"]), st.booleans())
def test_designs_of_every_kind_have_a_paragraph(seed, fixed, slopes):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(12), 6)
    data = pd.DataFrame({"x": rng.normal(size=72), "f": rng.choice(list("abc"), 72), "g": g.astype(str)})
    b = rng.normal(size=(12, 2))
    data["y"] = b[g, 0] + b[g, 1] * data["x"] + rng.normal(size=72)
    m = mm.lmer(f"y ~ {fixed} + ({'x' if slopes else '1'} | g)", data)
    found = mm.report(m)
    assert found.text.count("CI [") == len(m.beta)
    assert "nan" not in found.text.lower().replace("nana", "") and not re.search(r"\.\.|  |;\.", found.text)
    assert ("intercept " in found.text.split("Fixed effects: ")[1].split(".")[0]) == (fixed != "0 + f")
    assert ("without an intercept" in found.text) == (fixed == "0 + f")
    assert ("optimum" in found.text) == (m.convergence().verdict != "converged")


def test_words():
    assert [in_series(list("abc"[:n])) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert number(np.nan, 1.0) == "nan" and number(1.5, 0.0) == "1.5" and number(3e-9, 1e-9) == "3e-09"
    assert number(1e6, 2e4) == "1000000" and number(-0.5, 0.05) == "-0.5000"
