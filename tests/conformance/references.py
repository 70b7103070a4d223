"""Run one reference fit of R and compare everything it holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from mixedmodels.errors import NotAvailableError
from tests.conformance.blocks import (
    ESTIMATES,
    GLMM_ERRORS,
    OBJECTIVE,
    check,
    named,
    objective_mismatch,
    relative,
    residuals_mismatch,
    summary_mismatch,
)
from tests.conformance.compare import mismatch
from tests.conformance.fitting import family, fit_reference, lme4_approximation, reference_data
from tests.conformance.marginal import gee_checks
from tests.conformance.nonlinear import nlme_nonlinear_checks, nlmer_checks
from tests.conformance.preparations import prepared
from tests.conformance.profiles import profile_checks
from tests.conformance.quantities import objective, objective_at, rx_errors, varcorr
from tests.conformance.result import Check, Result, timed
from tests.conformance.structured import glmmtmb_residual_checks, nlme_checks

DEPARTURE_TAGS = {
    "dispersion": "departure: phi is a parameter of the likelihood here, in lme4 it is not",
}
DEPARTURES = {
    "machines_doublebar_reml": "departure: || always means uncorrelated, lme4 keeps a factor correlated",
}


def run_reference(reference: dict[str, Any]) -> Result:
    """Run a reference fit and return the verdict on each of its numbers."""
    return timed(reference["id"], reference["engine"], lambda: _checks(reference))


def _checks(reference: dict[str, Any]) -> list[Check]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RUNNERS[reference["engine"]](reference)


# Fits of lmer and glmer.


def _lme4_checks(reference: dict[str, Any]) -> list[Check]:
    model = fit_reference(reference, reference_data(reference))
    tagged = [DEPARTURE_TAGS[tag] for tag in reference["tags"] if tag in DEPARTURE_TAGS]
    if aside := DEPARTURES.get(reference["id"]) or "".join(tagged[:1]):
        return [Check("all", "aside", aside)]
    results = reference["results"]
    checks = {
        "objective": lambda: objective_mismatch(
            results.get("minus2logLik_with_constants", results["objective"]), model
        ),
        # lme4 counts the theta of negative.binomial(theta) although it is given, not estimated.
        "df": lambda: mismatch(results["df"] - ("negbin" in reference["tags"]), model.npar, 0, 0),
        "ngrps": lambda: mismatch(named(results["ngrps"]), model.ngrps(), 0, 0),
        "fixef": lambda: relative(results["fixef"], model.fixef(), _se(results), ESTIMATES),
        "se": lambda: _errors_mismatch(results, model, reference["engine"]),
        "theta": lambda: _theta_mismatch(results, model),
        "sigma": lambda: mismatch(results["sigma"], model.sigma(), ESTIMATES, 0),
        "VarCorr": lambda: _varcorr_mismatch(results["VarCorr"], model),
        "ranef": lambda: _ranef_mismatch(results["ranef"], model),
        "fitted": lambda: summary_mismatch(results["fitted"], model.fitted()),
        "predict": lambda: _predict_mismatch(reference, model),
        "criteria": lambda: _criteria_mismatch(results, model),
    }
    if "residuals" in results:  # excerpts that come with the tests leave them out
        checks["residuals"] = lambda: residuals_mismatch(results["residuals"], model)
    if "objective_at" in results:
        checks["objective_at"] = lambda: _objective_at_mismatch(reference, model)
    if "hatvalues" in results and reference["engine"] == "lme4::lmer":
        checks["hatvalues"] = lambda: summary_mismatch(results["hatvalues"], model.hatvalues())
    if "drop1" in reference:
        checks["drop1"] = lambda: _drop1_mismatch(reference["drop1"], model)
    if "confint" in reference:
        checks["confint"] = lambda: _wald_mismatch(reference["confint"]["wald"], model)
    return [check(quantity, compute) for quantity, compute in checks.items()]


def _se(results: dict[str, Any]) -> list[float]:
    return results.get("se_numeric_hessian", results["se"])["values"]


def _errors_mismatch(results: dict[str, Any], model: Any, engine: str) -> str:
    if engine == "lme4::lmer":
        return mismatch(named(results["se"]), model.standard_errors(), ESTIMATES, 0)
    if "se_numeric_hessian" in results:
        return mismatch(named(results["se_numeric_hessian"]), model.standard_errors(), GLMM_ERRORS, 0)
    return mismatch(named(results["se_from_RX"]), rx_errors(model), GLMM_ERRORS, 0)


def _theta_mismatch(results: dict[str, Any], model: Any) -> str:
    expected, ours = np.array(results["theta"]["values"]), np.asarray(model.theta(), dtype=float)
    if len(ours) != len(expected):
        return f"expected {len(expected)} values, got {len(ours)}"
    if np.all(np.abs(ours - expected) <= ESTIMATES * np.abs(expected).max()):
        return ""
    return f"expected {expected}, got {ours}"


def _varcorr_mismatch(expected: list[dict[str, Any]], model: Any) -> str:
    ours = varcorr(model)
    wanted = [{"group": t["group"], "sd": dict(zip(t["names"], t["sd"], strict=True))} for t in expected]
    largest = max(max(t["sd"]) for t in expected)
    return mismatch(wanted, ours, ESTIMATES, ESTIMATES * largest)


def _criteria_mismatch(results: dict[str, Any], model: Any) -> str:
    constant = results.get("saturated_constant", 0.0)
    # lme4 counts the theta of negative.binomial(theta), which is given; see "df".
    extra = results["df"] - model.npar
    wanted = [
        results["logLik"] - constant / 2,
        results["AIC"] + constant - 2 * extra,
        results["BIC"] + constant - np.log(results["nobs"]) * extra,
    ]
    return mismatch(wanted, [model.loglik(), model.aic(), model.bic()], OBJECTIVE, 0)


def _drop1_mismatch(block: dict[str, Any], model: Any) -> str:
    """Compare single-term deletions.

    R's smaller models were left at the theta of the larger one (drop1() updates a call whose control said
    so): their AIC is an upper bound, which R's own drop1 of the model as users call it is below, too.
    """
    table = mm.drop1(model)
    if list(table.index) != block["rows"]:
        return f"rows are {list(table.index)}, R's are {block['rows']}"
    if found := mismatch(block["columns"]["npar"], table["npar"].tolist(), 0, 0):
        return f"npar: {found}"
    aic, bound = table["AIC"].to_numpy(), np.array(block["columns"]["AIC"])
    if np.any(aic > bound + OBJECTIVE * np.abs(bound)):
        return f"AIC: {aic} is above R's {bound}"
    return mismatch(bound[0], aic[0], OBJECTIVE, 0)


def _wald_mismatch(block: dict[str, Any], model: Any) -> str:
    ours = model.confint(parm="beta_", method="Wald")
    tolerance = GLMM_ERRORS if "z value" in model.summary().coefficients else ESTIMATES
    widths = [abs(high - low) for low, high in block["values"]]
    return mismatch(block, ours, 0, tolerance * max(widths))


def _ranef_mismatch(expected: list[dict[str, Any]], model: Any) -> str:
    tables = model.ranef()
    largest = max(float(np.abs(np.array(term["values"], dtype=float)).max()) for term in expected)
    for term in expected:
        ours = tables[term["group"]]
        values = np.array(term["values"], dtype=float)
        ours = ours.set_axis(ours.index.astype(str)).loc[term["levels"], term["columns"]].to_numpy()
        scale = np.maximum(np.abs(values), np.array(term["cond_sd"], dtype=float))
        wrong = ~(np.abs(ours - values) <= ESTIMATES * np.maximum(scale, largest))
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            level, column = term["levels"][i], term["columns"][j]
            return f"{term['group']} {level} {column}: expected {values[i, j]:.10g}, got {ours[i, j]:.10g}"
        sds = tables.condsd[term["group"]].loc[term["levels"], term["columns"]].to_numpy()
        known = np.array(term["cond_sd"], dtype=float)
        if not np.all(np.abs(sds - known) <= ESTIMATES * np.abs(known).max()):
            return f"{term['group']}: conditional standard deviations {sds[0]} for R's {known[0]}"
    return ""


def _predict_mismatch(reference: dict[str, Any], model: Any) -> str:
    block = reference["results"]["predict"]
    frame = pd.DataFrame(block["newdata"]["columns"])
    calls: dict[str, tuple[pd.DataFrame, dict[str, Any]]] = {
        **({"re_form_NULL": (frame, {})} if "re_form_NULL" in block else {}),
        "re_form_NA": (frame, {"re_form": False}),
    }
    if "partial_re_form" in block:
        calls["partial_re_form"] = (frame, {"re_form": block["partial_re_form"]["re_form"]})
    if "allow_new_levels" in block:
        new = frame.assign(**dict.fromkeys(block["new_levels_set_in"], "a new level"))
        calls["allow_new_levels"] = (new, {"allow_new_levels": True})
    # lme4's predict() drops an offset given as an argument; here it counts (DESIGN section 6).
    offset = OFFSETS[reference["model"]["offset"]](frame) if "offset" in reference["model"] else 0.0
    for name, (rows, options) in calls.items():
        expected = block[name]["values"] if isinstance(block[name], dict) else block[name]
        ours = np.asarray(model.predict(rows, **options), dtype=float)
        scale = float(np.abs(np.array(expected, dtype=float)).max())
        if found := mismatch((np.array(expected) + offset).tolist(), ours, ESTIMATES, ESTIMATES * scale):
            return f"{name}: {found}"
    return ""


OFFSETS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "lw": lambda frame: frame["lw"],
    "log(expected)": lambda frame: np.log(frame["expected"]),
}


def _objective_at_mismatch(reference: dict[str, Any], model: Any) -> str:
    constant = reference["results"].get("saturated_constant", 0.0)
    for point in reference["results"]["objective_at"]:
        ours = objective_at(model, point["par"])
        expected = point["objective"] + constant
        if abs(ours - expected) > OBJECTIVE * abs(expected):
            return f"at {point['par']}: expected {expected:.10g}, got {ours:.10g}"
    return ""


# Likelihood ratio tests.


def _anova_checks(reference: dict[str, Any]) -> list[Check]:
    model, results = reference["model"], reference["results"]
    if "family" in model:
        data = prepared(
            mm.load_dataset(reference["data"]["dataset"]), ANOVA_PREPARATIONS.get(reference["id"], [])
        )
        chosen = family(model["family"], model["link"])
        options = lme4_approximation(chosen)
        models = [mm.glmer(f, data, family=chosen, nAGQ=model["nAGQ"], **options) for f in model["formulas"]]
    else:
        models = [mm.lmer(f, reference_data(reference), REML=True) for f in model["formulas"]]
    table = mm.anova(*models)
    frame = pd.DataFrame(table)
    if model.get("nAGQ", 1) > 1:
        # On lme4's scale the saturated constant is missing: compare differences from the first model.
        criteria = ["AIC", "BIC", "logLik"]
        results = results | {name: [value - results[name][0] for value in results[name]] for name in criteria}
        frame = frame.assign(**{name: frame[name] - frame[name].iloc[0] for name in criteria})
    columns = {name: name for name in ("npar", "AIC", "BIC", "logLik", "Chisq")} | {"p": "Pr(>Chisq)"}
    return [
        check(name, lambda n=name, c=column: mismatch(results[n], frame[c].tolist(), ESTIMATES, 1e-8))
        for name, column in columns.items()
    ]


ANOVA_PREPARATIONS = {
    "anova_cbpp": ["d$obs <- factor(seq_len(nrow(d)))"],
    "anova_contraception_cm2_cm1": ["d$ch <- factor(ifelse(d$livch == '0', 'N', 'Y'))"],
    "anova_epil": ["d$obs <- factor(seq_len(nrow(d)))"],
    "anova_seizures": ["d$followup <- d$visit > 0"],
    "anova_toxo_agq": ["d$x <- (d$rain - 1900)/100"],
}


# Models without random effects, and penalized quasi-likelihood.


def _glm_checks(reference: dict[str, Any]) -> list[Check]:
    model, results = reference["model"], reference["results"]
    fit = mm.glm(model["formula"], reference_data(reference), family=family(model["family"], model["link"]))
    checks = {
        "coef": lambda: mismatch(named(results["coef"]), fit.fixef(), ESTIMATES, 1e-9),
        "logLik": lambda: _loglik_mismatch(results["logLik"], fit),
        "deviance": lambda: mismatch(results["deviance"], fit.deviance(), ESTIMATES, 0),
    }
    if "df_residual" in results:
        checks["df_residual"] = lambda: mismatch(results["df_residual"], fit.df_residual(), 0, 0)
    if "theta" in results:
        checks["theta"] = lambda: mismatch(results["theta"], float(fit.phi[0]), ESTIMATES, 0)
    if "pearson_X2" in results:
        checks["pearson_X2"] = lambda: mismatch(
            results["pearson_X2"], float(np.sum(fit.residuals("pearson") ** 2)), ESTIMATES, 0
        )
        checks["dispersion"] = lambda: mismatch(results["dispersion"], fit.sigma() ** 2, ESTIMATES, 0)
    return [check(quantity, compute) for quantity, compute in checks.items()]


def _group_fits_checks(reference: dict[str, Any]) -> list[Check]:
    results = reference["results"]
    fits = mm.lm_list(reference["model"]["formula"], reference_data(reference))
    errors = {"rows": results["se_rows"], "cols": results["se_cols"], "values": results["se"]}
    checks = {
        "coef": lambda: mismatch(results["coef"], fits.coef(), ESTIMATES, 0),
        "pooled_sigma": lambda: mismatch(results["pooled_sigma"], fits.sigma(), ESTIMATES, 0),
        "se": lambda: mismatch(errors, fits.standard_errors(), ESTIMATES, 0),
    }
    return [check(quantity, compute) for quantity, compute in checks.items()]


def _loglik_mismatch(expected: float | None, fit: Any) -> str:
    """Compare the log-likelihood, which a quasi family does not have."""
    if expected is not None:
        return mismatch(expected, fit.loglik(), OBJECTIVE, 0)
    try:
        return f"a quasi family has no likelihood, but loglik() is {fit.loglik()}"
    except NotAvailableError:
        return ""


def _pql_checks(reference: dict[str, Any]) -> list[Check]:
    model, results = reference["model"], reference["results"]["pql_converged"]
    group, _, effects = model["random"].removeprefix("list(").removesuffix(")").partition(" = ~ ")
    formula = f"{model['fixed']} + ({effects} | {group})"
    fit = mm.glmer(
        formula, reference_data(reference), family=family(model["family"], model["link"]), method="pql"
    )
    checks = {
        "fixef": lambda: relative(results["fixef"], fit.fixef(), results["se"]["values"], ESTIMATES),
        "se": lambda: mismatch(named(results["se"]), _vcov_errors(fit), ESTIMATES, 0),
        "sigma": lambda: mismatch(results["sigma"], fit.sigma(), ESTIMATES, 0),
        "re_sd": lambda: mismatch(results["re_sd"], list(varcorr(fit)[0]["sd"].values()), ESTIMATES, 0),
    }
    return [check(quantity, compute) for quantity, compute in checks.items()]


def _vcov_errors(fit: Any) -> dict[str, float]:
    """Return the standard errors without the small-sample factor that glmmPQL's table has."""
    return dict(zip(fit.fixef().index, np.sqrt(np.diag(fit.vcov())), strict=True))


