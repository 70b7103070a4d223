"""Predictions and their standard errors against values of R, model by model of the shared references."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from tests.conformance.shared import find_shared, shared_folder
from tests.inference.profile.references import fitted_reference, reference

NAMES = (
    [path.stem for path in sorted((shared_folder() / "reference2").glob("prediction_*.json"))]
    if find_shared() is not None
    else []
)
# Optima of two programs: a hundred-thousandth of the value.
CLOSE = {"rtol": 1e-5, "atol": 1e-7}


@cache
def held(name: str) -> tuple[dict[str, Any], Any, pd.DataFrame]:
    """Return a reference, its model and its new rows."""
    found = reference(name)
    found["model"].setdefault("nAGQ", 1)
    with warnings.catch_warnings():
        # The references are of the Laplace approximation, coarse or not.
        warnings.simplefilter("ignore", mm.ApproximationWarning)
        m = fitted_reference(found)
    return found, m, pd.DataFrame(found["results"]["predict"]["newdata"]["columns"])


def with_new_levels(m: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with levels of every grouping factor that no data have."""
    groups = {name for term in m.random for name in term.group.split(":")}
    fixed = {name for label in m.terms() for name in label.split(":")}
    # A factor that is a fixed effect too keeps its levels; what it is crossed with is new.
    return rows.assign(**{name: "a new one" for name in groups - fixed if name in rows})


@pytest.mark.parametrize("name", NAMES)
def test_predictions_and_standard_errors(name):
    found, m, rows = held(name)
    values = found["results"]["predict"]
    prefix = "link_" if "link_re_form_NULL" in values else ""
    known = m.predict(rows, se_fit=True)
    np.testing.assert_allclose(known["fit"], values[prefix + "re_form_NULL"], **CLOSE)
    np.testing.assert_allclose(known["se_fit"], values["se_conditional_joint"], **CLOSE)
    population = m.predict(rows, re_form="0", se_fit=True)
    np.testing.assert_allclose(population["fit"], values[prefix + "re_form_NA"], **CLOSE)
    np.testing.assert_allclose(population["se_fit"], values["se_fixed_only"], **CLOSE)
    new = m.predict(with_new_levels(m, rows), allow_new_levels=True, se_fit=True)
    np.testing.assert_allclose(new["fit"], values[prefix + "all_new_levels"], **CLOSE)
    np.testing.assert_allclose(new["se_fit"], values["se_all_new_levels"], **CLOSE)
    if prefix:
        response = m.predict(rows, type="response")
        np.testing.assert_allclose(response, values["response_re_form_NULL"], **CLOSE)


@pytest.mark.parametrize("name", [name for name in NAMES if "hatvalues" in reference(name)["results"]])
def test_leverages(name):
    found, m, _ = held(name)
    values = found["results"]["hatvalues"]
    np.testing.assert_allclose(m.hatvalues().iloc[:10], values["first10"], rtol=2e-5)
    assert m.hatvalues().sum() == pytest.approx(values["sum"], rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_predictions_of_the_rows_of_the_fit_are_fitted_values(name):
    _, m, _ = held(name)
    np.testing.assert_allclose(m.predict(type="response"), m.fitted(), rtol=1e-10)
    np.testing.assert_allclose(m.predict(m.data, type="response"), m.fitted(), rtol=1e-9)


def test_values_of_r_that_need_no_folder():
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    rows = pd.DataFrame({"Days": [0, 6], "Subject": ["308", "333"]})
    table = m.predict(rows.iloc[:1], se_fit=True)
    assert table["fit"].iloc[0] == pytest.approx(253.66367039827736, rel=1e-6)
    assert table["se_fit"].iloc[0] == pytest.approx(12.254792978835109, rel=1e-5)
    new = m.predict(rows.assign(Subject="x"), allow_new_levels=True, se_fit=True)
    np.testing.assert_allclose(new["se_fit"], [25.66446006656515, 45.88141038584291], rtol=1e-5)
