"""The models behind the published runs: data, formula, options."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import pandas as pd

import mixedmodels as mm
from mixedmodels.certification.published import PublishedRun, published_runs
from mixedmodels.datasets import load_dataset
from mixedmodels.errors import DataWarning

#: Data sets that have another name here.
NAMES = {
    "ftdf3": "metida_ftdf3",
    "df1": "metida_df1",
    "rep_missing": "metida_missing",
    "orthodont": "Orthodont",
}
#: Structures by the names that the records have, where they have others here.
STRUCTURES = {"sp_exp": "exp", "sp_gau": "gau"}


def run_named(name: str) -> PublishedRun:
    """Return a run by its name."""
    return next(run for run in published_runs() if run.name == name)


def run_data(run: PublishedRun) -> pd.DataFrame:
    """Return the rows that the run read, levels in its order."""
    name = run.record["data"]
    if name.startswith("rds"):
        data = load_dataset("bioequivalence").query("set == @name and PK.notna()").reset_index(drop=True)
        factors = ["subject", "period", "sequence", "treatment"]
        return data.assign(**{label: data[label].cat.remove_unused_categories() for label in factors})
    data = load_dataset(NAMES.get(name, name))
    model = run.record.get("model", {})
    for label, reference in model.get("reference_levels", {}).items():
        others = [level for level in data[label].cat.categories if level != reference]
        data[label] = data[label].cat.reorder_categories([reference, *others])
    if str(run.record.get("rows", "all")).startswith("first"):
        data = data.head(int(run.record["rows"].split()[1]))
    if run.expected.get("n_rows_read") == run.expected.get("n_obs", -1):
        data = data[data[model["response"]].notna()]
    return data


def mmrm_structure(model: Mapping[str, Any]) -> str:
    """Return the covariance term of a run: ``"us(AVISIT | ARMCD / USUBJID)"``."""
    name = STRUCTURES.get(model["structure"], model["structure"])
    # The order of the parameters is that of the levels of TIME, which is not always that of the effect.
    where = "TIME" if model.get("time") else " + ".join(model["coordinates"])
    subject = f"{model['group']} / {model['subject']}" if model["group"] else model["subject"]
    return f"{name}({where} | {subject})"


def fit_mmrm(run: PublishedRun, information: str = "observed") -> Any:
    """Fit the model of a run of PROC MIXED with a REPEATED statement."""
    model, data = run.record["model"], run_data(run)
    if "ARMCD:" in model["fixed"] and " ARMCD " not in model["fixed"]:
        # One effect less is determined: SAS leaves out the last level, R the last column.
        female = data["SEX"].eq("Female").astype(float)
        arms = data["ARMCD"].cat.reorder_categories(["TRT", "PBO"])
        data = data.assign(female=female, ARMCD=arms)
    key = (
        f"{model['fixed']} + {mmrm_structure(model)}", model["method"] == "REML", model["weights"],
        information, tuple(model.get("time_levels") or ()), model.get("time"),
    )  # fmt: skip
    return _fitted(key, _Data(data))


class _Data:
    """A table that equals another of the same values, for the cache of fits."""

    def __init__(self, data: pd.DataFrame) -> None:
        self.data = data
        levels = [
            tuple(data[c].cat.categories) for c in data if isinstance(data[c].dtype, pd.CategoricalDtype)
        ]
        self.key = (data.attrs.get("name"), len(data), tuple(data.columns), *levels)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Data) and self.key == other.key


@cache
def _fitted(key: tuple[Any, ...], table: _Data) -> Any:
    """Fit once what several runs are of: they differ in tests only."""
    formula, reml, weights, information, order, time = key
    data = table.data
    if time is not None:
        levels = list(order) or data[time].cat.categories
        data = data.assign(TIME=pd.Categorical(data[time].map("{}".format).str.removesuffix(".0"), levels))
    with warnings.catch_warnings():
        # Two runs have more effects than their cells determine, as SAS has by its coding.
        warnings.filterwarnings("ignore", ".*rank deficient", DataWarning)
        return mm.mmrm(formula, data, REML=reml, weights=weights, information=information)
