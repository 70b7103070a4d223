"""What people type out of habit from other programs gets an error of ours that says what to write."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.advice import advises, normalized, refuse
from mixedmodels.families import FAMILY_NAMES
from mixedmodels.foreign import families as foreign_families
from mixedmodels.foreign import names as foreign_names

SLEEP = "Reaction ~ Days + (1 | Subject)"
TICKS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
TABLES = {
    **{f"ARGUMENTS {k}": v for k, v in foreign_names.ARGUMENTS.items()},
    **{f"ATTRIBUTES of {k}": v for k, v in foreign_names.ATTRIBUTES_OF.items()},
    **{name: getattr(foreign_names, name) for name in ("ATTRIBUTES", "PACKAGE", "OPTIONS")},
    **{name: getattr(foreign_families, name) for name in ("FAMILIES", "FAMILY_MEANT")},
}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_spelled_as_they_are_looked_up(name):
    assert [key for key in TABLES[name] if key != normalized(key)] == []


@pytest.mark.parametrize("name", [name for name in TABLES if "FAMIL" not in name])
def test_advice_names_only_what_there_is(name, fitted):
    models = [fitted("sleepstudy"), fitted("cbpp"), fitted("cbpp_glm"), mm.lm("Reaction ~ Days", sleep())]
    for advice in TABLES[name].values():
        for word in re.findall(r"\bm\.(\w+)", advice):
            assert any(hasattr(m, word) for m in models), advice
        for word in re.findall(r"\bmm\.(\w+)", advice):
            assert word in mm.__all__, advice


@pytest.mark.parametrize("name", ["FAMILY_MEANT", "FAMILIES"])
def test_families_that_are_there_need_no_advice(name):
    assert not set(TABLES[name]) & {family.lower() for family in FAMILY_NAMES}
    for meant in foreign_families.FAMILY_MEANT.values():
        assert meant in FAMILY_NAMES
    for link, family in foreign_families.LINKS.items():
        assert getattr(mm, family)(link=link).link.name


def sleep():
    return mm.load_dataset("sleepstudy")


KEYWORDS = [
    ("lmer", {"family": "binomial"}, "glmer"),
    ("lmer", {"method": "ML"}, "REML=False"),
    ("lmer", {"reml": False}, "REML="),
    ("glm", {"verbose": 1}, "lmer.. and glmer.. have verbose="),
    ("lmer", {"groups": "Subject"}, r"\(1 \| g\)"),
    ("lmer", {"re_formula": "~Days"}, r"\(x \| g\)"),
    ("lmer", {"vc_formula": {}}, "formula"),
    ("lmer", {"random": "~ 1 | Subject"}, r"\(x \| g\)"),
    ("lmer", {"correlation": None}, "residual="),
    ("lmer", {"na.action": "omit"}, "na_action="),
    ("lmer", {"wieghts": "w"}, "did you mean weights=?"),
    ("lmer", {"maxiter": 100}, "search"),
    ("lmer", {"junk": 1}, "its arguments are formula, data, REML"),
    ("glmer", {"link": "probit"}, r"mm\.binomial\(link='probit'\)"),
    ("glmer", {"nagq": 9}, "nAGQ="),
    ("glmer", {"REML": True}, "lmer"),
    ("glmer", {"ziformula": "~1"}, "zero_inflated_poisson"),
    ("glmer", {"dispformula": "~1"}, "dispersion="),
    ("glmer_nb", {"init.theta": 2}, "theta is estimated"),
    ("glm", {"method": "newton"}, "maximum likelihood"),
    ("glm", {"link": "probit"}, "family=mm.binomial"),
    ("lm", {"family": "binomial"}, "glm"),
]


@pytest.mark.parametrize(("function", "wrong", "advice"), KEYWORDS)
def test_unknown_arguments_of_fits(function, wrong, advice):
    name = next(iter(wrong))
    with pytest.raises(mm.ControlError, match=f"{function}.. has no argument '{name}'.*{advice}") as caught:
        getattr(mm, function)(SLEEP, sleep(), **wrong)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, mm.MixedModelsError)


METHODS = [
    ("predict", {"allow.new.levels": True}, "allow_new_levels="),
    ("predict", {"re.form": None}, "re_form="),
    ("predict", {"exog": 1}, "newdata"),
    ("simulate", {"random_state": 1}, "seed="),
    ("confint", {"alpha": 0.05}, "level=0.95"),
    ("anova", {"typ": 3}, "type=1, 2 or 3"),
    ("anova", {"test.statistic": "F"}, "test='F'"),
    ("ranef", {"condVar": True}, "condsd"),
    ("VarCorr", {"comp": "Variance"}, "to_string"),
    ("drop1", {"scope": "Days"}, "in turn"),
    ("fixef", {"add.dropped": True}, "add_dropped="),
    ("logLik", {"REML": False}, "REML"),
    ("sigma", {"anything": 1}, "it takes none"),
    ("residuals", {"standardized": True}, "scaled=True"),
]


@pytest.mark.parametrize(("function", "wrong", "advice"), METHODS)
def test_unknown_arguments_of_accessors(function, wrong, advice, fitted):
    for model in (fitted("sleepstudy"), fitted("cbpp")):
        with pytest.raises(mm.UnknownArgumentError, match=advice):
            getattr(mm, function)(model, **wrong)


def test_every_public_method_of_every_model_refuses_unknown_arguments(fitted):
    names = ("sleepstudy", "cbpp", "cbpp_pql", "cbpp_glm")
    models = [*map(fitted, names), mm.lm("Reaction ~ Days", sleep())]
    for model in models:
        methods = [n for n, _ in inspect.getmembers(type(model), inspect.isfunction) if n[0] != "_"]
        assert len(methods) > 20
        for name in methods:
            with pytest.raises(mm.UnknownArgumentError, match="no argument 'no_such_thing'"):
                getattr(model, name)(no_such_thing=1)
            assert "no_such_thing" not in inspect.signature(getattr(model, name)).parameters


def test_arguments_by_position():
    with pytest.raises(mm.ControlError, match="REML must be one of True, False, not a Series; grouping goes"):
        mm.lmer("Reaction ~ Days", sleep(), sleep()["Subject"])
    with pytest.raises(mm.ControlError, match="not 'Subject'; grouping goes"):
        mm.lmer("Reaction ~ Days", sleep(), "Subject")
    with pytest.raises(mm.ControlError, match="not 'ML'; False is ML"):
        mm.lmer("Reaction ~ Days", sleep(), "ML")
    with pytest.raises(mm.UnknownArgumentError, match="only formula, data, REML by position, not a further"):
        mm.lmer(SLEEP, sleep(), True, sleep()["Subject"])
    with pytest.raises(mm.UnknownArgumentError, match=r"name what follows, as in weights="):
        mm.glmer(SLEEP, sleep(), "gaussian", 1, "Days")
    with pytest.raises(mm.FormulaError, match="comes first"):
        mm.lmer(sleep(), SLEEP)


def test_positions_that_lme4_users_rely_on(fitted):
    cbpp = mm.load_dataset("cbpp")
    assert mm.glmer(TICKS, cbpp, "binomial", 9).loglik() == fitted("cbpp_agq9").loglik()
    assert not mm.lmer(SLEEP, sleep(), False).is_reml
    assert mm.lmer(SLEEP, sleep(), np.True_).is_reml


ATTRIBUTES = [
    ("params", "fixef"),
    ("fe_params", "fixef"),
    ("coef_", "fixef"),
    ("bse", "standard_errors"),
    ("pvalues", "summary"),
    ("tvalues", "summary"),
    ("fit", "fitted when it is made"),
    ("qqmath", r"write m.plot\(\)"),
    ("r2", "mm.r2|no random|r_squared"),
    ("random_effects", "ranef|no random"),
    ("cov_re", "VarCorr|no random"),
    ("resid", "residuals"),
    ("llf", "loglik"),
    ("logLik", "loglik"),
    ("AIC", "aic"),
    ("rsquared", "mm.r2|no random|r_squared"),
    ("cov_params", "vcov"),
    ("conf_int", "confint"),
    ("fixeff", "did you mean m.fixef?"),
    ("no_such_thing", "no 'no_such_thing'"),
]


@pytest.mark.parametrize(("name", "advice"), ATTRIBUTES)
def test_unknown_attributes_of_models(name, advice, fitted):
    for model in (
        fitted("sleepstudy"),
        fitted("cbpp"),
        fitted("cbpp_glm"),
        mm.lm("Reaction ~ Days", sleep()),
    ):
        with pytest.raises(AttributeError, match=advice) as caught:
            getattr(model, name)
        assert isinstance(caught.value, mm.MixedModelsError)
        assert not hasattr(model, name)
        assert getattr(model, name, None) is None


@pytest.mark.parametrize("name", ["ranef", "VarCorr", "ngrps", "is_singular", "getME"])
def test_random_effects_of_models_without(name, fitted):
    for model in (fitted("cbpp_glm"), mm.lm("Reaction ~ Days", sleep())):
        with pytest.raises(AttributeError, match="no random effects"):
            getattr(model, name)


PACKAGE = [
    ("mixedlm", r"mm\.lmer\("),
    ("MixedLM", r"mm\.lmer\("),
    ("lme", r"mm\.lmer\("),
    ("glmmTMB", r"mm\.glmer\("),
    ("ols", r"mm\.lm\("),
    ("fixed_effects", "fixef"),
    ("read_csv", "pandas"),
    ("lmerControl", "LmerControl"),
    ("sleepstudy", r"mm\.load_dataset\('sleepstudy'\)"),
    ("glmer.nb", "glmer_nb"),
    ("lmr", "did you mean mm.lmer?"),
    ("NULL", "None"),
    ("no_such_thing", "dir"),
]


@pytest.mark.parametrize(("name", "advice"), PACKAGE)
def test_unknown_names_of_the_package(name, advice):
    with pytest.raises(AttributeError, match=advice) as caught:
        getattr(mm, name)
    assert isinstance(caught.value, mm.MixedModelsError)
    assert not hasattr(mm, name)


FAMILIES = [
    ("binomial(probit)", r"mm\.binomial\(link='probit'\)"),
    ('binomial(link = "cloglog")', r"mm\.binomial\(link='cloglog'\)"),
    ("Gamma(log)", r"mm\.Gamma\(link='log'\)"),
    ("inverse.gaussian(log)", r"mm\.inverse_gaussian\(link='log'\)"),
    ("negative.binomial(2)", r"mm\.negative_binomial\(2\)"),
    ("lognormal", "not available.*log"),
    ("multinomial", "not available"),
    ("t", "not available"),
    ("tweedie", "not available"),
    ("cumulative", "not available"),
    ("logit", r"is a link.*mm\.binomial\(link='logit'\)"),
    ("log", r"is a link.*mm\.poisson"),
    ("nb", "'nbinom2'"),
    ("binary", "'binomial'"),
    ("poison", "Did you mean 'poisson'"),
    ("qqq", "Unknown family 'qqq'. Families are"),
    ("qqq(log)", "Unknown family"),
]


@pytest.mark.parametrize(("family", "advice"), FAMILIES)
def test_unknown_families(family, advice):
    with pytest.raises(mm.FamilyError, match=advice) as caught:
        mm.glmer(TICKS, mm.load_dataset("cbpp"), family)
    assert ("Did you mean 'binomial'" in str(caught.value)) is False


def test_options_of_lme4_control():
    with pytest.raises(mm.ControlError, match="search has no settings"):
        mm.lmer(SLEEP, sleep(), control={"optimizer": "bobyqa"})
    with pytest.raises(mm.ControlError, match="is_singular"):
        mm.lmer(SLEEP, sleep(), control={"check.conv.singular": "ignore"})


def test_models_in_a_list(fitted):
    m = fitted("dyestuff_ml")
    for given in ([m, m], (m, m), {"a": m, "b": m}):
        with pytest.raises(mm.ControlError, match="one by one, anova") as caught:
            mm.anova(given)
        assert len(str(caught.value)) < 150
    with pytest.raises(mm.ControlError, match="no fitted model but a DataFrame"):
        mm.anova(m, sleep())
    with pytest.raises(mm.ControlError, match="needs a fitted model, not a DataFrame"):
        mm.drop1(sleep())


def test_functions_of_what_is_no_model(fitted):
    m = fitted("dyestuff_ml")
    for function in (mm.fixef, mm.predict, mm.summary, mm.ranef):
        with pytest.raises(mm.NotAvailableError, match="needs a fitted model; a DataFrame is none"):
            function(sleep())
    for function in (mm.AIC, mm.bic):
        for given in ([m, m], {"a": m}):
            with pytest.raises(mm.ControlError, match=r"one by one, [ab]ic"):
                function(given)
        with pytest.raises(mm.ControlError, match=r"argument 2 of [ab]ic.* no fitted model but 2"):
            function(m, 2)
        with pytest.raises(mm.UnknownArgumentError, match=r"m\.npar"):
            function(m, k=3)
    with pytest.raises(mm.NotAvailableError, match="no random effects"):
        mm.ranef(fitted("cbpp_glm"))


def test_a_property_that_fails_says_why():
    class Failing(type(mm.lm("Reaction ~ Days", sleep()))):
        @property
        def broken(self):
            return self.estimates.no_such_estimate

    model = Failing.__new__(Failing)
    model.estimates = object()
    with pytest.raises(AttributeError, match="no_such_estimate"):
        model.broken  # noqa: B018


def test_models_are_copied_pickled_and_shown(fitted):
    for model in (fitted("sleepstudy"), mm.lm("Reaction ~ Days", sleep())):
        for again in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert again.loglik() == model.loglik()
        assert not hasattr(model, "__array__")
        assert inspect.signature(model.fixef).parameters["add_dropped"].default is False


def test_refuse_says_what_a_function_without_arguments_takes():
    def nothing():
        """Take nothing."""

    refuse(nothing, (), {})
    with pytest.raises(mm.UnknownArgumentError, match="takes no arguments by position, not a further 3"):
        refuse(nothing, (3,), {})

    @advises
    class Thing:
        def many(self, *values: int, last: int = 0) -> int:
            """Take any number."""
            return sum(values) + last

    assert Thing().many(1, 2, last=3) == 6
    with pytest.raises(mm.UnknownArgumentError, match="did you mean last="):
        Thing().many(1, lasst=3)


def test_asking_for_private_names_imports_nothing():
    code = "import sys, mixedmodels as mm\nassert not hasattr(mm, '__wrapped__')\n"
    code += "assert 'mixedmodels.advice' not in sys.modules and 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_values_in_errors_are_short():
    with pytest.raises(mm.ControlError) as caught:
        mm.lmer(SLEEP, sleep(), control=pd.DataFrame({"a": range(50)}))
    assert len(str(caught.value)) < 100
