"""Find the shared folder and read its cases, references and data."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

ENVIRONMENT_VARIABLE = "MIXEDMODELS_SHARED"
REPOSITORY = Path(__file__).resolve().parents[2]
WHY_ABSENT = (
    f"the shared conformance cases are not here: set {ENVIRONMENT_VARIABLE} to their folder, "
    "or put it beside the repository as ../shared"
)


def find_shared() -> Path | None:
    """Return the shared folder, or None where it is absent, as in a user's clone."""
    folder = Path(os.environ.get(ENVIRONMENT_VARIABLE, REPOSITORY.parent / "shared"))
    return folder if (folder / "conformance" / "cases.json").is_file() else None


def shared_folder() -> Path:
    """Return the shared folder, which must be there."""
    folder = find_shared()
    if folder is None:
        raise FileNotFoundError(WHY_ABSENT)
    return folder


def conformance_cases() -> list[dict[str, Any]]:
    """Return the cases of conformance/cases.json."""
    return json.loads((shared_folder() / "conformance" / "cases.json").read_text(encoding="utf-8"))


def reference_fits() -> list[dict[str, Any]]:
    """Return the reference fits, one dictionary a file, in the order of their ids."""
    paths = sorted((shared_folder() / "reference").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.name != "index.json"]


# Others of the second set are read where they belong: tests/inference, tests/prediction, tests/diagnostics.
SECOND_SET = ("gee", "nlme", "nlmer")


def second_reference_fits() -> list[dict[str, Any]]:
    """Return the reference fits of the second set by geepack, nlme and nlmer."""
    folder = shared_folder() / "reference2"
    paths = sorted(path for prefix in SECOND_SET for path in folder.glob(f"{prefix}_*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def reference_table(described: dict[str, Any]) -> pd.DataFrame:
    """Return the table of a reference fit of the second set, with the types and levels R had."""
    types = described["types"]
    text = [name for name, column in types.items() if column["type"] in ("factor", "ordered", "character")]
    frame = pd.read_csv(
        shared_folder() / "reference2" / described["csv"],
        dtype=dict.fromkeys(text, str),
        keep_default_na=False,
        na_values=["NA"],
    )
    for name in set(frame.columns) & types.keys():
        if "levels" in types[name]:
            kind = pd.CategoricalDtype(types[name]["levels"], ordered=types[name]["type"] == "ordered")
            frame[name] = frame[name].astype(kind)
    return frame


@cache
def _schema() -> dict[str, Any]:
    return json.loads((shared_folder() / "conformance" / "data" / "schema.json").read_text(encoding="utf-8"))


def conformance_data(name: str) -> pd.DataFrame:
    """Return a data set of the conformance suite with the types and levels its schema states."""
    entry = _schema()[name]
    columns = entry["columns"]
    text = [label for label, column in columns.items() if column["type"] not in ("integer", "logical")]
    frame = pd.read_csv(
        shared_folder() / "conformance" / "data" / entry["file"],
        dtype=dict.fromkeys(text, str),
        keep_default_na=False,
        na_values=["", "NA"],
    )
    return frame.assign(**{label: _typed(frame[label], column) for label, column in columns.items()})


def _typed(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    if column["type"] in ("factor", "ordered"):
        levels = column.get("levels") or sorted(values.dropna().unique(), key=_as_number)
        levels = [levels] if isinstance(levels, str) else levels  # a single level is not in a list
        return values.astype(pd.CategoricalDtype(levels, ordered=column["type"] == "ordered"))
    if column["type"] == "logical":
        return values.map({True: True, False: False, "TRUE": True, "FALSE": False}).astype(bool)
    return values.astype(float) if column["type"] == "numeric" else values


def _as_number(label: str) -> tuple[float, str]:
    """Return the sort key of a level: by value where it is a number, as R sorts a factor of integers."""
    try:
        return float(label), ""
    except ValueError:
        return float("inf"), label
