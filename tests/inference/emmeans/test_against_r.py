"""Tables of models of every kind against R: weights, nesting, empty cells, offsets, transformations.

The cases, their data and their calls are in emmeans_reference.json, made by emmeans_reference.R.
"""

import json
import math
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from tests.inference.emmeans.references import differences

REFERENCE = json.loads(
    Path(__file__).with_suffix(".json").with_name("emmeans_reference.json").read_text("utf-8")
)
FACTORS = ("a", "b", "g", "h", "r", "f")
TOLERANCE = {"": 2e-6, "p.value": 5e-6, "z.ratio": 1e-5, "atol": 1e-3}
# R's F statistics of joint tests have three decimals, from which it computes what is "(confounded)".
F_DECIMALS = 1e-3


@cache
def _data(name):
    frame = pd.DataFrame(REFERENCE["data"][name])
    return frame.astype({column: "category" for column in FACTORS if column in frame})


@cache
def _model(call, data):
    names = {"lm": mm.lm, "glm": mm.glm, "lmer": mm.lmer, "mm": mm, "d": _data(data)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.DataWarning)  # nested designs, designs with empty cells
        warnings.simplefilter("ignore", mm.FormulaWarning)
        return eval(call, names)


def _expected(columns):
    """Return R's columns as lists; infinity is 1e300 in the file."""
    columns = {name: values if isinstance(values, list) else [values] for name, values in columns.items()}
    columns = {
        name: [_infinite(value) for value in values] for name, values in columns.items() if name != "note"
    }
    return {"model term" if name == "model.term" else name: values for name, values in columns.items()}


def _infinite(value):
    is_large = isinstance(value, (int, float)) and abs(value) > 1e299
    return math.copysign(math.inf, value) if is_large else value


@pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda case: case["id"])
def test_table_agrees_with_r(case):
    names = {name: getattr(mm, name) for name in ("emmeans", "emtrends", "joint_tests")}
    model = _model(case["fit"], case["data"])
    table = eval(case["ask"], names | {"m": model, "log": math.log})
    expected = _expected(case["columns"])
    if "F.ratio" in expected:
        assert table["F.ratio"].tolist() == pytest.approx(expected.pop("F.ratio"), rel=1e-3, abs=F_DECIMALS)
        assert table["df2"].tolist() == pytest.approx(expected.pop("df2"), abs=0.006)
        confounded = [term == "(confounded)" for term in expected.get("model term", [])]
        expected["p.value"] = [
            ours if rest else theirs
            for ours, theirs, rest in zip(
                table["p.value"], expected["p.value"], confounded or [False] * len(table), strict=True
            )
        ]
    if "L" in expected:
        expected["L"] = [text.title() for text in expected["L"]]
    assert differences(table, {"columns": expected}, TOLERANCE) == []


def test_a_step_in_a_design_of_cells_is_a_difference_of_predictions():
    # Central differences: the slope at a point of a curve, where the forward step of R is off by its length.
    model = _model("lm('y ~ a * log(x)', d)", "d")
    trends = mm.emtrends(model, "a", var="x", at={"x": 4.0}).to_frame()
    beta = model.fixef()
    by_hand = [beta["log(x)"] / 4.0, *((beta["log(x)"] + beta[f"aa{k}:log(x)"]) / 4.0 for k in (2, 3))]
    np.testing.assert_allclose(trends["x.trend"], by_hand, rtol=1e-7)


def test_at_a_variable_of_the_offset_takes_the_offset_there():
    model = _model("glm('n ~ a + offset(log(t))', d, 'poisson')", "d")
    mean = mm.emmeans(model, "a").to_frame()["emmean"] - np.log(_data("d")["t"]).mean()
    there = mm.emmeans(model, "a", at={"t": 5.0}).to_frame()["emmean"]
    np.testing.assert_allclose(there, mean + np.log(5.0), rtol=1e-12)


def test_an_offset_given_as_an_array_is_at_its_mean():
    d = _data("d")
    by_name = mm.emmeans(mm.glm("n ~ a + offset(log(t))", d, "poisson"), "a").to_frame()
    by_array = mm.emmeans(mm.glm("n ~ a", d, "poisson", offset=np.log(d["t"])), "a").to_frame()
    by_text = mm.emmeans(mm.glm("n ~ a", d, "poisson", offset="log(t)"), "a").to_frame()
    both = mm.glm("n ~ a + offset(log(t) / 2)", d, "poisson", offset=np.log(d["t"]) / 2)
    pd.testing.assert_frame_equal(by_name, by_array)
    pd.testing.assert_frame_equal(by_name, by_text)
    pd.testing.assert_frame_equal(by_name, mm.emmeans(both, "a").to_frame())


def test_effect_sizes_of_opposite_signs_share_the_uncertainty_of_sigma():
    # R's eff_size takes the size of the means in their covariance with sigma: wrong where signs differ.
    d = _data("d").assign(y=lambda d: d["y"] - d["y"].mean())
    model = mm.lm("y ~ a", d)
    means = mm.emmeans(model, "a").to_frame()["emmean"].to_numpy()
    sigma, edf = model.sigma(), model.df_residual()
    table = mm.emmeans(model, "a").eff_size(sigma, edf).to_frame()
    V = model.vcov().to_numpy()
    L = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, -1.0]])
    difference = np.array([means[0] - means[1], means[0] - means[2], means[1] - means[2]]) / sigma
    variance = np.diag(L @ V @ L.T) / sigma**2 + difference**2 / (2 * edf)
    np.testing.assert_allclose(table["effect.size"], difference, rtol=1e-10)
    np.testing.assert_allclose(table["SE"], np.sqrt(variance), rtol=1e-10)
