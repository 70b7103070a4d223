"""The models of the shared inference references, fitted: data with the types and levels R had."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd

import mixedmodels as mm
from mixedmodels.datasets import load_dataset
from tests.conformance.fitting import lme4_approximation
from tests.conformance.shared import find_shared, shared_folder


def references_with(key: str) -> list[str]:
    """Return the ids of the inference references whose intervals have a key; none without the folder."""
    if find_shared() is None:
        return []
    paths = sorted((shared_folder() / "reference2").glob("inference_*.json"))
    return [path.stem for path in paths if key in reference(path.stem)["results"].get("confint", {})]


def reference(name: str) -> dict[str, Any]:
    """Return one reference."""
    text = (shared_folder() / "reference2" / f"{name}.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def fitted_reference(held: dict[str, Any]) -> Any:
    """Return the model of a reference."""
    model, data = held["model"], read_data(held["data"])
    contrasts = dict(re.findall(r"(\w+) = '([\w.]+)'", model["call"].partition("contrasts")[2]))
    options: dict[str, Any] = {"contrasts": contrasts} if contrasts else {}
    if "family" not in model:
        return mm.lmer(model["formula"], data, REML=model["REML"], weights=model.get("weights"), **options)
    chosen = getattr(mm.families, model["family"])(link=model["link"])
    options |= lme4_approximation(chosen)
    return mm.glmer(model["formula"], data, family=chosen, nAGQ=model["nAGQ"], **options)


def read_data(described: dict[str, Any]) -> pd.DataFrame:
    if "csv" not in described:
        return load_dataset(described["dataset"])
    types = described["types"]
    text = [name for name, column in types.items() if column["type"] in ("factor", "ordered", "character")]
    folder = shared_folder() / "reference2"
    frame = pd.read_csv(
        folder / described["csv"], dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=["NA"]
    )
    for name, column in types.items():
        if "levels" in column:
            kind = pd.CategoricalDtype(column["levels"], ordered=column["type"] == "ordered")
            frame[name] = frame[name].astype(kind)
    return frame
