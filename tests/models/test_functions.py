"""Accessors as functions: the signature and the docstring of their method, and its answer."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.models import functions
from mixedmodels.models.fitted_model import FittedModel
from mixedmodels.models.mixed_model import MixedModel

MODELS = ("sleepstudy", "cbpp", "cbpp_pql", "cbpp_glm", "lm")
#: Functions whose signature is not that of one method: of several models, or of arguments of several kinds.
OWN = ("aic", "bic", "coef", "refit", "refitML", "vcov")
NAMES = sorted(
    name
    for name in mm._HOMES["models.functions"].split()
    if getattr(mm, name).__name__ == name and name not in OWN
)


def model_named(name, fitted):
    return mm.lm("Reaction ~ Days", mm.load_dataset("sleepstudy")) if name == "lm" else fitted(name)


@pytest.mark.parametrize("name", NAMES)
def test_signature_and_docstring_are_those_of_the_method(name):
    function = getattr(mm, name)
    method = getattr(MixedModel, name)
    assert function.__doc__ in [vars(kind)[name].__doc__ for kind in MixedModel.__mro__ if name in vars(kind)]
    own, taken = inspect.signature(method), inspect.signature(function)
    assert next(iter(taken.parameters)) == "model"
    assert list(taken.parameters.values())[1:] == list(own.parameters.values())[1:]
    assert taken.return_annotation == own.return_annotation
    assert function.__module__ == functions.__name__


def same(a, b):
    if isinstance(a, (pd.DataFrame, pd.Series)):
        return a.equals(b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return repr(a) == repr(b)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", [n for n in (*NAMES, *OWN) if n not in ("confint", "getME", "refit")])
def test_the_answer_is_that_of_the_method_or_an_error_that_says_why_there_is_none(name, kind, fitted):
    model, function = model_named(kind, fitted), getattr(mm, name)
    try:
        expected = getattr(model, name)()
    except (mm.NotAvailableError, AttributeError):
        with pytest.raises(mm.NotAvailableError):
            function(model)
    else:
        assert same(function(model), expected)


def test_arguments_go_to_the_method(fitted):
    m, g = fitted("sleepstudy"), fitted("cbpp")
    limits = mm.confint(m, "beta_", 0.9, method="Wald")
    pd.testing.assert_frame_equal(limits, m.confint("beta_", 0.9, method="Wald"))
    assert mm.vcov(m, "kenward-roger").equals(m.vcov("kenward-roger"))
    assert mm.vcov(m, full=True).shape == (38, 38)
    assert mm.vcov(g, method="rx").equals(g.vcov(method="rx"))
    assert mm.vcov(g, "CR1", cluster="herd").equals(g.vcov("CR1", "herd"))
    assert np.allclose(mm.predict(g, type="response"), g.fitted(), rtol=1e-12)
    assert mm.model_matrix(m, "random").shape == (180, 36)
    assert mm.refit(m, 2 * m.y).sigma() == pytest.approx(2 * m.sigma(), rel=1e-5)
    assert np.allclose(mm.getME(m, "theta"), m.theta())


def test_arguments_that_a_kind_of_model_has_not(fitted):
    with pytest.raises(mm.UnknownArgumentError, match="method"):
        mm.vcov(fitted("sleepstudy"), method="rx")
    plain = model_named("lm", fitted)
    with pytest.raises(mm.UnknownArgumentError, match="no random effects"):
        mm.predict(plain, re_form=None)
    for function in (mm.ranef, mm.VarCorr, mm.is_singular):
        with pytest.raises(mm.NotAvailableError, match="no random effects"):
            function(plain)
    with pytest.raises(mm.NotAvailableError, match=r"fixef\(\) needs a fitted model; 'm' is none"):
        mm.fixef("m")


@pytest.mark.parametrize("kind", MODELS)
def test_dir_shows_what_users_ask_for(kind, fitted):
    model = model_named(kind, fitted)
    shown = [name for name in dir(model) if not name.startswith("_")]
    for name in shown:
        member = inspect.getattr_static(type(model), name)
        assert inspect.getdoc(member), name
    asked = {"fixef", "predict", "summary", "confint", "anova", "tidy", "emmeans", "plot", "report", "npar"}
    assert asked <= set(shown)
    engine = {"problem", "estimates", "design", "y", "b", "beta", "joint_covariance", "with_rows", "effects"}
    assert not engine & set(shown)
    assert ("ranef" in shown) == isinstance(model, MixedModel)
    assert ("REMLcrit" in shown) == (kind == "sleepstudy")
    assert ("dispersion" in shown) == (kind == "cbpp_glm")
    assert model.beta is not None and model.design is not None  # not listed, and there


@pytest.mark.parametrize("kind", MODELS)
def test_names_that_are_shown_can_be_looked_at(kind, fitted):
    model = model_named(kind, fitted)
    for name in dir(model):
        getattr(model, name)


def test_what_is_not_of_a_kind_of_model_says_so(fitted):
    with pytest.raises(mm.NotAvailableError, match=r"sigma\(\)"):
        fitted("sleepstudy").dispersion()
    with pytest.raises(mm.NotAvailableError, match=r"lm\(\)"):
        fitted("cbpp").effects  # noqa: B018
    assert issubclass(mm.LinearModel, FittedModel)
