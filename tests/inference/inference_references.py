"""What lmerTest, pbkrtest, emmeans and car say of linear mixed models, where the shared folder is at hand."""

from __future__ import annotations

import json
import re
import warnings
from functools import cache
from typing import Any

import pandas as pd

import mixedmodels as mm
from tests.conformance.shared import find_shared

SHARED = find_shared()
FOLDER = None if SHARED is None else SHARED / "reference2"


def inference_references() -> list[str]:
    """Return the names of the results of linear mixed models; none where the shared folder is absent."""
    if FOLDER is None or not FOLDER.is_dir():
        return []
    names = sorted(path.stem.removeprefix("inference_") for path in FOLDER.glob("inference_*.json"))
    return [name for name in names if not name.startswith("glmm")]


@cache
def reference(name: str) -> dict[str, Any]:
    """Return one of them."""
    return json.loads((FOLDER / f"inference_{name}.json").read_text(encoding="utf-8"))


@cache
def reference_model(name: str) -> mm.LinearMixedModel:
    """Return our fit of its model."""
    entry, data = reference(name)["model"], reference_data(name)
    contrasts = dict(re.findall(r"(\w+) = '(contr\.\w+)'", entry["call"])) or None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.DataWarning)  # one of the models has an empty cell
        return mm.lmer(entry["formula"], data, REML=entry["REML"], contrasts=contrasts)


def reference_data(name: str) -> pd.DataFrame:
    """Return its data, with the types and levels they had in R."""
    entry = reference(name)["data"]
    if "csv" not in entry:
        return mm.load_dataset(entry["dataset"])
    factors = {k: v for k, v in entry["types"].items() if v["type"] in ("factor", "ordered")}
    data = pd.read_csv(
        FOLDER / entry["csv"],
        keep_default_na=False,
        na_values=["", "NA"],
        dtype=dict.fromkeys(factors, str),
    )
    for column, kind in factors.items():
        data[column] = pd.Categorical(data[column], kind["levels"], ordered=kind["type"] == "ordered")
    return data
