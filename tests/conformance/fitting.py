"""Turn the call of a case or reference into a call of the package."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from mixedmodels.datasets import load_dataset
from tests.conformance.preparations import GENERATED, prepared
from tests.conformance.shared import conformance_data, reference_table

FAMILIES = {
    "binomial": "binomial",
    "poisson": "poisson",
    "Gamma": "Gamma",
    "gaussian": "gaussian",
    "inverse.gaussian": "inverse_gaussian",
    "quasibinomial": "quasibinomial",
    "quasipoisson": "quasipoisson",
    "beta": "beta",
    "betabinomial": "betabinomial",
    "nbinom1": "nbinom1",
    "nbinom2": "nbinom2",
    "truncated_nbinom2": "truncated_nbinom2",
    "negative binomial": "nbinom2",
}
NAMED_NA_ACTION = {"na.exclude": "exclude", "na.omit": "omit"}

# Arguments that a case describes in words.
SPECIAL_ARGUMENTS = {
    "vector of length 10": lambda data: np.ones(10),
    "w with one -1": lambda data: np.where(np.arange(len(data)) == 0, -1.0, 1.0),
    "Days == 1 or Days == 9": lambda data: data["Days"].isin([1, 9]).to_numpy(),
    "Days > 100": lambda data: (data["Days"] > 100).to_numpy(),
    "Subject not in 308, 309": lambda data: ~data["Subject"].isin(["308", "309"]).to_numpy(),
}
# Arguments that lme4 takes and this package decides for itself.
IGNORED_ARGUMENTS = {"function", "formula", "family", "link", "mustart"}


def case_data(case: dict[str, Any]) -> Any:
    """Return the data of a conformance case, prepared."""
    if case["id"] in GENERATED:
        return GENERATED[case["id"]]()
    data = case["data"]
    if data is None:
        raise LookupError("the case names no data")
    return prepared(conformance_data(data["name"]), data.get("prep") or [])


def fit_case(case: dict[str, Any], data: Any) -> Any:
    """Fit the model that a conformance case calls for."""
    call = case["call"]
    if call["function"] == "refit":
        model = mm.lmer(call["formula"], data, REML=call["REML"])
        name, _, column = call["new_response"].partition("$")
        return model.refit(conformance_data(name)[column])
    function = mm.lmer if call["function"] == "lmer" else mm.glmer
    options = {k: _argument(v, data) for k, v in call.items() if k not in IGNORED_ARGUMENTS}
    if call["function"] == "glmer_nb":
        options["family"] = family("nbinom2", call.get("link"))
    elif "family" in call:
        options["family"] = family(call["family"], call.get("link"))
    if "family" in options:
        options |= lme4_approximation(options["family"])
    return function(call["formula"], data, **options)


def _argument(value: Any, data: Any) -> Any:
    if isinstance(value, str) and value in SPECIAL_ARGUMENTS:
        return SPECIAL_ARGUMENTS[value](data)
    return value


def family(name: str, link: str | None, zi: bool = False) -> Any:
    """Return the family, by R's name, with the link asked for, zero-inflated on request."""
    if match := re.fullmatch(r"MASS::negative\.binomial\(([\d.]+)\)", name):
        return mm.families.negative_binomial(float(match[1]))
    constructor = getattr(mm.families, FAMILIES[name])
    options = ({} if link is None else {"link": link}) | ({"zi": True} if zi else {})
    return constructor(**options)


def reference_data(reference: dict[str, Any]) -> pd.DataFrame:
    """Return the data of a reference fit, prepared; some of the second set have tables of their own."""
    given = reference["data"]
    if "csv" in given:
        return reference_table(given)
    return prepared(load_dataset(given["dataset"]), given.get("prep_R") or [])


def fit_reference(reference: dict[str, Any], data: pd.DataFrame) -> Any:
    """Fit the model of a reference that lme4's lmer or glmer made."""
    model = reference["model"]
    options: dict[str, Any] = {k: model[k] for k in ("weights", "offset", "subset") if k in model}
    if "na_action" in model:
        options["na_action"] = NAMED_NA_ACTION[model["na_action"]]
    if "contrasts_R" in model:
        options["contrasts"] = dict(re.findall(r'(\w+) = "([\w.]+)"', model["contrasts_R"]))
    if reference["engine"] == "lme4::lmer":
        return mm.lmer(model["formula"], data, REML=model["REML"], **options)
    name = model["family_R"] if model["family_R"].startswith("MASS::") else model["family"]
    chosen = family(name, model["link"])
    options |= lme4_approximation(chosen)
    return mm.glmer(model["formula"], data, family=chosen, nAGQ=model["nAGQ"], **options)


def lme4_approximation(chosen: Any) -> dict[str, str]:
    """Return the options under which the likelihood of a family is approximated as by lme4."""
    differs = chosen.has_expected_information and not chosen.is_canonical
    return {"hessian": "expected"} if differs else {}
