"""Run one conformance case: prepare, fit, and check everything it expects."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from mixedmodels.errors import ConvergenceWarning, MixedModelsError
from mixedmodels.formula import build_design
from mixedmodels.formula.language.parse import parse_formula
from mixedmodels.formula.language.syntax_tree import deparse
from tests.conformance.compare import mismatch
from tests.conformance.error_words import ERROR_WORDS
from tests.conformance.fitting import case_data, fit_case
from tests.conformance.preparations import GENERATED, prepared
from tests.conformance.quantities import VALUES, model_structure, prediction
from tests.conformance.result import Check, Result, describe, timed
from tests.conformance.shared import conformance_data

# Checks that are set aside, and counted, under these reasons.
ASIDE_QUANTITIES = {
    ("value", "fixef_scaled"): "lme4's autoscale option is not copied: the optimiser is scale-free",
}
SET_ASIDE_CASES = {
    "edge-anova-agq-glm": "departure: quadrature has its constants here and may be compared with a GLM",
    "fs-fac-re-03": "departure: || always means uncorrelated, lme4 keeps a factor correlated",
}

# glmmTMB works on log standard deviations, so that its zeros are only small.
ZERO_IN_GLMMTMB = 1e-4
# In these lme4 keeps phi out of the likelihood; the value to meet is the full likelihood's, of glmmTMB.
DISPERSION_FAMILIES = {"Gamma", "gaussian", "inverse.gaussian"}


def run_case(case: dict[str, Any]) -> Result:
    """Run a case and return the verdict on each of its checks."""
    return timed(case["id"], case["group"], lambda: _checks(case))


def _checks(case: dict[str, Any]) -> list[Check]:
    if reason := SET_ASIDE_CASES.get(case["id"]):
        return [Check(check["quantity"], "aside", reason) for check in case["expect"]]
    special = {
        "parse_formula": _formula_checks,
        "anova": _anova_checks,
        "update": _update_checks,
        "simulate_formula": _simulation_checks,
        "lm_list": _group_fits_checks,
    }
    return special.get(case["call"]["function"], _fit_checks)(case)


def _reason_aside(check: dict[str, Any]) -> str:
    """Return why the check is set aside; an empty string for most."""
    return ASIDE_QUANTITIES.get((check["kind"], check["quantity"]), "")


def _guarded(check: dict[str, Any], compute: Callable[[], str]) -> Check:
    """Return the check with what `compute` found wrong; an exception is wrong, too."""
    quantity = check["quantity"]
    if reason := _reason_aside(check):
        return Check(quantity, "aside", reason)
    try:
        found = compute()
    except Exception as error:
        found = describe(error)
    return Check(quantity, "fails" if found else "holds", found)


def _fit_checks(case: dict[str, Any]) -> list[Check]:
    if all(check["quantity"] == "model_structure" for check in case["expect"]):
        return [
            _guarded(check, lambda check=check: _structure_mismatch(check, case)) for check in case["expect"]
        ]
    if all(map(_reason_aside, case["expect"])):
        return [Check(check["quantity"], "aside", _reason_aside(check)) for check in case["expect"]]
    data = case_data(case)
    model, error = None, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = fit_case(case, data)
        except Exception as raised:
            error = raised
    issued = [w.message for w in caught]
    return [_guarded(check, _fit_check(check, case, model, issued, error)) for check in case["expect"]]


def _fit_check(
    check: dict[str, Any], case: dict[str, Any], model: Any, issued: list[Any], error: Exception | None
) -> Callable[[], str]:
    """Return the function that says what is wrong with the fit in the eyes of this check."""
    kind, quantity = check["kind"], check["quantity"]
    if kind == "error" and quantity == "fit":
        return lambda: _error_mismatch(check, case, error)
    if error is not None:
        return lambda: describe(error)
    if kind == "error":
        return lambda: _expected_error(check, case, model)
    if quantity == "simulate_mean_matches":
        return lambda: _simulated_mean_mismatch(check, model)
    if kind == "warning" or quantity == "no_convergence_warning":
        return lambda: _warning_mismatch(check, issued)
    if quantity in ("fit", "no_error", "reference_fits"):
        return lambda: ""
    return lambda: _value_mismatch(check, case, model)


# lme4 starts every standard deviation at 1; the start here is another on purpose.
OWN_CHOICE = {"theta_start"}


def _structure_mismatch(check: dict[str, Any], case: dict[str, Any]) -> str:
    call = case["call"]
    design = build_design(call["formula"], case_data(case), contrasts=call.get("contrasts"))
    wanted = {key: value for key, value in check["value"].items() if key not in OWN_CHOICE}
    return mismatch(wanted, model_structure(design), 0.0, 0.0)


# What counts as the right error: the exception is one of ours (or Python's own for an unknown argument).
def _error_mismatch(check: dict[str, Any], case: dict[str, Any], error: Exception | None) -> str:
    if error is None:
        return f"no error; the user should get: {check['user_should_get']}"
    wanted = TypeError if check.get("exception") == "TypeError" else MixedModelsError
    if not isinstance(error, wanted):
        return f"expected {wanted.__name__}, got {describe(error)}"
    unsaid = [word for word in ERROR_WORDS[case["id"]] if word.lower() not in str(error).lower()]
    return f"the message does not say {unsaid}: {error}" if unsaid else ""


def _expected_error(check: dict[str, Any], case: dict[str, Any], model: Any) -> str:
    try:
        if check["quantity"] == "simulate":
            model.simulate(**check["args"])
        elif check["quantity"] == "confint":
            model.confint(method=check["args"]["method"], type=check["args"]["boot_type"])
        else:
            prediction(model, check.get("args") or {})
    except Exception as error:
        return _error_mismatch(check, case, error)
    return _error_mismatch(check, case, None)


# A mean of simulations may stray from its expected value by this many standard errors.
SIMULATION_ERRORS = 5


def _simulated_mean_mismatch(check: dict[str, Any], model: Any) -> str:
    args = check["args"]
    simulated = model.simulate(args["nsim"], seed=1, use_u=args["use_u"])
    expected = model.fitted() if args["use_u"] else model.predict(re_form=False)
    errors = simulated.std(axis=1) / np.sqrt(args["nsim"])
    strayed = ((simulated.mean(axis=1) - expected) / errors).abs().max()
    return "" if strayed < SIMULATION_ERRORS else f"the mean strays by {strayed:.1f} standard errors"


def _warning_mismatch(check: dict[str, Any], issued: list[Any]) -> str:
    if check["quantity"] == "no_convergence_warning":
        about = [str(warning) for warning in issued if isinstance(warning, ConvergenceWarning)]
        return f"warned: {about}" if about else ""
    wanted = check.get("match", "")
    if (
        any(re.search(wanted, str(warning), re.IGNORECASE) for warning in issued)
        or "need not warn" in check["user_should_get"]
    ):
        return ""
    return f"no warning like {wanted!r}; issued: {issued}"


def _value_mismatch(check: dict[str, Any], case: dict[str, Any], model: Any) -> str:
    args = check.get("args") or {}
    quantity = check["quantity"]
    if quantity == "cooks_distance_head":
        args = args | {"n": len(check["value"])}
    if case["id"] == "meth-na-newdata":
        args = args | {"newdata": conformance_data("sleepstudy")}
    if "formula" in args:
        model = fit_case(case | {"call": case["call"] | args}, case_data(case))
    rtol, atol = check.get("rtol", 0.0), check.get("atol", 0.0)
    if quantity == "objective_max":
        ours = VALUES[quantity](model, args)
        return (
            ""
            if ours <= check["value"] + atol
            else f"{ours:.6f} is above the best known {check['value']:.6f}"
        )
    ours = VALUES[quantity](model, args)
    wanted = [check["value"], *check.get("accept_also", []), *_full_likelihood(case, quantity)]
    if quantity in ("theta", "re_sd_unscaled"):
        # By position: lme4's names of theta are not unique where two terms share a grouping factor.
        wanted = [list(value.values()) if isinstance(value, dict) else [value] for value in wanted]
    if _full_likelihood(case, quantity):
        atol = max(atol, ZERO_IN_GLMMTMB)
    found = [mismatch(value, ours, rtol, atol) for value in wanted]
    return "" if "" in found else found[-1]


def _full_likelihood(case: dict[str, Any], quantity: str) -> list[Any]:
    """Return glmmTMB's value where lme4's objective is not a likelihood."""
    if case["call"].get("family") not in DISPERSION_FAMILIES:
        return []
    found = [check["crosscheck"]["glmmTMB"] for check in case["expect"] if "crosscheck" in check]
    key = {"re_sd_unscaled": "sd"}.get(quantity, quantity)
    return [values[key] for values in found if key in values]


# Formulas.


def _formula_checks(case: dict[str, Any]) -> list[Check]:
    return [
        _guarded(check, lambda check=check: _formula_mismatch(check["value"], case["call"]["formula"]))
        for check in case["expect"]
    ]


def _formula_mismatch(expected: dict[str, Any], formula: str) -> str:
    parsed = parse_formula(formula)
    terms = [
        {"lhs": deparse(bar.lhs), "group": deparse(bar.group), "structure": bar.structure}
        for bar in parsed.bars
    ]
    ours = {
        "response": None if parsed.response is None else deparse(parsed.response),
        "fixed": deparse(parsed.fixed),
        "re_terms": terms,
    }
    return mismatch(expected, ours, 0.0, 0.0)


# Calls that fit no mixed model at first.


def _update_checks(case: dict[str, Any]) -> list[Check]:
    call = case["call"]

    def found(check: dict[str, Any]) -> str:
        changed = mm.update(mm.lmer(call["formula"], case_data(case)), call["update"]).formula()
        return mismatch(check["value"], changed, 0.0, 0.0)

    return [_guarded(check, lambda check=check: found(check)) for check in case["expect"]]


def _simulation_checks(case: dict[str, Any]) -> list[Check]:
    """Check that what a simulation without a fit lacks is named: sigma, then everything."""
    call, data = case["call"], case_data(case)

    def found(check: dict[str, Any]) -> str:
        parameters = check["args"]["newparams"] if "args" in check else call["newparams"]
        try:
            model = mm.specify(f"y {call['formula']}", data, **(parameters or {}))
            model.simulate(1, seed=1)
        except Exception as error:
            return _error_mismatch(check, case, error)
        return _error_mismatch(check, case, None)

    return [_guarded(check, lambda check=check: found(check)) for check in case["expect"]]


def _group_fits_checks(case: dict[str, Any]) -> list[Check]:
    fits = mm.lm_list(case["call"]["formula"], case_data(case))
    ours = {"coef_head": fits.coef(), "pooled_rse": fits.sigma()}
    return [
        _guarded(
            check,
            lambda check=check: mismatch(check["value"], ours[check["quantity"]], check["rtol"], 0.0),
        )
        for check in case["expect"]
    ]


# Comparisons of models.


def _anova_checks(case: dict[str, Any]) -> list[Check]:
    if case["call"].get("ddf"):
        return [_guarded(check, lambda check=check: _ddf_error(check, case)) for check in case["expect"]]
    data = GENERATED[case["id"]]() if case["id"] in GENERATED else _data_of(case)
    return [
        _guarded(check, lambda check=check: _anova_mismatch(check, case, data)) for check in case["expect"]
    ]


def _ddf_error(check: dict[str, Any], case: dict[str, Any]) -> str:
    """Say what is wrong with the error for degrees of freedom by a name that is none."""
    model = mm.lmer(case["call"]["formula"], _data_of(case))
    try:
        mm.anova(model, ddf=case["call"]["ddf"])
    except Exception as error:
        return _error_mismatch(check, case, error)
    return _error_mismatch(check, case, None)


def _data_of(case: dict[str, Any]) -> pd.DataFrame:
    return prepared(conformance_data(case["data"]["name"]), case["data"].get("prep") or [])


def _anova_mismatch(check: dict[str, Any], case: dict[str, Any], data: pd.DataFrame) -> str:
    models = [_model_of_text(text, case, data) for text in case["call"]["models"]]
    if check["kind"] == "error":
        try:
            mm.anova(*models)
        except Exception as error:
            return _error_mismatch(check, case, error)
        return _error_mismatch(check, case, None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = mm.anova(*models, **(check.get("args") or {}))
    if check["kind"] == "warning":
        return _warning_mismatch(check, [w.message for w in caught])
    last = table.iloc[-1]
    ours = {"chisq": last["Chisq"], "df": last["Df"], "p": last["Pr(>Chisq)"]}
    return mismatch(check["value"], ours, check.get("rtol", 0.0), check.get("atol", 0.0))


def _model_of_text(text: str, case: dict[str, Any], data: pd.DataFrame) -> Any:
    """Fit "lm: y ~ x" or "y ~ x + (1 | g) (ML)"."""
    if text.startswith("lm: "):
        return mm.glm(text[4:], data, family="gaussian")
    formula = text.removesuffix(" (ML)").removesuffix(" (REML)")
    return mm.lmer(formula, data, REML=case["call"].get("REML", not text.endswith("(ML)")))
