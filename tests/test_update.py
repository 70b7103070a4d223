"""update(): R's formulas, and every argument that stays."""

import pickle

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.formula.language.update import update_formula


@pytest.mark.parametrize(
    ("old", "change", "new"),
    [  # R: update.formula(); an intercept that is alone is written, and one that is not there is a leading 0
        ("y ~ a * b + (1 | g)", ". ~ . - a:b + (1 | h)", "y ~ a + b + (1 | g) + (1 | h)"),
        ("y ~ x + (x | g)", ". ~ . - (x|g) + (1 | g)", "y ~ x + (1 | g)"),
        ("y ~ x + (1 | g)", "log(.) ~ .", "log(y) ~ x + (1 | g)"),
        ("y ~ x + z + (1 | g)", "~ . - x", "y ~ z + (1 | g)"),
        ("y ~ x + (1 | g)", ". ~ . - 1", "y ~ 0 + x + (1 | g)"),
        ("y ~ 0 + x + (1 | g)", ". ~ . + 1", "y ~ x + (1 | g)"),
        ("y ~ x + (1 | g)", ". ~ . - x", "y ~ 1 + (1 | g)"),
        ("y ~ x + offset(log(e)) + (1 | g)", ". ~ . + w", "y ~ x + w + offset(log(e)) + (1 | g)"),
        ("y ~ a + b + (1 | g)", ". ~ (.)^2", "y ~ a + b + a:b + (1 | g)"),
        ("y ~ a + b + (1 | g)", ". ~ . * w", "y ~ a + b + w + a:w + b:w + (1 | g)"),
        ("y ~ x + (1 | g)", "y ~ z + (1 | h)", "y ~ z + (1 | h)"),
        ("y ~ x + diag(x | g)", ". ~ . - diag(x | g) + (x || g)", "y ~ x + (x || g)"),
        ("y ~ x", ". ~ poly(x, 2)", "y ~ poly(x, 2)"),
        # One of the terms that || or a nested group stands for.
        ("y ~ x + (x || g)", ". ~ . - (0 + x | g)", "y ~ x + (1 | g)"),
        ("y ~ x + (x || g)", ". ~ . - (1 | g)", "y ~ x + (0 + x || g)"),
        ("y ~ (f * x || g)", ". ~ . - (0 + f:x | g)", "y ~ 1 + (1 | g) + (0 + f || g) + (0 + x || g)"),
        ("y ~ x + (1 | g / h)", ". ~ . - (1 | h:g)", "y ~ x + (1 | g)"),
        ("y ~ x + (1 | g / h) + (x || k)", ". ~ . - (1 | g) - (1 | k)", "y ~ x + (1 | h:g) + (0 + x || k)"),
    ],
)
def test_formulas(old, change, new):
    assert update_formula(old, change) == new


def test_a_term_that_is_not_there():
    with pytest.raises(mm.FormulaError, match=r"no term \(1 \| k\) to take out; terms are \(1 \| g\)"):
        update_formula("y ~ x + (1 | g)", ". ~ . - (1 | k)")
    with pytest.raises(mm.FormulaError, match=r"no term \(x \| g\) to take out; terms are \(x \|\| g\)"):
        update_formula("y ~ x + (x || g)", ". ~ . - (x | g)")
    with pytest.raises(mm.FormulaError, match=r"no term \(f \| g\)"):
        update_formula("y ~ x + cs(f | g / h)", ". ~ . - (f | g)")
    with pytest.raises(mm.FormulaError, match="needs a '~'"):
        update_formula("y ~ x", "x")
    with pytest.raises(mm.ControlError, match="fitted model"):
        mm.update("y ~ x")


def test_arguments_that_are_not_given_stay():
    data = mm.load_dataset("sleepstudy").assign(w=np.linspace(1, 2, 180))
    old = mm.lmer("Reaction ~ Days + (Days | Subject)", data, False, weights="w", subset="Days > 1")
    new = mm.update(old, ". ~ . - (Days | Subject) + (1 | Subject)")
    direct = mm.lmer("Reaction ~ Days + (1 | Subject)", data, False, weights="w", subset="Days > 1")
    assert new.loglik() == direct.loglik()
    assert mm.update(old, REML=True).is_reml
    assert mm.update(old, weights=None).call.weights is None
    assert mm.update(old, data=data.iloc[:100]).nobs() < old.nobs()
    assert mm.update(pickle.loads(pickle.dumps(old)), ". ~ . - Days").fixef().index.tolist() == [
        "(Intercept)"
    ]


def test_generalized_models_keep_family_and_quadrature():
    cbpp = mm.load_dataset("cbpp")
    old = mm.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp,
        mm.binomial(link="probit"), nAGQ=5,
    )  # fmt: skip
    new = mm.update(old, ". ~ . - period")
    assert new.family().link.name == "probit"
    assert new.approximation == old.approximation
    pql = mm.update(old, nAGQ=1, method="pql")
    assert type(mm.update(pql)) is type(pql)
    plain = mm.glm("cbind(incidence, size - incidence) ~ period", cbpp, "binomial")
    assert mm.update(plain, ". ~ 1").deviance() > plain.deviance()
    assert mm.update(mm.lm("incidence ~ size", cbpp), "log1p(.) ~ .").formula() == "log1p(incidence) ~ size"


def test_an_array_of_the_old_rows_is_not_taken_for_new_ones():
    data = mm.load_dataset("Dyestuff")
    old = mm.lmer("Yield ~ 1 + (1 | Batch)", data, weights=np.ones(30))
    assert mm.update(old, REML=False).nobs() == 30
    with pytest.raises(mm.DataError, match="weights was an array"):
        mm.update(old, data=data.iloc[:20])
    assert mm.update(old, data=data.iloc[:20], weights=None).nobs() == 20
