"""Linear models with structured residuals or pdMat classes against nlme and glmmTMB."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from tests.conformance.blocks import (
    ESTIMATES,
    check,
    named,
    objective_mismatch,
    relative,
    summary_mismatch,
    worse,
)
from tests.conformance.compare import mismatch
from tests.conformance.fitting import reference_data
from tests.conformance.quantities import objective, varcorr
from tests.conformance.result import Check

_CYCLE = "follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)"
_DIALYZER = "rate ~ (pressure + I(pressure^2) + I(pressure^3) + I(pressure^4)) * QB"
_PUPS = "weight ~ Treatment * sex + Lsize"
_BECK = "bdi ~ bdi.pre + month + treatment + drug + length"
#: id -> formula, residual=, dispersion= : the call of R, as it is written here.
CALLS: dict[str, tuple[str, str | None, str | None]] = {
    # The first set.
    "gls_dialyzer_varpower_ar1": (_DIALYZER, "ar1(1 | Subject)", "power(pressure)"),
    "gls_orthodont_symm": ("distance ~ Sex * I(age - 11)", "us(age | Subject)", None),
    "lme_machines_compsymm": ("score ~ Machine + cs(0 + Machine | Worker, hom = TRUE)", None, None),
    "lme_oats_nested": ("yield ~ nitro * Variety + (1 | Block / Variety)", None, None),
    "lme_orthodont_car": ("distance ~ age * Sex + (1 | Subject)", "ar1(1 | Subject)", None),
    "lme_orthodont_pddiag": ("distance ~ I(age - 11) + (I(age - 11) || Subject)", None, None),
    "lme_orthodont_pdsymm": ("distance ~ age * Sex + (age | Subject)", None, None),
    "lme_orthodont_varident": ("distance ~ age * Sex + (1 | Subject)", None, "ident(Sex)"),
    "lme_ovary_ar1": (f"{_CYCLE} + (sin(2 * pi * Time) || Mare)", "ar1(1 | Mare)", None),
    "lme_ratpup_varident": (f"{_PUPS} + (1 | Litter)", None, "ident(Treatment)"),
    # The second set.
    "nlme_assay_blocked": (
        "logDens ~ sample * dilut + (1 | Block) + (1 | Block:sample) + (1 | Block:dilut)", None, None,
    ),
    "nlme_bodyweight_gaus_ml": ("weight ~ Time * Diet + (Time | Rat)", "gau(Time | Rat)", None),
    "nlme_chick_varexp": ("weight ~ Time * Diet + (Time | Chick)", None, "exp(Time)"),
    "nlme_co2_varfixed": ("uptake ~ log(conc) + Type * Treatment + (1 | Plant)", None, "fixed(conc)"),
    "nlme_dialyzer_varpower": (f"{_DIALYZER} + (pressure | Subject)", None, "power(pressure)"),
    "nlme_dietox_ar1_pddiag": ("Weight ~ Time * Cu + (Time || Pig)", "ar1(Time | Pig)", None),
    "nlme_early_ar1": ("cog ~ age * trt + (1 | id)", "ar1(1 | id)", None),
    "nlme_gls_bodyweight_arma": ("weight ~ Time * Diet", "arma(1 | Rat, p = 1, q = 1)", None),
    "nlme_gls_btheb_symm": (_BECK, "us(visit | subject, hom = TRUE)", None),
    "nlme_gls_ergostool_compsymm": ("effort ~ Type", "cs(1 | Subject)", None),
    "nlme_gls_orthodont_symm_ml": ("distance ~ Sex * I(age - 11)", "us(age | Subject)", None),
    "nlme_gls_ovary_exp_nugget": (_CYCLE, "exp(Time | Mare, nugget = TRUE)", None),
    "nlme_gls_ovary_gaus_nugget_ml": (_CYCLE, "gau(Time | Mare, nugget = TRUE)", None),
    "nlme_gls_ovary_spher_nugget": (_CYCLE, "spher(Time | Mare, nugget = TRUE)", None),
    "nlme_gls_ratpup_varident": (
        "weight ~ Treatment + sex + Lsize", "cs(1 | Litter)", "ident(Treatment)",
    ),
    "nlme_gls_sitka_exp": ("size ~ Time * treat", "exp(Time | tree)", None),
    "nlme_gls_sitka_ratio": ("size ~ Time * treat", "ratio(Time | tree)", None),
    "nlme_igf_pddiag": ("conc ~ age + (age || Lot)", None, None),
    "nlme_machines_pddiag": ("score ~ Machine + diag(0 + Machine | Worker)", None, None),
    "nlme_oats_compsymm": ("yield ~ nitro + cs(0 + Variety | Block, hom = TRUE)", None, None),
    "nlme_oats_nested_ml": ("yield ~ nitro * Variety + (1 | Block / Variety)", None, None),
    "nlme_orthodont_varcomb": ("distance ~ age * Sex + (1 | Subject)", None, "ident(Sex) * exp(age)"),
    "nlme_ovary_ma2": (f"{_CYCLE} + (sin(2 * pi * Time) || Mare)", "arma(1 | Mare, q = 2)", None),
    "nlme_pixel_multilevel_ml": ("pixel ~ day + I(day^2) + (day | Dog) + (1 | Side:Dog)", None, None),
    "nlme_ratpup_varident_cross": (f"{_PUPS} + (1 | Litter)", None, "ident(sex * Treatment)"),
    "nlme_ratpup_varident_ml": (
        "weight ~ Treatment + sex + Lsize + (1 | Litter)", None, "ident(Treatment)",
    ),
    "nlme_sitka_car1": ("size ~ Time * treat + (1 | tree)", "car1(Time | tree)", None),
}  # fmt: skip


#: Written here as several terms: random effects of one term there are sums of others.
SEVERAL_TERMS = {"nlme_assay_blocked"}
#: What differs because nlme stopped short of the optimum: test_proofs.py has the likelihoods of both.
NOT_AT_OPTIMUM: dict[str, tuple[tuple[str, ...], str]] = {
    "nlme_chick_varexp": (
        ("objective", "fixef", "se", "sigma", "structures", "fitted", "pearson", "covariance", "ranef",
         "predict"),
        "nlme stops beside a correlation of -1, 0.009 below the highest log-likelihood",
    ),
    "nlme_dietox_ar1_pddiag": (
        ("covariance", "ranef"), "nlme stops 4e-10 below the highest log-likelihood, in a flat direction",
    ),
    "nlme_gls_btheb_symm": (
        ("fixef", "structures"), "nlme stops 3e-8 below the highest log-likelihood",
    ),
}  # fmt: skip


def nlme_checks(reference: dict[str, Any]) -> list[Check]:
    """Return the verdict on each number of a fit of lme or gls."""
    results, data = reference["results"], reference_data(reference)
    fit = fitted_call(reference, data)
    # "se_summary" of the second set multiplies by sqrt(n / (n - p)) under maximum likelihood: gls() has done
    # so already in "se", and summary() prints those.
    errors = results["se"]
    checks = {
        "objective": lambda: objective_mismatch(-2 * results["logLik"], fit),
        "no worse": lambda: worse(-2 * results["logLik"], objective(fit)),
        "df": lambda: mismatch(results["df"], fit.npar, 0, 0),
        "fixef": lambda: relative(results["fixef"], fit.fixef(), errors["values"], ESTIMATES),
        "se": lambda: relative(errors, fit.standard_errors(), errors["values"], ESTIMATES),
        "sigma": lambda: mismatch(results["sigma"], fit.sigma(), ESTIMATES, 0),
        "structures": lambda: _structures_mismatch(results["structures"], fit),
        "fitted": lambda: summary_mismatch(results["fitted"], fit.fitted()),
        "pearson": lambda: summary_mismatch(_residuals(results, "pearson"), _pearson(fit)),
    }
    if reference["engine"] == "nlme::lme":
        checks["covariance"] = lambda: _covariance_mismatch(results, fit)
        if reference["id"] not in SEVERAL_TERMS:
            checks["ranef"] = lambda: ranef_mismatch(results["ranef"], fit)
    if "predict" in results:
        checks["predict"] = lambda: predict_mismatch(results["predict"], fit, data)
    aside, reason = NOT_AT_OPTIMUM.get(reference["id"], ((), ""))
    return [
        Check(quantity, "aside", reason) if quantity in aside else check(quantity, compute)
        for quantity, compute in checks.items()
    ]


def fitted_call(reference: dict[str, Any], data: pd.DataFrame) -> Any:
    """Return the fit that the call of R asks for."""
    formula, residual, dispersion = CALLS[reference["id"]]
    given = {"residual": residual, "dispersion": dispersion}
    options = {name: text for name, text in given.items() if text is not None}
    function = mm.gls if reference["engine"] == "nlme::gls" else mm.lmer
    REML = reference["model"]["method"] == "REML"
    return function(formula, data, REML=REML, **options)


def _structures_mismatch(found: dict[str, Any], fit: Any) -> str:
    """Compare the parameters of correlation structures and of variance functions."""
    names, values = getattr(fit, "residual_parameters", ((), ()))
    ours = {name.rpartition(".")[2]: value for name, value in zip(names, values, strict=True)}
    correlations = [value for name, value in ours.items() if name.startswith("cor(")]
    for structure in filter(None, (found.get("corStruct"), found.get("varStruct"))):
        for part in structure.get("parts", [structure]):
            wanted = named(part["natural"])
            if part["class"] == "corSymm":
                difference = mismatch(part["natural"]["values"], correlations, ESTIMATES, 0)
            else:  # the standard deviation of the first stratum, which is sigma, stands in some lists
                difference = mismatch(wanted, dict.fromkeys(wanted, 1.0) | ours, ESTIMATES, 0)
            if difference:
                return f"{part['class']}: {difference}"
    return ""


def _covariance_mismatch(results: dict[str, Any], fit: Any) -> str:
    """Compare the distinct variances and covariances of random effects, whatever the terms are called."""
    scale = results["sigma"] ** 2
    matrices = [np.array(c["values"]) for c in results["structures"]["reStruct"]["relative_cov"].values()]
    theirs = np.concatenate([scale * matrix[np.tril_indices(len(matrix))] for matrix in matrices])
    terms = [(np.array(list(t["sd"].values())), t["corr"].to_numpy(float)) for t in varcorr(fit)]
    ours = np.concatenate([(np.outer(s, s) * c)[np.tril_indices(len(s))] for s, c in terms])
    accuracy = ESTIMATES * max(np.abs(theirs).max(), scale)
    return mismatch(_distinct(theirs, accuracy), _distinct(ours, accuracy), ESTIMATES, accuracy)


def _distinct(values: np.ndarray, accuracy: float) -> list[float]:
    """Return the values in order, each once, without those that are zero."""
    ordered = np.sort(values[np.abs(values) > accuracy])
    return ordered[np.diff(ordered, prepend=-np.inf) > accuracy].tolist()


def _residuals(results: dict[str, Any], kind: str) -> dict[str, Any]:
    return results["residuals"][kind] if "residuals" in results else results[f"residuals_{kind}"]


def _pearson(fit: Any) -> pd.Series:
    """Return residuals over their standard deviations, as nlme has them; lme4's are not over sigma."""
    return fit.residuals("pearson", scaled=not hasattr(fit, "residual_parameters"))


