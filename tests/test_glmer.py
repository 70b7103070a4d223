"""The story of glmer, glm and glmer_nb: arguments, families, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
SE_UNITS = 5e-5  # each fit stops where a step could gain 1e-5 of a standard error


def constant(frame, column, value):
    frame[column] = value
    return frame


# what is wrong, data set, formula, change of the data, options, exception, what the message must say
BAD = [
    ("unknown family", "cbpp", CBPP, None, {"family": "binomal"}, mm.FamilyError, "binomial"),
    (
        "quasi family",
        "cbpp",
        CBPP,
        None,
        {"family": "quasibinomial"},
        mm.FamilyError,
        "(?s)quasi.*betabinomial",
    ),
    ("REML", "cbpp", CBPP, None, {"family": "binomial", "REML": True}, TypeError, "REML"),
    (
        "unknown method",
        "cbpp",
        CBPP,
        None,
        {"family": "binomial", "method": "mcmc"},
        mm.ControlError,
        "'pql'",
    ),
    (
        "unknown hessian",
        "cbpp",
        CBPP,
        None,
        {"family": "binomial", "hessian": "x"},
        mm.ControlError,
        "'observed'",
    ),
    ("negative nAGQ", "cbpp", CBPP, None, {"family": "binomial", "nAGQ": -1}, mm.ControlError, "nAGQ"),
    (
        "start by a wrong name",
        "cbpp",
        CBPP,
        None,
        {"family": "binomial", "start": {"Theta": 1}},
        mm.ControlError,
        "(?s)bad name.*Theta.*theta",
    ),
    (
        "short fixef",
        "cbpp",
        CBPP,
        None,
        {"family": "binomial", "start": {"fixef": [1.0]}},
        mm.ControlError,
        "(?s)1.*4",
    ),
    (
        "constant response",
        "cbpp",
        "cbind(zero, size) ~ period + (1 | herd)",
        lambda d: constant(d, "zero", 0),
        {"family": "binomial"},
        mm.DataError,
        "constant",
    ),
    (
        "three levels",
        "cbpp",
        "f ~ 1 + (1 | herd)",
        lambda d: constant(d, "f", pd.Categorical(np.resize(["a", "b", "c"], len(d)))),
        {"family": "binomial"},
        mm.FamilyError,
        "two levels, got 3",
    ),
    (
        "negative counts",
        "cbpp",
        "y ~ 1 + (1 | herd)",
        lambda d: constant(d, "y", d["incidence"] - 1),
        {"family": "poisson"},
        mm.FamilyError,
        "(?i)negative values not allowed",
    ),
    (
        "zero for Gamma",
        "cbpp",
        "incidence ~ 1 + (1 | herd)",
        None,
        {"family": mm.Gamma(link="log")},
        mm.FamilyError,
        "(?i)non-positive values not allowed",
    ),
    (
        "too many effects",
        "cbpp",
        "cbind(incidence, size - incidence) ~ 1 + (period | herd)",
        None,
        {"family": "binomial"},
        mm.DataError,
        r"number of observations \(=56\) < number of random effects \(=60\)",
    ),
]


@pytest.mark.parametrize(
    ("name", "formula", "change", "options", "exception", "match"),
    [case[1:] for case in BAD],
    ids=[case[0] for case in BAD],
)
def test_bad_input_is_refused_with_its_name(name, formula, change, options, exception, match, data):
    frame = data(name)
    with pytest.raises(exception, match=match):
        mm.glmer(formula, frame if change is None else change(frame), **options)


def test_an_unknown_link_lists_the_known_ones():
    with pytest.raises(mm.FamilyError, match=r"not available for binomial family.*logit"):
        mm.binomial(link="bogus")


def close(beta, model):
    assert np.all(np.abs(beta - model.beta) <= SE_UNITS * model.standard_errors())


def same(one, other):
    close(one.beta, other)
    np.testing.assert_allclose(one.loglik(), other.loglik(), rtol=1e-9)


def test_three_ways_to_write_binomial_counts(data, fitted):
    frame = data("cbpp")
    same(mm.glmer("incidence/size ~ period + (1 | herd)", frame, "binomial", weights="size"), fitted("cbpp"))
    rows = frame.loc[frame.index.repeat(frame["size"])]
    position = rows.groupby(level=0).cumcount()
    rows = rows.assign(sick=position < rows["incidence"])
    single = mm.glmer("sick ~ period + (1 | herd)", rows, mm.binomial)
    close(single.beta, fitted("cbpp"))
    rows["sick"] = rows["sick"].map({False: "healthy", True: "sick"}).astype("category")
    same(mm.glmer("sick ~ period + (1 | herd)", rows, mm.binomial), single)


def test_gaussian_with_the_identity_link_is_the_linear_model(data, fitted):
    model = mm.glmer("Reaction ~ Days + (Days | Subject)", data("sleepstudy"))
    assert isinstance(model, mm.LinearMixedModel)
    same(model, fitted("sleepstudy"))


def test_no_bars_is_the_generalized_linear_model(data, fitted):
    model = mm.glmer("cbind(incidence, size - incidence) ~ period", data("cbpp"), "binomial")
    assert isinstance(model, mm.GeneralizedLinearModel)
    same(model, fitted("cbpp_glm"))
    with pytest.raises(mm.FormulaError, match="glmer"):
        mm.glm(CBPP, data("cbpp"), "binomial")


def test_a_start_is_used_and_does_not_matter(data, fitted):
    start = {"theta": [1.0], "fixef": [-1.0, -1.0, -1.0, -1.0]}
    same(mm.glmer(CBPP, data("cbpp"), "binomial", start=start), fitted("cbpp"))
    same(mm.glmer(CBPP, data("cbpp"), "binomial", start=0.3), fitted("cbpp"))


def test_observed_information_matters_off_the_canonical_link(data):
    formula, options = (
        "incidence/size ~ period + (1 | herd)",
        {"weights": "size", "family": mm.binomial("probit")},
    )
    expected = mm.glmer(formula, data("cbpp"), hessian="expected", **options)
    observed = mm.glmer(formula, data("cbpp"), **options)
    assert expected.loglik() != pytest.approx(observed.loglik(), abs=1e-4)
    assert expected.loglik() == pytest.approx(observed.loglik(), abs=0.5)


def test_negative_binomial_estimates_its_parameter(data):
    model = mm.glmer_nb("y ~ base + trt + (1 | subject)", mm.load_dataset("epil"))
    assert model.npar == 5
    assert model.family_parameters().index.tolist() == ["theta"]
    assert f"Family: Negative Binomial({model.phi[0]:.4f}".rstrip("0") in str(model)


def test_nagq_zero_is_close_to_laplace(data, fitted):
    rough = mm.glmer(CBPP, data("cbpp"), "binomial", nAGQ=0)
    assert rough.loglik() < fitted("cbpp").loglik()
    assert "(Adaptive\n  Gauss-Hermite Quadrature, nAGQ = 0) [glmerMod]" in str(rough)
    np.testing.assert_array_equal(rough.vcov(), rough.vcov(method="rx"))


def test_nodes_are_added_until_nothing_moves(data, fitted):
    model = mm.glmer(CBPP, data("cbpp"), "binomial", nAGQ="auto")
    steps = model.quadrature_sequence()
    assert steps["nAGQ"].iloc[0] == 1
    assert steps["-2*log(L)"].iloc[0] == pytest.approx(-2 * fitted("cbpp").loglik(), abs=1e-6)
    assert steps["largest move"].iloc[-1] <= 0.01
    assert model.loglik() == pytest.approx(fitted("cbpp_agq9").loglik(), abs=1e-4)
    assert len(fitted("cbpp").quadrature_sequence()) == 0


@pytest.mark.parametrize("nodes", [1.5, "9", None, "Auto"])
def test_nodes_must_be_a_number(nodes, data):
    with pytest.raises(mm.ControlError, match="nAGQ"):
        mm.glmer(CBPP, data("cbpp"), "binomial", nAGQ=nodes)


def test_arguments_that_a_linear_model_does_not_have(data):
    with pytest.raises(mm.ControlError, match="lmer"):
        mm.glmer("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), nAGQ=9)
    start = mm.glmer("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), start=[2.0])
    assert isinstance(start, mm.LinearMixedModel)


# R on cbpp with weights=rep(c(1, 2, 0.5, 3), 14): logLik of glm, and -2 logLik of glmmTMB 1.1.5, with ten
# digits; lme4's default optimiser stops 2.6e-4 above it, at 273.1191072.
R_WEIGHTED_GLM = -149.6572517
R_WEIGHTED = 273.1188448


def test_weights_beside_cbind_multiply_the_log_likelihood_as_in_r():
    data = mm.load_dataset("cbpp").assign(v=[1.0, 2.0, 0.5, 3.0] * 14)
    response = "cbind(incidence, size - incidence) ~ period"
    plain = mm.glm(response, data, "binomial", weights="v")
    assert plain.loglik() == pytest.approx(R_WEIGHTED_GLM, rel=1e-9)
    assert plain.refit(data.incidence).loglik() == pytest.approx(plain.loglik(), rel=1e-12)
    m = mm.glmer(f"{response} + (1 | herd)", data, "binomial", weights="v")
    assert -2 * m.loglik() == pytest.approx(R_WEIGHTED, rel=1e-9)
    assert m.refit(data.incidence).loglik() == pytest.approx(m.loglik(), rel=1e-9)
    twice = mm.glm(response, data, "binomial", weights=np.full(56, 2.0))
    assert twice.loglik() == pytest.approx(2 * mm.glm(response, data, "binomial").loglik(), rel=1e-12)


def test_quadrature_counts_weights_beside_cbind_like_the_laplace_approximation():
    data = mm.load_dataset("cbpp").assign(v=[1.0, 2.0, 0.5, 3.0] * 14)
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    laplace, fine = (mm.glmer(formula, data, "binomial", weights="v", nAGQ=n) for n in (1, 25))
    assert laplace.loglik() == pytest.approx(fine.loglik(), abs=0.1)  # the constants differ by 25


def test_betabinomial_refuses_weights_beside_cbind():
    data = mm.load_dataset("cbpp")
    with pytest.raises(mm.FamilyError, match=r"betabinomial family takes no weights beside cbind\("):
        mm.glmer(
            "cbind(incidence, size - incidence) ~ period + (1 | herd)", data, "betabinomial", weights="size"
        )


def test_pearson_residuals_of_the_betabinomial_have_unit_variance():
    rng, trials = np.random.default_rng(5), np.tile([2.0, 10.0, 40.0], 400)
    p = rng.beta(0.3 * 4.0, 0.7 * 4.0, len(trials))
    successes = rng.binomial(trials.astype(int), p)
    data = pd.DataFrame({"a": successes, "b": trials - successes, "n": trials})
    squared = mm.glm("cbind(a, b) ~ 1", data, "betabinomial").residuals("pearson") ** 2
    # Five standard errors of a mean of 400 squares with kurtosis below 4.
    assert squared.groupby(data.n).mean().to_numpy() == pytest.approx(1.0, abs=5 * np.sqrt(3 / 400))
