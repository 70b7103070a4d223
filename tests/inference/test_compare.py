"""Models in one table: criteria by hand, nesting, the conditional AIC by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.inference.conditional_aic import conditional_aic
from mixedmodels.inference.nested import is_nested

# Refits end within 1e-5 standard errors of their optimum; differences of them over a step of 0.01 sigma are
# good to this share.
BRUTE_FORCE = 1e-3


@pytest.fixture(scope="module")
def models():
    data = mm.load_dataset("sleepstudy")
    bars = ["(1 | Subject)", "(Days || Subject)", "(Days | Subject)"]
    return [mm.lmer(f"Reaction ~ Days + {bar}", data, REML=False) for bar in bars]


def test_criteria_by_hand(models):
    table = mm.compare(*models)
    for (_, row), m in zip(table.iterrows(), models, strict=True):
        k, n = m.npar, m.nobs()
        assert row["AIC"] == pytest.approx(-2 * m.loglik() + 2 * k)
        assert row["AICc"] == pytest.approx(row["AIC"] + 2 * k * (k + 1) / (n - k - 1))
        assert row["BIC"] == pytest.approx(m.bic())
    likelihood = np.exp(-table["delta"] / 2)
    np.testing.assert_allclose(table["weight"], likelihood / likelihood.sum())
    assert table["delta"].min() == 0.0
    ratios = mm.anova(*models)
    np.testing.assert_allclose(table["Chisq"].iloc[1:], ratios["Chisq"].iloc[1:])
    np.testing.assert_allclose(table["Pr(>Chisq)"].iloc[1:], ratios["Pr(>Chisq)"].iloc[1:])


def test_the_criterion_of_the_weights(models):
    names = ["intercepts", "uncorrelated", "correlated"]
    table = mm.compare(*models, criterion="cAIC", model_names=names)
    assert table["delta"].idxmin() == "uncorrelated"
    np.testing.assert_allclose(table["delta"], table["cAIC"] - table["cAIC"].min())
    assert "(delta and weight by cAIC)" in str(table)


def test_models_that_are_not_nested_have_no_test(models):
    other = mm.lmer("Reaction ~ 1 + (Days || Subject)", mm.load_dataset("sleepstudy"), REML=False)
    table = mm.compare(models[0], other)
    assert table["npar"].tolist() == [4, 4]
    assert table["Chisq"].isna().all()
    assert table["weight"].sum() == pytest.approx(1.0)


def test_models_without_random_effects_and_generalized_ones(fitted):
    table = mm.compare(fitted("cbpp_glm"), fitted("cbpp"))
    np.testing.assert_allclose(
        table["Chisq"].iloc[1], mm.anova(fitted("cbpp_glm"), fitted("cbpp"))["Chisq"].iloc[1]
    )
    plain = fitted("cbpp_glm")
    assert table["cAIC"].iloc[0] == pytest.approx(plain.aic())
    assert 4.0 < table["edf"].iloc[1] < 4.0 + 15.0


def test_reml_fits_are_refitted(models, capsys):
    reml = [mm.lmer(m.formula(), mm.load_dataset("sleepstudy")) for m in models[::2]]
    table = mm.compare(*reml)
    assert "refitting" in capsys.readouterr().err
    np.testing.assert_allclose(table["logLik"], [m.loglik() for m in models[::2]], rtol=1e-9)
    kept = mm.compare(*reml, refit=False)
    np.testing.assert_allclose(kept["logLik"], [m.loglik() for m in reml])


def test_what_cannot_be_compared(models, fitted):
    with pytest.raises(mm.ControlError, match="criterion must be one of"):
        mm.compare(*models, criterion="DIC")
    with pytest.raises(mm.NotAvailableError, match="no likelihood"):
        mm.compare(fitted("cbpp_pql"), fitted("cbpp"))
    with pytest.raises(mm.DataError, match="same size"):
        mm.compare(
            models[0],
            mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy").iloc[:150], REML=False),
        )
    with pytest.raises(mm.ControlError, match="at least one"):
        mm.compare()


# The conditional AIC.


CONDITIONAL = [
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)", False, {}),
    ("sleepstudy", "Reaction ~ Days + (Days || Subject)", True, {"weights": "w", "offset": "shift"}),
    ("Pastes", "strength ~ 1 + (1 | batch/cask)", True, {}),
    ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", False, {}),
    ("Dyestuff", "Yield ~ 1 + (1 | Batch)", True, {}),
    ("Machines", "score ~ Machine + cs(0 + Machine | Worker)", True, {}),
]


@pytest.mark.parametrize(("name", "formula", "REML", "options"), CONDITIONAL)
def test_degrees_of_freedom_are_the_derivative_of_the_fitted_values(name, formula, REML, options, data):
    model = mm.lmer(formula, data(name).iloc[:60], REML=REML, **options)
    step = 0.01 * model.sigma()
    trace = 0.0
    for i in range(0, len(model.y)):
        move = step * (np.arange(len(model.y)) == i)
        ends = [model.refit(model.y + sign * move).mean[i] for sign in (1.0, -1.0)]
        trace += (ends[0] - ends[1]) / (2.0 * step)
    assert conditional_aic(model).edf == pytest.approx(trace, rel=BRUTE_FORCE)


def test_a_zero_variance_counts_nothing(fitted):
    found = conditional_aic(fitted("dyestuff2"))
    assert found.edf == pytest.approx(1.0)
    ordinary = mm.lm("Yield ~ 1", mm.load_dataset("Dyestuff2"))
    ml = conditional_aic(fitted("dyestuff2").refitML())
    assert ml.caic == pytest.approx(ordinary.aic())


# Nesting.


def test_nesting(data):
    frame = data("Machines").assign(u=np.tile([0.0, 1.0, 2.0], 18))
    frame["Other"] = pd.Categorical(frame["Worker"].astype(str) + "!")
    formulas = [
        "score ~ 1 + (1 | Worker)",
        "score ~ Machine + (1 | Worker)",
        "score ~ Machine + (Machine | Worker)",
        "score ~ Machine + cs(0 + Machine | Worker)",
        "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)",
        "score ~ Machine + u + (u || Worker)",
        "score ~ Machine + u + (u | Worker)",
        "score ~ 0 + Machine + (1 | Other)",
    ]
    fits = [mm.lmer(f, frame, REML=False) for f in formulas]
    fits.append(mm.lm("score ~ Machine", frame))
    nested = {(i, j) for i, j in itertools.permutations(range(9), 2) if is_nested(fits[i], fits[j])}
    assert nested == {
        (0, 1), (0, 2), (0, 4), (0, 5), (0, 6), (0, 7),
        (1, 2), (1, 4), (1, 5), (1, 6), (1, 7),
        (3, 2), (5, 6),
        (7, 1), (7, 2), (7, 4), (7, 5), (7, 6),
        (8, 1), (8, 2), (8, 3), (8, 4), (8, 5), (8, 6), (8, 7),
    }  # fmt: skip