# glmmTMB: full maximum likelihood, observed information in the Laplace approximation.


def _tmb_checks(reference: dict[str, Any]) -> list[Check]:
    model, results = reference["model"], reference["results"]
    if "dispformula" in reference["tags"] or model["dispformula"] == "~0":
        return glmmtmb_residual_checks(reference)
    if model["ziformula"] not in ("~0", "~1"):
        return [Check("all", "aside", "predictors of the zero part are later work")]
    data = reference_data(reference)
    chosen = family(model["family"], model["link"], zi=model["ziformula"] == "~1")
    if model["family"] == "gaussian":
        fit = mm.lmer(model["formula"], data, REML=model["REML"])
    elif "no_random" in reference["tags"]:
        fit = mm.glm(model["formula"], data, family=chosen)
    else:
        fit = mm.glmer(model["formula"], data, family=chosen)
    # The polished optimum, not the object's estimates, which glmmTMB leaves a little short of it.
    names, inner = results["cond_fixef"]["names"], results["parameters_internal"]
    polished = results["cond_fixef"] | {"values": inner["polished"][: len(names)]}
    if model["REML"]:  # beta is not among the inner parameters
        polished = results["cond_fixef"]
    errors = results["se_internal_polished"][: len(names)]
    checks = {
        "objective": lambda: mismatch(results["minus2logLik"], objective(fit), OBJECTIVE, 0),
        "fixef": lambda: relative(polished, fit.fixef(), errors, ESTIMATES),
    }
    if model["family"] != "gaussian":  # of a linear model glmmTMB inverts the observed joint Hessian
        checks["se"] = lambda: mismatch(errors, fit.standard_errors(), GLMM_ERRORS, 0)
    return [check(quantity, compute) for quantity, compute in checks.items()]


RUNNERS: dict[str, Callable[[dict[str, Any]], list[Check]]] = {
    "lme4::lmer": _lme4_checks,
    "lme4::glmer": _lme4_checks,
    "lme4::anova (ML refits)": _anova_checks,
    "lme4::anova (GLMM)": _anova_checks,
    "stats::glm": _glm_checks,
    "MASS::glm.nb": _glm_checks,
    "MASS::glmmPQL": _pql_checks,
    "glmmTMB::glmmTMB": _tmb_checks,
    "geepack::geeglm": gee_checks,
    "nlme::gls": nlme_checks,
    "nlme::lme": nlme_checks,
    "nlme::nlme": nlme_nonlinear_checks,
    "lme4::nlmer": nlmer_checks,
    "lme4::lmList": _group_fits_checks,
    "lme4::profile (direct)": profile_checks,
}