def ranef_mismatch(expected: list[dict[str, Any]], fit: Any) -> str:
    """Compare random effects by level; nlme writes ``VI/Victory`` where lme4 has ``Victory:VI``."""
    tables = list(fit.ranef().values())
    largest = max(fit.sigma(), *(float(np.abs(term["values"]).max()) for term in expected))
    for term in expected:
        levels = [":".join(reversed(level.split("/"))) for level in term["levels"]]
        ours = next((t for t in tables if set(levels) <= set(t.index.astype(str))), None)
        if ours is None:
            return f"no table of ours has the levels {levels[:3]} ..."
        columns = [column.removesuffix(".(Intercept)") for column in term["columns"]]
        values = ours.set_axis(ours.index.astype(str)).loc[levels, columns].to_numpy()
        if found := mismatch(term["values"], values, ESTIMATES, ESTIMATES * largest):
            return f"{term['group']}: {found}"
    return ""


def predict_mismatch(block: dict[str, Any], fit: Any, data: pd.DataFrame) -> str:
    """Compare predictions at new rows, of the population and of groups.

    The rows are some of the data; columns of random effects that they lack are taken from there.
    """
    rows = pd.DataFrame(block["newdata"]["columns"])
    if missing := [c for c in fit.model_frame().columns if c in data.columns and c not in rows.columns]:
        completed = rows.merge(data.astype(rows.dtypes.to_dict())[[*rows.columns, *missing]], how="left")
        rows = completed if len(completed) == len(rows) else rows
    asked = {"prediction": {}, "level_0": {"re_form": False}, "innermost": {}}
    for name in asked.keys() & block.keys():
        ours = np.asarray(fit.predict(rows, **asked[name]), dtype=float)
        scale = float(np.abs(block[name]).max())
        if found := mismatch(block[name], ours, ESTIMATES, ESTIMATES * scale):
            return f"{name}: {found}"
    return ""


