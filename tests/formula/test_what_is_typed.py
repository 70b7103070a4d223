"""What people type: slips are told, wrong things are refused with their cure, nothing else is said."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixedmodels as mm
from mixedmodels.errors import DataError, DataWarning, FormulaError, FormulaWarning
from mixedmodels.formula import build_design
from mixedmodels.formula.design.new_data import fixed_matrix


@pytest.fixture(scope="module")
def typed(mixed):
    x = mixed["x"].round(1)
    return mixed.assign(
        point=x.astype(str), comma=x.astype(str).str.replace(".", ","), code="0" + mixed["k"].astype(str),
        text=mixed["y"].astype(str), cnt=mixed["k"], **{"Reaction time": mixed["y"], "pre-test": x, "2nd": x},
    )  # fmt: skip


LOST = [
    ("x + x**2", "I(x^2)"),
    ("x^2", "I(x^2)"),
    ("x*x", "I(x * x)"),
    ("x:x", "I(x * x)"),
    ("log(z)^2", "I(log(z)^2)"),
    ("z + (x + x^2 | g)", "I(x^2)"),
]


@pytest.mark.parametrize(("text", "advice"), LOST)
def test_lost_arithmetic_is_told_once(mixed, text, advice):
    with pytest.warns(FormulaWarning) as caught:
        build_design(f"y ~ {text} + (1 | g)", mixed)
    assert [advice in str(w.message) for w in caught] == [True]


@pytest.mark.parametrize(
    "text", ["x*z", "(x + z)^2", "f^2", "f*f", "f*x", "f/x", "I(x**2)", "poly(x, 2)", "b*b", "x*f*z"]
)
def test_what_is_meant_is_not_told(mixed, text):
    build_design(f"y ~ {text} + (1 | g)", mixed)


def test_a_group_that_the_dot_brings_in(mixed):
    data = mixed[["y", "x", "k"]]
    with pytest.warns(FormulaWarning, match="grouping variable.*k"):
        build_design("y ~ . + (1 | k)", data)
    build_design("y ~ . - k + (1 | k)", data)
    build_design("y ~ x + k + (1 | k)", data)


@pytest.mark.parametrize("column", ["point", "comma"])
def test_numbers_in_strings_are_told(typed, column):
    with pytest.warns(DataWarning, match=r"pd\.to_numeric\(data\['" + column):
        build_design(f"y ~ {column} + (1 | g)", typed)
    build_design(f"y ~ factor({column}) + (1 | g)", typed)
    build_design(f"y ~ x + (1 | {column})", typed)
    build_design(f"y ~ {column} + (1 | g)", typed.astype({column: "category"}))
    build_design("y ~ code + s + (1 | g)", typed)


def test_numbers_in_strings_as_response(typed):
    with pytest.raises(DataError, match=r"pd\.to_numeric\(data\['text'\]\)"):
        build_design("text ~ x + (1 | g)", typed)
    with pytest.raises(DataError, match="coerce"):
        build_design("text ~ x + (1 | g)", typed.assign(text=typed["text"].where(typed.index > 0, "n/a")))


REFUSED = [
    ("y ~ C(f, Sum('b'))", "no reference level.*a, b, c"),
    ("y ~ C(f, contr.helmert('b'))", "no reference level"),
    ("y ~ C(f, contr.treatment('zzz'))", "'zzz' is not a level of f: a, b, c"),
    ("y ~ C(f, Treatment(reference = 'zzz'))", "'zzz' is not a level"),
    ("y ~ C(f, contr.treatment(4))", "not 4; f has 3 levels"),
    ("y ~ C(f, contr.treatment(base = 7))", "number from 1"),
    ("y ~ C(f, contr.treatment(NULL))", "not NULL"),
    ("y ~ C(f, contr.sum, base = 2)", "no reference level"),
    ("y ~ C(f, contr.poly(3, scores = c(1, 2, 4)))", "takes n and base"),
    ("y ~ rr(x | g)", r"us\(\), diag\(\), cs\(\), ar1\(\)"),
    ("y ~ foo(1 | g)", r"us\(\), diag\(\), cs\(\), ar1\(\)"),
    ("y ~ ou(x | g)", r"us\(\), diag\(\), cs\(\), ar1\(\)"),
    ("y ~ x + (1 | gr(g))", r"us\(\), diag\(\), cs\(\), ar1\(\)"),
    ("y ~ s(x)", r"ns\(x, df = 4\) or bs"),
    ("y ~ Q('a b')", "backticks"),
    ("y ~ cr(x)", r"ns\(x"),
    ("y ~ lag(x)", "make the column first"),
    ("y ~ pd.log(z)", r"write log\("),
    ("Reaction time ~ x", "`Reaction time`"),
    ("'Reaction time' ~ x", "backticks: `Reaction time`"),
    ("y ~ pre-test", "`pre-test`"),
    ("y ~ 2nd", "`2nd`"),
    ("y ~ 'x'", "without quotes"),
    ("y ~ ns(k, df = 8)", "smaller df"),
    ("cnt/b ~ x", r"first in row \d"),
    ("y ~ exp(1000 * z)", r"infinite"),
    ("y ~ I(x * 1e160)", "too large.*divide it by 1e"),
    ("y ~ scale(I(x * 1e160))", "too large"),
    ("y ~ I(x * 1e-160)", "too small"),
    ("I(y * 1e160) ~ x", "too large"),
    ("y ~ x + offset(1e160 * z)", "the offset"),
]


@pytest.mark.parametrize(("text", "match"), REFUSED)
def test_what_is_refused_is_told_its_cure(typed, text, match):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # 0/0 beside 1/0
        with pytest.raises((FormulaError, DataError), match=match):
            build_design(f"{text} + (1 | g)", typed)


def test_random_slopes_of_extreme_size_are_refused(mixed):
    with pytest.raises(DataError, match=r"x in \(x \| g\)"):
        build_design("y ~ 1 + (x | g)", mixed.assign(x=mixed["x"] * 1e160))


@pytest.mark.parametrize("scale", [1e-70, 1e70])
def test_what_is_not_refused_is_right(scale):
    data = mm.load_dataset("sleepstudy")
    right = mm.lmer("Reaction ~ Days + (Days | Subject)", data).fixef()
    y = mm.lmer("Reaction ~ Days + (Days | Subject)", data.assign(Reaction=data["Reaction"] * scale)).fixef()
    x = mm.lmer("Reaction ~ Days + (Days | Subject)", data.assign(Days=data["Days"] * scale)).fixef()
    np.testing.assert_allclose(y / scale, right, rtol=1e-9)
    np.testing.assert_allclose(x * [1.0, scale], right, rtol=1e-9)


def test_an_exposure_without_its_logarithm():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"e": rng.uniform(1e3, 1e8, 40), "g": np.arange(40) % 8})
    data["y"] = rng.poisson(data["e"] / 1e6)
    for fit in (lambda: mm.glmer("y ~ 1 + offset(e) + (1 | g)", data, "poisson"),
                lambda: mm.glmer("y ~ 1 + (1 | g)", data, "poisson", offset="e"),
                lambda: mm.glm("y ~ offset(e)", data, "poisson")):  # fmt: skip
        with pytest.raises(DataError, match=r"offset\(log\(exposure\)\)"):
            fit()
    assert np.isfinite(mm.glmer("y ~ 1 + offset(log(e)) + (1 | g)", data, "poisson").fixef()).all()


@pytest.mark.parametrize("call", ["Treatment('b')", "contr.treatment('b')", "contr.treatment(base = 2)",
                                  "Treatment(reference = 'b')", "contr.treatment(3, 2)"])  # fmt: skip
def test_a_named_reference_is_the_reference(mixed, call):
    design = build_design(f"y ~ C(f, {call}) + (1 | g)", mixed)
    np.testing.assert_array_equal(design.X[:, 1:], np.eye(3)[mixed["f"].cat.codes][:, [0, 2]])
    rows = mixed[mixed["f"] != "b"]
    np.testing.assert_array_equal(fixed_matrix(design, rows)[0], design.X[rows.index])


def test_contrasts_of_numbers_and_labelled_matrices(mixed):
    with pytest.raises(DataError, match="only to factors, and x is numeric"):
        build_design("y ~ x + (1 | g)", mixed, contrasts={"x": "sum"})
    M = pd.DataFrame([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]], index=["c", "a", "b"])
    design = build_design("y ~ f + (1 | g)", mixed, contrasts={"f": M})
    np.testing.assert_array_equal(design.X[:, 1:], M.loc[list(mixed["f"])].to_numpy())
    with pytest.raises(DataError, match="row labels c, a, x"):
        build_design("y ~ f + (1 | g)", mixed, contrasts={"f": M.rename({"b": "x"})})


TABLES = {
    "collect": lambda d: pl.DataFrame({"y": d["y"].to_numpy()}).lazy(),
    r"pd\.DataFrame\(data\)": lambda d: d[["y", "x"]].to_records(),
    r"use pd\.DataFrame\(data\)": lambda d: d[["y", "x"]].to_dict("records"),
    "read_csv": lambda d: "data.csv",
    "MultiIndex": lambda d: pd.concat({"a": d[["y", "x"]]}, axis=1),
    "reset_index": lambda d: d.set_index("g"),
    "columns=": lambda d: d[["y", "x"]].to_numpy(),
    "to_frame": lambda d: d["y"],
    "was grouped": lambda d: d.groupby("k"),
    "formula comes first": lambda d: "y ~ x",
}


@pytest.mark.parametrize("match", TABLES)
def test_what_is_no_table_is_told_how_to_be_one(mixed, match):
    with pytest.raises(DataError, match=match):
        build_design("y ~ x + (1 | g)", TABLES[match](mixed))


def test_new_data_of_another_type(mixed):
    m = mm.lmer("y ~ x + b + (1 | g)", mixed)
    with pytest.raises(DataError, match="numeric in the fit and holds strings"):
        m.predict(mixed.astype({"x": str}))
    as_numbers = m.predict(mixed.astype({"b": int}))
    np.testing.assert_array_equal(as_numbers, m.predict(mixed))
    with pytest.raises(DataError, match="logical in the fit"):
        m.predict(mixed.assign(b=2))
    with pytest.raises(DataError, match=r"re_form=mm\.NA"):
        m.predict(mixed.drop(columns="g"))


def test_long_lists_are_counted(mixed):
    many = mixed.assign(g=np.arange(48) % 24, f=[f"l{i:02}" for i in np.arange(48) % 24])
    m = mm.lmer("y ~ f + (1 | h)", many)
    with pytest.raises(DataError, match=r"l09, \.\.\. \(14 more\)"):
        m.predict(many.assign(f="new"))
    m = mm.lmer("y ~ x + (1 | g)", many)
    with pytest.raises(DataError, match=r"109, \.\.\. \(14 more\)"):
        m.predict(many.assign(g=many["g"] + 100))


def test_a_function_that_cannot_be_pickled_is_named(mixed):
    m = mm.lmer("y ~ twice(x) + (1 | g)", mixed, env={"twice": lambda x: 2 * x})
    with pytest.raises(DataError, match=r"env\['twice'\]"):
        pickle.dumps(m)
    np.testing.assert_array_equal(copy.deepcopy(m).predict(mixed), m.predict(mixed))
    m = mm.lmer("y ~ size(x) + (1 | g)", mixed, env={"size": abs})
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(m)).predict(mixed), m.predict(mixed))
