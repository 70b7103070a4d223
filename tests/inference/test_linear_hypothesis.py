"""Linear hypotheses in words and as matrices: how they are read, what they give, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.inference.contrasts import hypothesis_test
from mixedmodels.inference.fixed_effects import fixed_effects
from mixedmodels.inference.hypothesis_text import hypothesis_label, read_hypotheses

NAMES = (
    "(Intercept)", "x", "x1", "x.1", "I(x^2)", "poly(x, 2)1", "poly(x, 2)2", "a2:x", "bhigh dose", "c+",
    "log(y + 1)", "`my var`", "e1", "t>=3TRUE",
)  # fmt: skip

READ = [
    ("x = x1", {"x": 1, "x1": -1}, 0),
    ("x", {"x": 1}, 0),
    ("2 * x - (Intercept) = 1", {"x": 2, "(Intercept)": -1}, 1),
    ("2x1 + 3(x - x.1) == 4", {"x1": 2, "x": 3, "x.1": -3}, 4),
    ("I(x ^ 2)/2 - poly(x,2)1", {"I(x^2)": 0.5, "poly(x, 2)1": -1}, 0),
    ("a2:x*3=-1.5e-1", {"a2:x": 3}, -0.15),
    ("bhigh dose - c+ = 0", {"bhigh dose": 1, "c+": -1}, 0),
    ("c+ + c+ = 1", {"c+": 2}, 1),
    ("-(x - -x1) + 1 = 3", {"x": -1, "x1": -1}, 2),
    ("my var = `x1`", {"`my var`": 1, "x1": -1}, 0),
    ("`my var` = 2", {"`my var`": 1}, 2),
    ("log(y+1) = t>=3TRUE", {"log(y + 1)": 1, "t>=3TRUE": -1}, 0),
    ("2 e1 = 2e0", {"e1": 2}, 2),
    ("0 = x", {"x": -1}, 0),
    ("(1 + 1) * x", {"x": 2}, 0),
]


@pytest.mark.parametrize(("text", "weights", "value"), READ)
def test_hypotheses_are_read(text, weights, value):
    [(row, right)] = read_hypotheses(text, NAMES)
    assert dict(zip(NAMES, row, strict=True)) == {name: weights.get(name, 0) for name in NAMES}
    assert right == pytest.approx(value)


def test_commas_separate_hypotheses():
    found = read_hypotheses("x = 1, poly(x, 2)1 = poly(x, 2)2, x1", NAMES)
    assert [value for _, value in found] == [1.0, 0.0, 0.0]


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(range(len(NAMES))), min_size=1, max_size=4, unique=True),
    st.data(),
)
def test_what_is_printed_is_read_again(chosen, data):
    numbers = st.floats(-50, 50).filter(lambda value: abs(value) > 1e-3)
    row = np.zeros(len(NAMES))
    for k in chosen:
        row[k] = data.draw(numbers)
    value = data.draw(st.floats(-50, 50))
    [(again, right)] = read_hypotheses(hypothesis_label(row, value, NAMES), NAMES)
    np.testing.assert_allclose(again, row, rtol=1e-12)
    assert right == pytest.approx(value, rel=1e-12)


UNREADABLE = [
    ("x = y", "y is no coefficient"),
    ("xx1", "did you mean x1"),
    ("x = x1 = x.1", "one equals sign"),
    ("x * x1", "not multiplied"),
    ("x / x1", "divides by numbers"),
    ("x / 0", "divides by numbers"),
    ("x +", "is missing"),
    ("* x", "is missing"),
    ("2 * (x - x1", "closing bracket"),
    ("x x1", "an operator is missing"),
    ("x ; x1", "';' has no meaning"),
    ("__import__('os')", "no coefficient"),
    ("gone = 1", "gone has no estimate"),
    ("", "is missing"),
    ("(" * 200 + "x", "is missing"),
]


@pytest.mark.parametrize(("text", "words"), UNREADABLE)
def test_what_cannot_be_read_is_pointed_at(text, words):
    with pytest.raises(mm.FormulaError, match=words):
        read_hypotheses(text, NAMES, dropped=("gone",))


# The tests.


@pytest.fixture(scope="module")
def model():
    return mm.lmer("effort ~ Type + (1 | Subject)", mm.load_dataset("ergoStool"))


FORMS = [
    ["TypeT2 = TypeT3", "2 * TypeT4 = 1"],
    "TypeT2 = TypeT3, 2 * TypeT4 = 1",
    ["TypeT2 - TypeT3", "TypeT4 * 2"],
    [{"TypeT2": 1, "TypeT3": -1}, {"TypeT4": 2}],
    [[0, 1, -1, 0], [0, 0, 0, 2]],
    pd.DataFrame({"TypeT4": [0.0, 2.0], "TypeT2": [1.0, 0.0], "TypeT3": [-1.0, 0.0]}),
]


@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
def test_every_form_states_the_same(form, model):
    has_value = "=" in str(form)
    found = mm.linear_hypothesis(model, form, rhs=None if has_value else [0, 1])
    L, right = np.array([[0, 1, -1, 0], [0, 0, 0, 2.0]]), np.array([0.0, 1.0])
    difference = L @ model.beta - right
    V = L @ model.vcov().to_numpy() @ L.T
    F = difference @ np.linalg.solve(V, difference) / 2
    assert found["F"].iloc[1] == pytest.approx(F)
    assert found["Res.Df"].iloc[1] == pytest.approx(24.0)  # balanced: the residual stratum
    np.testing.assert_allclose(found.estimates["t value"], difference / np.sqrt(np.diag(V)))
    np.testing.assert_array_equal(found.matrix, L)
    np.testing.assert_array_equal(found.rhs, right)
    chi_square = mm.linear_hypothesis(model, form, rhs=None if has_value else [0, 1], test="Chisq")
    assert chi_square["Chisq"].iloc[1] == pytest.approx(2 * F)


def test_the_defaults_are_those_of_the_model(model, fitted):
    assert "Satterthwaite" in str(model.linear_hypothesis("TypeT2"))
    kenward = model.linear_hypothesis("TypeT2", ddf="kenward-roger")
    assert kenward["Res.Df"].iloc[1] == pytest.approx(24.0)
    assert list(fitted("cbpp").linear_hypothesis("period2 = period3").columns) == [
        "Df",
        "Chisq",
        "Pr(>Chisq)",
    ]
    least = mm.lm("effort ~ Type", mm.load_dataset("ergoStool"))
    found = least.linear_hypothesis("TypeT2 = 2.5")  # R: F = 2.907 on 1 and 32, p = 0.09789
    np.testing.assert_allclose(found.iloc[1], [32, 1, 2.90699, 0.097893], rtol=1e-4)
    assert least.linear_hypothesis("TypeT2 = 2.5").estimates["t value"].iloc[0] ** 2 == pytest.approx(
        2.90699, 1e-5
    )


def test_a_single_row_agrees_with_the_summary(fitted):
    model = fitted("sleepstudy")
    row = model.linear_hypothesis("Days").estimates.iloc[0]
    table = model.summary().coefficients.loc["Days"]
    np.testing.assert_allclose(row.to_numpy(), table.to_numpy())


def test_the_order_and_units_of_hypotheses_do_not_matter(fitted):
    model = fitted("cake_large")
    names = list(model.fixef().index)[3:8]
    one = model.linear_hypothesis(names)["F"].iloc[1]
    other = model.linear_hypothesis([f"{1e6} * {name}" for name in reversed(names)])["F"].iloc[1]
    assert other == pytest.approx(one, rel=1e-9)


WRONG = [
    (["TypeT2 = 0", "2 * TypeT2 = 0"], {}, "hypothesis 2, 2 TypeT2 = 0, follows from those before"),
    (["TypeT2 = 1", "2 * TypeT2 = 1"], {}, "contradicts those before it.* left side is 2"),
    (["TypeT2 = TypeT3", "TypeT3 = TypeT4", "TypeT4 = TypeT2"], {}, "hypothesis 3.*follows"),
    (["TypeT2 - TypeT2"], {}, "says nothing"),
    ([1, 2], {}, r"one number for each of the 4 coefficients"),
    (np.eye(3), {}, "one number for each"),
    ("TypeT2 = 1", {"rhs": 2}, "without an equals sign"),
    ("TypeT2", {"rhs": [1, 2]}, "2 numbers for 1 hypotheses"),
    ("TypeT2", {"rhs": "one"}, "rhs must be a number"),
    ({"TypeT9": 1}, {}, "TypeT9 is no coefficient"),
    ({"TypeT2": "one"}, {}, "must be a number"),
    (None, {}, "hypotheses are equations"),
    ([], {}, "hypotheses are equations"),
    ([np.nan, 0, 0, 1], {}, "finite"),
    ("TypeT2", {"test": "t"}, "test must be one of"),
    ("TypeT2", {"test": "F", "ddf": "z"}, "degrees of freedom"),
]


@pytest.mark.parametrize(("hypotheses", "arguments", "words"), WRONG)
def test_what_cannot_be_tested(hypotheses, arguments, words, model):
    with pytest.raises(mm.ControlError, match=words):
        mm.linear_hypothesis(model, hypotheses, **arguments)


def test_dropped_columns_have_no_hypotheses(fitted):
    model = fitted("sleepstudy_rank")
    with pytest.raises(mm.FormulaError, match="Double has no estimate"):
        model.linear_hypothesis("Days = Double")
    with pytest.raises(mm.ControlError, match="Double has no estimate"):
        model.linear_hypothesis({"Double": 1})
    assert model.linear_hypothesis("Days").estimates.index.tolist() == ["Days = 0"]


def test_f_tests_agree_with_the_shared_record(fitted):
    model = fitted("machines")
    for ddf in ("satterthwaite", "kenward-roger", "residual"):
        found = model.linear_hypothesis(["MachineB", "MachineC"], ddf=ddf).iloc[1]
        test = hypothesis_test(fixed_effects(model, ddf), np.eye(3)[1:])
        np.testing.assert_allclose(found, [test.df, 2, test.statistic, test.p_value])