#: glmmTMB's models without residual variance are correlated residuals here: formula, residual=.
GLMMTMB_CALLS = {
    "tmb_orthodont_cs": ("distance ~ age * Sex", "csh(fage | Subject)"),
    "tmb_orthodont_toep": ("distance ~ age + Sex", "toeph(fage | Subject)"),
}


def glmmtmb_residual_checks(reference: dict[str, Any]) -> list[Check]:
    """Return the verdict on a fit of glmmTMB whose residual variance varies, or is that of a term."""
    model, results, data = reference["model"], reference["results"], reference_data(reference)
    inner = results["parameters_internal"]
    polished = {
        part: [value for name, value in zip(inner["names"], inner["polished"], strict=True) if name == part]
        for part in set(inner["names"])
    }
    if model["dispformula"] == "~0":
        formula, residual = GLMMTMB_CALLS[reference["id"]]
        fit = mm.gls(formula, data, residual=residual, REML=model["REML"])
        ours = np.log(np.sqrt(np.diag(fit.VarCorr()))).tolist()
        theirs = polished["theta"][: len(ours)]
    else:
        fit = mm.lmer(model["formula"], data, dispersion=model["dispformula"], REML=model["REML"])
        # glmmTMB 1.1.5 has the logarithm of the variance.
        ours = [2 * np.log(fit.sigma()), *(2 * value for value in fit.residual_parameters[1])]
        theirs = polished["betad"]
    coefficients = results["cond_fixef"] | {"values": polished["beta"]}
    errors = results["se_internal_polished"][: len(polished["beta"])]
    return [
        check("objective", lambda: objective_mismatch(results["minus2logLik"], fit)),
        check("df", lambda: mismatch(results["df"], fit.npar, 0, 0)),
        check("fixef", lambda: relative(coefficients, fit.fixef(), errors, ESTIMATES)),
        check("variances", lambda: mismatch(theirs, ours, ESTIMATES, ESTIMATES)),
    ]
