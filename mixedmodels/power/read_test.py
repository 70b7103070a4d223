"""What a power study tests, read from what the caller wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError, listed
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.language.update import update_formula
from mixedmodels.inference.comparability import different_responses, different_sizes
from mixedmodels.inference.hypotheses import INTERCEPT, term_columns, term_hypotheses
from mixedmodels.inference.linear_hypothesis import Stated, stated_hypotheses
from mixedmodels.power.decisions import HypothesisOfCoefficients, OwnTest, Test, likelihood_ratio
from mixedmodels.power.design_study import Study

Method = Literal["default", "satterthwaite", "kenward-roger", "residual", "z", "lrt"]


@dataclass(frozen=True, slots=True)
class AskedTest:
    """A test as it was asked for.

    Attributes
    ----------
    label : str
        What is tested.
    test : Test
        The test.
    tested : tuple of int
        The coefficients it is about.
    """

    label: str
    test: Test
    tested: tuple[int, ...] = ()

    def effects(self, model: Fit) -> dict[str, float]:
        """Return the values of these coefficients in a model, by name."""
        names = model.design.x_names
        return {names[j]: float(model.beta[j]) for j in self.tested}


def read_test(study: Study, test: Any, method: Method) -> AskedTest:
    """Return the test that was asked for.

    Raises
    ------
    ControlError
        If there is none, or it does not go with the method.
    FormulaError
        If a hypothesis or a smaller model cannot be read.
    """
    one_of("method", method, get_args(Method))
    template = study.template
    if isinstance(test, Fit) or (isinstance(test, str) and "~" in test):
        _refuse_method(method, ("default", "lrt"), "a smaller model is tested by a likelihood ratio")
        small, label = _smaller(study, test)
        return AskedTest(label, likelihood_ratio(template, small))
    if callable(test):
        _refuse_method(method, ("default",), "a function decides by itself")
        own = OwnTest(template, test)
        return AskedTest(own.text, own)
    label, stated = _stated(template, _only_coefficient(template) if test is None else test, method)
    tested = tuple(np.flatnonzero(stated.L.any(axis=0)).tolist())
    if method == "lrt":
        return AskedTest(label, likelihood_ratio(template, _without(template, stated, label)), tested)
    return AskedTest(label, HypothesisOfCoefficients(template, stated, method), tested)


def _refuse_method(method: Method, allowed: tuple[str, ...], why: str) -> None:
    if method not in allowed:
        raise ControlError(f"method={method!r} is about coefficients, and {why}: leave out method.")


def _only_coefficient(template: Fit) -> str:
    """Return the only coefficient beside the intercept."""
    names = [name for name in template.design.x_names if name != INTERCEPT]
    if len(names) == 1:
        return names[0]
    raise ControlError(
        f"test is missing: a coefficient ({listed(names) if names else 'the model has none'}), a term, a "
        "hypothesis such as 'x1 = x2', a smaller model such as '. ~ . - x', or a function of a fit."
    )


def _stated(template: Fit, test: Any, method: Method) -> tuple[str, Stated]:
    """Return the hypothesis about coefficients, and its name."""
    names = template.design.x_names
    if isinstance(test, str) and test in names:
        return test, Stated(np.eye(len(names))[[names.index(test)]], np.zeros(1), (test,))
    if isinstance(test, str) and test in template.terms():
        L = _of_term(template, test, method)
        return test, Stated(L, np.zeros(len(L)), (test,))
    if isinstance(test, str) and not re.search(r"[-+*=,]", test):
        raise ControlError(
            f"test={test!r} is neither a coefficient ({listed(names)}) nor a term "
            f"({listed(template.terms()) or 'none'}) of the model."
        )
    stated = stated_hypotheses(test, None, names, template.design.dropped)
    return ", ".join(stated.labels), stated


def _of_term(template: Fit, label: str, method: Method) -> FloatArray:
    """Return the hypothesis of type III about a term; for a likelihood ratio, of its coefficients."""
    if method != "lrt":
        return term_hypotheses(template, 3)[label]
    terms = term_columns(template.design.recipe.fixed, template.design.recipe.kept)
    return np.eye(len(template.beta))[terms.columns[terms.labels.index(label)]]


def _without(template: Fit, stated: Stated, label: str) -> Fit:
    """Fit the model under a hypothesis that some coefficients are zero.

    Raises
    ------
    ControlError
        If it is another hypothesis.
    """
    tested = np.flatnonzero(stated.L.any(axis=0))
    alone = np.count_nonzero(stated.L, axis=1).max() == 1 and not stated.rhs.any()
    if not alone:
        raise ControlError(
            f"method='lrt' leaves out coefficients, and {label} is about combinations of them; write the "
            "smaller model, as in test='. ~ . - x'."
        )
    kept = np.setdiff1d(np.arange(len(template.beta)), tested)
    design = template.design
    names = tuple(design.x_names[k] for k in kept)
    large = template.refitML()
    return large.with_design(replace(design, fixed=design.fixed.take(kept), x_names=names))


def _smaller(study: Study, test: Fit | str) -> tuple[Fit, str]:
    """Return a fit of the smaller model to the data of the template, and what it lacks or is."""
    template = study.template
    if isinstance(test, str):
        return study.smaller(test), test.strip()
    label = test.formula()
    both = (template, test)
    same_rows = template.design.index.equals(test.design.index) and not different_sizes(both)
    if same_rows and not different_responses(both):
        return test, label
    right = update_formula(str(test.design.formula), ". ~ .").split("~", 1)[1]
    return study.smaller(f". ~ {right}"), label
