"""The shared results of R's emmeans, where they are at hand: models, tables and how they are compared."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from tests.conformance.fitting import family
from tests.conformance.shared import find_shared

SHARED = find_shared()
FOLDER = None if SHARED is None else SHARED / "reference2"
#: R's names of the methods of degrees of freedom, and ours.
DDF = {"satterthwaite": "satterthwaite", "kenward-roger": "kenward-roger", "asymptotic": "z"}


@cache
def reference(name: str) -> dict[str, Any]:
    """Return one file of results."""
    return json.loads((FOLDER / f"inference_{name}.json").read_text(encoding="utf-8"))


def names_with(block: str) -> list[str]:
    """Return the names of the results that hold a block; none where the shared folder is absent."""
    if FOLDER is None or not FOLDER.is_dir():
        return []
    names = sorted(path.stem.removeprefix("inference_") for path in FOLDER.glob("inference_*.json"))
    return [name for name in names if block in reference(name)["results"]]


@cache
def reference_model(name: str) -> Any:
    """Return our fit of a model."""
    entry, data = reference(name)["model"], reference_data(name)
    if "family" in entry:
        chosen = family(entry["family"], entry.get("link"))
        return mm.glmer(entry["formula"], data, family=chosen, nAGQ=entry["nAGQ"], hessian="expected")
    contrasts = dict(re.findall(r"(\w+) = '(contr\.\w+)'", entry["call"]))
    weights = re.search(r"weights = (\w+)", entry["call"])
    return mm.lmer(
        entry["formula"],
        data,
        REML=entry["REML"],
        contrasts=contrasts or None,
        weights=weights and weights[1],
    )


def reference_data(name: str) -> pd.DataFrame:
    """Return the data of a model, with the types and levels they had in R."""
    entry = reference(name)["data"]
    if "csv" not in entry:
        return mm.load_dataset(entry["dataset"])
    factors = {k: v for k, v in entry["types"].items() if v["type"] in ("factor", "ordered")}
    data = pd.read_csv(
        FOLDER / entry["csv"], keep_default_na=False, na_values=["", "NA"], dtype=dict.fromkeys(factors, str)
    )
    for column, kind in factors.items():
        data[column] = pd.Categorical(data[column], kind["levels"], ordered=kind["type"] == "ordered")
    return data


def numbers(values: list[Any]) -> np.ndarray:
    """Return numbers of a table of R, null as NaN."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def differences(table: pd.DataFrame, expected: dict[str, Any], rtol: dict[str, float]) -> list[str]:
    """Return the columns in which a table differs from R's by more than the tolerances of its columns."""
    found = []
    for column, values in expected["columns"].items():
        if column not in table:
            found.append(f"{column}: absent; there are {list(table.columns)}")
        elif any(isinstance(value, str) for value in values):
            ours = [f"{v:g}" if isinstance(v, float) else str(v) for v in table[column]]
            if ours != values:
                found.append(f"{column}: {ours} for {values}")
        else:
            ours, theirs = table[column].to_numpy(dtype=float), numbers(values)
            tolerance = rtol.get(column, rtol[""])
            if not np.allclose(
                ours, theirs, rtol=tolerance, atol=1e-9 + tolerance * rtol["atol"], equal_nan=True
            ):
                found.append(f"{column}: {ours} for {theirs}")
    return found
