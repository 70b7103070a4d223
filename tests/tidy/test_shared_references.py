"""tidy and glance of the shared prediction models, where that folder is at hand."""

import json

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from tests.conformance.shared import find_shared

SHARED = find_shared()
FOLDER = None if SHARED is None else SHARED / "reference2"
NAMES = [] if FOLDER is None else sorted(p.stem for p in FOLDER.glob("prediction_*.json"))
# The search ends within 2e-5 standard errors of the optimum; standard errors then differ by this.
RTOL = 1e-3
# lme4's errors of generalized models come from a Hessian by finite differences: other tests are about them.
ERRORS = {"std.error", "statistic"}
# An estimate beside its standard error.
ATOL = 1e-3


def data_of(entry):
    if "csv" not in entry:
        return mm.load_dataset(entry["dataset"])
    data = pd.read_csv(FOLDER / entry["csv"], keep_default_na=False, na_values=["", "NA"])
    for name, kind in entry["types"].items():
        if kind["type"] in ("factor", "ordered"):
            levels = [str(v) for v in kind["levels"]]
            values = data[name].map(lambda v: v if isinstance(v, str) else f"{v:g}")
            data[name] = pd.Categorical(values, levels, ordered=kind["type"] == "ordered")
    return data


@pytest.mark.filterwarnings("ignore::mixedmodels.ApproximationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_shared_models(name):
    entry = json.loads((FOLDER / f"{name}.json").read_text())
    asked, data = entry["model"], data_of(entry["data"])
    options = {"weights": asked["weights"]} if "weights" in asked else {}
    if "nAGQ" in asked:
        options["nAGQ"] = int(asked["nAGQ"])
    if "family" in asked:
        m = mm.glmer(asked["formula"], data, asked["family"], **options)
    else:
        m = mm.lmer(asked["formula"], data, asked["REML"], **options)
    for table, key in ((mm.tidy(m, ddf=None), "tidy"), (mm.glance(m), "glance")):
        expected = entry["results"][key]["columns"]
        assert list(table) == list(expected)
        numbers = set(expected) - {"effect", "group", "term", "p.value"}
        for column in numbers if m.family() is None else numbers - ERRORS:
            theirs = np.array(expected[column], dtype=float)
            np.testing.assert_allclose(table[column], theirs, rtol=RTOL, atol=ATOL, err_msg=column)
        for column in {"effect", "term"} & set(expected):
            assert table[column].tolist() == expected[column]
