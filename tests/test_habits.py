"""What people type out of habit: each gets the right name, and every name advised is one that works."""

from __future__ import annotations

import pytest

import mixedmodels as mm

SLEEP = "Reaction ~ Days + (Days | Subject)"
TICKS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"

ARGUMENTS = [
    ("lmer", {"family": "poisson"}, r"glmer\(formula, data, family="),
    ("lmer", {"link": "log"}, r"family=mm\.binomial\(link="),
    ("lmer", {"method": "ML"}, "REML=True or REML=False in place of method='REML' or method='ML'"),
    ("lmer", {"method": "REML"}, "REML=True or REML=False"),
    ("lmer", {"groups": "Subject"}, r"'y ~ x \+ \(1 \| g\)'"),
    ("lmer", {"re_formula": "~Days"}, r"'y ~ x \+ \(x \| g\)'"),
    ("lmer", {"vc_formula": {"a": "0 + C(b)"}}, r"'\(1 \| g\) \+ \(1 \| g:h\)'"),
    ("lmer", {"cov_type": "HC3"}, r"m\.summary\(vcov='CR2'\)"),
    ("glmer", {"link": "probit"}, r"family=mm\.binomial\(link='probit'\)"),
    ("glmer", {"groups": "herd"}, r"'y ~ x \+ \(1 \| g\)'"),
    ("glmer", {"re_formula": "~1"}, r"'y ~ x \+ \(x \| g\)'"),
    ("glm", {"link": "probit"}, r"family=mm\.binomial\(link='probit'\)"),
    ("lm", {"groups": "Subject"}, r"'y ~ x \+ \(1 \| g\)'"),
]


@pytest.mark.parametrize(("function", "wrong", "right"), ARGUMENTS)
def test_arguments(function, wrong, right):
    with pytest.raises(mm.UnknownArgumentError, match=right):
        getattr(mm, function)(SLEEP, mm.load_dataset("sleepstudy"), **wrong)


ATTRIBUTES = [
    ("params", "fixef"), ("fe_params", "fixef"), ("coefficients", "fixef"), ("bse", "standard_errors"),
    ("bse_fe", "standard_errors"), ("pvalues", "summary"), ("tvalues", "summary"), ("conf_int", "confint"),
    ("llf", "loglik"), ("fittedvalues", "fitted"), ("resid", "residuals"), ("scale", "sigma"),
    ("cov_params", "vcov"), ("df_resid", "df_residual"), ("logLik", "loglik"), ("AIC", "aic"), ("BIC", "bic"),
]  # fmt: skip
OF_RANDOM_EFFECTS = [("random_effects", "ranef"), ("cov_re", "VarCorr"), ("n_groups", "ngrps")]


@pytest.mark.parametrize("kind", ["sleepstudy", "cbpp", "cbpp_pql", "cbpp_glm", "lm"])
def test_attributes(kind, fitted):
    model = mm.lm("Reaction ~ Days", mm.load_dataset("sleepstudy")) if kind == "lm" else fitted(kind)
    mixed = OF_RANDOM_EFFECTS if hasattr(model, "ranef") else []
    for wrong, right in [*ATTRIBUTES, *mixed]:
        with pytest.raises(mm.UnknownNameError, match=rf"\bm\.{right}\b"):
            getattr(model, wrong)
        assert right in dir(model)


def test_what_is_there_under_the_name_typed(fitted):
    model = fitted("sleepstudy")
    assert list(model.tidy()["term"])[:2] == ["(Intercept)", "Days"]
    assert callable(model.predict) and callable(model.summary) and callable(model.plot)


FORMULAS = [
    ("Q('a b')", "backticks"), ('Q("a b")', "backticks"), ("s(Days)", r"ns\(x, df = 4\)"),
    ("te(Days)", r"ns\(x, df = 4\)"), ("rr(Days | Subject)", r"us\(\), diag\(\), cs\(\), ar1\(\)"),
    ("np.std(Days)", r"scale\(x\)"), ("np.power(Days, 2)", r"I\(x\^2\)"), ("logit(Days)", r"qlogis\(x\)"),
]  # fmt: skip


@pytest.mark.parametrize(("term", "right"), FORMULAS)
@pytest.mark.parametrize("fit", [mm.lmer, mm.glmer])
def test_formulas(fit, term, right):
    with pytest.raises(mm.FormulaError, match=right):
        fit(f"Reaction ~ {term} + (1 | Subject)", mm.load_dataset("sleepstudy"))


def test_backticks_and_plain_names_work():
    data = mm.load_dataset("sleepstudy").rename(columns={"Days": "a b"})
    assert list(mm.lmer("Reaction ~ `a b` + (1 | Subject)", data).fixef().index) == ["(Intercept)", "`a b`"]
